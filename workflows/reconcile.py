"""The nightly look whether anything is half-moved: it reports, and heals when it is asked to."""

from typing import Any
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, WorkflowAlreadyStartedError

from activities.reconcile import ReconcileActivities
from domain import messages as m
from domain.naming import workflow_id_of
from domain.reconciliation import (
    RECONCILE_WORKFLOW,
    Findings,
    Healing,
    Inspect,
    ReadStanding,
    Reconcile,
    Reconciled,
    RecoverTransfer,
    Repair,
    Standing,
)
from domain.violations import Violation, ViolationKind
from workflows import policies
from workflows.activity_calls import perform, root_cause
from workflows.details import reconciled_details
from workflows.recovery import RecoveryWorkflow, watch_mailbox
from workflows.refusals import asked

VIOLATED = "InvariantViolated"
_LISTED = 20
_RECOVERED = (ViolationKind.STRANDED, ViolationKind.NOBODY_TOLD)
_Recovery = workflow.ChildWorkflowHandle[RecoveryWorkflow, m.TransferResult]


@workflow.defn(name=RECONCILE_WORKFLOW)
class ReconcileWorkflow:
    """Looks at every environment; fails when something is wrong at the end, so that nobody can miss it."""

    @workflow.run
    async def run(self, *given: Any) -> Reconciled:
        """Look; heal, if asked, and look again.

        Raises:
            ApplicationError: `InvariantViolated`: the message lists what is wrong, the detail is the `Reconciled`.
        """
        order = asked(given, Reconcile)
        found = left = await self._inspect(order)
        healings: list[Healing] = []
        if order.heal and found.violations:
            healings = await self._heal(found.violations, order.requested_by)
            left = await self._inspect(order)
        outcome = Reconciled(found=found, healings=tuple(healings), left=left)
        workflow.set_current_details(reconciled_details(outcome))
        if left.violations:
            raise ApplicationError(_told(outcome), outcome, type=VIOLATED, non_retryable=True)
        return outcome

    async def _inspect(self, order: Reconcile) -> Findings:
        return await perform(
            ReconcileActivities.inspect_everything,
            Inspect(deep=order.deep),
            policies.INSPECT_DEEPLY if order.deep else policies.INSPECT,
            "look at everything, compare every row" if order.deep else "look at everything",
        )

    async def _heal(self, violations: tuple[Violation, ...], by: str) -> list[Healing]:
        """Recover transfers first: much of what else was found goes away with that."""
        recoveries: dict[str, _Recovery | None] = {}
        healings = []
        for violation in violations:
            if violation.kind in _RECOVERED:
                if violation.subject not in recoveries:
                    recoveries[violation.subject] = await self._recover(violation, by)
                begun = recoveries[violation.subject]
                what = "its recovery has begun" if begun else "somebody else is at work on it"
                healings.append(Healing(violation=violation, done=True, what=what))
        running = [handle for handle in recoveries.values() if handle is not None]
        if running:
            done, _ = await workflow.wait(running, timeout=policies.RECOVERIES.total_seconds())
            for handle in done:
                handle.exception()  # one that was stopped again is found by the next look
        for violation in violations:
            if violation.kind is ViolationKind.FORWARDING_UNATTENDED:
                healings.append(await self._watch_mailbox(violation))
            elif violation.kind is ViolationKind.WORKFLOW_AHEAD:
                healings.append(await self._turn_back(violation))
            elif violation.kind not in _RECOVERED:
                healings.append(await self._repair(violation, by))
        return healings

    async def _standing(self, violation: Violation) -> Standing:
        transfer_id = UUID(violation.subject.partition(" ")[2])
        return await perform(
            ReconcileActivities.read_standing, ReadStanding(transfer_id=transfer_id), policies.REPAIR, violation.subject
        )

    async def _recover(self, violation: Violation, by: str) -> _Recovery | None:
        standing = await self._standing(violation)
        try:
            return await workflow.start_child_workflow(
                RecoveryWorkflow.run,
                RecoverTransfer(
                    transfer_id=standing.transfer_id, environment_id=standing.environment_id, requested_by=by
                ),
                id=workflow_id_of(standing.environment_id),
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                cancellation_type=workflow.ChildWorkflowCancellationType.ABANDON,
                static_summary=f"recovers a transfer that was {standing.state.value}",
            )
        except WorkflowAlreadyStartedError:
            return None

    async def _turn_back(self, violation: Violation) -> Healing:
        """Cancel a transfer that relies on what a restored database does not know; its undo takes back the rest."""
        workflow_id = workflow_id_of(UUID(violation.subject.partition(" ")[2]))
        try:
            await workflow.get_external_workflow_handle(workflow_id).cancel()
        except ApplicationError as error:
            return Healing(violation=violation, done=False, what=f"it could not be cancelled: {error.message}")
        return Healing(violation=violation, done=True, what="it is cancelled, and undoes what is left of it")

    async def _watch_mailbox(self, violation: Violation) -> Healing:
        standing = await self._standing(violation)
        if standing.forwards_until is None or standing.old_mailbox_address is None:
            return Healing(violation=violation, done=True, what="the old address is closed by now")
        order = m.MailboxForwardingInput(
            transfer_id=standing.transfer_id,
            old_mailbox_address=standing.old_mailbox_address,
            forward_until=standing.forwards_until,
        )
        started = await watch_mailbox(order)
        until = f"{standing.forwards_until:%Y-%m-%d}"
        what = f"the old address will be closed on {until}" if started else "somebody already watches the old address"
        return Healing(violation=violation, done=True, what=what)

    async def _repair(self, violation: Violation, by: str) -> Healing:
        order = Repair(violation=violation, requested_by=by, event_key=workflow.uuid4())
        try:
            return await perform(ReconcileActivities.repair, order, policies.REPAIR, violation.kind.value)
        except ActivityError as error:
            return Healing(violation=violation, done=False, what=root_cause(error))


def _told(outcome: Reconciled) -> str:
    """Return what operators read in the failure."""
    left = outcome.left.violations
    looked_at = f"{outcome.left.environments} environments and {outcome.left.transfers} transfers"
    lines = [f"- {one.kind.value}, {one.subject}: {one.what}. {one.remedy}" for one in left[:_LISTED]]
    if len(left) > _LISTED:
        lines.append(f"- and {len(left) - _LISTED} more")
    return "\n".join([f"{looked_at}: {len(left)} wrong. Run `sb-transfer reconcile --fix`.", *lines])
