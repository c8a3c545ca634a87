"""Mail beside the story: one that cannot be delivered never holds up or undoes a transfer."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.mail import MailActivities
from domain import messages as m
from domain.events import EventKind
from domain.steps import StepName, StepState
from domain.vocabulary import MailKind, TransferState
from workflows import policies
from workflows.activity_calls import is_cancel, perform, root_cause
from workflows.event_log import TransferLog
from workflows.policies import Policy
from workflows.progress import TransferProgress


class MailDispatcher:
    """Sends a transfer's mail in the background and tells the progress what did not arrive."""

    def __init__(self, progress: TransferProgress) -> None:
        self._progress = progress
        # A list: the order of a set of tasks differs between runs, and a replay must meet the same order.
        self._runs: list[tuple[m.PendingMail, asyncio.Task[None]]] = []
        # A reminder is sent more than once, and each time at most once: the number tells one from the next.
        self._sent: Counter[MailKind] = Counter()
        self._settled_at: dict[MailKind, datetime] = {}

    def send(self, kind: MailKind, step: StepName | None = None) -> None:
        """Start sending; `step` is shown as running until the server has taken the mail."""
        self._sent[kind] += 1
        self._start(m.PendingMail(kind=kind, occurrence=self._sent[kind], step=step))

    def send_once_settled(self, kind: MailKind) -> None:
        """Send when nobody has asked for the same for a while: of sixty changes people hear of the last one.

        Whoever goes on changing hears of it ever less often.
        """
        pause = policies.SETTLED * 2 ** min(self._sent[kind], policies.SETTLED_DOUBLES)
        self._settled_at[kind] = workflow.now() + pause
        if not any(mail.settles and mail.kind is kind and not run.done() for mail, run in self._runs):
            self._sent[kind] += 1
            self._start(m.PendingMail(kind=kind, occurrence=self._sent[kind], settles=True))

    async def _settles(self, kind: MailKind) -> bool:
        """Wait until it has not changed for a while; tell whether it is still news: the plan of a start that comes."""

        def is_past() -> bool:
            return self._progress.state is not TransferState.SCHEDULED

        while (left := (self._settled_at.pop(kind, workflow.now()) - workflow.now()).total_seconds()) > 0:
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    is_past, timeout=left, timeout_summary=f"before {kind.value} is sent: it may change again"
                )
            if is_past():
                break
        return not is_past()

    def _start(self, mail: m.PendingMail) -> None:
        self._runs = [(one, run) for one, run in self._runs if not run.done()]
        self._runs.append((mail, asyncio.create_task(self._deliver(mail))))

    def remember(self) -> dict[str, Any]:
        """Return what the next run has to know: how many of each kind were sent, and which are on their way."""
        return {
            "mails": dict(self._sent),
            "pending_mails": [mail for mail, run in self._runs if not run.done()],
        }

    def resume(self, memory: m.TransferMemory) -> None:
        """Go on where an earlier run stopped."""
        self._sent.update(memory.mails)
        for mail in memory.pending_mails:
            self._start(mail)

    async def resend(self, order: m.ResendMail) -> m.MailSent:
        """Send one kind again, its newest mail, while somebody waits for the answer.

        Raises:
            ActivityError: The server does not take it.
        """
        mail = m.SendMail(
            transfer_id=self._progress.transfer_id,
            kind=order.kind,
            only_to=order.to,
            occurrence=max(self._sent[order.kind], 1),
        )
        return await self._send(mail, policies.RESEND, f"{order.kind.value} again")

    async def _send(self, order: m.SendMail, policy: Policy, summary: str) -> m.MailSent:
        """Send to everybody, and note who is not reached; an attempt has its time, and 20,000 users need many."""
        before = m.MailSent(sent=0)
        while True:
            before = before.followed_by(await perform(MailActivities.send_mail, order, policy, summary))
            self._progress.mail_sent(order.kind, before)
            if not before.left:
                return before

    def recall(self) -> None:
        """Stop what has not been sent: news of a transfer must not arrive after the news of its undo."""
        for _, run in self._runs:
            run.cancel()

    async def make_way(self, log: TransferLog) -> None:
        """Give up the news of an undo: a mail server that is away must not bar the next move for days."""
        if self._progress.state is TransferState.UNDONE and any(not run.done() for _, run in self._runs):
            self.recall()
            await log.record("sb-transfer", EventKind.MAIL_GIVEN_UP, "another move of the environment begins")

    async def finish(self) -> None:
        """Wait until every mail is sent or given up."""
        if self._runs:
            await workflow.wait([run for _, run in self._runs])

    async def _deliver(self, mail: m.PendingMail) -> None:
        kind, step = mail.kind, mail.step
        if mail.settles and not await self._settles(kind):
            return
        if step:
            self._progress.mark(step, StepState.RUNNING)
        order = m.SendMail(
            transfer_id=self._progress.transfer_id, kind=kind, occurrence=mail.occurrence, tell_delays=True
        )
        waiting: list[m.MailProblem] = []
        try:
            sent = await self._send(order, policies.MAIL, kind.value)
            if waiting := sent.waiting:
                # Whoever looks now sees what is being waited for; the patience itself is the activity's.
                await workflow.sleep(policies.PAUSE_BEFORE_MAIL_AGAIN, summary=f"before {kind.value} is tried again")
                patient = order.model_copy(update={"tell_delays": False})
                sent = await self._send(patient, policies.MAIL, f"{kind.value}, until the server takes it")
        except ActivityError as error:
            if is_cancel(error):
                return
            lost = waiting or [m.MailProblem(kind=kind, recipient="", problem="")]
            why = {"problem": f"Given up. {root_cause(error)}"}
            self._progress.mail_failed(kind, [problem.model_copy(update=why) for problem in lost])
            arrived = False
        else:
            arrived = not sent.problems
        if step:
            self._progress.mark(step, StepState.DONE if arrived else StepState.FAILED)
