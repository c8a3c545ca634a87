"""How large a request may be, refused before it is read, and how long it may take to come."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A ticket is under 2 KiB, a form around it not much more; anything larger is a mistake or an attack.
LARGEST_BODY_BYTES = 64 * 1024
# So much takes seconds on the slowest line; whoever takes longer keeps a connection for nothing.
PATIENCE_SECONDS = 30.0
_ALL_ALIKE: Mapping[str, int] = MappingProxyType({})


class BodyLimit:
    """Answers 413 as soon as a body says that it is too large, or turns out to be, and 408 when it does not come."""

    def __init__(
        self,
        app: ASGIApp,
        refuse: ASGIApp,
        too_slow: ASGIApp,
        largest_bytes: int = LARGEST_BODY_BYTES,
        patience_seconds: float = PATIENCE_SECONDS,
        *,
        larger: Mapping[str, int] = _ALL_ALIKE,
    ) -> None:
        """Take the application, what answers instead of it, and the limits; `larger`, in bytes, by path."""
        self._larger = larger
        self._app = app
        self._refuse = refuse
        self._too_slow = too_slow
        self._largest_bytes = largest_bytes
        self._patience_seconds = patience_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        largest = self._larger.get(scope["path"], self._largest_bytes)
        claimed = Headers(scope=scope).get("content-length")
        if claimed is not None and (not claimed.isdigit() or int(claimed) > largest):
            await self._refuse(scope, receive, send)
            return
        pieces: list[Message] = []
        received = 0
        # At most the limit is held in memory, so the whole body can be read before anything else looks at it.
        clock = asyncio.get_running_loop().time
        until = clock() + self._patience_seconds
        while True:
            try:
                message = await asyncio.wait_for(receive(), max(until - clock(), 0.001))
            except TimeoutError:
                await self._too_slow(scope, receive, send)
                return
            pieces.append(message)
            received += len(message.get("body", b""))
            if received > largest:
                await self._refuse(scope, receive, send)
                return
            if message["type"] != "http.request" or not message.get("more_body", False):
                break
        waiting = iter(pieces)

        async def replay() -> Message:
            return next(waiting, None) or await receive()

        await self._app(scope, replay, send)
