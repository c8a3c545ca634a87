"""The end of an old environment on skipped time: told, waited for, called back, or carried out."""

from datetime import timedelta

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from domain import messages as m
from domain.errors import StillForwarded, StillInTransfer
from tests.workflows.retirements import WAIT, Cemetery, Retirement, begun, staff
from workflows.retirement import RetirementWorkflow


async def ended(environment: WorkflowEnvironment, handle: Retirement, after: timedelta) -> m.RetirementResult:
    await environment.fast_forward(handle, after)
    return await handle.result()


async def test_both_sides_hear_of_it_before_and_after(skipping: WorkflowEnvironment) -> None:
    """Waits the fourteen days, whatever is in the way at their end, and tells when it is removed."""
    cemetery = Cemetery(refusals=[StillInTransfer()])
    transfers, mail = staff(skipping.client, cemetery)
    async with transfers, mail:
        handle = await begun(skipping, cemetery)
        await cemetery.told.wait()
        planned = await handle.query(RetirementWorkflow.planned)
        assert planned is not None
        assert planned.name == "Enyoi"
        await skipping.fast_forward(handle, WAIT - timedelta(hours=1))
        assert cemetery.done == ["planned", "mail retirement_planned"]
        result = await ended(skipping, handle, timedelta(hours=2))
    assert (result.outcome, result.tables, result.rows) == (m.RetirementOutcome.RETIRED, 19, 11)
    assert cemetery.done == ["planned", "mail retirement_planned", "removed", "mail retired"]


async def test_whoever_calls_it_back_keeps_it(skipping: WorkflowEnvironment) -> None:
    """Keeps the environment; a call that says nothing changes nothing."""
    cemetery = Cemetery()
    transfers, mail = staff(skipping.client, cemetery)
    async with transfers, mail:
        handle = await begun(skipping, cemetery)
        await cemetery.told.wait()
        await handle.signal("call_back", "no message")
        await handle.signal(RetirementWorkflow.call_back, m.CallBack(requested_by="bo", reason="audit"))
        result = await handle.result()
    assert result.outcome is m.RetirementOutcome.CALLED_BACK
    assert cemetery.done == ["planned", "mail retirement_planned", "called back by bo"]


async def test_it_can_still_be_called_back_while_something_is_in_the_way(skipping: WorkflowEnvironment) -> None:
    """Asks before each new try."""
    cemetery = Cemetery(refusals=[StillInTransfer()] * 1000)
    transfers, mail = staff(skipping.client, cemetery)
    async with transfers, mail:
        handle = await begun(skipping, cemetery)
        await skipping.fast_forward(handle, WAIT + timedelta(minutes=1))
        await handle.signal(RetirementWorkflow.call_back, m.CallBack(requested_by="bo"))
        result = await ended(skipping, handle, timedelta(minutes=10))
    assert result.outcome is m.RetirementOutcome.CALLED_BACK


@pytest.mark.parametrize("refusal", [StillForwarded(), StillInTransfer()])
async def test_a_refusal_is_the_answer(skipping: WorkflowEnvironment, refusal: StillForwarded) -> None:
    """Ends at once with the reason, in both languages, and tells nobody."""
    cemetery = Cemetery(refusal=refusal)
    transfers, mail = staff(skipping.client, cemetery)
    async with transfers, mail:
        handle = await begun(skipping, cemetery)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == refusal.code()
    assert cemetery.done == []
