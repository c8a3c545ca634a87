"""What operators read in the Temporal UI, and what customers must not be able to put there."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from domain import messages as m
from domain.reconciliation import Findings, Reconciled
from domain.steps import STEPS, StepName, StepState
from domain.violations import Violation, ViolationKind
from domain.vocabulary import MailKind, TransferState, UndoReason
from tests.tools.paths import DOCS
from workflows import details as console
from workflows.details import current_details, mailbox_details, progress_line, reconciled_details
from workflows.markdown import fenced

NOW = datetime(2026, 11, 24, 21, 0, tzinfo=UTC)
ID = UUID(int=7)
OPERATIONS = (DOCS / "operations.md").read_text()
# As the UI's renderer reads it: GitHub's tables, raw HTML and bare addresses as links.
MARKDOWN = MarkdownIt("gfm-like", {"linkify": False, "html": True})
HOSTILE = (
    "![x](https://evil.example/x.png)",
    "[click](javascript:alert(1))",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a | b | c",
    "``` \n# big\n```",
    "`` ` ``",
    "`",
    "\\|",
    "a\\",
    "x\r\n\r\n| --- |\n",
    "https://evil.example",
    "\u202egnp.exe",
    "<!--",
    "&lt;b&gt;",
    "$x$",
)
texts = st.one_of(st.text(max_size=300), st.text(alphabet="`|\\\n <>[]()!*_#-&", max_size=60), st.sampled_from(HOSTILE))


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
        url=f"https://kantoor.sb.example/{name}",
        licence_number="10001",
        schema_name="env_7",
        mailbox_address="enyoi@kantoor.mailbox.sb.example",
    )


def full_page(text: str, state: TransferState = TransferState.UNDONE) -> str:
    """Return a page that says the same text wherever customers' text can stand."""
    return current_details(
        status(
            state,
            old=environment(text),
            new=environment(text),
            undo_reason=UndoReason.REJECTED,
            undo_detail=text,
            steps=[m.StepStatus(step=step.name, state=StepState.DONE, detail=text) for step in STEPS],
            mail_problems=[m.MailProblem(kind=MailKind.READY, recipient=text, problem=text)] * 20,
        )
    )


def tokens(page: str) -> Iterator[Token]:
    for token in MARKDOWN.parse(page):
        yield token
        yield from token.children or ()


def skeleton(page: str) -> list[str]:
    """Return what a page is built of, without the words."""
    return [token.type for token in tokens(page) if token.type not in ("code_inline", "text")]


@given(texts)
def test_fenced_text_is_one_piece_of_code(text: str) -> None:
    """Fences any text so that all of it shows as text."""
    inline = MARKDOWN.parseInline(f"a {fenced(text)} b")[0].children or []
    kinds = [token.type for token in inline]
    assert kinds in (["text", "code_inline", "text"], ["text"])
    assert "\n" not in fenced(text)
    assert "|" not in fenced(text)
    assert len(fenced(text, 10)) <= 10 + 1 + 2 * 12


@settings(max_examples=50)
@given(texts)
@example("x" * 400)
def test_no_text_of_a_customer_changes_the_page(text: str) -> None:
    """Keeps customers' text from becoming links, images, headings or HTML."""
    assert skeleton(full_page(text)) == skeleton(full_page("enyoi"))
    assert not [token for token in tokens(full_page(text)) if token.type in ("html_inline", "html_block", "image")]


@settings(max_examples=50)
@given(texts)
def test_the_other_pages_hold_as_well(text: str) -> None:
    """Keeps customers' text as text on the other workflows' pages."""
    order = m.MailboxForwardingInput(transfer_id=ID, old_mailbox_address=text, forward_until=NOW)
    wrong = Violation(kind=ViolationKind.ROUTE_ASTRAY, subject=f"route {text}", what=text, remedy="Close it.")
    left = Findings(at=NOW, environments=1, transfers=1, violations=(wrong,) * 30)
    outcome = Reconciled(found=left, left=left)
    plain = order.model_copy(update={"old_mailbox_address": "a@b.example"})
    calm = Violation(kind=ViolationKind.ROUTE_ASTRAY, subject="route a@b.example", what="x", remedy="Close it.")
    calm_outcome = Reconciled(found=left, left=left.model_copy(update={"violations": (calm,) * 30}))
    assert skeleton(mailbox_details(order, "Closed")) == skeleton(mailbox_details(plain, "Closed"))
    assert skeleton(reconciled_details(outcome)) == skeleton(reconciled_details(calm_outcome))


@pytest.mark.parametrize("text", ["x" * 500, "漢" * 500, "|`" * 200])
def test_a_page_fits_in_an_address(text: str) -> None:
    """Keeps a page below the length of an address."""
    assert len(quote(full_page(text, TransferState.AWAITING_RELEASE))) <= 8_000


def test_text_that_turns_the_line_around_is_seen() -> None:
    """Shows direction marks as what they are."""
    assert fenced("a\u202eb\u0000c") == "`a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c`"


@pytest.mark.parametrize(
    ("state", "signals"),
    [
        (TransferState.PREPARING, []),
        (TransferState.AWAITING_UPLOAD, []),
        (TransferState.SCHEDULED, ["start_now"]),
        (TransferState.CLONING, []),
        (TransferState.AWAITING_RELEASE, ["release", "reject"]),
        (TransferState.RELEASED, []),
        (TransferState.UNDOING, []),
    ],
)
def test_the_page_names_the_signals_that_help_now(state: TransferState, signals: list[str]) -> None:
    """Names the signals that are taken in each state."""
    messages: dict[str, type[m.StartNow | m.Release | m.Reject]] = {
        "start_now": m.StartNow,
        "release": m.Release,
        "reject": m.Reject,
    }
    page = current_details(status(state))
    assert re.findall(r"Send a Signal\*: `(\w+)`", page) == signals
    payloads = [token.content for token in tokens(page) if token.type == "fence"]
    assert len(payloads) == len(signals)
    for name, payload in zip(signals, payloads, strict=True):
        message = messages[name]
        assert message.model_validate_json(payload, extra="forbid").model_dump() == message().model_dump()
    assert "Send a Signal" not in current_details(status(state), takes_signals=False)


def test_mail_that_did_not_arrive_is_sent_again_from_the_page() -> None:
    """Offers to send again each mail that did not arrive."""
    problem = m.MailProblem(kind=MailKind.READY, recipient="a@b.example", problem="550 unknown")
    page = current_details(status(TransferState.AWAITING_RELEASE, mail_problems=[problem]))
    payload = [token.content for token in tokens(page) if token.type == "fence"][-1]
    assert m.ResendMail.model_validate_json(payload, extra="forbid").kind is MailKind.READY
    over = current_details(status(TransferState.UNDONE, mail_problems=[problem]))
    assert "resend_mail" not in over, "a workflow that has ended takes no update"


def test_the_page_shows_what_needs_attention() -> None:
    """Shows mail problems and the reason of an undo."""
    page = current_details(
        status(
            TransferState.UNDONE,
            undo_reason=UndoReason.REJECTED,
            undo_detail="not ours",
            refused="2026-11-24 21:00:00 UTC, release of [x](http://x): too early",
            mail_problems=[m.MailProblem(kind=MailKind.READY, recipient="a@b.example", problem="550 unknown")],
            comparison=m.ComparisonSummary(checks=12, unequal=1, administrations=1),
            steps=[
                m.StepStatus(
                    step=StepName.FREEZE,
                    state=StepState.UNDONE,
                    started_at=NOW,
                    finished_at=NOW + timedelta(seconds=75),
                    detail="x|y",
                )
            ],
        )
    )
    for text in (
        "the new side rejected it: `not ours`",
        "`550 unknown`",
        "**Refused:** `2026-11-24 21:00:00 UTC, release of [x](http://x): too early`",
        "1 differ",
        "11-24 21:00:00 | 0:01:15",
        "`x¦y`",
    ):
        assert text in page


def test_progress_is_told_in_rows_bytes_rate_and_time() -> None:
    """Shows rows, bytes, rate and time left."""
    progress = m.CloneProgress(
        phase="load", rows_done=10, rows_total=4_000, bytes_done=10**9, bytes_total=4 * 10**9, elapsed_seconds=20
    )
    told = progress_line(progress, NOW)
    assert told == "load, 10 of 4,000 rows, 1.0 GB of 4.0 GB, 50.0 MB/s, 0:01:00 left (21:00:00 UTC)"


@pytest.mark.parametrize("anchor", sorted({*console.RUNBOOK.values(), console.CONSOLE, console.FINDINGS, console.MAIL}))
def test_the_runbook_has_the_page(anchor: str) -> None:
    """Links to headings that the runbook has."""
    headings = [re.sub(r"[^\w -]", "", line).lower() for line in re.findall(r"^#+ (.+)$", OPERATIONS, re.MULTILINE)]
    assert anchor in [heading.replace(" ", "-") for heading in headings]


def test_every_state_has_its_page() -> None:
    """Has a page of the runbook for every state."""
    assert set(console.RUNBOOK) == set(TransferState)
    page = current_details(status(TransferState.CLONING), runbook_url="https://docs.example/operations")
    links = [token.attrs["href"] for token in tokens(page) if token.type == "link_open"]
    assert links == [
        "https://docs.example/operations#a-clone-in-office-hours",
        f"https://docs.example/operations#{console.CONSOLE}",
    ]
