"""Record the histories that the replay test plays back: `make histories`.

A story for every scenario, every way of ending, and every detour on which the history has another shape. When to run
this, and when not to: docs/deploys.md.
"""

import asyncio
import json
import logging
import sys
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from adapters.crypto.payload_codec import plain
from domain import messages as m
from domain.errors import CannotBeCarried, NameTaken, StillInTransfer, Unavailable, WrongMoment
from domain.naming import mailbox_workflow_id_of, workflow_id_of
from domain.reconciliation import Reconcile, RecoverTransfer
from domain.violations import REMEDY, Violation, ViolationKind
from domain.vocabulary import MailKind, Scenario, TransferState
from tests.replay.converting import CONVERTER
from tests.tools.temporal_server import temporal_server
from tests.workflows.evenings import SHORT, Evenings, asked, away, back, put_off
from tests.workflows.retirements import Cemetery, retired
from tests.workflows.story import Transfer, ended, reach, skip, to_inspection, upload
from tests.workflows.world import TTL, Gate, Ward, workers
from workflows import policies
from workflows import task_queues as queues
from workflows.reconcile import ReconcileWorkflow
from workflows.recovery import RecoveryWorkflow
from workflows.transfer import TransferWorkflow

HISTORIES = Path(__file__).parent / "histories"
Story = Callable[[WorkflowEnvironment, Transfer, Gate], Awaitable[None]]


async def released(_: WorkflowEnvironment, transfer: Transfer, __: Gate) -> None:
    await to_inspection(transfer)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side", note="compared"))


async def released_encrypted(environment: WorkflowEnvironment, transfer: Transfer, world: Gate) -> None:
    """As `released`, with histories encrypted (see `_client_of`)."""
    await released(environment, transfer, world)


async def released_after_the_evening(environment: WorkflowEnvironment, transfer: Transfer, _: Gate) -> None:
    accepted = await upload(transfer)
    await skip(environment, transfer, accepted.starts_at - datetime.now(UTC) + timedelta(hours=1))
    await reach(transfer, TransferState.AWAITING_RELEASE)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))


async def released_after_trouble(_: WorkflowEnvironment, transfer: Transfer, world: Gate) -> None:
    """Early signals, a refused upload, a server that was away, and a cancel that came too late."""

    async def recover(name: str) -> None:
        if not world.failures.get(name, [None]):
            del world.failures[name]

    world.failures = {"accept": [NameTaken()], "clone": [Unavailable()]}
    world.hooks["clone"] = lambda: recover("clone")
    await reach(transfer, TransferState.AWAITING_UPLOAD)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="too early"))
    await asyncio.gather(upload(transfer), return_exceptions=True)
    del world.failures["accept"]
    await to_inspection(transfer)
    holding, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        holding.set()
        await go_on.wait()

    world.hooks["release"] = hold
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
    await holding.wait()
    await transfer.cancel()
    await asyncio.sleep(0.3)
    go_on.set()


async def released_on_a_chosen_evening(environment: WorkflowEnvironment, transfer: Transfer, _: Gate) -> None:
    """Another evening is chosen, and then an earlier one; what comes too late is refused."""
    accepted = await upload(transfer)
    for days in (5, 2):
        evening = accepted.starts_at.date() + timedelta(days=days)
        await transfer.execute_update("reschedule", m.Reschedule(evening=evening, requested_by="new side"))
    await skip(environment, transfer, timedelta(days=4))
    await reach(transfer, TransferState.AWAITING_RELEASE)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))


async def undone_expired(environment: WorkflowEnvironment, transfer: Transfer, _: Gate) -> None:
    await reach(transfer, TransferState.AWAITING_UPLOAD)
    await skip(environment, transfer, TTL + timedelta(seconds=1))


async def undone_cancelled(_: WorkflowEnvironment, transfer: Transfer, __: Gate) -> None:
    await upload(transfer)
    await reach(transfer, TransferState.SCHEDULED)
    await transfer.cancel()


async def undone_rejected(_: WorkflowEnvironment, transfer: Transfer, __: Gate) -> None:
    await to_inspection(transfer)
    await transfer.signal(TransferWorkflow.reject, m.Reject(rejected_by="new side", reason="not ours"))


async def undone_failed(_: WorkflowEnvironment, transfer: Transfer, world: Gate) -> None:
    world.differences = [m.TableDifference(table="journal_line", problem="1 row differs")]
    await upload(transfer)
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))


async def released_outsource(_: WorkflowEnvironment, transfer: Transfer, world: Gate) -> None:
    """From a self-managed licence to a firm."""
    world.scenario = Scenario.OUTSOURCE
    await to_inspection(transfer)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new firm"))


async def released_insource(_: WorkflowEnvironment, transfer: Transfer, world: Gate) -> None:
    """From a firm to a self-managed licence: support uploads, with the login of the new owner."""
    world.scenario = Scenario.INSOURCE
    await upload(
        transfer,
        m.Upload(
            sealed_ticket="sealed",
            licence_number="20001",
            name="Enyoi",
            url_part="enyoi",
            login_email="owner@enyoi.example",
            uploaded_by="support",
        ),
    )
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
    await reach(transfer, TransferState.AWAITING_RELEASE)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="owner"))


async def released_with_mail_sent_again(_: WorkflowEnvironment, transfer: Transfer, world: Gate) -> None:
    """A mail that the server refuses, and that an operator sends to another address."""
    world.failures = {f"send {MailKind.READY.value}": [NameTaken()]}  # any error that is not tried again
    await to_inspection(transfer)
    await transfer.execute_update(
        "resend_mail",
        m.ResendMail(kind=MailKind.READY, to="other@firm.example", requested_by="support"),
        result_type=m.MailSent,
    )
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))


async def released_after_an_operator_helped(environment: WorkflowEnvironment, transfer: Transfer, world: Gate) -> None:
    """A release that does not succeed at first; nothing turns it back."""
    await to_inspection(transfer)
    world.failures["release"] = [WrongMoment()]
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
    await _until_asked(world, "release")
    await skip(environment, transfer, policies.PAUSE_BETWEEN_ROUNDS)


async def undone_after_an_operator_helped(environment: WorkflowEnvironment, transfer: Transfer, world: Gate) -> None:
    """A compensation that does not succeed at first; it is tried until it does."""
    world.failures = {"drop": [WrongMoment()]}
    await to_inspection(transfer)
    await transfer.signal(TransferWorkflow.reject, m.Reject(rejected_by="new side", reason="not ours"))
    await _until_asked(world, "drop")
    await skip(environment, transfer, policies.PAUSE_BETWEEN_ROUNDS)


async def undone_before_the_ticket(_: WorkflowEnvironment, transfer: Transfer, __: Gate) -> None:
    """An environment that holds what cannot be carried (see `_world_of`): there is no ticket."""
    await ended(transfer)


async def undone_cancelled_while_cloning(_: WorkflowEnvironment, transfer: Transfer, world: Gate) -> None:
    """The copier hears of the cancel and stops before the clone is dropped."""
    copying = asyncio.Event()

    async def hold() -> None:
        copying.set()
        await asyncio.sleep(600)  # until the cancel reaches it

    world.hooks["clone"] = hold
    await upload(transfer)
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
    await copying.wait()
    await transfer.cancel()


async def released_on_the_second_evening(environment: WorkflowEnvironment, transfer: Transfer, world: Gate) -> None:
    """One evening that was too short, and two reminders before somebody releases."""
    world.open_for = SHORT
    away(world, "compare")
    evenings = Evenings(environment, transfer)
    await upload(transfer)
    await evenings.begin()
    world.open_for = None
    await put_off(world, transfer, 1)
    back(world, "compare")
    await evenings.begin()
    await reach(transfer, TransferState.AWAITING_RELEASE, patience_seconds=60)
    await skip(environment, transfer, timedelta(days=15))
    await asked(world, f"send {MailKind.RELEASE_REMINDER.value}", 2)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))


async def undone_after_three_evenings(environment: WorkflowEnvironment, transfer: Transfer, world: Gate) -> None:
    world.open_for = SHORT
    away(world, "clone")
    evenings = Evenings(environment, transfer)
    await upload(transfer)
    await evenings.begin()
    for evening in (1, 2):
        await put_off(world, transfer, evening)
        await evenings.begin()


async def _until_asked(world: Gate, name: str) -> None:
    while not world.count()[name]:  # noqa: ASYNC110 - the world has no events of its own
        await asyncio.sleep(0.02)


STORIES: dict[str, Story] = {
    story.__name__: story
    for story in (
        released,
        released_encrypted,
        released_after_the_evening,
        released_after_trouble,
        released_on_a_chosen_evening,
        undone_expired,
        undone_cancelled,
        undone_rejected,
        undone_failed,
        released_outsource,
        released_insource,
        released_with_mail_sent_again,
        released_after_an_operator_helped,
        undone_after_an_operator_helped,
        undone_before_the_ticket,
        undone_cancelled_while_cloning,
        released_on_the_second_evening,
        undone_after_three_evenings,
    )
}


Repair = Callable[[Client, Ward], Awaitable[WorkflowHandle[Any, Any]]]


async def recovered_undone(client: Client, ward: Ward) -> WorkflowHandle[Any, Any]:
    """A transfer whose workflow was terminated while it awaited its release."""
    return await client.start_workflow(
        RecoveryWorkflow.run,
        RecoverTransfer(transfer_id=ward.transfer_id, environment_id=ward.old_id, requested_by="operator"),
        id=workflow_id_of(ward.old_id),
        task_queue=queues.TRANSFERS,
    )


async def recovered_released(client: Client, ward: Ward) -> WorkflowHandle[Any, Any]:
    """One that was terminated just after it: the mailbox is not watched and nobody was told."""
    ward.states = [TransferState.RELEASED]
    return await recovered_undone(client, ward)


async def reconciled(client: Client, ward: Ward) -> WorkflowHandle[Any, Any]:
    """Everything that a repair does by itself, in one night, and what it leaves to people."""

    def wrong(kind: ViolationKind, subject: str) -> Violation:
        return Violation(kind=kind, subject=subject, what="seen", remedy=REMEDY[kind], run_id=str(uuid.uuid4()))

    transfer, environment = f"transfer {ward.transfer_id}", f"environment {ward.old_id}"
    ward.wrong = [
        (
            wrong(ViolationKind.FOREIGN_WORKFLOW, f"workflow {workflow_id_of(uuid.uuid4())}"),
            wrong(ViolationKind.STRANDED, transfer),
            wrong(ViolationKind.FORWARDING_UNATTENDED, transfer),
            wrong(ViolationKind.ORPHAN_SCHEMA, "schema env_1"),
        ),
        (wrong(ViolationKind.WORKFLOW_AHEAD, environment),),
        (wrong(ViolationKind.TWO_WRITABLE, transfer),),
    ]
    return await client.start_workflow(
        ReconcileWorkflow.run,
        Reconcile(heal=True, requested_by="operator"),
        id=f"reconcile-{ward.transfer_id}",
        task_queue=queues.TRANSFERS,
    )


async def reconciled_report(client: Client, ward: Ward) -> WorkflowHandle[Any, Any]:
    """The look of a night in which nothing is wrong."""
    return await client.start_workflow(
        ReconcileWorkflow.run, Reconcile(), id=f"reconcile-{ward.transfer_id}", task_queue=queues.TRANSFERS
    )


REPAIRS: dict[str, Repair] = {
    repair.__name__: repair for repair in (recovered_undone, recovered_released, reconciled, reconciled_report)
}


async def record_repair(environment: WorkflowEnvironment, repair: Repair) -> str:
    """Play what repairs to its end and return its history as JSON."""
    ward = Ward()
    transfers, heavy, mail, checks = workers(environment.client, ward)
    async with transfers, heavy, mail, checks:
        with environment.with_time_skipping_disabled():
            handle = await repair(environment.client, ward)
        with suppress(WorkflowFailureError):  # what is left to people is told as a failure
            await handle.result()
        return (await handle.fetch_history()).to_json()


async def record(environment: WorkflowEnvironment, story: Story) -> tuple[str, str | None]:
    """Play one story to its end and return its history, and that of the mailbox workflow it started, as JSON."""
    world = _world_of(story)
    client = _client_of(story, environment)
    transfers, heavy, mail, checks = workers(client, world)
    async with transfers, heavy, mail, checks:
        transfer = await _start(environment, client, world.old_id)
        await story(environment, transfer, world)
        result = await ended(transfer)
        mailbox = None
        if result.state is TransferState.RELEASED:
            handle = client.get_workflow_handle(mailbox_workflow_id_of(result.transfer_id))
            await environment.fast_forward(handle, timedelta(days=31))
            await handle.result()
            mailbox = (await handle.fetch_history()).to_json()
        return (await transfer.fetch_history()).to_json(), mailbox


def _world_of(story: Story) -> Gate:
    """Return a world; trouble with the first step must be there before the transfer starts."""
    world = Gate()
    if story is undone_before_the_ticket:
        world.failures = {"freeze": [CannotBeCarried()]}
    return world


def _client_of(story: Story, environment: WorkflowEnvironment) -> Client:
    """Return a client that leaves histories readable, but for the story of which this is the point."""
    if story is not released_encrypted:
        return environment.client
    return Client(environment.client.service_client, data_converter=CONVERTER)


async def _start(environment: WorkflowEnvironment, client: Client, environment_id: uuid.UUID) -> Transfer:
    with environment.with_time_skipping_disabled():
        return await client.start_workflow(
            TransferWorkflow.run,
            m.TransferInput(environment_id=environment_id, requested_by="old side"),
            id=workflow_id_of(environment_id),
            task_queue=queues.TRANSFERS,
        )


async def main(*wanted: str) -> None:
    """Write a file for each story, or for each that is wanted, into `histories/`."""
    HISTORIES.mkdir(exist_ok=True)
    async with temporal_server(data_converter=plain, skips_time=True) as environment:
        for name, story in STORIES.items():
            if wanted and name not in wanted:
                continue
            history, mailbox = await record(environment, story)
            _keep(name, history)
            if mailbox and story is released:
                _keep("mailbox_closed", mailbox)
        if not wanted or "retired" in wanted:
            _keep("retired", await retired(environment, Cemetery(refusals=[StillInTransfer()])))
        for name, repair in REPAIRS.items():
            if not wanted or name in wanted:
                _keep(name, await record_repair(environment, repair))


def _keep(name: str, history: str) -> None:
    (HISTORIES / f"{name}.json").write_text(history + "\n")
    print(f"{name}: {len(json.loads(history)['events'])} events")  # noqa: T201 - told to whoever runs this


if __name__ == "__main__":
    logging.getLogger("temporalio.activity").setLevel(logging.ERROR)  # the failures here are part of the stories
    asyncio.run(main(*sys.argv[1:]))
