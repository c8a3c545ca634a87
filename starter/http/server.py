"""How this service's HTTP servers listen and stop."""

import asyncio
import logging
import signal
from collections.abc import Sequence

import uvicorn
from fastapi import FastAPI


def uvicorn_config(
    app: FastAPI, host: str, port: int, *, grace_seconds: int, trusted_proxies: Sequence[str] = ()
) -> uvicorn.Config:
    """Return how an application is served.

    Args:
        app: The application.
        host: The address to listen on.
        port: And the port.
        grace_seconds: How long requests that are at work may take to finish.
        trusted_proxies: Addresses and networks whose X-Forwarded-For says where a request comes from.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,  # its lines hold names of licences; the audit log is the record
        server_header=False,
        # Whoever may say where a request comes from could be anybody; uvicorn by itself would believe this machine.
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        timeout_graceful_shutdown=grace_seconds,
    )


async def serve_until_stopped(config: uvicorn.Config, log: logging.Logger) -> None:
    """Serve until SIGTERM or SIGINT; requests that are at work are finished first."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        # uvicorn handles them while it serves, and sends them once more when it is done: to us, who are closing.
        loop.add_signal_handler(name, log.info, "stopping")
    await uvicorn.Server(config).serve()
