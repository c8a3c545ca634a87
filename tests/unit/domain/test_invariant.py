"""The invariant's rules: silent through every instant of a healthy life, and each heard when its own thing is wrong.

Long, for every rule is heard here.
"""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.invariant import (
    MEANING,
    REMEDY,
    EnvironmentFacts,
    HeldFacts,
    Inequality,
    Observations,
    RetirementFacts,
    RouteFacts,
    TransferFacts,
    Violation,
    ViolationKind,
    WorkflowFacts,
    mail_told,
    violations,
)
from domain.naming import workflow_id_of
from domain.vocabulary import EnvironmentStatus, MailKind, TransferState

AT = datetime(2026, 5, 12, 20, 0, tzinfo=UTC)
LATER, EARLIER = AT + timedelta(days=30), AT - timedelta(days=30)
OLD, NEW, NEWEST = (uuid.UUID(int=number) for number in (1, 2, 3))
MOVE, NEXT_MOVE = uuid.UUID(int=11), uuid.UUID(int=12)
SHUT, OPEN = 19, 0

TO_TICKET = ("environment_frozen", "ticket_issued")
TO_UPLOAD = (*TO_TICKET, "upload_accepted")
TO_CLONE = (*TO_UPLOAD, "clone_started")
TO_INSPECTION = (*TO_CLONE, "clone_finished", "opened_for_inspection")
TO_RELEASE = (*TO_INSPECTION, "environment_released")
MAILED = (mail_told(MailKind.RELEASED), mail_told(MailKind.INVITATION))
UNDONE_STORY = (
    *TO_INSPECTION,
    "mail_sent",
    "undo_begun",
    "clone_dropped",
    "reservation_released",
    "ticket_revoked",
    "environment_unfrozen",
    "undo_finished",
    mail_told(MailKind.UNDONE),
)


def environment(environment_id: uuid.UUID, status: EnvironmentStatus, fenced: int, **more: Any) -> EnvironmentFacts:
    """Return an environment of 19 tables that the application may enter, unless told otherwise."""
    facts = {"schema_exists": True, "tables": 19, "application_may_enter": True, **more}
    return EnvironmentFacts(
        environment_id=environment_id, label=f"10001/enyoi {environment_id.int}", status=status, fenced=fenced, **facts
    )


ACTIVE = environment(OLD, EnvironmentStatus.ACTIVE, OPEN)
FROZEN = environment(OLD, EnvironmentStatus.READ_ONLY, SHUT)
RESERVED = environment(NEW, EnvironmentStatus.BUILDING, OPEN, schema_exists=False, application_may_enter=False)
BUILDING = environment(NEW, EnvironmentStatus.BUILDING, OPEN, application_may_enter=False)
INSPECTED = environment(NEW, EnvironmentStatus.AWAITING_RELEASE, SHUT)
SUCCESSOR = environment(NEW, EnvironmentStatus.ACTIVE, OPEN)


def move(state: TransferState, told: tuple[str, ...] = (), **more: Any) -> TransferFacts:
    """Return a transfer of OLD with a live workflow and its fence up, unless told otherwise."""
    facts: dict[str, Any] = {
        "transfer_id": MOVE,
        "environment_id": OLD,
        "live": True,
        "fence_up": True,
        "told": told,
        **more,
    }
    return TransferFacts(workflow_id=workflow_id_of(facts["environment_id"]), state=state, **facts)


def world(*things: object, **more: Any) -> Observations:
    """Return facts that hold these environments, transfers and routes."""
    return Observations(
        at=AT,
        environments=tuple(thing for thing in things if isinstance(thing, EnvironmentFacts)),
        transfers=tuple(thing for thing in things if isinstance(thing, TransferFacts)),
        routes=tuple(thing for thing in things if isinstance(thing, RouteFacts)),
        **more,
    )


OWN = RouteFacts(address="old@x", environment_id=OLD)
FORWARDED = RouteFacts(address="old@x", environment_id=NEW, valid_until=LATER)
CLOSED = RouteFacts(address="old@x", valid_until=LATER, closed=True)
NEW_OWN = RouteFacts(address="new@y", environment_id=NEW)
RELEASED = move(TransferState.RELEASED, TO_RELEASE, new_environment_id=NEW, forwards_until=LATER)
ENDED = move(
    TransferState.RELEASED,
    (*TO_RELEASE, *MAILED),
    new_environment_id=NEW,
    forwards_until=LATER,
    live=False,
    forwarding_live=True,
)
GONE = move(TransferState.UNDONE, UNDONE_STORY, new_environment_id=NEW, fence_up=False, live=False)
UNDOING = move(TransferState.UNDOING, (*TO_INSPECTION, "undo_begun"), new_environment_id=NEW)
OPENED_AGAIN = environment(OLD, EnvironmentStatus.ACTIVE, OPEN, fence_remains=7)
AGAIN: dict[str, Any] = {"transfer_id": NEXT_MOVE}

HEALTHY: dict[str, Observations] = {
    "never moved": world(ACTIVE, OWN),
    "frozen": world(FROZEN, move(TransferState.PREPARING, ("environment_frozen",)), OWN),
    "ticket out": world(FROZEN, move(TransferState.AWAITING_UPLOAD, TO_TICKET, ticket_open=True), OWN),
    "reserved": world(FROZEN, RESERVED, move(TransferState.SCHEDULED, TO_UPLOAD, new_environment_id=NEW), OWN),
    "cloning, no schema yet": world(
        FROZEN, RESERVED, move(TransferState.CLONING, TO_CLONE, new_environment_id=NEW), OWN
    ),
    "cloning": world(FROZEN, BUILDING, move(TransferState.CLONING, TO_CLONE, new_environment_id=NEW), OWN),
    "put off after it was opened, its clone half dropped": world(
        FROZEN,
        environment(NEW, EnvironmentStatus.BUILDING, 3, tables=3),
        move(TransferState.SCHEDULED, (*TO_INSPECTION, "start_postponed"), new_environment_id=NEW),
        OWN,
    ),
    "to be inspected": world(
        FROZEN, INSPECTED, move(TransferState.AWAITING_RELEASE, TO_INSPECTION, new_environment_id=NEW), OWN
    ),
    "just released": world(FROZEN, SUCCESSOR.model_copy(update={"fence_remains": 19}), RELEASED, FORWARDED, NEW_OWN),
    "released": world(FROZEN, SUCCESSOR, ENDED, FORWARDED, NEW_OWN),
    "address closed": world(
        FROZEN, SUCCESSOR, ENDED.model_copy(update={"forwards_until": None, "forwarding_live": False}), CLOSED, NEW_OWN
    ),
    "undo begun": world(FROZEN, INSPECTED, UNDOING, OWN),
    "clone half dropped": world(FROZEN, INSPECTED.model_copy(update={"tables": 3, "fenced": 3}), UNDOING, OWN),
    "clone dropped": world(
        FROZEN,
        INSPECTED.model_copy(update={"schema_exists": False, "tables": 0, "fenced": 0, "application_may_enter": False}),
        UNDOING,
        OWN,
    ),
    "reservation let go": world(FROZEN, UNDOING, OWN),
    "opened again, fences not yet dropped": world(OPENED_AGAIN, UNDOING.model_copy(update={"fence_up": False}), OWN),
    "undone": world(ACTIVE, GONE, OWN),
    "undone before the freeze": world(
        ACTIVE, move(TransferState.UNDONE, ("undo_begun",), fence_up=False, live=False), OWN
    ),
    "undone, and the next move froze it": world(
        FROZEN, GONE, move(TransferState.PREPARING, ("environment_frozen",), **AGAIN), OWN
    ),
    "a second start that never froze, beside the first": world(
        FROZEN,
        move(TransferState.AWAITING_UPLOAD, TO_TICKET, ticket_open=True),
        move(TransferState.UNDONE, ("undo_begun",), fence_up=False, **AGAIN),
        OWN,
    ),
    "moved on to a third": world(
        FROZEN,
        environment(NEW, EnvironmentStatus.READ_ONLY, SHUT),
        environment(NEWEST, EnvironmentStatus.ACTIVE, OPEN),
        ENDED,
        move(
            TransferState.RELEASED,
            (*TO_RELEASE, *MAILED),
            environment_id=NEW,
            new_environment_id=NEWEST,
            forwards_until=LATER,
            live=False,
            forwarding_live=True,
            **AGAIN,
        ),
        RouteFacts(address="old@x", environment_id=NEWEST, valid_until=LATER),
        RouteFacts(address="new@y", environment_id=NEWEST, valid_until=LATER),
        RouteFacts(address="newest@z", environment_id=NEWEST),
    ),
    "frozen for the next move": world(
        FROZEN,
        environment(NEW, EnvironmentStatus.READ_ONLY, SHUT),
        ENDED,
        move(TransferState.AWAITING_UPLOAD, TO_TICKET, environment_id=NEW, ticket_open=True, **AGAIN),
        FORWARDED,
        NEW_OWN,
    ),
    "retired": world(FROZEN.model_copy(update={"status": EnvironmentStatus.RETIRED}), SUCCESSOR, ENDED, NEW_OWN),
}


def with_environment(name: str, place: int = 0, **changes: Any) -> Observations:
    """Return a healthy world in which one environment was changed."""
    facts = HEALTHY[name]
    changed = list(facts.environments)
    changed[place] = changed[place].model_copy(update=changes)
    return facts.model_copy(update={"environments": tuple(changed)})


def with_move(name: str, **changes: Any) -> Observations:
    """Return a healthy world in which its first transfer was changed."""
    facts = HEALTHY[name]
    first, *others = facts.transfers
    return facts.model_copy(update={"transfers": (first.model_copy(update=changes), *others)})


def with_held(name: str, **facts: Any) -> Observations:
    """Return a healthy world in which something came in for OLD, whose status is what the world says."""
    status = HEALTHY[name].environments[0].status
    held = HeldFacts(**{"inbox_id": OLD, "environment_id": OLD, "status": status, **facts})
    return HEALTHY[name].model_copy(update={"held": (held,)})


HEALTHY["frozen, and mail waits"] = with_held("frozen", waiting=9, set_aside=1, oldest=EARLIER)
HEALTHY["undone, and mail is about to be delivered"] = with_held("undone", waiting=1, oldest=AT - timedelta(minutes=9))


def claiming(state: TransferState | None, **facts: Any) -> WorkflowFacts:
    """Return the workflow of OLD's transfer, as it sees itself."""
    known = {"run_id": "a run", "type": "TransferWorkflow", "began_at": AT, "run_began_at": AT, "state": state}
    return WorkflowFacts(**{"workflow_id": workflow_id_of(OLD), **known, **facts})


def with_workflow(name: str, state: TransferState | None, **facts: Any) -> Observations:
    return HEALTHY[name].model_copy(update={"workflows": (claiming(state, **facts),)})


def ended_before(name: str, **facts: Any) -> Observations:
    """Return a world whose transfer had ended when the workflow that awaits the release began: it was reset."""
    ended = with_move(name, state_since=EARLIER, created_at=EARLIER)
    return ended.model_copy(
        update={"workflows": (claiming(TransferState.AWAITING_RELEASE, **{"began_at": EARLIER, **facts}),)}
    )


# A workflow follows what was committed, and turns back before anything is.
for name, state in (
    ("never moved", TransferState.PREPARING),
    ("never moved", TransferState.UNDOING),
    ("reserved", TransferState.CLONING),
    ("reserved", TransferState.AWAITING_UPLOAD),
    ("released", TransferState.AWAITING_RELEASE),
    ("released", TransferState.RELEASED),
):
    HEALTHY[f"{name}, its workflow {state.value}"] = with_workflow(name, state)

# Somebody has reset it, or paused it, or a worker has died twice with its task: it goes on.
for name, facts in (
    ("reset", {"began_at": EARLIER, "run_began_at": AT}),
    ("reset long ago", {"began_at": None}),
    ("paused", {"paused": True}),
    ("lost with its workers", {"attempts": 4}),
    ("waiting a little", {"waiting_since": AT - timedelta(minutes=9)}),
):
    HEALTHY[f"reserved, its workflow {name}"] = with_move("reserved", created_at=EARLIER).model_copy(
        update={"workflows": (claiming(TransferState.SCHEDULED, **{"began_at": EARLIER, **facts}),)}
    )

BROKEN: dict[ViolationKind, list[Observations]] = {
    ViolationKind.TWO_WRITABLE: [
        with_environment("released", fenced=OPEN),
        with_environment("to be inspected", 1, fenced=3).model_copy(
            update={"environments": (ACTIVE, environment(NEW, EnvironmentStatus.AWAITING_RELEASE, 3))}
        ),
    ],
    ViolationKind.NONE_WRITABLE: [
        world(FROZEN, ENDED),
        world(FROZEN, INSPECTED, ENDED),
    ],
    ViolationKind.WRITABLE_UNASKED: [
        with_environment("frozen", fenced=18),
        with_environment("released", tables=20),
        with_environment("to be inspected", 1, fenced=18),
        with_environment("cloning", 1, application_may_enter=True),
    ],
    ViolationKind.NOT_FROZEN: [
        world(ACTIVE, move(TransferState.PREPARING, ("environment_frozen",))),
        with_move("ticket out", fence_up=False),
        world(ACTIVE, SUCCESSOR, ENDED),
    ],
    ViolationKind.ACTIVE_BUT_FENCED: [
        with_environment("never moved", fenced=1),
        with_environment("released", 1, fenced=1),
    ],
    ViolationKind.SHUT_OUT: [
        with_environment(name, place, application_may_enter=False)
        for name, place in (("never moved", 0), ("released", 0), ("to be inspected", 1))
    ],
    ViolationKind.BOOKS_MISSING: [
        with_environment("never moved", schema_exists=False),
        with_environment("released", schema_exists=False),
        with_environment("to be inspected", 1, schema_exists=False),
        world(move(TransferState.PREPARING, ("environment_frozen",))),
    ],
    ViolationKind.STRANDED: [
        with_move(name, live=False)
        for name in ("frozen", "ticket out", "reserved", "cloning", "to be inspected", "undo begun", "clone dropped")
    ],
    ViolationKind.WORKFLOW_AHEAD: [
        # The backup is older than the freeze.
        world(ACTIVE, OWN, workflows=(claiming(TransferState.AWAITING_UPLOAD),)),
        world(ACTIVE, GONE.model_copy(update={"created_at": EARLIER}), workflows=(claiming(TransferState.SCHEDULED),)),
        # It is older than the upload, or than the end of the clone.
        with_workflow("ticket out", TransferState.SCHEDULED),
        with_workflow("cloning", TransferState.AWAITING_RELEASE),
        with_workflow("to be inspected", TransferState.RELEASED),
    ],
    ViolationKind.WORKFLOW_BEHIND: [ended_before("released"), ended_before("released", began_at=None)],
    ViolationKind.WORKFLOW_STUCK: [
        with_workflow("reserved", TransferState.SCHEDULED, attempts=3, failure="non_deterministic_error"),
        with_workflow("reserved", TransferState.SCHEDULED, attempts=10),
        with_workflow("released", None, workflow_id="mailbox-1", type="MailboxForwardingWorkflow", attempts=10),
    ],
    ViolationKind.WORKFLOW_UNATTENDED: [
        with_workflow("reserved", TransferState.SCHEDULED, waiting_since=AT - timedelta(minutes=11)),
    ],
    ViolationKind.KEY_MISSING: [
        with_workflow("reserved", TransferState.SCHEDULED, awaits_key=True),
    ],
    ViolationKind.FOREIGN_WORKFLOW: [
        with_workflow("never moved", None, type="Nonsense"),
        with_workflow("never moved", None, type="Nonsense", attempts=7, failure="workflow_worker_unhandled_failure"),
        with_workflow("never moved", None, on_our_queue=False),
    ],
    ViolationKind.TWO_MOVES: [
        world(FROZEN, move(TransferState.PREPARING, ("environment_frozen",)), move(TransferState.PREPARING, **AGAIN))
    ],
    ViolationKind.FROZEN_FOR_NOTHING: [world(FROZEN), world(FROZEN, GONE)],
    ViolationKind.RESERVED_FOR_NOTHING: [world(ACTIVE, RESERVED), world(ACTIVE, INSPECTED, GONE)],
    ViolationKind.RESERVATION_LOST: [
        world(FROZEN, move(TransferState.SCHEDULED, TO_UPLOAD, new_environment_id=NEW)),
        with_environment("to be inspected", 1, status=EnvironmentStatus.BUILDING),
        with_environment("cloning", 1, status=EnvironmentStatus.ACTIVE),
    ],
    ViolationKind.ORPHAN_SCHEMA: [world(ACTIVE, orphan_schemas=("env_0123",))],
    ViolationKind.TICKET_LOST: [with_move("ticket out", ticket_open=False, ticket_gone=True)],
    ViolationKind.TICKET_LEFT: [with_move("undone", ticket_open=True), with_move("released", ticket_open=True)],
    ViolationKind.FENCE_REMAINS: [
        with_environment("undone", fence_remains=1),
        with_environment("released", 1, fence_remains=19),
    ],
    ViolationKind.FLAGS_LEFT: [with_environment("undone", flags_left=1), with_environment("released", 1, flags_left=2)],
    ViolationKind.GRANTS_WITHHELD: [with_environment("undone", grants_withheld=1)],
    ViolationKind.GRANT_TOO_EARLY: [with_environment("cloning", 1, application_may_enter=True)],
    ViolationKind.FORWARDING_UNATTENDED: [
        with_move("released", forwarding_live=False),
        with_move("released", forwarding_live=False, forwards_until=AT - timedelta(days=1)),
        with_move("moved on to a third", forwarding_live=False),
    ],
    ViolationKind.RETIREMENT_UNATTENDED: [
        world(
            FROZEN, SUCCESSOR, ENDED, NEW_OWN, CLOSED, retirements=(RetirementFacts(environment_id=OLD, due_at=LATER),)
        )
    ],
    ViolationKind.ROUTE_ASTRAY: [
        world(FROZEN, SUCCESSOR, ENDED, OWN),
        world(FROZEN, RESERVED, move(TransferState.SCHEDULED, TO_UPLOAD, new_environment_id=NEW), OWN, NEW_OWN),
        world(ACTIVE, RouteFacts(address="lost@x")),
    ],
    ViolationKind.HELD_LOST: [with_held("released", lost=1)],
    ViolationKind.HELD_TWICE: [with_held("frozen", waiting=1, twice=1)],
    ViolationKind.HELD_LEFT: [
        with_held("undone", waiting=1, oldest=AT - timedelta(minutes=11)),
        with_held("undone", waiting=2, set_aside=1, oldest=AT),
        with_held("undone", environment_id=None, status=None, waiting=1),
        with_held("undone", status=EnvironmentStatus.READ_ONLY, waiting=1),
    ],
    ViolationKind.STORY_INCOMPLETE: [
        *(with_move(name, told=()) for name in ("frozen", "ticket out", "reserved", "cloning", "released")),
        *(
            with_move("undone", told=tuple(kind for kind in UNDONE_STORY if kind != missing))
            for missing in ("undo_begun", "clone_dropped", "reservation_released", "ticket_revoked", "undo_finished")
        ),
    ],
    ViolationKind.NOBODY_TOLD: [
        with_move("released", told=TO_RELEASE),
        with_move("released", told=(*TO_RELEASE, mail_told(MailKind.RELEASED))),
        with_move("undone", told=UNDONE_STORY[:-1]),
    ],
    ViolationKind.TIED: [with_environment("released", 1, ties=("function f() needs function g()",))],
    ViolationKind.DEFINITIONS_UNGUARDED: [world(ACTIVE, unguarded=("home",))],
    ViolationKind.UNEQUAL: [
        HEALTHY["to be inspected"].model_copy(
            update={"unequal": (Inequality(transfer_id=MOVE, differences=("journal_line: rows differ",)),)}
        )
    ],
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_instant_gives_no_alarm(name: str) -> None:
    """Finds nothing wrong at any healthy instant."""
    assert violations(HEALTHY[name]) == []


@pytest.mark.parametrize(
    ("kind", "facts"),
    [(kind, facts) for kind, worlds in BROKEN.items() for facts in worlds],
    ids=lambda each: str(each)[:30],
)
def test_what_is_wrong_is_found(kind: ViolationKind, facts: Observations) -> None:
    """Finds each kind of violation."""
    found = violations(facts)
    assert kind in {violation.kind for violation in found}
    assert all(violation.what and violation.remedy == REMEDY[violation.kind] for violation in found)


def test_every_kind_has_a_case_a_meaning_and_a_remedy() -> None:
    """Has a case, a meaning and a remedy for every kind."""
    assert set(BROKEN) == set(MEANING) == set(REMEDY) == set(ViolationKind)
    assert all(MEANING[kind].endswith(".") and REMEDY[kind].endswith((".", "…", ").")) for kind in ViolationKind)


def test_the_worst_comes_first() -> None:
    """Orders violations from the worst on."""
    facts = with_environment("released", fenced=OPEN)
    first, *_ = facts.transfers
    facts = facts.model_copy(update={"transfers": (first.model_copy(update={"ticket_open": True}),)})
    assert [violation.kind for violation in violations(facts)] == [
        ViolationKind.TWO_WRITABLE,
        ViolationKind.WRITABLE_UNASKED,
        ViolationKind.TICKET_LEFT,
    ]


def test_a_difference_after_the_release_is_work_that_was_done() -> None:
    """Takes a difference after the release for work."""
    unequal = (Inequality(transfer_id=MOVE, differences=("journal_line: rows differ",)),)
    found: list[Violation] = violations(HEALTHY["released"].model_copy(update={"unequal": unequal}))
    assert found == []
