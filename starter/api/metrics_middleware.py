"""What every request leaves behind for operators: a log line, a count and a duration, none with a name in it."""

import logging
import time
from uuid import UUID

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars
from temporalio.common import MetricMeter

_log = logging.getLogger("sb_transfer.api")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_TRANSFERS = "/v1/transfers/"
# Asked all day long by whoever watches; their lines would bury the others.
_PROBES = frozenset({"/livez", "/readyz"})


class MetricsMiddleware:
    """Measures a request until its last byte; a path of no route is counted as one, whatever it says."""

    def __init__(self, app: ASGIApp, meter: MetricMeter) -> None:
        """Wrap an application."""
        self._app = app
        self._requests = meter.create_counter("sb_transfer_api_requests", "Requests that were answered")
        self._seconds = meter.create_histogram_float(
            "sb_transfer_api_request_seconds", "How long requests took, streams until their end"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and measure it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.monotonic()
        with bound_contextvars(transfer_id=_transfer_in(scope["path"]), step="request"):
            try:
                await self._app(scope, receive, sent)
            finally:
                self._record(scope, status, time.monotonic() - began)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._requests.add(1, {"method": method, "route": route, "status": str(status)})
        self._seconds.record(seconds, {"method": method, "route": route})
        if route not in _PROBES:
            said = {"method": method, "route": route, "status": status, "seconds": round(seconds, 3)}
            with bound_contextvars(step=getattr(scope.get("route"), "name", "request")):
                _log.info("answered", extra=said)


def _transfer_in(path: str) -> str | None:
    """Return the transfer that a path names, if what stands there is an id and nothing else."""
    if not path.startswith(_TRANSFERS):
        return None
    try:
        return str(UUID(path.removeprefix(_TRANSFERS).partition("/")[0]))
    except ValueError:
        return None
