"""How this service's HTTP servers listen and stop."""

import asyncio
import logging
import signal
from collections.abc import Sequence

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

# A request's head takes milliseconds; whoever takes longer keeps a connection for nothing.
HEAD_SECONDS = 10.0


class HeadTimeoutProtocol(H11Protocol):
    """Closes a connection on which no request is at work and the head of the next one does not come in time.

    uvicorn bounds only the silence after an answer: a byte each second, or none at all from the start, it waits for.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Take what came; a head that is whole has begun a request."""
        super().data_received(data)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


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
        http=HeadTimeoutProtocol,
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
