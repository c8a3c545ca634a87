"""The Markdown that operators see on a transfer's page in the Temporal UI.

Pure functions from a status to text. Whatever a customer typed is fenced: it must not become a link or an image in an
operator's browser.
"""

from datetime import UTC, timedelta

from domain import messages as m
from domain.steps import STEPS, StepState
from domain.vocabulary import TransferState

_MARKS = {
    StepState.PENDING: "·",
    StepState.RUNNING: "▶",
    StepState.DONE: "✔",
    StepState.FAILED: "✖",
    StepState.UNDOING: "↺",
    StepState.UNDONE: "↩",
}
_TITLES = {step.name: step.title for step in STEPS}


def fenced(text: str) -> str:
    """Return customers' text as inline code that nothing in it can break out of, on one line and of bounded length."""
    flat = " ".join(text.split())[:200].replace("|", "¦")
    longest = run = 0
    for character in flat:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    ticks = "`" * (longest + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{ticks}{pad}{flat}{pad}{ticks}" if flat else "-"


def _began(step: m.StepStatus) -> str:
    return step.started_at.astimezone(UTC).strftime("%m-%d %H:%M:%S") if step.started_at else ""


def _took(step: m.StepStatus) -> str:
    if step.started_at is None or step.finished_at is None:
        return ""
    return str(timedelta(seconds=round((step.finished_at - step.started_at).total_seconds())))


def _environment_line(title: str, environment: m.EnvironmentSummary) -> str:
    return (
        f"**{title}:** {fenced(environment.name)} · licence {fenced(environment.licence_number)} · "
        f"{fenced(environment.url)}"
    )


def _how_to_go_on(state: TransferState) -> list[str]:
    """Say which signal with which payload moves the transfer on from here."""
    if state is TransferState.SCHEDULED:
        return ['Signal `start_now` with `{"requested_by": "<your name>"}` starts it at once.']
    if state is TransferState.AWAITING_RELEASE:
        return [
            'Signal `release` with `{"released_by": "<your name>", "note": ""}` opens it. There is no way back.',
            'Signal `reject` with `{"rejected_by": "<your name>", "reason": "<why>"}` undoes the transfer.',
        ]
    return []


def current_details(status: m.TransferStatus) -> str:
    """Return the page: state, what it waits for, how to go on, the steps, and what needs attention."""
    lines = [f"### {status.state.value}" + (f" · {status.scenario.value}" if status.scenario else "")]
    if status.old:
        lines.append(_environment_line("From", status.old))
    if status.new:
        lines.append(_environment_line("To", status.new))
    if status.waiting_for:
        lines.append(f"**Waits for:** {status.waiting_for}")
    if status.undo_reason:
        lines.append(f"**Undone because:** {status.undo_reason.value} {fenced(status.undo_detail)}")
    lines += _how_to_go_on(status.state)
    if not status.state.is_final and status.state is not TransferState.UNDOING:
        lines.append("Cancelling this workflow undoes the transfer; terminating it does not: never terminate.")

    table = ["| | step | began (UTC) | took | |", "|---|---|---|---|---|"]
    table += [
        f"| {_MARKS[step.state]} | {_TITLES[step.step]} | {_began(step)} | {_took(step)} "
        f"| {fenced(step.detail) if step.detail else ''} |"
        for step in status.steps
    ]
    lines.append("\n".join(table))

    if status.comparison:
        compared = status.comparison
        verdict = "all equal" if compared.unequal == 0 else f"**{compared.unequal} differ**"
        lines.append(
            f"**Comparison:** {compared.checks} checks over {compared.administrations} administrations, {verdict}"
        )
    if status.mail_problems:
        lines.append("**Mail that did not arrive** (the transfer goes on; it can be sent again):")
        lines.append(
            "\n".join(
                f"- {problem.kind.value} to {fenced(problem.recipient)}: {fenced(problem.problem)}"
                for problem in status.mail_problems
            )
        )
    return "\n\n".join(lines)
