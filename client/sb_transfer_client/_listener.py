"""A small receiver of webhooks, for a program that wants to be told and is no web server."""

import queue
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Self

from sb_transfer_client.errors import WebhookRefused
from sb_transfer_client.models import CloudEvent
from sb_transfer_client.webhooks import receive

_LARGEST_BODY_BYTES = 1_000_000
_SECONDS_FOR_A_REQUEST = 10
# An event may come before the program has read the secret that signs it; the sender waits for ten.
_SECONDS_FOR_A_SECRET = 5.0
_IDS_KEPT = 10_000


class Listener:
    """Listens for webhooks and yields their events, each once; what is not genuine is answered 400.

    For scripts, tests and trying out: an event is kept in memory from its answer on, and `list_all_events` has what a
    program that ended has missed. Speaks plain HTTP: put what ends TLS before it, or listen where the settings of the
    service allow that (`SB_TRANSFER_WEBHOOK_NETWORKS`).
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, url: str | None = None) -> None:
        """Listen from now on.

        Args:
            host: The address to listen at.
            port: The port; 0 takes one that is free.
            url: How the service reaches it; the address itself if left out.
        """
        self._secrets: Sequence[str] = ()
        self._has_secrets = Event()
        self._news: queue.SimpleQueue[CloudEvent] = queue.SimpleQueue()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._server = ThreadingHTTPServer((host, port), self._handler())
        self.url = url or f"http://{host}:{self._server.server_port}/"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """Return the listener itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def events(self, secrets: str | Sequence[str], *, timeout_seconds: float | None = None) -> Iterator[CloudEvent]:
        """Yield every event that is signed with a secret, as it comes, for ever.

        Args:
            secrets: What `create_webhook` returned; both while one is being replaced.
            timeout_seconds: How long to wait for the next one; without end if left out.

        Raises:
            TimeoutError: None came in that time.
        """
        self._secrets = [secrets] if isinstance(secrets, str) else secrets
        self._has_secrets.set()
        return self._each(timeout_seconds)

    def _each(self, timeout_seconds: float | None) -> Iterator[CloudEvent]:
        while True:
            try:
                event = self._news.get(timeout=timeout_seconds)
            except queue.Empty:
                raise TimeoutError("No event came. `get_webhook` tells why an endpoint gets none.") from None
            if event.id not in self._known:
                self._known[event.id] = None
                if len(self._known) > _IDS_KEPT:
                    self._known.popitem(last=False)
                yield event

    def _take(self, headers: Mapping[str, str], body: bytes) -> int:
        """Return the status that answers a delivery."""
        if not self._has_secrets.wait(_SECONDS_FOR_A_SECRET):
            return HTTPStatus.SERVICE_UNAVAILABLE
        try:
            self._news.put(receive(headers, body, self._secrets))
        except WebhookRefused:
            return HTTPStatus.BAD_REQUEST
        return HTTPStatus.NO_CONTENT

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = _SECONDS_FOR_A_REQUEST

            def do_POST(self) -> None:
                length = self.headers.get("Content-Length", "")
                fits = length.isascii() and length.isdecimal() and int(length) <= _LARGEST_BODY_BYTES
                self.close_connection = not fits  # what was not read would be taken for the next request
                status = (
                    take(dict(self.headers), self.rfile.read(int(length)))
                    if fits
                    else HTTPStatus.REQUEST_ENTITY_TOO_LARGE
                )
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing: whoever iterates is told."""

        return Handler
