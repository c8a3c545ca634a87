"""What others are told of transfers: which lines of the event log become which events, and who may hear of them."""

from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from pydantic import AwareDatetime, JsonValue

from domain.authority import Side, recorded_of_support
from domain.events import EventKind
from domain.messages import Message
from domain.naming import told_to_everybody, without_schemas
from domain.steps import STEPS
from domain.vocabulary import ConsequenceKind, TransferState, UndoReason

WEBHOOKS_WORKFLOW: Final = "WebhooksWorkflow"
WEBHOOKS_WORKFLOW_ID: Final = "webhooks"
DELIVER_WEBHOOKS: Final = "deliver_webhooks"

_TYPE: Final = "nl.sb.transfer.{}.v1"
SOURCE: Final = "urn:sb-transfer"

# As long as mail waits: news older than this helps nobody.
GIVE_UP_AFTER: Final = timedelta(days=3)
# How long the secret before the newest one signs as well.
BOTH_SECRETS_FOR: Final = timedelta(days=1)
_FIRST_PAUSE: Final = timedelta(seconds=5)
_LONGEST_PAUSE: Final = timedelta(hours=6)
_GROWTH: Final = 4

# An event that enters a state has the state's name. Of the opening people are told once it is certified: before that
# nobody can release.
_STATES: Final[dict[str, TransferState]] = {
    **{step.ended_by: step.enters for step in STEPS if step.ended_by and step.enters},
    EventKind.CERTIFICATE_ISSUED: TransferState.AWAITING_RELEASE,
    EventKind.START_POSTPONED: TransferState.SCHEDULED,
    EventKind.UNDO_BEGUN: TransferState.UNDOING,
    EventKind.UNDO_FINISHED: TransferState.UNDONE,
}
del _STATES[EventKind.OPENED_FOR_INSPECTION]

# What a licence hears of its own half, the platform hears everything. What is not here may name people of the other
# side, or tell what only the other side sees.
_HEARD_BY: Final[dict[str, frozenset[Side]]] = {
    **dict.fromkeys(_STATES, frozenset(Side)),
    EventKind.START_RESCHEDULED: frozenset(Side),
    EventKind.UPLOAD_CORRECTED: frozenset({Side.NEW}),
    EventKind.ENVIRONMENT_FROZEN: frozenset({Side.OLD}),
    EventKind.TICKET_ISSUED: frozenset({Side.OLD}),
    EventKind.TICKET_DOWNLOADED: frozenset({Side.OLD}),
    EventKind.MAILBOX_FORWARDING_CLOSED: frozenset({Side.NEW}),
    EventKind.LICENCE_LEFT: frozenset({Side.OLD}),
    EventKind.LICENCE_CANCELLED: frozenset({Side.OLD}),
    EventKind.RETIREMENT_PLANNED: frozenset({Side.OLD}),
    EventKind.RETIREMENT_CALLED_BACK: frozenset({Side.OLD}),
    EventKind.ENVIRONMENT_RETIRED: frozenset({Side.OLD}),
}


class WebhookProblem(StrEnum):
    """Why a delivery failed; an answer that is no success is `status_<number>`."""

    NOT_RESOLVED = "not_resolved"
    ADDRESS_INSIDE = "address_inside"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    REDIRECTED = "redirected"


class DisabledBecause(StrEnum):
    """Why an endpoint is told nothing any more."""

    BY_HAND = "by_hand"
    GAVE_UP = "gave_up"
    GONE = "gone"


class DeliverWebhooks(Message):
    """Deliver what endpoints have to get, for a while."""


class WebhooksDelivered(Message):
    """What came of it; without endpoints there is nothing to go on for."""

    endpoints: int
    delivered: int = 0
    failed: int = 0


class EventEnvironment(Message):
    """An environment by the names that its half knows it by."""

    environment_id: UUID
    name: str
    licence_number: str


class EventData(Message):
    """What happened to a transfer; what belongs to the other side, or to the platform only, is null."""

    transfer_id: UUID
    kind: str
    state: TransferState | None = None
    undo_reason: UndoReason | None = None
    old: EventEnvironment | None = None
    new: EventEnvironment | None = None
    starts_at: AwareDatetime | None = None
    actor: str | None = None
    reason: str | None = None
    detail: dict[str, JsonValue] | None = None


class CloudEvent(Message):
    """An event as CloudEvents 1.0 has it; `sequence` is its position in the feed."""

    specversion: str = "1.0"
    id: str
    source: str = SOURCE
    type: str
    subject: str
    time: AwareDatetime
    datacontenttype: str = "application/json"
    sequence: str
    data: EventData


class PublishedEvent(Message):
    """A line of the log with its position, and what is known of its transfer."""

    position: int
    event_id: int
    at: AwareDatetime
    transfer_id: UUID
    actor: str
    kind: str
    reason: str
    detail: dict[str, Any]
    environment_id: UUID | None = None
    environment_name: str | None = None
    source_licence: str | None = None
    new_environment_id: UUID | None = None
    new_name: str | None = None
    target_licence: str | None = None
    starts_at: AwareDatetime | None = None
    undo_reason: UndoReason | None = None


def state_entered(kind: str) -> TransferState | None:
    """Return the state that a line of the log tells of, if it tells of one."""
    return _STATES.get(kind)


def event_type(kind: str) -> str:
    """Return the type of the event that a line of the log becomes: its state's, or its own."""
    return _TYPE.format(_STATES.get(kind, kind))


def every_kind() -> tuple[str, ...]:
    """Return every kind of line that the log may have."""
    return (*EventKind, *ConsequenceKind, *(f"support_{action}" for action in sorted(recorded_of_support())))


def every_type() -> tuple[str, ...]:
    """Return every type of event, once."""
    return tuple(dict.fromkeys(event_type(kind) for kind in every_kind()))


def kinds_of(types: Iterable[str]) -> list[str]:
    """Return the kinds of lines that become these types of events."""
    wanted = frozenset(types)
    return [kind for kind in every_kind() if event_type(kind) in wanted]


def kinds_heard_by(side: Side) -> list[str]:
    """Return the kinds of lines that a licence hears of when a side of the transfer is its own."""
    return [kind for kind, sides in _HEARD_BY.items() if side in sides]


def pause_after(failures: int) -> timedelta:
    """Return how long to wait after so many failures in a row: seconds at first, hours in the end."""
    growth: int = _GROWTH ** min(max(failures - 1, 0), 10)
    return min(_FIRST_PAUSE * growth, _LONGEST_PAUSE)


def told(event: PublishedEvent, licence: str | None) -> CloudEvent:
    """Return an event as a licence may see it, or the platform when none is given."""
    state = state_entered(event.kind)
    sees_old = licence in (None, event.source_licence)
    sees_new = licence in (None, event.target_licence)
    everything = licence is None
    undone = state in (TransferState.UNDOING, TransferState.UNDONE)
    return CloudEvent(
        id=f"evt_{event.event_id}",
        type=event_type(event.kind),
        subject=str(event.transfer_id),
        time=event.at,
        sequence=str(event.position),
        data=EventData(
            transfer_id=event.transfer_id,
            kind=event.kind,
            state=state,
            undo_reason=event.undo_reason if undone else None,
            old=_environment(event.environment_id, event.environment_name, event.source_licence) if sees_old else None,
            new=_environment(event.new_environment_id, event.new_name, event.target_licence) if sees_new else None,
            starts_at=event.starts_at if state is TransferState.SCHEDULED else None,
            actor=event.actor if everything else None,
            reason=without_schemas(event.reason) if everything else None,
            detail=told_to_everybody(event.detail) if everything else None,
        ),
    )


def _environment(environment_id: UUID | None, name: str | None, licence: str | None) -> EventEnvironment | None:
    if environment_id is None or name is None or licence is None:
        return None
    return EventEnvironment(environment_id=environment_id, name=name, licence_number=licence)
