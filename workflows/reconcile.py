"""The nightly look whether anything is half-moved: it reports, and heals when it is asked to."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, WorkflowAlreadyStartedError

from activities.reconcile import ReconcileActivities
from domain import messages as m
from domain.naming import retirement_workflow_id_of, workflow_id_of
from domain.reconciliation import (
    LISTED,
    RECONCILE_WORKFLOW,
    Findings,
    FindingsPage,
    Healing,
    Inspect,
    ReadFindings,
    ReadStanding,
    Reconcile,
    Reconciled,
    ReconcileProgress,
    RecoverTransfer,
    Repair,
    Standing,
)
from domain.violations import ENDED, RECOVERED, Violation, ViolationKind
from workflows import policies
from workflows.activity_calls import perform, root_cause
from workflows.details import reconciled_details
from workflows.recovery import RecoveryWorkflow, watch_mailbox
from workflows.refusals import asked
from workflows.renewal import is_long
from workflows.retirement import RetirementWorkflow
from workflows.unknown_signals import LeavesUnknownSignals

VIOLATED = "InvariantViolated"
_TOLD = 20
_ROUNDS = 3
_Recovery = workflow.ChildWorkflowHandle[RecoveryWorkflow, m.TransferResult]


@workflow.defn(name=RECONCILE_WORKFLOW)
class ReconcileWorkflow(LeavesUnknownSignals):
    """Looks at every environment; fails when something is wrong at the end, so that nobody can miss it."""

    def __init__(self) -> None:
        self._order = Reconcile()
        self._at: ReconcileProgress | None = None

    @workflow.run
    async def run(self, *given: Any) -> Reconciled:
        """Look; heal, if asked, and look again.

        Raises:
            ApplicationError: `InvariantViolated`: the message lists what is wrong, the detail is the `Reconciled`.
        """
        order = self._order = asked(given, Reconcile)
        at = self._at = order.resume
        if at is None:
            found = await self._inspect()
            at = self._at = ReconcileProgress(found=found, inspected=found)
        if order.heal:
            at = await self._heal(at)
        outcome = Reconciled(
            found=at.found,
            healings=at.healings,
            put_right=at.put_right,
            left_to_people=at.left_to_people,
            left=at.inspected,
        )
        workflow.set_current_details(reconciled_details(outcome))
        if outcome.left.wrong:
            raise ApplicationError(_told(outcome), outcome, type=VIOLATED, non_retryable=True)
        return outcome

    @workflow.query(description="How far it is.")
    def progress(self, *given: Any) -> ReconcileProgress | None:  # noqa: ARG002 - whatever is asked, this is the answer
        """Return how far it is; None while it looks for the first time."""
        return self._at

    async def _inspect(self) -> Findings:
        deep = self._order.deep
        return await perform(
            ReconcileActivities.inspect_everything,
            Inspect(deep=deep),
            policies.INSPECT_DEEPLY if deep else policies.INSPECT,
            "look at everything, compare every row" if deep else "look at everything",
        )

    async def _heal(self, at: ReconcileProgress) -> ReconcileProgress:
        """Put right what was found, page by page, and look again; what was ended may leave something to put right."""
        while at.inspected.wrong and at.inspected.inspection_id is not None:
            page = await self._page(at.inspected.inspection_id, at.after)
            if page.violations:
                healings = await self._heal_page(page.violations)
                at = self._at = _with(at, healings, page.last)
                if is_long():
                    workflow.continue_as_new(self._order.model_copy(update={"resume": at}))
                continue
            again = at.ended and at.rounds < _ROUNDS
            inspected = await self._inspect()
            rounds = at.rounds + 1
            at = self._at = at.model_copy(update={"inspected": inspected, "after": 0, "rounds": rounds, "ended": 0})
            if not again:
                break
        return at

    async def _page(self, inspection_id: UUID, after: int) -> FindingsPage:
        order = ReadFindings(inspection_id=inspection_id, after=after)
        return await perform(ReconcileActivities.read_findings, order, policies.REPAIR, "read what is wrong")

    async def _heal_page(self, violations: tuple[Violation, ...]) -> list[Healing]:
        """Recover transfers first: much of what else was found goes away with that."""
        by = self._order.requested_by
        lost = {one.subject: one for one in violations if one.kind in RECOVERED}
        begun = dict(zip(lost, await asyncio.gather(*(self._recover(one, by) for one in lost.values())), strict=True))
        healings = [
            Healing(
                violation=one,
                done=True,
                what="its recovery has begun" if begun[one.subject] else "somebody else is at work on it",
            )
            for one in violations
            if one.kind in RECOVERED
        ]
        if running := [handle for handle in begun.values() if handle is not None]:
            done, _ = await workflow.wait(running, timeout=policies.RECOVERIES.total_seconds())
            for handle in done:
                handle.exception()  # one that was stopped again is found by the next look
        for violation in violations:
            if violation.kind is ViolationKind.FORWARDING_UNATTENDED:
                healings.append(await self._watch_mailbox(violation))
            elif violation.kind is ViolationKind.RETIREMENT_UNATTENDED:
                healings.append(await self._go_on_removing(violation, by))
            elif violation.kind is ViolationKind.WORKFLOW_AHEAD:
                healings.append(await self._turn_back(violation))
            elif violation.kind is ViolationKind.WORKFLOW_STUCK and self._order.unattended:
                # After a bad deploy every workflow is stuck, and a night must not undo them all.
                healings.append(Healing(violation=violation, done=False, what=violation.remedy))
            elif violation.kind not in RECOVERED:
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

    async def _go_on_removing(self, violation: Violation, by: str) -> Healing:
        """Start the workflow of a planned removal again: it goes on with the plan there is, and tells nobody twice."""
        environment_id = UUID(violation.subject.partition(" ")[2])
        try:
            await workflow.start_child_workflow(
                RetirementWorkflow.run,
                m.RetirementInput(environment_id=environment_id, requested_by=by),
                id=retirement_workflow_id_of(environment_id),
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                cancellation_type=workflow.ChildWorkflowCancellationType.ABANDON,
                static_summary="the end of an old environment",
            )
        except WorkflowAlreadyStartedError:
            return Healing(violation=violation, done=True, what="somebody is at work on it by now")
        return Healing(violation=violation, done=True, what="its workflow is started again; it can be called back")

    async def _repair(self, violation: Violation, by: str) -> Healing:
        order = Repair(violation=violation, requested_by=by, event_key=workflow.uuid4())
        try:
            return await perform(ReconcileActivities.repair, order, policies.REPAIR, violation.kind.value)
        except ActivityError as error:
            return Healing(violation=violation, done=False, what=root_cause(error))


def _with(at: ReconcileProgress, healings: Sequence[Healing], last: int) -> ReconcileProgress:
    """Return how far it is after another page."""
    done = [healing for healing in healings if healing.done]
    return at.model_copy(
        update={
            "after": last,
            "ended": at.ended + sum(healing.violation.kind in ENDED for healing in done),
            "put_right": at.put_right + len(done),
            "left_to_people": at.left_to_people + len(healings) - len(done),
            "healings": (*at.healings, *healings)[:LISTED],
        }
    )


def _told(outcome: Reconciled) -> str:
    """Return what operators read in the failure."""
    left = outcome.left
    looked_at = f"{outcome.left.environments} environments and {outcome.left.transfers} transfers"
    lines = [f"- {one.kind.value}, {one.subject}: {one.what}. {one.remedy}" for one in left.violations[:_TOLD]]
    if left.wrong > _TOLD:
        lines.append(f"- and {left.wrong - _TOLD:,} more")
    return "\n".join([f"{looked_at}: {left.wrong:,} wrong. Run `sb-transfer reconcile --fix`.", *lines])
