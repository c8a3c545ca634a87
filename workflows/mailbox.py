"""The old mailbox address: "Het oude mailbox-adres blijft nog 30 dagen werken" (manual, Let op)."""

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.freeze_release import FreezeReleaseActivities
from activities.mail import MailActivities
from domain import messages as m
from domain.errors import NotItsTransfer
from domain.naming import mailbox_workflow_id_of
from domain.vocabulary import MailKind
from workflows import policies
from workflows.activity_calls import perform
from workflows.details import mailbox_details
from workflows.refusals import asked, refusal
from workflows.renewal import is_due
from workflows.unknown_signals import LeavesUnknownSignals


@workflow.defn
class MailboxForwardingWorkflow(LeavesUnknownSignals):
    """Waits out the 30 days after a release, then closes the old mailbox address and says so."""

    @workflow.run
    async def run(self, *given: Any) -> None:
        """Sleep, close the address, tell the new side.

        Raises:
            ApplicationError: This is no order to watch an address, or not the workflow that watches it.
        """
        order = asked(given, m.MailboxForwardingInput)
        if workflow.info().workflow_id != mailbox_workflow_id_of(order.transfer_id):
            raise refusal(NotItsTransfer())
        workflow.set_current_details(mailbox_details(order, "The old mailbox address still works"))
        remaining = order.forward_until - workflow.now()
        if remaining.total_seconds() > 0:
            try:
                await workflow.wait_condition(
                    is_due, timeout=remaining, timeout_summary="the old mailbox address still works"
                )
            except TimeoutError:
                pass
            else:
                workflow.continue_as_new(order)
        await perform(
            FreezeReleaseActivities.close_mailbox_forwarding,
            m.CloseMailboxForwarding(transfer_id=order.transfer_id, old_mailbox_address=order.old_mailbox_address),
            policies.RECORD,
            "close the old address",
        )
        workflow.set_current_details(mailbox_details(order, "The old mailbox address is closed"))
        try:
            await perform(
                MailActivities.send_mail,
                m.SendMail(transfer_id=order.transfer_id, kind=MailKind.MAILBOX_CLOSED),
                policies.MAIL,
                MailKind.MAILBOX_CLOSED.value,
            )
        except ActivityError:
            # The address is closed all the same; the failed mail stands in control.sent_mail and can be sent again.
            told = "The old mailbox address is closed, the mail that says so did not arrive"
            workflow.set_current_details(mailbox_details(order, told))
