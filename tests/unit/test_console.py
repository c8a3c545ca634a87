"""What operators read in the Temporal UI, and what customers must not be able to put there."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import messages as m
from domain.steps import STEPS, StepName, StepState
from domain.vocabulary import MailKind, TransferState, UndoReason
from workflows.console import current_details, fenced

NOW = datetime(2026, 11, 24, 21, 0, tzinfo=UTC)
ID = UUID(int=7)


def status(state: TransferState, **changes: object) -> m.TransferStatus:
    plain = m.TransferStatus(
        transfer_id=ID,
        workflow_id=f"transfer-{ID}",
        state=state,
        steps=[m.StepStatus(step=step.name, state=StepState.PENDING) for step in STEPS],
    )
    return plain.model_copy(update=changes)


def environment(name: str) -> m.EnvironmentSummary:
    return m.EnvironmentSummary(
        environment_id=ID,
        name=name,
        url="https://kantoor.sb.example/enyoi",
        licence_number="10001",
        schema_name="env_7",
        mailbox_address="enyoi@kantoor.mailbox.sb.example",
    )


@given(st.text(max_size=300))
def test_fenced_text_cannot_break_out(text: str) -> None:
    """A customer's name must not become a link, an image or a table column in an operator's browser."""
    code = fenced(text)
    assert "\n" not in code
    assert "|" not in code
    if code != "-":
        ticks = len(code) - len(code.lstrip("`"))
        inside = code[ticks:-ticks]
        assert "`" * ticks not in inside.replace("`" * (ticks + 1), "")


def test_an_image_in_a_name_stays_text() -> None:
    """An environment called like a tracking image must not load it."""
    page = current_details(status(TransferState.PREPARING, old=environment("![x](https://evil.example/x.png)")))
    assert "`![x](https://evil.example/x.png)`" in page


@pytest.mark.parametrize(
    ("state", "signals"),
    [
        (TransferState.AWAITING_UPLOAD, []),
        (TransferState.SCHEDULED, ["start_now"]),
        (TransferState.AWAITING_RELEASE, ["release", "reject"]),
        (TransferState.RELEASED, []),
        (TransferState.UNDOING, []),
    ],
)
def test_the_page_names_the_signals_that_help_now(state: TransferState, signals: list[str]) -> None:
    """An operator must not have to look up which signal moves a transfer on, nor be offered one that is refused."""
    page = current_details(status(state))
    assert [name for name in ("start_now", "release", "reject") if f"Signal `{name}`" in page] == signals


def test_the_page_shows_what_needs_attention() -> None:
    """A mail that did not arrive and the reason of an undo must be on the page, not in a log."""
    page = current_details(
        status(
            TransferState.UNDONE,
            undo_reason=UndoReason.REJECTED,
            undo_detail="not ours",
            mail_problems=[m.MailProblem(kind=MailKind.READY, recipient="a@b.example", problem="550 unknown")],
            comparison=m.ComparisonSummary(checks=12, unequal=1, administrations=1),
            steps=[
                m.StepStatus(
                    step=StepName.FREEZE, state=StepState.UNDONE, started_at=NOW, finished_at=NOW, detail="x|y"
                )
            ],
        )
    )
    for text in ("rejected `not ours`", "`550 unknown`", "1 differ", "11-24 21:00:00 | 0:00:00", "`x¦y`"):
        assert text in page
