"""Transfers that somebody terminated, on the real stack: found, and brought to their end."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from temporalio.client import (
    ScheduleActionExecutionStartWorkflow,
    WorkflowExecutionStatus,
    WorkflowFailureError,
)
from temporalio.exceptions import ApplicationError

from adapters.temporal.schedule import ensure_nightly
from domain.messages import RetirementOutcome, RetirementResult
from domain.naming import mailbox_workflow_id_of, retirement_workflow_id_of
from domain.reconciliation import RECONCILE_SCHEDULE
from domain.vocabulary import MailKind, TransferState
from starter.client.models import PreparedTransfer
from starter.client.polling import snapshots
from tests.end_to_end.night import COMMAND, FIRM, Night, movable, night
from workflows.reconcile import VIOLATED
from workflows.task_queues import TRANSFERS

__all__ = ["night"]
SOON_SECONDS = 0.01


async def kinds_of(night: Night, ready: PreparedTransfer) -> list[str]:
    return [event.kind for event in await night.client.events(str(ready.transfer_id))]


async def test_what_was_terminated_before_its_release_is_undone(night: Night) -> None:
    """Undoes a transfer that was terminated before its release."""
    states = (TransferState.AWAITING_UPLOAD, TransferState.SCHEDULED, TransferState.AWAITING_RELEASE)
    names = await movable(night)
    moves = [await night.way_to(name, state) for name, state in zip(names, states, strict=False)]
    assert await night.look() == ()
    for move in moves:
        await night.terminate(move.workflow_id)

    found = (await night.reconcile(code=6))["left"]["violations"]
    assert {one["subject"] for one in found} == {f"transfer {move.transfer_id}" for move in moves}
    assert {one["kind"] for one in found} == {"stranded"}
    assert await night.owner.fetchval("select count(*) from control.environment where status = 'read_only'") == 3

    outcome = await night.reconcile("--fix", code=0)
    assert [healing["done"] for healing in outcome["healings"]] == [True] * 3
    assert await night.owner.fetchval("select count(*) from control.environment where status <> 'active'") == 0
    # A fence that was lifted does nothing, and may be left while somebody reads its table.
    fences = "select count(*) from pg_trigger where tgname = 'sb_transfer_fence' and tgenabled = 'A'"
    assert await night.owner.fetchval(fences) == 0
    for move in moves:
        story = await night.client.events(str(move.transfer_id))
        assert next(event.actor for event in story if event.kind == "recovery_started") == "operator"
        assert story[-1].kind == "mail_sent"
        assert MailKind.UNDONE in {mail.kind for mail in await night.client.mails(str(move.transfer_id))}
        assert (await night.client.status(str(move.transfer_id))).status.state is TransferState.UNDONE


async def test_what_was_terminated_after_its_release_is_finished(night: Night) -> None:
    """Finishes a released transfer that was terminated: mail and forwarding."""
    move = await night.way_to("10001/enyoi", TransferState.AWAITING_RELEASE)
    new = (await night.client.status(move.workflow_id)).status.new
    assert new is not None
    reader = await asyncpg.connect(night.stack.environment["SB_TRANSFER_DATABASE_URL"])
    reading = reader.transaction()
    await reading.start()
    for table in await reader.fetch("select tablename from pg_tables where schemaname = $1", new.schema_name):
        await reader.execute(f'select from "{new.schema_name}"."{table[0]}" limit 1')
    # A report keeps the lifted fences from being dropped, which holds the release's activity up after its commit.
    handle = night.temporal.get_workflow_handle(move.workflow_id)
    await handle.signal("release", {"released_by": "new side", "note": ""})
    released = "select state = 'released' from control.transfer where transfer_id = $1"
    while not await night.owner.fetchval(released, move.transfer_id):  # noqa: ASYNC110 - the server has no event for it
        await asyncio.sleep(SOON_SECONDS)
    await handle.terminate("to see what happens")
    await reading.rollback()
    await reader.close()

    found = (await night.heal()).found.violations
    assert {"forwarding_unattended", "nobody_told"} <= {one.kind for one in found}
    assert await night.look() == ()
    mails = {mail.kind for mail in await night.client.mails(str(move.transfer_id))}
    assert {MailKind.RELEASED, MailKind.INVITATION} <= mails
    mailbox = night.temporal.get_workflow_handle(mailbox_workflow_id_of(move.transfer_id))
    assert (await mailbox.describe()).status is WorkflowExecutionStatus.RUNNING
    assert "environment_released" in await kinds_of(night, move)

    await night.terminate(mailbox.id)
    found = (await night.heal()).found.violations
    assert [one.kind for one in found] == ["forwarding_unattended"]
    assert (await mailbox.describe()).status is WorkflowExecutionStatus.RUNNING


async def test_an_old_environment_is_removed_and_its_customer_moves_back_under_the_old_name(night: Night) -> None:
    """Waits as long as is set, also when its workflow was terminated meanwhile, and frees name, url and schema."""
    old_firm, name = (await movable(night))[0].split("/", 1)
    ready = await night.client.prepare(f"{old_firm}/{name}", requested_by="old side")
    old = ready.preview.environment
    taken = await night.client.upload(ready.ticket, licence=FIRM, name="Even weg", uploaded_by="new side")
    await released(night, ready)
    await night.owner.execute("update control.mailbox_route set valid_until = now() where valid_until is not null")
    code, said = await night.run(COMMAND, "retire", str(old.environment_id), "--by", "an", "--json")
    assert code == 0
    assert datetime.fromisoformat(json.loads(said)["due_at"]) > datetime.now(UTC)
    workflow_id = retirement_workflow_id_of(old.environment_id)
    await night.terminate(workflow_id)
    # Enough was waited to terminate it; of what is left, the next one waits a little.
    soon = "update control.retirement set due_at = now() + interval '5 s' where environment_id = $1 returning due_at"
    due_at = await night.owner.fetchval(soon, old.environment_id)
    assert "retirement_unattended" in [one.kind for one in (await night.heal()).found.violations]
    result = await night.temporal.get_workflow_handle(workflow_id, result_type=RetirementResult).result()
    assert (result.outcome, datetime.now(UTC) > due_at) == (RetirementOutcome.RETIRED, True)
    assert await night.owner.fetchval("select count(*) from pg_namespace where nspname = $1", old.schema_name) == 0
    signed = json.loads(await night.owner.fetchval("select certificate from control.retirement"))
    assert signed["certificate"]["url"] == old.url
    assert sum(signed["certificate"]["rows_by_table"].values()) == result.rows > 0
    story = [one.kind for one in await night.client.events(str(ready.transfer_id))]
    assert story.count("retirement_planned") == story.count("environment_retired") == 1

    back = await night.client.prepare(str(taken.new_environment_id), requested_by="new side")
    again = await night.client.upload(back.ticket, licence=old_firm, name=name, uploaded_by="old side")
    assert (again.name, again.url) == (old.name, old.url)
    await released(night, back)
    assert (await night.client.environment(f"{old_firm}/{name}")).environment_id == again.new_environment_id
    assert await night.look() == ()


async def released(night: Night, ready: PreparedTransfer) -> None:
    which = str(ready.transfer_id)
    await night.client.start_now(which, by="test")
    async for _ in snapshots(night.client, which, lambda one: one.state is TransferState.AWAITING_RELEASE):
        continue
    await night.client.release(which, by="new side")


async def outcome_of_the_schedule(night: Night) -> Any:
    """Let the schedule run now, and return the handle of what it has started."""
    schedule = night.temporal.get_schedule_handle(RECONCILE_SCHEDULE)
    before = (await schedule.describe()).info.num_actions
    await schedule.trigger()
    while (info := (await schedule.describe()).info).num_actions == before:  # noqa: ASYNC110 - nor this one
        await asyncio.sleep(SOON_SECONDS)
    action = info.recent_actions[-1].action
    assert isinstance(action, ScheduleActionExecutionStartWorkflow)
    return night.temporal.get_workflow_handle(action.workflow_id)


async def test_every_night_somebody_looks(night: Night) -> None:
    """Inspects every night by a schedule of its own."""
    description = await night.temporal.get_schedule_handle(RECONCILE_SCHEDULE).describe()
    assert description.schedule.spec.time_zone_name == "Europe/Amsterdam"
    assert [each.hour[0].start for each in description.schedule.spec.calendars] == [7]
    assert not await ensure_nightly(night.temporal, task_queue=TRANSFERS, timezone="Europe/Amsterdam", heals=False)

    handle = await outcome_of_the_schedule(night)
    assert (await handle.result())["left"]["violations"] == []

    move = await night.way_to((await movable(night))[0], TransferState.AWAITING_UPLOAD)
    await night.terminate(move.workflow_id)
    handle = await outcome_of_the_schedule(night)
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    cause = failed.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == VIOLATED
    assert "sb-transfer reconcile --fix" in cause.message
    assert f"transfer {move.transfer_id}" in cause.message

    await ensure_nightly(night.temporal, task_queue=TRANSFERS, timezone="Europe/Amsterdam", heals=True)
    handle = await outcome_of_the_schedule(night)
    assert (await handle.result())["left"]["violations"] == []
    assert "undo_finished" in await kinds_of(night, move)
