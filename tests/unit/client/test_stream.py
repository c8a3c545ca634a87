"""Server-sent events in whatever pieces they come, over connections that break."""

import random
from collections.abc import Iterator
from uuid import UUID

import httpx
import pytest
from sb_transfer_client import Client, Retries, TransferState, errors
from sb_transfer_client._stream import EventDecoder
from sb_transfer_client.testing import FakeService

from tests.unit.client.test_exchange import problem

ENDS = ("\n", "\r\n", "\r")


@pytest.mark.parametrize("end", ENDS)
def test_events_are_whole_whatever_the_pieces(end: str) -> None:
    """A status cut in two by the network, or with a line separator of Unicode in it, would be lost."""
    lines = [
        ": ping",
        "",
        "id: 1",
        "event: status",
        'data: {"a": "\u2028é"}',
        "",
        "data:x",
        "data: y",
        "",
        "retry: 250",
        "",
    ]
    stream = "".join(line + end for line in lines).encode()
    for seed in range(200):
        draw, decoder, rest = random.Random(seed), EventDecoder(), stream  # noqa: S311 - where to cut
        found: list[tuple[str, str]] = []
        while rest:
            size = draw.randint(1, 5)
            found += decoder.feed(rest[:size])
            rest = rest[size:]
        found += decoder.feed(b"\n")  # after a lone \r one more byte tells that no \n follows
        assert found == [("status", '{"a": "\u2028é"}'), ("message", "x\ny")], seed
        assert decoder.last_event_id == "1"
        assert decoder.retry_seconds == 0.25


class CutStream(httpx.SyncByteStream):
    """A body that comes in pieces and may break off."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


def status(service: FakeService, transfer_id: UUID) -> bytes:
    """Return a status as it stands on the wire."""
    with service.client("backend") as speaker:
        return speaker.get_transfer(transfer_id).model_dump_json().encode()


def test_a_broken_connection_is_mended_from_the_last_event() -> None:
    """Whoever follows a move of an evening would stop at the first cable, or hear everything twice."""
    service = FakeService()
    service.add_licence("1")
    service.add_licence("2")
    with service.client("backend") as speaker:
        transfer_id = speaker.start_transfer(service.add_environment("1", "Een")).transfer_id
    first = status(service, transfer_id)
    with service.client("backend") as speaker:
        speaker.cancel_transfer(transfer_id)
    service.clock.turn_to("22:00")
    status(service, transfer_id)
    last = status(service, transfer_id)
    heard: list[str | None] = []
    answers: Iterator[CutStream | httpx.Response | Exception] = iter(
        [
            CutStream(b"event: status\nid: one\ndata: " + first + b"\n\nevent: sta", httpx.ReadError("cut")),
            httpx.ConnectError("gone"),
            problem(errors.Unavailable),
            CutStream(b"retry: 1\n\n"),
            CutStream(b"event: status\nid: two\ndata: " + last + b"\n\n"),
        ]
    )

    class Broken(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            heard.append(request.headers.get("last-event-id"))
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            if isinstance(answer, httpx.Response):
                return answer
            return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=answer)

    quick = Retries(first_pause_seconds=0.001)
    with Client("http://x", "token", transport=Broken(), retries=quick) as speaker:
        states = [seen.state for seen in speaker.follow_transfer(transfer_id)]
    assert states == [TransferState.AWAITING_UPLOAD, TransferState.UNDONE]
    assert heard == [None, "one", "one", "one", "one"]


def test_a_wait_ends_in_time() -> None:
    """A backend's job would wait for weeks for an upload that nobody makes."""
    service = FakeService()
    service.add_licence("1")
    with service.client("backend") as speaker:
        transfer_id = speaker.start_transfer(service.add_environment("1", "Een")).transfer_id
        with pytest.raises(errors.WaitedTooLong):
            speaker.wait_until(transfer_id, TransferState.SCHEDULED, timeout_seconds=0.2)
        with pytest.raises(TimeoutError):
            speaker.wait_until(transfer_id, TransferState.SCHEDULED, timeout_seconds=0)
