"""Whether a delivery is genuine: Standard Webhooks 1.0, with the vector that its own libraries are tested with."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import httpx
import pytest
from sb_transfer_client import Listener
from sb_transfer_client.errors import WebhookRefused
from sb_transfer_client.models import TransferState
from sb_transfer_client.webhooks import receive, sign, verify

# From the reference libraries of standardwebhooks.com.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
HEADERS = {"webhook-id": ID, "webhook-timestamp": str(AT), "webhook-signature": SIGNATURE}


def test_the_published_vector_is_genuine() -> None:
    """A receiver would refuse what every other library of the standard takes."""
    assert f"v1,{sign(SECRET, ID, AT, BODY)}" == SIGNATURE
    assert verify(HEADERS, BODY, SECRET, now=AT) == ID
    assert verify({name.title(): value for name, value in HEADERS.items()}, BODY, SECRET.removeprefix("whsec_"), now=AT)


def test_while_a_secret_is_replaced_either_is_good() -> None:
    """Deliveries would be refused between the change at the sender and the change at the receiver."""
    other = "whsec_" + "A" * 32
    both = f"v1,{sign(other, ID, AT, BODY)} {SIGNATURE} v1a,anything"
    for secrets in (SECRET, other, [other, SECRET]):
        assert verify({**HEADERS, "webhook-signature": both}, BODY, secrets, now=AT) == ID
    assert verify(HEADERS, BODY, [other, SECRET], now=AT) == ID


@pytest.mark.parametrize(
    ("headers", "body", "now"),
    [
        ({}, BODY + b" ", AT),
        ({"webhook-id": "msg_other"}, BODY, AT),
        ({"webhook-timestamp": str(AT + 1)}, BODY, AT),
        ({"webhook-signature": SIGNATURE.replace("v1,", "v2,")}, BODY, AT),
        ({"webhook-signature": "v1,é v1, ,"}, BODY, AT),
        ({"webhook-signature": ""}, BODY, AT),
        ({"webhook-timestamp": "١٢٣"}, BODY, AT),
        ({"webhook-timestamp": "-1"}, BODY, AT),
        ({}, BODY, AT + 301),
        ({}, BODY, AT - 301),
    ],
)
def test_what_was_altered_or_is_old_is_refused(headers: dict[str, str], body: bytes, now: float) -> None:
    """Somebody could tell a backend that an environment is ready."""
    with pytest.raises(WebhookRefused):
        verify({**HEADERS, **headers}, body, SECRET, now=now)


@pytest.mark.parametrize("missing", list(HEADERS))
def test_a_header_that_is_missing_is_named(missing: str) -> None:
    """Whoever forgets to hand on a header would look for the mistake in the secret."""
    with pytest.raises(WebhookRefused, match=missing):
        verify({name: value for name, value in HEADERS.items() if name != missing}, BODY, SECRET, now=AT)


def test_a_secret_that_is_none_is_the_receivers_mistake() -> None:
    """A mistyped setting would look like an attack for ever."""
    with pytest.raises(ValueError, match="whsec_"):
        verify(HEADERS, BODY, "not base64!", now=AT)


def test_an_event_is_read_once_it_is_genuine() -> None:
    """Gives a CloudEvent with its data; what is signed and is none is refused as well."""
    event: dict[str, Any] = {"specversion": "1.0", "id": "7", "source": "/v1", "type": "nl.sb.transfer.scheduled.v1"}
    data = {"transfer_id": str(UUID(int=7)), "kind": "upload_accepted", "state": "scheduled"}
    body = json.dumps({**event, "subject": "x", "sequence": "9", "time": "2026-11-29T22:00:00Z", "data": data}).encode()
    headers = {**HEADERS, "webhook-signature": f"v1,{sign(SECRET, ID, AT, body)}"}
    found = receive(headers, body, SECRET, now=AT)
    assert (found.type, found.data.state) == ("nl.sb.transfer.scheduled.v1", TransferState.SCHEDULED)
    with pytest.raises(WebhookRefused, match="CloudEvent"):
        receive(HEADERS, BODY, SECRET, now=AT)


def test_a_listener_tells_each_event_once_and_no_other() -> None:
    """A repetition would be acted on twice, and anybody on the network could say that an environment is ready."""
    data = {"transfer_id": str(UUID(int=7)), "kind": "upload_accepted", "state": "scheduled"}
    event: dict[str, Any] = {"specversion": "1.0", "source": "/v1", "type": "nl.sb.transfer.scheduled.v1"}
    event |= {"subject": "x", "sequence": "9", "time": "2026-11-29T22:00:00Z", "data": data}

    def deliver(which: str, **words: Any) -> int:
        body = json.dumps({**event, "id": which}).encode()
        now = int(time.time())
        headers = {"webhook-id": which, "webhook-timestamp": str(now)}
        headers["webhook-signature"] = f"v1,{sign(SECRET, which, now, body)}"
        return httpx.post(listener.url, content=body, headers={**headers, **words}, timeout=60).status_code

    with Listener() as listener, ThreadPoolExecutor() as pool:
        early = pool.submit(deliver, "1")  # before the program has read the secret
        events = listener.events(SECRET, timeout_seconds=60)
        assert early.result() == 204
        said = [deliver("1"), deliver("2", **{"webhook-signature": SIGNATURE}), deliver("2"), deliver("3")]
        assert said == [204, 400, 204, 204]
        assert [next(events).id for _ in range(3)] == ["1", "2", "3"]
        assert httpx.post(listener.url, content=b" " * 1_000_001, timeout=60).status_code == 413
        with pytest.raises(TimeoutError, match="get_webhook"):
            next(listener.events(SECRET, timeout_seconds=0.01))
