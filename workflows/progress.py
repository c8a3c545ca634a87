"""Where a transfer stands, as the query, the search attributes and the Temporal UI show it."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from domain import messages as m
from domain.steps import STEPS, StepName, StepState
from domain.story import waits_for
from domain.vocabulary import MailKind, Scenario, TransferState, UndoReason
from domain.window import zone_named
from workflows import search_attributes
from workflows.details import current_details, progress_line

# A signal's name is its sender's choice.
_LONGEST_NAME = 60
_MOST_PROBLEMS: Final = 20  # of each kind of mail


class TransferProgress:
    """The transfer's own memory: deterministic, kept by the workflow, shown to people."""

    def __init__(
        self,
        transfer_id: UUID,
        environment_id: UUID,
        *,
        runbook_url: str = "",
        timezone: str = "",
        takes_signals: bool = True,
        notes: Callable[[], list[str]] = list,
    ) -> None:
        self.transfer_id = transfer_id
        self.environment_id = environment_id
        self._runbook_url = runbook_url
        self._takes_signals = takes_signals
        self._notes = notes
        self._zone = zone_named(timezone)
        self._is_stale = False
        self.state = TransferState.PREPARING
        self.scenario: Scenario | None = None
        self.old: m.EnvironmentSummary | None = None
        self.new: m.EnvironmentSummary | None = None
        self.needs = ""
        self.ticket_expires_at: datetime | None = None
        self.starts_at: datetime | None = None
        self.closes_at: datetime | None = None
        self.evenings_tried = 0
        self.comparison: m.ComparisonSummary | None = None
        self.refused = ""
        self.undo_reason: UndoReason | None = None
        self.undo_code = ""
        self.undo_detail = ""
        self._mail_problems: dict[MailKind, list[m.MailProblem]] = {}
        self._more_mail_problems: dict[MailKind, int] = {}
        self._steps = {step.name: m.StepStatus(step=step.name, state=StepState.PENDING) for step in STEPS}

    def remember(self) -> dict[str, Any]:
        """Return what the next run has to know."""
        return {"status": self.status()}

    def resume(self, memory: m.TransferMemory) -> None:
        """Go on where an earlier run stopped."""
        status = memory.status
        for name in (
            "state",
            "scenario",
            "old",
            "new",
            "ticket_expires_at",
            "starts_at",
            "closes_at",
            "evenings_tried",
            "refused",
        ):
            setattr(self, name, getattr(status, name))
        self.comparison = status.comparison
        self.undo_reason, self.undo_code, self.undo_detail = status.undo_reason, status.undo_code, status.undo_detail
        for problem in status.mail_problems:
            self._mail_problems.setdefault(problem.kind, []).append(problem)
        self._more_mail_problems = dict(status.more_mail_problems)
        self._steps |= {step.step: step for step in status.steps}
        self.show()

    def is_done(self, name: StepName) -> bool:
        """Tell whether a step has come to its end."""
        return self._steps[name].state is StepState.DONE

    def status(self) -> m.TransferStatus:
        """Return everything at once: the answer to the `status` query."""
        return m.TransferStatus(
            transfer_id=self.transfer_id,
            workflow_id=workflow.info().workflow_id,
            state=self.state,
            scenario=self.scenario,
            old=self.old,
            new=self.new,
            steps=list(self._steps.values()),
            waiting_for=self.needs or self._waits_for(),
            ticket_expires_at=self.ticket_expires_at,
            starts_at=self.starts_at,
            closes_at=self.closes_at,
            evenings_tried=self.evenings_tried,
            comparison=self.comparison,
            mail_problems=[problem for some in self._mail_problems.values() for problem in some],
            more_mail_problems=dict(self._more_mail_problems),
            unreadable=list(self._notes()),
            refused=self.refused,
            undo_reason=self.undo_reason,
            undo_code=self.undo_code,
            undo_detail=self.undo_detail,
        )

    def refuse(self, what: str, actor: str, why: str) -> None:
        """Show whoever sent a signal from the page that it was refused, and why."""
        self.refused = f"{workflow.now():%Y-%m-%d %H:%M:%S %Z}, {what[:_LONGEST_NAME]} of {actor or 'unknown'}: {why}"
        self.show()

    def result(self, cloned: m.CloneFinished | None = None, verified: m.Verification | None = None) -> m.TransferResult:
        """Return how it ended."""
        return m.TransferResult(
            transfer_id=self.transfer_id,
            state=self.state,
            scenario=self.scenario,
            undo_reason=self.undo_reason,
            undo_detail=self.undo_detail,
            old_environment_id=self.environment_id,
            new_environment_id=self.new.environment_id if self.new else None,
            new_url=self.new.url if self.new else None,
            tables=verified.tables if verified else 0,
            rows=verified.rows if verified else 0,
            mismatches=len(verified.differences) if verified else 0,
            clone_seconds=cloned.seconds if cloned else 0.0,
            verify_seconds=verified.seconds if verified else 0.0,
        )

    def show(self) -> None:
        """Refresh the Markdown in the Temporal UI; costs no history event.

        Once, when all that came together has been handled: a page takes a millisecond, and a thousand signals at once
        would otherwise hold the workflow's thread up until its worker gives the task up.
        """
        if not self._is_stale:
            self._is_stale = True
            asyncio.get_running_loop().call_soon(self._render)

    def _render(self) -> None:
        self._is_stale = False
        workflow.set_current_details(
            current_details(self.status(), runbook_url=self._runbook_url, takes_signals=self._takes_signals)
        )

    def _waits_for(self) -> str:
        return waits_for(
            self._steps.values(),
            self.state,
            zone=self._zone,
            ticket_expires_at=self.ticket_expires_at,
            starts_at=self.starts_at,
        )

    def enter(self, state: TransferState) -> None:
        """Go to a state and let operators filter by it."""
        self.state = state
        self.needs = ""
        updates: list[SearchAttributeUpdate[Any]] = [search_attributes.TRANSFER_STATE.value_set(state.value)]
        if self.old is not None:
            updates.append(search_attributes.SOURCE_LICENCE.value_set(self.old.licence_number))
        if self.new is not None:
            updates.append(search_attributes.TARGET_LICENCE.value_set(self.new.licence_number))
        if self.scenario is not None:
            updates.append(search_attributes.TRANSFER_SCENARIO.value_set(self.scenario.value))
        if self.starts_at is not None:
            updates.append(search_attributes.STARTS_AT.value_set(self.starts_at))
        if state is TransferState.RELEASED:
            updates.append(search_attributes.OUTCOME.value_set(state.value))
        elif state is TransferState.UNDONE and self.undo_reason is not None:
            updates.append(search_attributes.OUTCOME.value_set(self.undo_reason.value))
        workflow.upsert_search_attributes(updates)
        self.show()

    @contextmanager
    def step(self, name: StepName) -> Iterator[None]:
        """Show a step as running, then as done or failed."""
        self.mark(name, StepState.RUNNING)
        try:
            yield
        except (Exception, asyncio.CancelledError):
            # Not GeneratorExit: a workflow that leaves the worker's cache is unwound outside its event loop.
            self.mark(name, StepState.FAILED)
            raise
        self.mark(name, StepState.DONE)

    def mark(self, name: StepName, state: StepState, detail: str | None = None) -> None:
        """Note what became of a step."""
        known = self._steps[name]
        now = workflow.now()
        self._steps[name] = known.model_copy(
            update={
                "state": state,
                "started_at": now if state is StepState.RUNNING and known.state is not state else known.started_at,
                "finished_at": None if state in (StepState.RUNNING, StepState.UNDOING) else now,
                "detail": known.detail if detail is None else detail,
            }
        )
        self.show()

    def runs_since(self, name: StepName) -> datetime | None:
        """Return since when a step runs; None when it does not."""
        step = self._steps[name]
        return step.started_at if step.state is StepState.RUNNING else None

    def step_that_failed(self) -> str:
        """Return the title of the step that did not come to its end, nothing when there is none."""
        return next((step.title for step in STEPS if self._steps[step.name].state is StepState.FAILED), "")

    def begin_again(self, names: Iterable[StepName]) -> None:
        """Let steps be as if they had never run: an evening was taken back."""
        for name in names:
            self._steps[name] = m.StepStatus(step=name, state=StepState.PENDING)
        self.comparison = None

    def detail(self, name: StepName, detail: str) -> None:
        """Say more about a step: rows copied, what went wrong, who has to do something."""
        self._steps[name] = self._steps[name].model_copy(update={"detail": detail})
        self.show()

    def seen(self, sight: m.StepSeen) -> None:
        """Show how far a step is; what comes when the step has ended, or ran long ago, is late."""
        if self._steps[sight.step].state is StepState.RUNNING:
            self.detail(sight.step, progress_line(sight.progress, workflow.now()))

    def mail_sent(self, kind: MailKind, sent: m.MailSent) -> None:
        """Take note of what a mail run could not deliver, and forget what it has repaired."""
        self.mail_failed(kind, (*sent.problems, *sent.waiting), left_out=sent.left_out)

    def mail_failed(self, kind: MailKind, problems: Sequence[m.MailProblem], *, left_out: int = 0) -> None:
        """Take note of mails of one kind that did not arrive: of so many that a status is no burden."""
        self._mail_problems.pop(kind, None)
        self._more_mail_problems.pop(kind, None)
        if problems:
            self._mail_problems[kind] = list(problems[:_MOST_PROBLEMS])
        if more := left_out + max(len(problems) - _MOST_PROBLEMS, 0):
            self._more_mail_problems[kind] = more
        self.show()
