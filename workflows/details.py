"""The Markdown that operators see on a page in the Temporal UI.

Pure functions from a status to text. Whatever a customer typed is fenced: it must not become a link or an image in an
operator's browser. Each step of the guidance names what is typed in the UI's own forms.
"""

from datetime import UTC, datetime, timedelta
from string import ascii_letters, digits
from types import MappingProxyType

from domain import messages as m
from domain.reconciliation import Reconciled
from domain.steps import STEPS, StepState
from domain.vocabulary import UNDONE_BECAUSE, TransferState
from workflows.markdown import copyable, fenced, link, table

_MARKS = MappingProxyType(
    {
        StepState.PENDING: "·",
        StepState.RUNNING: "▶",
        StepState.DONE: "✔",
        StepState.FAILED: "✖",
        StepState.UNDOING: "↺",
        StepState.UNDONE: "↩",
    }
)
_TITLES = MappingProxyType({step.name: step.title for step in STEPS})
# The UI asks its server to render a page with the page in the address, and proxies take addresses of 8 kB.
_LONGEST_ADDRESS = 7_500
_UNQUOTED = f"{ascii_letters}{digits}_.-~/".encode()
_CELLS = (160, 80, 40, 20, 8)
_FINDINGS_LISTED = 20
_PROBLEMS_LISTED = 8
# Where the runbook tells about a state: the headings of docs/operations.md, as their anchors.
CONSOLE, FINDINGS, MAIL = "the-temporal-ui-as-the-console", "is-anything-half-moved", "mail-that-did-not-arrive"
RUNBOOK = MappingProxyType(
    {
        TransferState.PREPARING: "a-freeze-that-does-not-succeed",
        TransferState.AWAITING_UPLOAD: "states-that-last",
        TransferState.SCHEDULED: "an-evening-that-was-too-short",
        TransferState.CLONING: "a-clone-in-office-hours",
        TransferState.AWAITING_RELEASE: "a-release-that-is-refused",
        TransferState.RELEASED: "is-the-copy-still-right",
        TransferState.UNDOING: "undoing-a-transfer",
        TransferState.UNDONE: "undoing-a-transfer",
    }
)


def current_details(status: m.TransferStatus, *, runbook_url: str = "", takes_signals: bool = True) -> str:
    """Return a transfer's page: what it is, what it waits for, how to go on, the steps, and what needs attention.

    Args:
        status: Where it stands.
        runbook_url: Where docs/operations.md is published, if anywhere.
        takes_signals: Whether a signal can move it on; a recovery takes none.
    """
    page = ""
    for longest in _CELLS:
        page = "\n\n".join(_parts(status, runbook_url, longest, takes_signals=takes_signals))
        if _length_in_an_address(page) <= _LONGEST_ADDRESS:
            break
    return page


def _length_in_an_address(text: str) -> int:
    """Return how long a text is once it is quoted as `urllib.parse.quote` does it, which takes forty times as long."""
    encoded = text.encode()
    return len(encoded) + 2 * len(encoded.translate(None, _UNQUOTED))


def mailbox_details(order: m.MailboxForwardingInput, told: str) -> str:
    """Return the page of an old mailbox address."""
    return "\n\n".join(
        [
            f"### {told}",
            f"**Address:** {fenced(order.old_mailbox_address)}",
            f"**Works until:** {_moment(order.forward_until)}",
            "It needs nobody. Who terminates it leaves the address working for ever.",
            _see(order.runbook_url, FINDINGS),
        ]
    )


def retirement_details(planned: m.RetirementPlanned, told: str) -> str:
    """Return the page of an old environment that is removed."""
    return "\n\n".join(
        [
            f"### {told}",
            f"**Environment:** {fenced(planned.name)}",
            f"**When:** {_moment(planned.due_at)}",
            "Send the signal `call_back` to keep it. Who terminates this leaves the environment as it is, for ever.",
        ]
    )


def reconciled_details(outcome: Reconciled) -> str:
    """Return the page of a look at everything: what was found, and what is left to people."""
    left, listed = outcome.left.wrong, outcome.left.violations[:_FINDINGS_LISTED]
    healed = outcome.put_right
    looked_at = f"{outcome.left.environments} environments, {outcome.left.transfers} transfers"
    if not left:
        return f"### Nothing is half-moved\n\n{looked_at}. Put right: {healed}."
    lines = [f"- **{one.kind.value}**, {fenced(one.subject)}: {fenced(one.what)}" for one in listed]
    if left > len(listed):
        lines.append(f"- and {left - len(listed):,} more")
    return "\n\n".join(
        [f"### {left:,} wrong", f"{looked_at}. Put right: {healed}.", "\n".join(lines), _see("", FINDINGS)]
    )


def progress_line(progress: m.CloneProgress, at: datetime) -> str:
    """Return how far a step is, in one line: rows, bytes, rate and time left."""
    parts = [progress.phase]
    if progress.rows_total:
        parts.append(f"{progress.rows_done:,} of {progress.rows_total:,} rows")
    if progress.bytes_total:
        parts.append(f"{_size(progress.bytes_done)} of {_size(progress.bytes_total)}")
    if progress.elapsed_seconds > 0 and progress.bytes_done:
        parts.append(f"{_size(progress.bytes_done / progress.elapsed_seconds)}/s")
    if progress.seconds_left is not None:
        parts.append(f"{_span(progress.seconds_left)} left")
    return f"{', '.join(parts)} ({at.astimezone(UTC):%H:%M:%S} UTC)"


def _parts(status: m.TransferStatus, runbook_url: str, longest: int, *, takes_signals: bool) -> list[str]:
    parts = [f"### {status.state.value}" + (f" · {status.scenario.value}" if status.scenario else "")]
    if status.old:
        parts.append(_environment_line("From", status.old, longest))
    if status.new:
        parts.append(_environment_line("To", status.new, longest))
    if status.waiting_for:
        parts.append(f"**Waits for:** {status.waiting_for}")
    if status.state is TransferState.CLONING and status.closes_at:
        parts.append(f"**Window closes:** {_moment(status.closes_at)}")
    if status.unreadable:
        waiting = "\n".join(f"- {fenced(line, longest)}" for line in status.unreadable)
        parts.append(f"**Waits for a key, and cannot be read before:**\n{waiting}")
    if status.refused:
        parts.append(f"**Refused:** {fenced(status.refused, longest)}")
    if status.undo_reason:
        because = UNDONE_BECAUSE[status.undo_reason]
        parts.append(f"**Undone because** {because}: {fenced(status.undo_detail, longest)}")
    parts += _how_to_go_on(status.state) if takes_signals else ["A recovery is at work: it takes no signal."]
    if status.comparison:
        parts.append(_compared(status.comparison))
    if status.mail_problems:
        parts += _mail_problems(status, longest)
    parts.append(table(("", "step", "began (UTC)", "took", ""), [_row(step, longest) for step in status.steps]))
    parts.append(_see(runbook_url, RUNBOOK[status.state], *([MAIL] if status.mail_problems else []), CONSOLE))
    return parts


def _how_to_go_on(state: TransferState) -> list[str]:
    """Say which signal with which payload moves the transfer on from here, and what stops it."""
    parts = []
    if state is TransferState.SCHEDULED:
        parts = _signal("start_now", "starts it at once", '{"requested_by": ""}')
    if state is TransferState.AWAITING_RELEASE:
        parts = [
            *_signal("release", "opens the new environment: **no way back**", '{"released_by": "", "note": ""}'),
            *_signal("reject", "undoes the transfer", '{"rejected_by": "", "reason": ""}'),
        ]
    if parts:
        parts.append("Put a name between the first quotes: without one a signal is refused.")
    if not state.is_final and state is not TransferState.UNDOING:
        parts.append(
            "*Request Cancellation* undoes the transfer. *Terminate* and *Reset* do not: **never** click them."
        )
    return parts


def _signal(name: str, effect: str, payload: str) -> list[str]:
    return [f"*More Actions, Send a Signal*: `{name}` {effect}.", copyable(payload)]


def _row(step: m.StepStatus, longest: int) -> tuple[str, ...]:
    detail = fenced(step.detail, longest) if step.detail else ""
    return _MARKS[step.state], _TITLES[step.step], _began(step), _took(step), detail


def _began(step: m.StepStatus) -> str:
    return step.started_at.astimezone(UTC).strftime("%m-%d %H:%M:%S") if step.started_at else ""


def _took(step: m.StepStatus) -> str:
    if step.started_at is None or step.finished_at is None:
        return ""
    return _span((step.finished_at - step.started_at).total_seconds())


def _span(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else str(timedelta(seconds=round(seconds)))  # noqa: PLR2004 - below it tenths tell something


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"  # noqa: PLR2004 - a gigabyte


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M %Z}"


def _environment_line(title: str, environment: m.EnvironmentSummary, longest: int) -> str:
    return (
        f"**{title}:** {fenced(environment.name, longest)} · licence {fenced(environment.licence_number, longest)} · "
        f"{fenced(environment.url, longest)}"
    )


def _compared(compared: m.ComparisonSummary) -> str:
    verdict = "all equal" if compared.unequal == 0 else f"**{compared.unequal} differ**"
    return f"**Comparison:** {compared.checks} checks over {compared.administrations} administrations, {verdict}"


def _mail_problems(status: m.TransferStatus, longest: int) -> list[str]:
    problems, state = status.mail_problems, status.state
    lines = [
        f"- {problem.kind.value} to {fenced(problem.recipient, longest)}: {fenced(problem.problem, longest)}"
        for problem in problems[:_PROBLEMS_LISTED]
    ]
    more = max(len(problems) - _PROBLEMS_LISTED, 0) + sum(status.more_mail_problems.values())
    if more:
        lines.append(f"- and {more:,} more")
    parts = ["**Mail that did not arrive** (the transfer goes on):", "\n".join(lines)]
    if not state.is_final:
        again = f'{{"kind": "{problems[0].kind.value}", "requested_by": ""}}'
        parts += ["*More Actions, Send an Update*: `resend_mail` sends it again.", copyable(again)]
    return parts


def _see(runbook_url: str, *anchors: str) -> str:
    """Return where to read on: links when it is known where, else the headings of docs/operations.md."""
    words = [anchor.replace("-", " ") for anchor in anchors]
    if runbook_url:
        pages = [link(said, f"{runbook_url}#{anchor}") for said, anchor in zip(words, anchors, strict=True)]
        return f"**Runbook:** {' · '.join(pages)}"
    return f"**Runbook:** docs/operations.md, {', '.join(f'“{said}”' for said in words)}"
