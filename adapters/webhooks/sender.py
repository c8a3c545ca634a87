"""Sending one event to one endpoint: signed, to an address that was judged, no redirect followed, in bounded time."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from http import HTTPStatus
from ssl import SSLContext
from types import TracebackType
from typing import Self

import httpx

from adapters.crypto.webhook_secrets import signatures
from adapters.webhooks.addresses import Address, AddressRefused, AddressRules, Target
from domain.errors import WebhookUrlRefused
from domain.webhooks import CloudEvent, WebhookProblem

TIMEOUT_SECONDS = 10.0
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
# What an endpoint says is not read; a little of it is, so that the connection can be used again.
_MOST_READ = 64 * 1024
_AGENT = "sb-transfer"


class Line:
    """Connections to one endpoint, for a while; its address is judged once, and every request goes to that address."""

    def __init__(self, rules: AddressRules, url: str, *, tls: SSLContext, timeout_seconds: float) -> None:
        self._rules = rules
        self._url = url
        self._tls = tls
        self._timeout = timeout_seconds
        self._open = AsyncExitStack()
        self._where: tuple[Target, Address] | None = None
        self._problem: WebhookProblem | None = None

    async def __aenter__(self) -> Self:
        self._client = await self._open.enter_async_context(
            httpx.AsyncClient(
                verify=self._tls, trust_env=False, follow_redirects=False, timeout=httpx.Timeout(self._timeout)
            )
        )
        try:
            target = self._rules.target_of(self._url)
            self._where = target, (await self._rules.addresses_of(target))[0]
        except AddressRefused as refused:
            self._problem = refused.problem
        except WebhookUrlRefused:  # the settings have changed
            self._problem = WebhookProblem.ADDRESS_INSIDE
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def send(self, event: CloudEvent, secrets: Sequence[bytes]) -> str:
        """Send an event; return nothing when it was taken, else the problem's code."""
        if self._where is None:
            return self._problem or WebhookProblem.NOT_RESOLVED
        target, address = self._where
        body = event.model_dump_json().encode()
        moment = int(time.time())
        headers = {
            "Host": target.host_header,
            "Content-Type": CONTENT_TYPE,
            "User-Agent": _AGENT,
            "webhook-id": event.id,
            "webhook-timestamp": str(moment),
            "webhook-signature": signatures(secrets, event.id, moment, body),
        }
        try:
            async with asyncio.timeout(self._timeout):
                status = await self._post(target.at(address), headers, body, target.host)
        except (TimeoutError, httpx.TimeoutException):
            return WebhookProblem.TIMED_OUT
        except (httpx.HTTPError, httpx.InvalidURL):
            return WebhookProblem.UNREACHABLE
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return ""
        return WebhookProblem.REDIRECTED if status < HTTPStatus.BAD_REQUEST else f"status_{status}"

    async def _post(self, url: str, headers: dict[str, str], body: bytes, host: str) -> int:
        named = {"sni_hostname": host}
        async with self._client.stream("POST", url, headers=headers, content=body, extensions=named) as response:
            read = 0
            async for piece in response.aiter_raw():
                read += len(piece)
                if read > _MOST_READ:
                    break
            return response.status_code
