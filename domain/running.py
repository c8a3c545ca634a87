"""What is wrong with a workflow that runs: it fails, nobody works on it, or the database contradicts it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final
from uuid import UUID

from domain.facts import TransferFacts, WorkflowFacts
from domain.violations import REMEDY, Violation, ViolationKind
from domain.vocabulary import TransferState

TRANSFER_WORKFLOW: Final = "TransferWorkflow"
# The activity that reads what came under an unknown key, again and again until the key is there.
OPEN_PAYLOAD: Final = "open_payload"
OUR_WORKFLOWS: Final = frozenset({TRANSFER_WORKFLOW, "RecoveryWorkflow", "MailboxForwardingWorkflow"})
# A task that is tried a third time has failed twice, or was twice lost with its worker: the reason tells which. Tried
# so often that workers can hardly have died each time, it is stuck for whatever reason.
STUCK_AT_ATTEMPT: Final = 3
_STUCK_AT_ANY_RATE: Final = 10
_WAITED_TOO_LONG: Final = timedelta(minutes=10)

# How far a transfer is, as far as a backup could have been made before it. A workflow says that it clones before the
# first row is copied.
_HOW_FAR: Final[Mapping[TransferState, int]] = MappingProxyType(
    {
        TransferState.PREPARING: 0,
        TransferState.AWAITING_UPLOAD: 1,
        TransferState.SCHEDULED: 2,
        TransferState.CLONING: 2,
        TransferState.AWAITING_RELEASE: 3,
        TransferState.RELEASED: 4,
    }
)
# The clocks of Temporal and the database differ by less.
_CLOCKS_DIFFER: Final = timedelta(minutes=1)


def trouble(one: WorkflowFacts, at: datetime) -> Violation | None:
    """Return why a workflow does not go on, if so; one that an operator has paused is none of that."""
    if one.type not in OUR_WORKFLOWS:
        return _of(one, ViolationKind.FOREIGN_WORKFLOW, f"a workflow of the type {one.type[:60]} runs under this id")
    if not one.on_our_queue:
        return _of(one, ViolationKind.FOREIGN_WORKFLOW, "it was started on a task queue that no worker of ours serves")
    if one.attempts >= (STUCK_AT_ATTEMPT if one.failure else _STUCK_AT_ANY_RATE):
        why = f": {one.failure}" if one.failure else ""
        return _of(one, ViolationKind.WORKFLOW_STUCK, f"its workflow task is at attempt {one.attempts}{why}")
    if one.awaits_key:
        return _of(one, ViolationKind.KEY_MISSING, "it waits for the key of something that it was sent")
    if one.waiting_since is not None and at - one.waiting_since > _WAITED_TOO_LONG:
        since = f"{one.waiting_since:%Y-%m-%d %H:%M %Z}"
        return _of(one, ViolationKind.WORKFLOW_UNATTENDED, f"it has waited for a worker since {since}")
    return None


def contradictions(one: WorkflowFacts, moves: Sequence[TransferFacts], environment_id: UUID) -> Iterator[Violation]:
    """Yield what the rows of an environment's moves say otherwise than its transfer that runs.

    A run that was reset is the same transfer: its rows are those made since the first run began.
    """
    if one.type != TRANSFER_WORKFLOW or one.state is None:
        return
    began_at = one.began_at
    rows = [
        move
        for move in moves
        if began_at is None or move.created_at is None or move.created_at >= began_at - _CLOCKS_DIFFER
    ]
    # What a workflow believes to be done was committed first, so only a restored database can lag behind.
    claims = _HOW_FAR.get(one.state, 0)  # one that turns back cannot be ahead
    known = max((_HOW_FAR.get(move.state, claims) for move in rows), default=0)
    if known < claims:
        says = ", ".join(move.state.value for move in rows) or "nothing"
        kind = ViolationKind.WORKFLOW_AHEAD
        what = f"its workflow is {one.state.value}, and the database says {says}"
        yield Violation(kind=kind, subject=f"environment {environment_id}", what=what, remedy=REMEDY[kind])
    # A run that began before the end was committed is about to hear of it; one that began after it never will.
    ended = [move for move in rows if move.state.is_final and move.state_since and move.state_since < one.run_began_at]
    if ended and len(ended) == len(rows) and one.state in _HOW_FAR and one.state is not TransferState.RELEASED:
        what = f"it says {one.state.value}, and the database says {ended[0].state.value}"
        yield _of(one, ViolationKind.WORKFLOW_BEHIND, what)


def _of(one: WorkflowFacts, kind: ViolationKind, what: str) -> Violation:
    return Violation(
        kind=kind, subject=f"workflow {one.workflow_id}", what=what, remedy=REMEDY[kind], run_id=one.run_id
    )
