"""The client that blocks."""

import time
from collections.abc import Iterator
from typing import Any, Self, TypeVar
from uuid import UUID

import httpx

from sb_transfer_client._calls import Call, Pages
from sb_transfer_client._routes import Routes, Token, stream_timeout
from sb_transfer_client._stream import Following, is_reached, seconds_left
from sb_transfer_client.models import TransferState, TransferView

T = TypeVar("T")
Item = TypeVar("Item")


class Client(Routes):
    """Speaks to the service and waits for its answers; may be used by several threads."""

    def __init__(self, url: str, token: Token, *, transport: httpx.BaseTransport | None = None, **options: Any) -> None:
        """Take what `Routes` takes, and how requests travel if not over the network."""
        super().__init__(url, token, **options)
        self._http = httpx.Client(transport=transport, **self._options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, call: Call[T], /) -> T:
        """Send a call until it is answered.

        Raises:
            Problem: It is refused; the class says why.
            NoAnswer, UnexpectedAnswer: Nobody, or somebody else, answers.
        """
        exchange = self._exchange(call)
        while True:
            try:
                response = self._http.request(**exchange.request())
            except httpx.TransportError as error:
                pause = exchange.pause_after_failure(error)
            else:
                again = exchange.pause_after(response)
                if again is None:
                    return exchange.answer(response)
                pause = again
            time.sleep(pause)

    def iterate(self, pages: Pages[T, Item], /) -> Iterator[Item]:
        """Yield what page after page holds."""
        call: Call[T] | None = pages.first
        while call is not None:
            page = self.send(call)
            yield from pages.items(page)
            call = pages.following(page)

    def follow_transfer(
        self, transfer_id: UUID | str, *, timeout_seconds: float | None = None
    ) -> Iterator[TransferView]:
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
                with self._http.stream(**following.request(), timeout=timeout) as response:
                    if response.is_success:
                        for piece in response.iter_bytes():
                            yield from following.hear(piece)
                            if following.done:
                                return
                            seconds_left(until)
                    else:
                        response.read()
                    pause = following.pause_after(response)
            except httpx.TransportError as error:
                seconds_left(until)
                pause = following.pause_after_failure(error)
            time.sleep(pause)

    def wait_until(
        self, transfer_id: UUID | str, *states: TransferState, timeout_seconds: float | None = None
    ) -> TransferView:
        """Wait until a transfer is in one of these states, and return where it stands.

        Raises:
            TransferEnded: It has ended in another one.
            WaitedTooLong: It did not come there in time.
        """
        for seen in self.follow_transfer(transfer_id, timeout_seconds=timeout_seconds):
            if is_reached(seen, states):
                return seen
        return self.get_transfer(transfer_id)
