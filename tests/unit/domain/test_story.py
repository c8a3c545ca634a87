"""Where each step is, read off the event log: the API shows nothing else while a transfer goes its way."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from domain.steps import STEPS, StepName, StepState
from domain.story import LogLine, kinds_read, steps_from_log, waits_for
from domain.vocabulary import TransferState

BEGAN = datetime(2026, 11, 28, 12, tzinfo=UTC)
UPLOADED = ("environment_frozen", "ticket_issued", "environment_hashed", "upload_accepted")
MOVED = (
    "clone_started",
    "clone_finished",
    "clone_verified",
    "banks_reconnected",
    "invitations_withdrawn",
    "opened_for_inspection",
    "certificate_issued",
)


def told(
    *kinds: str, state: TransferState, ready: bool = False, reasons: dict[str, str] | None = None
) -> dict[StepName, StepState]:
    happenings = [
        LogLine(kind=kind, at=BEGAN + timedelta(minutes=place + 1), reason=(reasons or {}).get(kind, ""))
        for place, kind in enumerate(kinds)
    ]
    ready_at = BEGAN + timedelta(hours=1) if ready else None
    steps = steps_from_log(happenings, state=state, began_at=BEGAN, ready_told_at=ready_at)
    assert [step.step for step in steps] == [step.name for step in STEPS]
    return {step.step: step.state for step in steps}


def in_state(steps: dict[StepName, StepState], state: StepState) -> set[StepName]:
    return {name for name, found in steps.items() if found is state}


def test_before_the_freeze_only_that_runs() -> None:
    """Shows only the freeze before it has ended."""
    assert in_state(told(state=TransferState.PREPARING), StepState.RUNNING) == {StepName.FREEZE}


def test_each_line_ends_its_step_and_begins_what_follows() -> None:
    """Ends a step by its line and begins the next."""
    lines = (*UPLOADED, *MOVED)
    steps = told(*lines, state=TransferState.AWAITING_RELEASE, ready=True)
    assert in_state(steps, StepState.RUNNING) == {StepName.AWAIT_RELEASE}
    assert in_state(steps, StepState.PENDING) == {StepName.CHECK, StepName.RELEASE}
    for number in range(1, len(lines)):
        before = told(*lines[:number], state=TransferState.CLONING)
        after = told(*lines[: number + 1], state=TransferState.CLONING)
        assert len(in_state(after, StepState.DONE)) == len(in_state(before, StepState.DONE)) + 1


def test_a_step_begins_when_the_one_before_it_ends() -> None:
    """Begins a step when the one before it ends."""
    happenings = [LogLine(kind=kind, at=BEGAN + timedelta(minutes=n)) for n, kind in enumerate(UPLOADED, start=1)]
    steps = {s.step: s for s in steps_from_log(happenings, state=TransferState.SCHEDULED, began_at=BEGAN)}
    assert steps[StepName.FREEZE].started_at == BEGAN
    assert steps[StepName.TICKET].started_at == steps[StepName.FREEZE].finished_at == BEGAN + timedelta(minutes=1)
    assert steps[StepName.HASH].started_at == BEGAN + timedelta(minutes=1)
    assert steps[StepName.WAIT_FOR_EVENING].started_at == BEGAN + timedelta(minutes=4)
    assert steps[StepName.WAIT_FOR_EVENING].finished_at is None


def test_an_evening_that_was_put_off_begins_again() -> None:
    """Begins the evening's steps again after a postponement."""
    steps = told(*UPLOADED, "clone_started", "clone_finished", "start_postponed", state=TransferState.SCHEDULED)
    assert in_state(steps, StepState.RUNNING) == {StepName.WAIT_FOR_EVENING}
    assert steps[StepName.CLONE] is StepState.PENDING


def test_a_look_that_found_something_refuses_and_a_clean_one_releases() -> None:
    """Shows whether the last look refused or released."""
    lines = (*UPLOADED, *MOVED, "release_checked")
    refused = told(*lines, state=TransferState.AWAITING_RELEASE, ready=True, reasons={"release_checked": "quote: +1"})
    assert refused[StepName.CHECK] is StepState.FAILED
    assert refused[StepName.AWAIT_RELEASE] is StepState.RUNNING
    again = told(*lines, "release_checked", state=TransferState.AWAITING_RELEASE, ready=True)
    assert again[StepName.CHECK] is StepState.DONE
    assert in_state(again, StepState.RUNNING) == {StepName.RELEASE}
    released = told(*lines, "environment_released", state=TransferState.RELEASED, ready=True)
    assert set(released.values()) == {StepState.DONE}


@pytest.mark.parametrize("state", [TransferState.UNDOING, TransferState.UNDONE])
def test_an_undo_shows_what_is_taken_back(state: TransferState) -> None:
    """Shows what an undo has taken back."""
    steps = told(*UPLOADED, "clone_started", "undo_begun", "clone_dropped", state=state)
    assert steps[StepName.CLONE] is StepState.UNDONE
    others = {steps[StepName.FREEZE], steps[StepName.TICKET], steps[StepName.AWAIT_UPLOAD]}
    assert others == {StepState.UNDONE if state is TransferState.UNDONE else StepState.UNDOING}
    assert steps[StepName.HASH] is steps[StepName.WAIT_FOR_EVENING] is StepState.DONE
    assert steps[StepName.VERIFY] is StepState.PENDING


def test_what_runs_when_it_turns_back_has_failed() -> None:
    """Shows a step as failed that ran when the undo began."""
    steps = told(*UPLOADED, "clone_started", "clone_finished", "undo_begun", state=TransferState.UNDOING)
    assert steps[StepName.VERIFY] is StepState.FAILED


def test_every_state_says_what_it_waits_for() -> None:
    """Says for every state what it waits for."""
    zone = ZoneInfo("Europe/Amsterdam")
    logs = {
        TransferState.PREPARING: UPLOADED[:1],
        TransferState.AWAITING_UPLOAD: UPLOADED[:3],
        TransferState.SCHEDULED: UPLOADED,
        TransferState.CLONING: (*UPLOADED, *MOVED[:1]),
        TransferState.AWAITING_RELEASE: (*UPLOADED, *MOVED),
        TransferState.RELEASED: (*UPLOADED, *MOVED, "release_checked", "environment_released"),
        TransferState.UNDOING: (*UPLOADED, "undo_begun"),
        TransferState.UNDONE: (*UPLOADED, "undo_begun"),
    }
    words = {
        state: waits_for(
            steps_from_log([LogLine(kind=kind, at=BEGAN) for kind in logs[state]], state=state, began_at=BEGAN),
            state,
            zone=zone,
            ticket_expires_at=BEGAN,
            starts_at=BEGAN + timedelta(hours=9),
        )
        for state in TransferState
    }
    assert words[TransferState.PREPARING] == "the ticket"
    assert words[TransferState.AWAITING_UPLOAD] == "the upload of the ticket, until 2026-11-28 13:00 CET"
    assert words[TransferState.SCHEDULED] == "the evening window, 2026-11-28 22:00 CET"
    assert {state for state, said in words.items() if not said} == {TransferState.RELEASED, TransferState.UNDONE}


def test_every_step_that_can_end_has_its_line() -> None:
    """Has a line for every step that can end."""
    silent = {StepName.NOTIFY, StepName.AWAIT_RELEASE, StepName.CHECK}
    forward = [kind for kind in kinds_read() if kind != "start_postponed"]
    everything = told(*forward, state=TransferState.AWAITING_RELEASE)
    assert set(everything) - in_state(everything, StepState.PENDING) >= {step.name for step in STEPS} - silent
