"""What becomes of a line of the log, and who hears of it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.authority import Side
from domain.events import EventKind
from domain.vocabulary import TransferState
from domain.webhooks import PublishedEvent, event_type, every_type, kinds_heard_by, kinds_of, pause_after, told

EVENT = PublishedEvent(
    position=7,
    event_id=3,
    at=datetime(2026, 11, 30, 21, tzinfo=UTC),
    transfer_id=UUID(int=1),
    actor="Anna (10001)",
    kind="upload_accepted",
    reason="because",
    detail={"name": "Nieuw", "subject": "schema env_x"},
    environment_id=UUID(int=2),
    environment_name="Enyoi",
    source_licence="10001",
    new_environment_id=UUID(int=3),
    new_name="Nieuw",
    target_licence="10002",
    starts_at=datetime(2026, 11, 30, 22, tzinfo=UTC),
)


def test_every_state_and_every_kind_has_its_type() -> None:
    """Somebody would never be told of a state, or of a kind that was added later."""
    types = every_type()
    assert {f"nl.sb.transfer.{state}.v1" for state in TransferState} <= {*types}
    assert {event_type(kind) for kind in EventKind} <= {*types}
    assert len(types) == len({*types})
    assert {kind for one in types for kind in kinds_of([one])} >= {*EventKind}


def test_each_half_is_shown_its_own() -> None:
    """The old side would learn where its customer went, and the new one where it came from."""
    everything, old, new = (told(EVENT, licence).data for licence in (None, "10001", "10002"))
    assert everything.old is not None
    assert everything.new is not None
    assert everything.detail == {"name": "Nieuw"}
    assert (old.old, old.new, old.actor, old.reason, old.detail) == (everything.old, None, None, None, None)
    assert (new.old, new.new) == (None, everything.new)
    assert {"mail_failed", "upload_refused", "environments_compared", "repaired"} & {
        *kinds_heard_by(Side.OLD),
        *kinds_heard_by(Side.NEW),
    } == set()


def test_the_same_event_is_the_same_at_every_telling() -> None:
    """A receiver could not know that it has had an event."""
    assert told(EVENT, None).id == told(EVENT, "10001").id == "evt_3"
    assert told(EVENT, None).type == "nl.sb.transfer.scheduled.v1"
    assert told(EVENT, None).sequence == "7"


def test_pauses_grow_from_seconds_to_hours() -> None:
    """An endpoint that restarts would wait for hours, or one that is dead be asked a hundred thousand times."""
    pauses = [pause_after(number) for number in range(1, 30)]
    assert pauses[0] == timedelta(seconds=5)
    assert pauses == sorted(pauses)
    assert pauses[-1] == timedelta(hours=6)
    assert sum(pauses[:18], timedelta()) > timedelta(days=3)
