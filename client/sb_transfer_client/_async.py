"""The client that is awaited."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Self, TypeVar
from uuid import UUID

import httpx

from sb_transfer_client._calls import Call, Pages
from sb_transfer_client._routes import Routes, Token, stream_timeout
from sb_transfer_client._stream import Following, is_reached, seconds_left
from sb_transfer_client.models import TransferState, TransferView

T = TypeVar("T")
Item = TypeVar("Item")


class AsyncClient(Routes):
    """Speaks to the service inside an event loop."""

    def __init__(
        self, url: str, token: Token, *, transport: httpx.AsyncBaseTransport | None = None, **options: Any
    ) -> None:
        """Take what `Routes` takes, and how requests travel if not over the network."""
        super().__init__(url, token, **options)
        self._http = httpx.AsyncClient(transport=transport, **self._options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, call: Call[T], /) -> T:
        """Send a call until it is answered.

        Raises:
            Problem: It is refused; the class says why.
            NoAnswer, UnexpectedAnswer: Nobody, or somebody else, answers.
        """
        exchange = self._exchange(call)
        while True:
            try:
                response = await self._http.request(**exchange.request())
            except httpx.TransportError as error:
                pause = exchange.pause_after_failure(error)
            else:
                again = exchange.pause_after(response)
                if again is None:
                    return exchange.answer(response)
                pause = again
            await asyncio.sleep(pause)

    async def iterate(self, pages: Pages[T, Item], /) -> AsyncIterator[Item]:
        """Yield what page after page holds."""
        call: Call[T] | None = pages.first
        while call is not None:
            page = await self.send(call)
            for item in pages.items(page):
                yield item
            call = pages.following(page)

    async def follow_transfer(
        self, transfer_id: UUID | str, *, timeout_seconds: float | None = None
    ) -> AsyncGenerator[TransferView, None]:
        """Yield where a transfer stands, now and whenever it changes, until it has ended; mend broken connections.

        Raises:
            Problem: The service refuses.
            WaitedTooLong: It has not ended in time.
        """
        following = Following(transfer_id, self._retries, self._headers)
        until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while not following.done:
            timeout = stream_timeout(seconds_left(until))
            try:
                async with self._http.stream(**following.request(), timeout=timeout) as response:
                    if response.is_success:
                        async for piece in response.aiter_bytes():
                            for seen in following.hear(piece):
                                yield seen
                            if following.done:
                                return
                            seconds_left(until)
                    else:
                        await response.aread()
                    pause = following.pause_after(response)
            except httpx.TransportError as error:
                seconds_left(until)
                pause = following.pause_after_failure(error)
            await asyncio.sleep(pause)

    async def wait_until(
        self, transfer_id: UUID | str, *states: TransferState, timeout_seconds: float | None = None
    ) -> TransferView:
        """Wait until a transfer is in one of these states, and return where it stands.

        Raises:
            TransferEnded: It has ended in another one.
            WaitedTooLong: It did not come there in time.
        """
        async with aclosing(self.follow_transfer(transfer_id, timeout_seconds=timeout_seconds)) as following:
            async for seen in following:
                if is_reached(seen, states):
                    return seen
        return await self.get_transfer(transfer_id)
