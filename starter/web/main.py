"""The pages as a program: `sb-transfer web`, or `python -m starter.web.main`."""

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from adapters.observability.logs import configure_logs
from adapters.observability.program import run_program
from adapters.settings import Settings
from domain.errors import Misconfigured
from starter.environment import surroundings
from starter.http.server import serve_until_stopped, uvicorn_config
from starter.web.application import build_web
from starter.web.openid import OpenIdClient
from starter.web.pages import WebContext
from starter.web.sessions import Sessions

_log = logging.getLogger("sb_transfer.web")
_GRACE_SECONDS = 20
_CONNECTIONS = 100
NEEDS = ("web_session_keys",)


def context_of_settings(
    settings: Settings,
    *,
    transport: httpx.AsyncBaseTransport,
    identity_transport: httpx.AsyncBaseTransport | None = None,
) -> WebContext:
    """Return what every request needs.

    Args:
        settings: Where the API and the identity provider are, and the sessions' keys.
        transport: How requests travel to the API.
        identity_transport: How they travel to the identity provider, if not over the network.

    Raises:
        Misconfigured: A setting is missing.
    """
    if not settings.web_api_url:
        raise Misconfigured("The pages need the API. Set SB_TRANSFER_WEB_API_URL and start again.")
    return WebContext(
        api_url=settings.web_api_url,
        transport=transport,
        openid=OpenIdClient(settings, transport=identity_transport),
        sessions=Sessions(settings.web_session_keys),
        zone=settings.zone,
        temporal_ui_url=settings.temporal_ui_url,
        cancel_licence_url=settings.cancel_licence_url,
    )


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests that are at work are finished first.

    Raises:
        Misconfigured: A setting is missing, or the port is taken.
    """
    async with httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=_CONNECTIONS)) as transport:
        context = context_of_settings(settings, transport=transport)

        @asynccontextmanager
        async def opened() -> AsyncIterator[WebContext]:
            yield context

        served = uvicorn_config(
            build_web(opened),
            settings.web_host,
            settings.web_port,
            grace_seconds=_GRACE_SECONDS,
            trusted_proxies=settings.api_trusted_proxies,
        )
        await serve_until_stopped(served, _log)


async def _run() -> None:
    settings = surroundings(needs=NEEDS, database=False).settings
    configure_logs(settings.log_format)
    # Its lines hold addresses, and in those what people look for.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    await serve(settings)


def main() -> int:
    """Serve; return the exit code of `run_program`."""
    return run_program(_run, _log)


if __name__ == "__main__":
    sys.exit(main())
