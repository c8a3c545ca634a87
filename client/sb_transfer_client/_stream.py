"""Live progress: server-sent events read as they come, and from where they broke off. No I/O."""

import re
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
from pydantic import ValidationError

from sb_transfer_client._calls import Call, get_transfer
from sb_transfer_client._exchange import Exchange, Headers, Retries
from sb_transfer_client.errors import TransferEnded, UnexpectedAnswer, WaitedTooLong
from sb_transfer_client.models import TransferState, TransferView

# The service sends a sign of life each quarter of a minute.
SILENCE_SECONDS = 45.0
_LINE_END = re.compile(rb"\r\n|\n|\r")


class EventDecoder:
    """Splits a stream into events (WHATWG, server-sent events): pieces of bytes in, whole events out."""

    def __init__(self) -> None:
        self.last_event_id = ""
        self.retry_seconds: float | None = None
        self._rest = b""
        self._data: list[str] = []
        self._kind = ""

    def feed(self, piece: bytes) -> Iterator[tuple[str, str]]:
        """Yield the kind and the data of each event that ends in this piece."""
        *lines, self._rest = _LINE_END.split(self._rest + piece)
        if not self._rest and piece.endswith(b"\r"):  # its \n may come in the next piece
            self._rest = lines.pop() + b"\r" if lines else b""
        for line in lines:
            if event := self._line(line.decode()):
                yield event

    def restart(self) -> None:
        """Forget half an event: another connection begins with a whole one."""
        self._rest, self._data, self._kind = b"", [], ""

    def _line(self, line: str) -> tuple[str, str] | None:
        if not line:
            event = (self._kind or "message", "\n".join(self._data)) if self._data else None
            self._data, self._kind = [], ""
            return event
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._kind = value
        elif name == "id" and "\0" not in value:
            self.last_event_id = value
        elif name == "retry" and value.isdecimal():
            self.retry_seconds = int(value) / 1000
        return None


class Following:
    """A transfer's stream, over as many connections as it takes, until the transfer has ended."""

    def __init__(self, transfer_id: UUID | str, retries: Retries, headers: Headers) -> None:
        self.done = False
        self._path = f"{get_transfer(transfer_id).path}/progress"
        self._retries = retries
        self._headers = headers
        self._decoder = EventDecoder()
        self._exchange = self._begin()

    def request(self) -> dict[str, Any]:
        """Return what `httpx.Client.stream` is called with, for the next connection."""
        self._decoder.restart()
        request = self._exchange.request()
        if self._decoder.last_event_id:
            request["headers"]["Last-Event-ID"] = self._decoder.last_event_id
        return request

    def hear(self, piece: bytes) -> Iterator[TransferView]:
        """Yield each status that comes whole with this piece."""
        for kind, data in self._decoder.feed(piece):
            if kind != "status":
                continue
            try:
                seen = TransferView.model_validate_json(data)
            except ValidationError as error:
                raise UnexpectedAnswer(f"{self._path} did not send a status: {error}") from error
            self._exchange = self._begin()
            self.done = seen.state.is_final
            yield seen

    def pause_after(self, response: httpx.Response) -> float:
        """Return how long to wait before the next connection.

        Raises:
            Problem: The service refuses the stream.
        """
        if response.is_success:
            self._exchange = self._begin()
            return self._decoder.retry_seconds if self._decoder.retry_seconds is not None else 1.0
        pause = self._exchange.pause_after(response)
        if pause is None:
            self._exchange.answer(response)
        return pause or 0.0

    def pause_after_failure(self, error: httpx.TransportError) -> float:
        """Return how long to wait after a connection that broke off, or never came.

        Raises:
            NoAnswer: There have been enough.
        """
        return self._exchange.pause_after_failure(error)

    def _begin(self) -> Exchange[None]:
        call = Call("GET", self._path, lambda _: None, headers={"Accept": "text/event-stream"})
        return Exchange(call, self._retries, self._headers)


def is_reached(seen: TransferView, wanted: tuple[TransferState, ...]) -> bool:
    """Tell whether a transfer is in one of the states that are waited for.

    Raises:
        TransferEnded: It has ended in another one.
    """
    if seen.state in wanted:
        return True
    if seen.state.is_final:
        raise TransferEnded(seen)
    return False


def seconds_left(until: float | None) -> float | None:
    """Return how long is left until a moment of the monotonic clock; None when there is no end.

    Raises:
        WaitedTooLong: Nothing is left.
    """
    if until is None:
        return None
    left = until - time.monotonic()
    if left <= 0:
        raise WaitedTooLong(WaitedTooLong.__doc__)
    return left
