"""Mail beside the story: one that cannot be delivered never holds up or undoes a transfer."""

import asyncio
from collections import Counter

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
from workflows.progress import TransferProgress


class MailDispatcher:
    """Sends a transfer's mail in the background and tells the progress what did not arrive."""

    def __init__(self, progress: TransferProgress) -> None:
        self._progress = progress
        # A list: the order of a set of tasks differs between runs, and a replay must meet the same order.
        self._runs: list[tuple[m.PendingMail, asyncio.Task[None]]] = []
        # A reminder is sent more than once, and each time at most once: the number tells one from the next.
        self._sent: Counter[MailKind] = Counter()

    def send(self, kind: MailKind, step: StepName | None = None) -> None:
        """Start sending; `step` is shown as running until the server has taken the mail."""
        self._sent[kind] += 1
        self._start(m.PendingMail(kind=kind, occurrence=self._sent[kind], step=step))

    def _start(self, mail: m.PendingMail) -> None:
        self._runs = [(one, run) for one, run in self._runs if not run.done()]
        self._runs.append((mail, asyncio.create_task(self._deliver(mail.kind, mail.occurrence, mail.step))))

    def remember(self) -> tuple[dict[MailKind, int], list[m.PendingMail]]:
        """Return how many mails of each kind were sent, and which of them are still on their way."""
        return dict(self._sent), [mail for mail, run in self._runs if not run.done()]

    def resume(self, sent: dict[MailKind, int], pending: list[m.PendingMail]) -> None:
        """Go on where an earlier run stopped."""
        self._sent.update(sent)
        for mail in pending:
            self._start(mail)

    async def resend(self, order: m.ResendMail) -> m.MailSent:
        """Send one kind again, its newest mail, while somebody waits for the answer.

        Raises:
            ActivityError: The server does not take it.
        """
        sent = await perform(
            MailActivities.send_mail,
            m.SendMail(
                transfer_id=self._progress.transfer_id,
                kind=order.kind,
                only_to=order.to,
                occurrence=max(self._sent[order.kind], 1),
            ),
            policies.RESEND,
            f"{order.kind.value} again",
        )
        self._progress.mail_sent(order.kind, sent)
        return sent

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

    async def _deliver(self, kind: MailKind, occurrence: int, step: StepName | None) -> None:
        if step:
            self._progress.mark(step, StepState.RUNNING)
        order = m.SendMail(transfer_id=self._progress.transfer_id, kind=kind, occurrence=occurrence, tell_delays=True)
        waiting: list[m.MailProblem] = []
        try:
            sent = await perform(MailActivities.send_mail, order, policies.MAIL, kind.value)
            self._progress.mail_sent(kind, sent)
            if waiting := sent.waiting:
                # Whoever looks now sees what is being waited for; the patience itself is the activity's.
                await workflow.sleep(policies.PAUSE_BEFORE_MAIL_AGAIN, summary=f"before {kind.value} is tried again")
                patient = order.model_copy(update={"tell_delays": False})
                sent = await perform(
                    MailActivities.send_mail, patient, policies.MAIL, f"{kind.value}, until the server takes it"
                )
                self._progress.mail_sent(kind, sent)
        except ActivityError as error:
            if is_cancel(error):
                return
            for problem in waiting or [m.MailProblem(kind=kind, recipient="", problem="")]:
                self._progress.mail_failed(problem.model_copy(update={"problem": f"Given up. {root_cause(error)}"}))
            arrived = False
        else:
            arrived = not sent.problems
        if step:
            self._progress.mark(step, StepState.DONE if arrived else StepState.FAILED)
