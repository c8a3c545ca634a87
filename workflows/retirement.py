"""The end of an old environment: told, waited for, then carried out ("Oude klantomgeving verwijderen", manual)."""

from typing import Any
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.mail import MailActivities
from activities.retirement import RetirementActivities
from domain import messages as m
from domain.errors import InputMalformed, NotItsTransfer, PayloadKeyUnknown
from domain.naming import retirement_workflow_id_of
from domain.vocabulary import MailKind
from workflows import policies
from workflows.activity_calls import perform
from workflows.details import retirement_details
from workflows.inbox import read
from workflows.refusals import answer_for, asked, refusal
from workflows.renewal import REFUSED, grow, is_due
from workflows.unknown_signals import LeavesUnknownSignals


@workflow.defn
class RetirementWorkflow(LeavesUnknownSignals):
    """Tells both sides, waits, and drops what is left of the environment unless somebody calls it back."""

    def __init__(self) -> None:
        self._call_back: m.CallBack | None = None
        self._planned: m.RetirementPlanned | None = None

    @workflow.run
    async def run(self, *given: Any) -> m.RetirementResult:
        """Plan, tell, wait, remove, tell.

        Raises:
            ApplicationError: It is no such order, or the environment is not to be removed (yet): nothing has changed.
        """
        order = asked(given, m.RetirementInput)
        if workflow.info().workflow_id != retirement_workflow_id_of(order.environment_id):
            raise refusal(NotItsTransfer())
        try:
            planned = await perform(
                RetirementActivities.plan_retirement, order, policies.STEP, "whether it may be removed, and when"
            )
        except ActivityError as error:
            raise answer_for(error) from error
        self._planned = planned
        workflow.set_current_details(retirement_details(planned, "Will be removed"))
        await self._tell(planned.transfer_id, MailKind.RETIREMENT_PLANNED)
        if await self._is_called_back(order, planned):
            workflow.set_current_details(retirement_details(planned, "Called back: it stays"))
            return m.RetirementResult(environment_id=order.environment_id, outcome=m.RetirementOutcome.CALLED_BACK)
        result = await self._carry_out(planned)
        if result is None:
            workflow.continue_as_new(order)  # what is planned stays as it is, and was told
        if result.outcome is m.RetirementOutcome.CALLED_BACK:
            return result
        workflow.set_current_details(retirement_details(planned, "Removed"))
        await self._tell(planned.transfer_id, MailKind.RETIRED)
        return result

    @workflow.signal(description="Keep the environment after all: requested_by, reason. Until it is removed.")
    async def call_back(self, *given: Any) -> None:
        """Note who wants to keep it; what cannot be read is no reason to remove it, and none to keep it."""
        grow(REFUSED)
        try:
            self._call_back = read(given, m.CallBack)
        except (InputMalformed, PayloadKeyUnknown):
            workflow.logger.warning("a call_back that says nothing was passed over")

    @workflow.query(description="What is planned; nothing before that.")
    def planned(self, *given: Any) -> m.RetirementPlanned | None:  # noqa: ARG002 - whatever is asked, this is the answer
        """Return what is planned."""
        return self._planned

    async def _is_called_back(self, order: m.RetirementInput, planned: m.RetirementPlanned) -> bool:
        remaining = planned.due_at - workflow.now()
        if remaining.total_seconds() > 0:
            try:
                await workflow.wait_condition(
                    lambda: self._call_back is not None or is_due(),
                    timeout=remaining,
                    timeout_summary="it can be called back",
                )
            except TimeoutError:
                return False
        if self._call_back is None and is_due():
            workflow.continue_as_new(order)  # what is planned stays as it is, and was told
        return await self._keep(planned)

    async def _keep(self, planned: m.RetirementPlanned) -> bool:
        """Keep the environment when somebody has asked for that, and it is still there."""
        if self._call_back is None:
            return False
        order = m.EndRetirement(
            environment_id=planned.environment_id,
            requested_by=self._call_back.requested_by,
            reason=self._call_back.reason,
        )
        return await perform(RetirementActivities.call_back_retirement, order, policies.RECORD, "it is called back")

    async def _carry_out(self, planned: m.RetirementPlanned) -> m.RetirementResult | None:
        """Remove it, however long something is in the way; None when it is time for a new run."""
        order = m.EndRetirement(environment_id=planned.environment_id)
        while True:
            try:
                return await perform(
                    RetirementActivities.retire_environment, order, policies.DROP, "drop the old environment"
                )
            except ActivityError:
                told = "Cannot be removed at this moment; it is tried again every five minutes"
                workflow.set_current_details(retirement_details(planned, told))
                await workflow.sleep(policies.PAUSE_BETWEEN_ROUNDS, summary="before it is tried again")
                if await self._keep(planned):
                    called_back = m.RetirementOutcome.CALLED_BACK
                    return m.RetirementResult(environment_id=planned.environment_id, outcome=called_back)
                if is_due():
                    return None

    async def _tell(self, transfer_id: UUID, kind: MailKind) -> None:
        try:
            await perform(
                MailActivities.send_mail, m.SendMail(transfer_id=transfer_id, kind=kind), policies.MAIL, kind.value
            )
        except ActivityError:
            # It shows in control.sent_mail and can be sent again.
            workflow.logger.warning("the mail %s did not reach everybody", kind.value)
