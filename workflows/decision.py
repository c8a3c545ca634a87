"""The new side compares and decides: the first decision counts, and every other is told why it does not."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow

from domain import messages as m
from domain.steps import StepName
from domain.vocabulary import MailKind, TransferState, UndoReason
from domain.window import reminders_since
from workflows.certification import Certification
from workflows.event_log import TransferLog
from workflows.mail import MailDispatcher
from workflows.progress import TransferProgress
from workflows.saga import Undo
from workflows.waiting import wait_and_remind


class ReleaseDecision:
    """One transfer's release or reject."""

    def __init__(
        self, progress: TransferProgress, certification: Certification, mail: MailDispatcher, log: TransferLog
    ) -> None:
        self._progress = progress
        self._certification = certification
        self._mail = mail
        self._log = log
        self._taken: m.Release | m.Reject | None = None
        self._reminding_since: datetime | None = None
        self.carried_out: m.Release | None = None
        """The release from which there is no way back."""

    def remember(self) -> dict[str, Any]:
        """Return what the next run has to know."""
        return {"reminding_since": self._reminding_since, "release": self.carried_out}

    def resume(self, memory: m.TransferMemory) -> None:
        """Go on where an earlier run stopped."""
        self._reminding_since, self.carried_out = memory.reminding_since, memory.release

    async def release(self, remind_every: timedelta) -> m.Release:
        """Wait for a release to which nothing objects.

        Raises:
            Undo: The new side rejects.
            ActivityError: The transfer was cancelled meanwhile, or is released: the run was reset to before that.
        """
        if self.carried_out is not None:  # an earlier run has decided
            return self.carried_out
        with self._progress.step(StepName.AWAIT_RELEASE):
            while True:
                release = await self._next(remind_every)
                if not (objection := await self._certification.check_before_release(release)):
                    return release
                self._taken = None  # whoever reads of the refusal may decide again at once
                await self._log.refuse("release", release.released_by, objection.why, objection.code)

    async def _next(self, remind_every: timedelta) -> m.Release:
        """Wait for a release, and remind of it; a reject turns the story back."""
        self._reminding_since = self._reminding_since or workflow.now()
        try:
            await wait_and_remind(
                lambda: self._taken is not None,
                reminders_since(self._reminding_since, remind_every),
                lambda: self._mail.send(MailKind.RELEASE_REMINDER),
            )
        except asyncio.CancelledError:
            if not isinstance(self._taken, m.Release):
                raise
            # Release and cancel came together, and the release was first: it has won, and the story says so.
            await self._log.refuse("cancel", "", "the environment has just been released")
        if isinstance(self._taken, m.Reject):
            raise Undo(UndoReason.REJECTED, self._taken.reason, self._taken.rejected_by)
        if self._taken is None:
            raise AssertionError("the wait ends with a decision")
        return self._taken

    async def take(self, decision: m.Release | m.Reject) -> None:
        """Take the first decision while the transfer awaits one; refuse and record every other."""
        releases = isinstance(decision, m.Release)
        kind, field = ("release", "released_by") if releases else ("reject", "rejected_by")
        actor: str = getattr(decision, field)
        if self._progress.state is not TransferState.AWAITING_RELEASE:
            await self._log.refuse(kind, actor, f"the transfer is {self._progress.state.value}")
        elif self._taken == decision:
            return  # sent once more by somebody who got no answer: it is being carried out
        elif self._taken is not None:
            done = "is being released" if isinstance(self._taken, m.Release) else "has already been rejected"
            await self._log.refuse(kind, actor, f"the transfer {done}")
        elif not actor.strip():
            await self._log.refuse(kind, "", f"{field} is missing")
        else:
            self._taken = decision

    async def refuse_the_loser(self, undo: Undo) -> None:
        """Tell whoever had decided at the same moment that something else came first: a signal has no answer."""
        why = f"the transfer is being undone: {undo.reason.value}"
        if isinstance(self._taken, m.Release):
            await self._log.refuse("release", self._taken.released_by, why)
        elif isinstance(self._taken, m.Reject) and undo.reason is not UndoReason.REJECTED:
            await self._log.refuse("reject", self._taken.rejected_by, why)
