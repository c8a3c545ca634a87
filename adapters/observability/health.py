"""Two addresses by which whoever runs a worker knows how it is: `/livez` and `/readyz`."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import TimeoutError as NoAnswer
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from temporalio.client import Client

from adapters.observability.readiness import OK, PATIENCE_SECONDS, Readiness, readiness
from adapters.postgres.guards import unguarded_definitions
from adapters.postgres.shards import Shards
from adapters.temporal.client import pollers
from domain.errors import Misconfigured

# A worker asks for work anew at least once a minute; the rest is for a busy network.
_SILENCE = timedelta(seconds=150)


class WorkerReadiness(Readiness):
    """What a worker stands on."""

    stopping: bool
    definitions: str
    """Whether a superuser has had them guarded in every database; a worker without it works, and says what to run."""


@dataclass
class WorkerHealth:
    """Whether this process can do its work. `stopping` is set by whoever stops it."""

    shards: Shards
    client: Client
    task_queue: str
    key_ids: Sequence[str]
    stopping: bool = False

    async def readiness(self) -> WorkerReadiness:
        """Ask the database, and ask Temporal whether it has seen this worker ask for work."""
        found, unguarded = await asyncio.gather(
            readiness(self.shards.home, self._heard(), self.key_ids), unguarded_definitions(self.shards)
        )
        return WorkerReadiness(
            **{**found.model_dump(), "ready": found.ready and not self.stopping},
            stopping=self.stopping,
            definitions=unguarded or OK,
        )

    async def _heard(self) -> str:
        """Look at one queue only: a worker whose clone slots are all taken asks that queue for nothing, and is well."""
        last = (await pollers(self.client, self.task_queue)).get(self.client.identity)
        return OK if last and last >= datetime.now(UTC) - _SILENCE else "has not heard this worker ask for work"


class HealthServer:
    """Serves the two addresses from a thread of its own, so that an event loop that stands still is seen.

    `/livez` answers 200 while the event loop turns: restart the process when it does not. `/readyz` answers 200 or 503
    and says what is missing: that is often somebody else's server, and no reason to restart this one.
    """

    def __init__(self, host: str, port: int, readiness: Callable[[], Awaitable[WorkerReadiness]]) -> None:
        """Prepare a server; it listens from `__aenter__` on.

        Args:
            host: The address on which to listen.
            port: The port; 0 takes a free one, which `port` then tells.
            readiness: Runs in the event loop that entered the server.
        """
        self._host = host
        self._wanted = port
        self._readiness = readiness
        self._server: ThreadingHTTPServer | None = None

    @property
    def port(self) -> int:
        """Return the port that it listens on."""
        if self._server is None:
            raise RuntimeError("the server has not been started")
        return self._server.server_port

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            Misconfigured: The address cannot be listened on.
        """
        try:
            self._server = ThreadingHTTPServer((self._host, self._wanted), _handler(_Asking(self._readiness)))
        except OSError as error:
            raise Misconfigured(
                f"Nothing can listen on {self._host}:{self._wanted} ({error.strerror}). "
                "Correct SB_TRANSFER_HEALTH_HOST or SB_TRANSFER_HEALTH_PORT."
            ) from error
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        """Listen no longer."""
        if self._server is not None:
            await asyncio.to_thread(self._server.shutdown)
            self._server.server_close()


class _Asking:
    """Lets a thread ask the event loop in which it was made."""

    def __init__(self, readiness: Callable[[], Awaitable[WorkerReadiness]]) -> None:
        self._readiness = readiness
        self._loop = asyncio.get_running_loop()

    def answer(self, path: str) -> tuple[HTTPStatus, dict[str, Any]]:
        """Return what a path answers."""
        try:
            if path == "/livez":
                return self._in_the_loop(self._live())
            if path == "/readyz":
                return self._in_the_loop(self._ready())
        except (NoAnswer, RuntimeError):  # a loop that has ended raises the second
            return HTTPStatus.SERVICE_UNAVAILABLE, {"status": "the event loop stands still"}
        return HTTPStatus.NOT_FOUND, {"status": "there are /livez and /readyz"}

    def _in_the_loop(
        self, work: Coroutine[Any, Any, tuple[HTTPStatus, dict[str, Any]]]
    ) -> tuple[HTTPStatus, dict[str, Any]]:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(2 * PATIENCE_SECONDS)

    async def _live(self) -> tuple[HTTPStatus, dict[str, Any]]:
        return HTTPStatus.OK, {"status": OK}

    async def _ready(self) -> tuple[HTTPStatus, dict[str, Any]]:
        found = await self._readiness()
        return (HTTPStatus.OK if found.ready else HTTPStatus.SERVICE_UNAVAILABLE), found.model_dump()


def _handler(asking: _Asking) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE_SECONDS  # of a caller that says nothing

        def do_GET(self) -> None:
            status, document = asking.answer(self.path)
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Write nothing: whoever asks every few seconds would fill the log."""

    return Handler
