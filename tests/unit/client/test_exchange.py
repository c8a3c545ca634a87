"""What is sent again, with which key, and what an answer means; over a transport that answers from a list."""

import json
import time
from collections.abc import Callable, Iterator
from uuid import UUID

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from sb_transfer_client import Client, Retries, errors
from sb_transfer_client.testing import FakeService

Answer = httpx.Response | Exception
ID = str(UUID(int=7))
QUICK = Retries(attempts=4, first_pause_seconds=0.001, longest_pause_seconds=0.01)


class Script(httpx.BaseTransport):
    """Answers from a list, and keeps what was asked."""

    def __init__(self, *answers: Answer | Callable[[httpx.Request], httpx.Response]) -> None:
        self._answers: Iterator[Answer | Callable[[httpx.Request], httpx.Response]] = iter(answers)
        self.asked: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer(request)


def problem(kind: type[errors.Problem], **headers: str) -> httpx.Response:
    """Return a problem as the service sends it."""
    body = {
        "type": kind.type_uri,
        "title": "x",
        "status": kind.status_code,
        "detail": "Nee.",
        "instance": "/",
        "details": {"nl": "Nee.", "en": "No."},
    }
    return httpx.Response(kind.status_code, json=body, headers={"Content-Type": "application/problem+json", **headers})


ACCEPTED = httpx.Response(202, json={"transfer_id": ID, "state": "preparing"})


def client(script: Script, **options: object) -> Client:
    return Client("http://x", "token", transport=script, **{"retries": QUICK, **options})


def test_a_lost_answer_is_asked_for_again_with_the_same_key() -> None:
    """An environment would be frozen twice, or a backend would not know whether it is."""
    script = Script(
        httpx.ReadTimeout("lost"),
        httpx.ConnectError("gone"),
        problem(errors.KeyInUse, **{"Retry-After": "0"}),
        ACCEPTED,
    )
    assert client(script).start_transfer(ID).transfer_id == UUID(ID)
    assert len({request.headers["idempotency-key"] for request in script.asked}) == 1
    assert len(script.asked) == 4


def test_each_request_has_a_key_of_its_own_or_the_callers() -> None:
    """Two requests with one key would be one request."""
    script = Script(ACCEPTED, ACCEPTED, ACCEPTED)
    speaker = client(script)
    speaker.start_transfer(ID)
    speaker.start_transfer(ID)
    speaker.start_transfer(ID, key="mine")
    keys = [request.headers["idempotency-key"] for request in script.asked]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


def test_a_form_is_sent_again_whole() -> None:
    """The second attempt of an upload would send an empty file."""
    script = Script(problem(errors.Unavailable), problem(errors.TicketNotGenuine))
    with pytest.raises(errors.TicketNotGenuine):
        client(script).upload_ticket(b"the file", name="x")
    assert all(b"the file" in request.content for request in script.asked)


@pytest.mark.parametrize("kind", [errors.WrongMoment, errors.NotAllowed, errors.RequestInvalid, errors.InternalError])
def test_a_refusal_is_not_argued_with(kind: type[errors.Problem]) -> None:
    """A backend would wait for what will not change."""
    script = Script(problem(kind))
    with pytest.raises(kind) as refused:
        client(script).cancel_transfer(ID)
    assert (refused.value.detail, refused.value.details.en) == ("Nee.", "No.")
    assert len(script.asked) == 1


def test_a_service_that_asks_for_patience_gets_it_within_bounds() -> None:
    """Half a minute would be waited for in a web request, or a limit would be run into again at once."""
    script = Script(
        problem(errors.TooManyAttempts, **{"Retry-After": "0"}),
        problem(errors.TooManyAttempts, **{"Retry-After": "60"}),
    )
    began = time.monotonic()
    with pytest.raises(errors.TooManyAttempts) as refused:
        client(script).start_transfer(ID)
    assert refused.value.retry_after_seconds == 60
    assert time.monotonic() - began < 30
    assert len(script.asked) == 2


def test_enough_is_enough() -> None:
    """A backend would hang on a service that is gone."""
    gone = Script(*[httpx.ConnectError("gone")] * 9)
    with pytest.raises(errors.NoAnswer):
        client(gone).get_transfer(ID)
    assert len(gone.asked) == QUICK.attempts
    down = Script(*[problem(errors.Unavailable)] * 9)
    with pytest.raises(errors.Unavailable):
        client(down).get_transfer(ID)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, json={"hello": "world"}),
        httpx.Response(200, text="<html>"),
        httpx.Response(404, text="<html>"),
        httpx.Response(302, headers={"Location": "/login"}),
        httpx.Response(500, headers={"Content-Type": "application/problem+json"}, text="{"),
    ],
)
def test_somebody_elses_answer_is_not_taken_for_the_services(answer: httpx.Response) -> None:
    """A proxy's page would be read as a state."""
    with pytest.raises(errors.UnexpectedAnswer):
        client(Script(answer)).get_transfer(ID)


def test_a_type_of_a_newer_service_is_a_problem_all_the_same() -> None:
    """A backend would not see that it was refused."""
    body = {**json.loads(problem(errors.NotAllowed).content), "type": f"{errors.PREFIX}moon-too-full", "status": 409}
    answer = httpx.Response(409, json=body, headers={"Content-Type": "application/problem+json"})
    with pytest.raises(errors.Problem) as refused:
        client(Script(answer)).get_transfer(ID)
    assert type(refused.value) is errors.Problem
    assert refused.value.problem.type.endswith("moon-too-full")


def test_the_token_is_asked_for_with_each_request() -> None:
    """A token that lives for minutes would end a backend's day."""
    tokens = iter("ab")
    script = Script(ACCEPTED, ACCEPTED)
    speaker = Client("http://x", lambda: next(tokens), transport=script)
    speaker.start_transfer(ID)
    speaker.start_transfer(ID)
    assert [request.headers["authorization"] for request in script.asked] == ["Bearer a", "Bearer b"]


def test_a_request_carries_the_current_trace_and_what_a_hook_gives() -> None:
    """Nobody could see in one trace why a button took long."""
    script = Script(ACCEPTED, ACCEPTED)
    with TracerProvider().get_tracer("test").start_as_current_span("press") as span:
        client(script).start_transfer(ID)
    client(script, headers=lambda: {"traceparent": "mine"}).start_transfer(ID)
    wanted = f"{span.get_span_context().trace_id:032x}"
    assert script.asked[0].headers["traceparent"].split("-")[1] == wanted
    assert script.asked[1].headers["traceparent"] == "mine"


def test_a_description_of_a_call_sends_nothing() -> None:
    """The one place where a route is written down would need a server to be looked at."""
    call = Client.release_transfer(ID, note="checked")
    assert (call.method, call.path, call.json) == (
        "POST",
        f"/v1/transfers/{ID}/release",
        {"note": "checked", "reason": ""},
    )


def test_an_id_cannot_lead_elsewhere() -> None:
    """Somebody's input could be another path."""
    with FakeService().client("backend") as speaker, pytest.raises(ValueError, match="badly formed"):
        speaker.get_transfer("../../readyz")
