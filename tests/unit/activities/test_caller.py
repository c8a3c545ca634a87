"""Who sent a signal: what a login proved before what a program says of itself."""

from temporalio.api.common.v1 import Principal
from temporalio.api.history.v1 import (
    HistoryEvent,
    WorkflowExecutionCancelRequestedEventAttributes,
    WorkflowExecutionSignaledEventAttributes,
    WorkflowExecutionUpdateAcceptedEventAttributes,
)
from temporalio.api.update.v1 import Input, Meta, Request

from activities.caller import CANCEL, sender_of, senders


def signal(name: str, identity: str, *, proved: str = "") -> HistoryEvent:
    """Return the event of a signal; `proved` is whose token came with it."""
    attributes = WorkflowExecutionSignaledEventAttributes(signal_name=name, identity=identity)
    principal = Principal(type="jwt", name=proved) if proved else None
    return HistoryEvent(workflow_execution_signaled_event_attributes=attributes, principal=principal)


def update(name: str, identity: str) -> HistoryEvent:
    """Return the event by which a worker, with a token of its own, accepts an update."""
    request = Request(meta=Meta(identity=identity), input=Input(name=name))
    return HistoryEvent(
        workflow_execution_update_accepted_event_attributes=WorkflowExecutionUpdateAcceptedEventAttributes(
            accepted_request=request
        ),
        principal=Principal(type="jwt", name="worker"),
    )


CANCELLED = HistoryEvent(
    workflow_execution_cancel_requested_event_attributes=WorkflowExecutionCancelRequestedEventAttributes(
        identity="eve@ui"
    )
)


def test_a_token_says_who_it_was_and_not_the_program() -> None:
    """Takes whose token it was, where there is one, and not what the sender writes."""
    assert sender_of(signal("release", "director@firm", proved="mallory")) == "jwt mallory"
    assert sender_of(signal("release", "17@terminal")) == "17@terminal"
    assert sender_of(HistoryEvent()) == ""


def test_who_sent_an_update_is_named_and_not_who_accepted_it() -> None:
    """Takes what its sender's program calls itself; the token is the worker's."""
    assert senders("hurry", [update("hurry", "bob@terminal"), update("upload", "eve@ui")]) == "bob@terminal"


def test_those_who_sent_that_signal_are_named_and_nobody_else() -> None:
    """Names each sender of such a signal once, newest first, and bounds the list."""
    events = [signal("release", "b"), signal("reject", "c"), CANCELLED, signal("release", "a"), signal("release", "b")]
    assert senders("release", events) == "b, a"
    assert senders(CANCEL, events) == "eve@ui"
    assert senders("start_now", events) == ""
    assert senders("release", [signal("release", str(number)) for number in range(9)]) == "0, 1, 2"
    assert len(senders("release", [signal("release", "x" * 10_000)])) == 200
