"""Whatever grows with a customer is cut before it becomes a payload."""

import pytest

from activities.bounds import MOST_BYTES, bounded
from domain import messages as m
from domain.vocabulary import MailKind

LONG = "x" * 5_000


def differences(count: int) -> list[m.TableDifference]:
    return [m.TableDifference(table=f"table {n}", problem=LONG, keys=[LONG] * 20) for n in range(count)]


@pytest.mark.parametrize(
    "answer",
    [
        m.Verification(tables=5_000, rows=1, seconds=1.0, differences=differences(5_000)),
        m.UnchangedChecked(tables=1, rows=1, old_changes=differences(900), new_changes=differences(900)),
        m.MailSent(
            sent=0,
            problems=[m.MailProblem(kind=MailKind.INVITATION, recipient=LONG, problem=LONG) for _ in range(20_000)],
        ),
        m.BanksReconnected(banks=[m.BankOutcome(bank=LONG, old="a", new="b", count=1) for _ in range(3_000)]),
        m.StepTaken(detail=LONG * 1_000),
        m.EnvironmentSummary(
            environment_id=m.TransferInput.model_validate({"environment_id": "0" * 32}).environment_id,
            name="€" * 300_000,
            url="",
            licence_number="",
            schema_name="",
            mailbox_address="",
        ),
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_no_answer_is_larger_than_a_payload_may_be(answer: m.Message) -> None:
    """The activity would fail for ever, and its transfer stand still."""
    assert len(answer.model_dump_json()) > MOST_BYTES
    cut = bounded(answer)
    assert type(cut) is type(answer)
    assert len(cut.model_dump_json().encode()) <= MOST_BYTES


def test_what_is_cut_is_counted() -> None:
    """Whoever reads of ten differences would repair ten, and be refused again."""
    checked = m.UnchangedChecked(tables=1, rows=1, old_changes=differences(900), new_changes=differences(900))
    cut = bounded(checked)
    assert cut.left_out + len(cut.old_changes) + len(cut.new_changes) == 1_800
    assert f"{1_800 - 5:,} more changes" in cut.drift


def test_what_fits_is_left_as_it_is() -> None:
    """A name would change on its way through the history."""
    problem = m.MailProblem(kind=MailKind.READY, recipient=LONG, problem=LONG)
    assert bounded(problem) is problem
    assert bounded(None) is None
