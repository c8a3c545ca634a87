"""What is true of every environment at every instant, and what is wrong when it is not.

For every environment exactly one of: active, and nothing of a move is left; frozen or reserved, by a transfer whose
workflow runs; old and read-only, while its successor is active. Each rule below is a small generator over facts that
were read at one instant; each change of the database is one transaction, so the rules also hold in the middle of a
healthy move, between any two of its steps. What Temporal says is younger than what the database said: a finding about
something in motion is worth a second look before it is believed.

Long, for every rule stands here.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from uuid import UUID

from domain.events import EventKind
from domain.facts import (
    EnvironmentFacts,
    HeldFacts,
    Inequality,
    Observations,
    RetirementFacts,
    RouteFacts,
    TransferFacts,
    WorkflowFacts,
    mail_told,
)
from domain.naming import environment_id_in
from domain.running import contradictions, trouble
from domain.steps import told_in_state, told_when_undone
from domain.violations import MEANING, REMEDY, Violation, ViolationKind
from domain.vocabulary import EnvironmentStatus, MailKind, TransferState

__all__ = [
    "MEANING",
    "REMEDY",
    "STORY",
    "STORY_UNDONE",
    "EnvironmentFacts",
    "HeldFacts",
    "Inequality",
    "Observations",
    "RetirementFacts",
    "RouteFacts",
    "TransferFacts",
    "Violation",
    "ViolationKind",
    "WorkflowFacts",
    "mail_told",
    "violations",
]


def violations(facts: Observations) -> list[Violation]:
    """Return what is wrong, worst first; nothing when the invariant holds."""
    view = _View(facts)
    found = [_bounded(violation) for rule in _RULES for violation in rule(view)]
    order = {kind: place for place, kind in enumerate(ViolationKind)}
    return sorted(found, key=lambda violation: (order[violation.kind], violation.subject))


def _bounded(violation: Violation) -> Violation:
    """Say no more of one violation than a list of many has room for."""
    if len(violation.what) <= _LONGEST:
        return violation
    return violation.model_copy(update={"what": f"{violation.what[: _LONGEST - 1]}…"})


# What the log must say of a transfer in a state; each is written in the transaction that enters the state.
STORY: Mapping[TransferState, tuple[EventKind, ...]] = MappingProxyType(
    {
        **told_in_state(),
        TransferState.UNDOING: (EventKind.UNDO_BEGUN,),
        TransferState.UNDONE: (EventKind.UNDO_BEGUN,),
    }
)
# What an undone transfer must have told, for each thing that it told before.
STORY_UNDONE: Mapping[EventKind, EventKind] = MappingProxyType(told_when_undone())

# --- the rules ---------------------------------------------------------------------------------------------------

_FORWARD = frozenset(
    {
        TransferState.PREPARING,
        TransferState.AWAITING_UPLOAD,
        TransferState.SCHEDULED,
        TransferState.CLONING,
        TransferState.AWAITING_RELEASE,
    }
)
_RESERVING = MappingProxyType(
    {
        TransferState.SCHEDULED: EnvironmentStatus.BUILDING,
        TransferState.CLONING: EnvironmentStatus.BUILDING,
        TransferState.AWAITING_RELEASE: EnvironmentStatus.AWAITING_RELEASE,
    }
)
_UNRELEASED = (EnvironmentStatus.BUILDING, EnvironmentStatus.AWAITING_RELEASE)
_READ = (EnvironmentStatus.ACTIVE, EnvironmentStatus.READ_ONLY, EnvironmentStatus.AWAITING_RELEASE)
_LONGEST = 300  # characters
# The workflow closes an address when its time has come; with a server away that takes as long as it takes.
_GRACE = timedelta(hours=1)
# A worker delivers within seconds what a release had no time for.
_DELIVERED_WITHIN = timedelta(minutes=10)


class _View:
    """The facts by what the rules ask for."""

    def __init__(self, facts: Observations) -> None:
        self.facts = facts
        self.environments = {one.environment_id: one for one in facts.environments}
        self.moves_from: dict[UUID, list[TransferFacts]] = defaultdict(list)
        self.moves_to: dict[UUID, list[TransferFacts]] = defaultdict(list)
        for transfer in facts.transfers:
            self.moves_from[transfer.environment_id].append(transfer)
            if transfer.new_environment_id is not None:
                self.moves_to[transfer.new_environment_id].append(transfer)

    def both(self, transfer: TransferFacts) -> tuple[EnvironmentFacts | None, EnvironmentFacts | None]:
        new = None if transfer.new_environment_id is None else self.environments.get(transfer.new_environment_id)
        return self.environments.get(transfer.environment_id), new

    def at_work_on(self, environment_id: UUID) -> bool:
        moves = (*self.moves_from.get(environment_id, ()), *self.moves_to.get(environment_id, ()))
        return any(move.live for move in moves)


def _of(one: EnvironmentFacts | TransferFacts, kind: ViolationKind, what: str) -> Violation:
    if isinstance(one, EnvironmentFacts):
        return Violation(
            kind=kind, subject=f"environment {one.environment_id}", what=f"{one.label}: {what}", remedy=REMEDY[kind]
        )
    return Violation(kind=kind, subject=f"transfer {one.transfer_id}", what=what, remedy=REMEDY[kind])


def _never_two_writable(view: _View) -> Iterator[Violation]:
    for transfer in view.facts.transfers:
        old, new = view.both(transfer)
        if old is not None and new is not None and old.writable and new.writable:
            yield _of(transfer, ViolationKind.TWO_WRITABLE, f"{old.label} and {new.label} can both be written")


def _a_released_one_has_a_successor(view: _View) -> Iterator[Violation]:
    for transfer in view.facts.transfers:
        if transfer.state is not TransferState.RELEASED:
            continue
        old, new = view.both(transfer)
        if new is None and old is not None:
            yield _of(transfer, ViolationKind.NONE_WRITABLE, f"{old.label} was released, its successor is gone")
        elif new is not None and new.status in _UNRELEASED:
            yield _of(transfer, ViolationKind.NONE_WRITABLE, f"{new.label} was released and is {new.status.value}")


def _only_active_ones_are_writable(view: _View) -> Iterator[Violation]:
    for one in view.facts.environments:
        if one.status is not EnvironmentStatus.ACTIVE and one.writable and not one.half_done:
            what = f"{one.status.value}, and {one.tables - one.fenced} of {one.tables} tables have no fence"
            yield _of(one, ViolationKind.WRITABLE_UNASKED, what)


def _the_old_one_stays_frozen(view: _View) -> Iterator[Violation]:
    for transfer in view.facts.transfers:
        if transfer.state not in _FORWARD and transfer.state is not TransferState.RELEASED:
            continue
        old, _ = view.both(transfer)
        if old is not None and old.status in (EnvironmentStatus.ACTIVE, *_UNRELEASED):
            what = f"{old.label} is {old.status.value} while its transfer is {transfer.state.value}"
            yield _of(transfer, ViolationKind.NOT_FROZEN, what)
        elif old is not None and not transfer.fence_up:
            what = f"{old.label} has no fence on record while its transfer is {transfer.state.value}"
            yield _of(transfer, ViolationKind.NOT_FROZEN, what)


def _active_ones_take_writes(view: _View) -> Iterator[Violation]:
    for one in view.facts.environments:
        if one.status is EnvironmentStatus.ACTIVE and one.fenced and not one.half_done:
            what = f"active, and {one.fenced} of {one.tables} tables refuse writes"
            yield _of(one, ViolationKind.ACTIVE_BUT_FENCED, what)


def _people_can_read(view: _View) -> Iterator[Violation]:
    for one in view.facts.environments:
        if one.status in _READ and one.schema_exists and not one.application_may_enter:
            yield _of(one, ViolationKind.SHUT_OUT, f"{one.status.value}, and sb_app may not enter its schema")


def _books_are_there(view: _View) -> Iterator[Violation]:
    for one in view.facts.environments:
        if one.schema_exists:
            continue
        opened = any(move.state is TransferState.AWAITING_RELEASE for move in view.moves_to.get(one.environment_id, ()))
        if one.status in (EnvironmentStatus.ACTIVE, EnvironmentStatus.READ_ONLY) or opened:
            yield _of(one, ViolationKind.BOOKS_MISSING, f"{one.status.value}, and it has no schema")
    for transfer in view.facts.transfers:
        if transfer.state in _FORWARD and transfer.environment_id not in view.environments:
            what = f"environment {transfer.environment_id} is gone while its transfer is {transfer.state.value}"
            yield _of(transfer, ViolationKind.BOOKS_MISSING, what)


def _somebody_works_on_every_move(view: _View) -> Iterator[Violation]:
    for transfer in view.facts.transfers:
        if not transfer.state.is_final and not transfer.live:
            what = f"{transfer.state.value}, and {transfer.workflow_id} does not run"
            yield _of(transfer, ViolationKind.STRANDED, what)


def _workflows_and_rows_agree(view: _View) -> Iterator[Violation]:
    for one in view.facts.workflows:
        environment_id = environment_id_in(one.workflow_id)
        if environment_id is not None:
            yield from contradictions(one, view.moves_from.get(environment_id, ()), environment_id)


def _workflows_go_on(view: _View) -> Iterator[Violation]:
    for one in view.facts.workflows:
        if found := trouble(one, view.facts.at):
            yield found


def _one_move_at_a_time(view: _View) -> Iterator[Violation]:
    for environment_id, moves in view.moves_from.items():
        open_ones = [move for move in moves if not move.state.is_final]
        if len(open_ones) > 1:
            kind = ViolationKind.TWO_MOVES
            what = f"{len(open_ones)} transfers at once: {', '.join(str(move.transfer_id) for move in open_ones)}"
            yield Violation(kind=kind, subject=f"environment {environment_id}", what=what, remedy=REMEDY[kind])


def _read_only_for_a_reason(view: _View) -> Iterator[Violation]:
    for one in view.facts.environments:
        moves = view.moves_from.get(one.environment_id, ())
        reason = any(move.state is not TransferState.UNDONE for move in moves)
        if one.status is EnvironmentStatus.READ_ONLY and not reason:
            yield _of(
                one, ViolationKind.FROZEN_FOR_NOTHING, "read-only, and no transfer of it is under way or released"
            )


def _reserved_for_a_reason(view: _View) -> Iterator[Violation]:
    for one in view.facts.environments:
        moves = view.moves_to.get(one.environment_id, ())
        reason = any(move.state is not TransferState.UNDONE for move in moves)
        if one.status in _UNRELEASED and not reason:
            yield _of(one, ViolationKind.RESERVED_FOR_NOTHING, f"{one.status.value}, and no transfer needs it")


def _reservations_stand(view: _View) -> Iterator[Violation]:
    for transfer in view.facts.transfers:
        expected = _RESERVING.get(transfer.state)
        if expected is None:
            continue
        _, new = view.both(transfer)
        if new is None:
            what = f"{transfer.state.value}, and its new environment is gone"
            yield _of(transfer, ViolationKind.RESERVATION_LOST, what)
        elif new.status is not expected:
            what = f"{transfer.state.value}, and its new environment {new.label} is {new.status.value}"
            yield _of(transfer, ViolationKind.RESERVATION_LOST, what)


def _the_awaited_ticket_is_good(view: _View) -> Iterator[Violation]:
    for transfer in view.facts.transfers:
        if transfer.state is TransferState.AWAITING_UPLOAD and transfer.ticket_gone:
            yield _of(transfer, ViolationKind.TICKET_LOST, "awaiting_upload, and it has no ticket that could be used")


def _no_orphan_schemas(view: _View) -> Iterator[Violation]:
    kind = ViolationKind.ORPHAN_SCHEMA
    for schema in view.facts.orphan_schemas:
        yield Violation(
            kind=kind, subject=f"schema {schema}", what=f"{schema} belongs to no environment", remedy=REMEDY[kind]
        )


def _nothing_of_an_ended_move_is_left(view: _View) -> Iterator[Violation]:
    for transfer in view.facts.transfers:
        if transfer.state.is_final and transfer.ticket_open:
            yield _of(transfer, ViolationKind.TICKET_LEFT, f"{transfer.state.value}, and its ticket is still good")
    for one in view.facts.environments:
        if one.status is not EnvironmentStatus.ACTIVE:
            continue
        if one.fence_remains and not view.at_work_on(one.environment_id):
            yield _of(one, ViolationKind.FENCE_REMAINS, f"{one.fence_remains} lifted fences are still there")
        if one.flags_left:
            yield _of(one, ViolationKind.FLAGS_LEFT, f"{one.flags_left} administrations stayed read-only")
        if one.grants_withheld:
            yield _of(one, ViolationKind.GRANTS_WITHHELD, f"{one.grants_withheld} rights on sequences are missing")


def _nobody_enters_what_is_being_built(view: _View) -> Iterator[Violation]:
    for one in view.facts.environments:
        if one.status is not EnvironmentStatus.BUILDING or not one.schema_exists or not one.application_may_enter:
            continue
        if one.half_done:
            continue
        # An evening that was put off when people could already look: it is shut table by table as it is dropped.
        moves = view.moves_to.get(one.environment_id, ())
        if not any(
            move.live and {EventKind.OPENED_FOR_INSPECTION, EventKind.START_POSTPONED} <= {*move.told} for move in moves
        ):
            yield _of(one, ViolationKind.GRANT_TOO_EARLY, "building, and sb_app may enter its schema")


def _somebody_closes_the_old_address(view: _View) -> Iterator[Violation]:
    for transfer in view.facts.transfers:
        if transfer.forwards_until is None or transfer.forwarding_live or transfer.live:
            continue
        what = f"the old address is forwarded until {transfer.forwards_until:%Y-%m-%d %H:%M %Z}"
        if transfer.forwards_until + _GRACE < view.facts.at:
            what = f"the old address should have been closed at {transfer.forwards_until:%Y-%m-%d %H:%M %Z}"
        yield _of(transfer, ViolationKind.FORWARDING_UNATTENDED, what)


def _somebody_removes_what_is_to_be_removed(view: _View) -> Iterator[Violation]:
    kind = ViolationKind.RETIREMENT_UNATTENDED
    for one in view.facts.retirements:
        if not one.live:
            known = view.environments.get(one.environment_id)
            label = known.label if known is not None else "it"
            what = f"{label} is to be removed at {one.due_at:%Y-%m-%d %H:%M %Z}, and no workflow will do it"
            yield Violation(kind=kind, subject=f"environment {one.environment_id}", what=what, remedy=REMEDY[kind])


def _mail_goes_where_people_work(view: _View) -> Iterator[Violation]:
    kind = ViolationKind.ROUTE_ASTRAY
    for route in view.facts.routes:
        if route.closed:
            continue
        one = view.environments.get(route.environment_id) if route.environment_id is not None else None
        what = ""
        if one is None:
            what = f"{route.address} is open and belongs to no environment"
        elif one.status in _UNRELEASED:
            what = f"{route.address} belongs to {one.label}, which is {one.status.value}"
        elif any(move.state is TransferState.RELEASED for move in view.moves_from.get(one.environment_id, ())):
            what = f"{route.address} belongs to {one.label}, which was transferred away"
        if what:
            yield Violation(kind=kind, subject=f"route {route.address}", what=what, remedy=REMEDY[kind])


def _what_came_in_is_somewhere_once(view: _View) -> Iterator[Violation]:
    for held in view.facts.held:
        subject = f"environment {held.environment_id}" if held.environment_id else f"inbox {held.inbox_id}"
        found = []
        if held.lost:
            found.append((ViolationKind.HELD_LOST, f"{held.lost} items were taken in and are nowhere"))
        if held.twice:
            found.append((ViolationKind.HELD_TWICE, f"{held.twice} items wait that were delivered"))
        if held.waiting and (why := _waits_for_nothing(view, held)):
            found.append((ViolationKind.HELD_LEFT, f"{held.waiting} items wait: {why}"))
        for kind, what in found:
            yield Violation(kind=kind, subject=subject, what=what, remedy=REMEDY[kind])


def _waits_for_nothing(view: _View, held: HeldFacts) -> str:
    """Return why what waits would wait for ever; nothing when it waits for the end of a move, or only just came."""
    if held.environment_id is None:
        return "it has no environment"
    if held.status is EnvironmentStatus.ACTIVE:
        if held.set_aside:
            return f"its environment refuses {held.set_aside} of them"
        late = held.oldest is not None and held.oldest + _DELIVERED_WITHIN < view.facts.at
        return "its environment is active and nobody delivers them" if late else ""
    moves = view.moves_from.get(held.environment_id, ())
    return "" if any(not move.state.is_final for move in moves) else "its environment is in no move"


def _the_log_tells_the_story(view: _View) -> Iterator[Violation]:
    for transfer in view.facts.transfers:
        told = set(transfer.told)
        expected = [*STORY[transfer.state]]
        if transfer.state is TransferState.UNDONE:
            expected += [then for first, then in STORY_UNDONE.items() if first in told]
            expected += [EventKind.UNDO_FINISHED] if EventKind.ENVIRONMENT_FROZEN in told else []
        untold = [kind for kind in expected if kind not in told]
        if untold:
            what = f"{transfer.state.value}, and its log does not tell of {', '.join(untold)}"
            yield _of(transfer, ViolationKind.STORY_INCOMPLETE, what)


def _people_are_told_how_it_ended(view: _View) -> Iterator[Violation]:
    for transfer in view.facts.transfers:
        if transfer.live:
            continue
        told = set(transfer.told)
        expected: list[MailKind] = []
        if transfer.state is TransferState.RELEASED:
            expected = [MailKind.RELEASED, MailKind.INVITATION]
        elif transfer.state is TransferState.UNDONE and EventKind.MAIL_SENT in told:
            expected = [MailKind.UNDONE]
        untold = [kind.value for kind in expected if mail_told(kind) not in told]
        if untold:
            what = f"{transfer.state.value}, and not everybody was sent the mail {', '.join(untold)}"
            yield _of(transfer, ViolationKind.NOBODY_TOLD, what)


def _each_stands_alone(view: _View) -> Iterator[Violation]:
    for one in view.facts.environments:
        if one.ties:
            yield _of(one, ViolationKind.TIED, "; ".join(one.ties[:5]))


def _definitions_are_guarded(view: _View) -> Iterator[Violation]:
    kind = ViolationKind.DEFINITIONS_UNGUARDED
    for cell in view.facts.unguarded:
        what = f"nothing keeps the definitions of frozen environments in {cell} as they are"
        yield Violation(kind=kind, subject=f"cell {cell}", what=what, remedy=REMEDY[kind])


def _copies_are_equal(view: _View) -> Iterator[Violation]:
    by_id = {transfer.transfer_id: transfer for transfer in view.facts.transfers}
    for unequal in view.facts.unequal:
        transfer = by_id.get(unequal.transfer_id)
        if transfer is not None and transfer.state in _FORWARD:
            yield _of(transfer, ViolationKind.UNEQUAL, "; ".join(unequal.differences[:5]))


_RULES: tuple[Callable[[_View], Iterator[Violation]], ...] = (
    _never_two_writable,
    _a_released_one_has_a_successor,
    _only_active_ones_are_writable,
    _the_old_one_stays_frozen,
    _active_ones_take_writes,
    _people_can_read,
    _books_are_there,
    _somebody_works_on_every_move,
    _workflows_and_rows_agree,
    _workflows_go_on,
    _one_move_at_a_time,
    _read_only_for_a_reason,
    _reserved_for_a_reason,
    _reservations_stand,
    _the_awaited_ticket_is_good,
    _no_orphan_schemas,
    _nothing_of_an_ended_move_is_left,
    _nobody_enters_what_is_being_built,
    _somebody_closes_the_old_address,
    _somebody_removes_what_is_to_be_removed,
    _mail_goes_where_people_work,
    _what_came_in_is_somewhere_once,
    _the_log_tells_the_story,
    _people_are_told_how_it_ended,
    _each_stands_alone,
    _definitions_are_guarded,
    _copies_are_equal,
)
