"""Who goes first where several wait for a place, as the server was told."""

from datetime import UTC, datetime, timedelta

from temporalio.api.common.v1 import Priority
from temporalio.testing import WorkflowEnvironment

from domain import messages as m
from domain.steps import ActivityName as A
from domain.vocabulary import TransferState
from tests.workflows.story import Transfer, reach, skip, to_inspection, upload
from tests.workflows.world import Gate
from workflows.task_queues import CHECKS, CLONE
from workflows.transfer import TransferWorkflow


async def priorities(transfer: Transfer) -> dict[str, Priority]:
    """Return the priority of each activity's newest order."""
    found = {}
    async for event in transfer.fetch_history_events():
        if event.HasField("activity_task_scheduled_event_attributes"):
            order = event.activity_task_scheduled_event_attributes
            found[order.activity_type.name] = order.priority
    return found


async def test_what_has_begun_is_finished_first_and_firms_take_turns(transfer: Transfer, world: Gate) -> None:
    """The first of a thousand customers would be ready when the last one is, and a small firm wait for a large one."""
    await to_inspection(transfer)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
    assert (await transfer.result()).state is TransferState.RELEASED
    found = await priorities(transfer)
    order = [A.CHECK_UNCHANGED, A.ISSUE_CERTIFICATE, A.VERIFY_CLONE, A.CLONE_ADMINISTRATIONS, A.HASH_FROZEN]
    keys = [found[name].priority_key for name in order]
    assert keys == sorted(set(keys))
    assert found[A.COMPARE_ENVIRONMENTS].priority_key == found[A.ISSUE_CERTIFICATE].priority_key
    assert found[A.CLONE_ADMINISTRATIONS].fairness_key == "10002"  # whom the move is for
    assert found[A.HASH_FROZEN].fairness_key == "10001"  # nobody knows yet
    assert world.count()["clone"] == 1


async def test_the_last_of_a_firm_begins_after_those_before_it_unless_support_hurries_it(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """All of a firm at once would keep the worker from the first that goes on."""
    world.behind = 20_000
    accepted = await upload(transfer)
    await skip(skipping, transfer, accepted.starts_at - datetime.now(UTC) + timedelta(minutes=30))
    assert (await transfer.query(TransferWorkflow.status)).state is TransferState.SCHEDULED
    await transfer.execute_update("hurry", m.Hurry(requested_by="support", reason="year-end"))
    await reach(transfer, TransferState.AWAITING_RELEASE)
    await transfer.cancel()


async def test_the_last_look_before_a_release_waits_for_no_clone(transfer: Transfer) -> None:
    """Whoever presses the button on a night of a thousand would wait for somebody else's clone to end."""
    await to_inspection(transfer)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
    await transfer.result()
    queues = {}
    async for event in transfer.fetch_history_events():
        if event.HasField("activity_task_scheduled_event_attributes"):
            order = event.activity_task_scheduled_event_attributes
            queues[order.activity_type.name] = order.task_queue.name
    assert queues[A.CHECK_UNCHANGED] == CHECKS
    assert {queues[name] for name in (A.CLONE_ADMINISTRATIONS, A.VERIFY_CLONE, A.HASH_FROZEN)} == {CLONE}


async def test_support_can_hurry_a_transfer(transfer: Transfer, world: Gate) -> None:
    """A customer whose year-end is tomorrow would wait behind a firm that moves a thousand."""
    await upload(transfer)
    await transfer.execute_update("hurry", m.Hurry(requested_by="support", reason="year-end"))
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
    await reach(transfer, TransferState.AWAITING_RELEASE)
    found = await priorities(transfer)
    assert {found[name].priority_key for name in (A.CLONE_ADMINISTRATIONS, A.VERIFY_CLONE, A.ISSUE_CERTIFICATE)} == {1}
    assert [(event.actor, event.reason) for event in world.events if event.kind == "hurried"] == [
        ("support", "year-end")
    ]
    await transfer.cancel()
