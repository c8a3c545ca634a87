"""A real receiver of webhooks: an HTTP server that checks signatures and misbehaves as it is told."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from sb_transfer_client.errors import WebhookRefused
from sb_transfer_client.webhooks import CloudEvent, receive, verify

Answer = Callable[[CloudEvent], str]


def taken(_: CloudEvent) -> str:
    """Take everything."""
    return "204 No Content"


@dataclass
class Receiver:
    """Listens on loopback; keeps what it took in the order in which it came."""

    answer: Answer = taken
    secrets: list[str] = field(default_factory=list)
    taken: list[CloudEvent] = field(default_factory=list)
    heard: list[CloudEvent] = field(default_factory=list)
    """What came, whether it was taken or not."""

    headers: list[dict[str, str]] = field(default_factory=list)
    hang: bool = False
    refused: int = 0
    port: int = 0
    _closing: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    def ids(self) -> list[str]:
        return [event.id for event in self.taken]

    async def until(self, count: int, seconds: float = 120) -> None:
        """Wait until so many have been taken."""
        async with asyncio.timeout(seconds):
            while len(self.taken) < count:
                self._news.clear()
                await self._news.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                _, *lines = head.decode().strip().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
                body = await reader.readexactly(int(headers["content-length"]))
                status = await self._judge(headers, body)
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:1/\r\n\r\n".encode()
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # whoever sent has hung up
        finally:
            writer.close()

    async def _judge(self, headers: dict[str, str], body: bytes) -> str:
        if self.hang:
            await self._closing.wait()
        try:
            event = receive(headers, body, self.secrets)
        except WebhookRefused:
            self.refused += 1
            return "400 Bad Request"
        assert verify(headers, body, self.secrets) == event.id
        self.headers.append(headers)
        self.heard.append(event)
        status = self.answer(event)
        if status.startswith("2"):
            self.taken.append(event)
            self._news.set()
        return status


def sometimes(probability: float, seed: int = 1) -> Answer:
    """Return a receiver's answer that is a failure so often."""
    dice = random.Random(seed)  # noqa: S311 - the same failures each time
    return lambda _: "500 No" if dice.random() < probability else "200 OK"
