"""Mail in trouble beside a transfer, on skipped time: the move goes on, and whoever looks sees what is waited for."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.testing import WorkflowEnvironment

from domain import messages as m
from domain.errors import MailDelayed
from domain.vocabulary import MailKind, TransferState
from tests.workflows.story import Transfer, reach, skip, to_inspection
from tests.workflows.world import Gate
from workflows.transfer import TransferWorkflow

_AWAY = m.MailProblem(kind=MailKind.READY, recipient="bo@zuid.example", problem="450 greylisted")


async def _until(transfer: Transfer, fits: Callable[[m.TransferStatus], bool]) -> m.TransferStatus:
    async with asyncio.timeout(60):
        while not fits(status := await transfer.query(TransferWorkflow.status)):  # noqa: ASYNC110 - it is elsewhere
            await asyncio.sleep(0.05)
    return status


def _server(world: Gate, monkeypatch: pytest.MonkeyPatch, ready: Callable[[m.SendMail], Awaitable[m.MailSent]]) -> None:
    """Let `ready` answer for the mail that tells of the new environment; every other mail arrives."""
    arrives = world.send

    async def send(order: m.SendMail) -> m.MailSent:
        return await (ready(order) if order.kind is MailKind.READY else arrives(order))

    monkeypatch.setattr(world, "send", send)


async def test_a_mail_that_waits_is_seen_to_wait_and_clears_itself(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shows a waiting mail until it is sent."""
    back = asyncio.Event()
    refused = 0

    async def ready(order: m.SendMail) -> m.MailSent:
        nonlocal refused
        if order.tell_delays:
            return m.MailSent(sent=0, waiting=[_AWAY])
        if not back.is_set():
            refused += 1
            raise MailDelayed(_AWAY.problem)
        return m.MailSent(sent=1)

    _server(world, monkeypatch, ready)
    await to_inspection(transfer)
    status = await _until(transfer, lambda status: status.mail_problems != [])
    assert (status.state, status.mail_problems) == (TransferState.AWAITING_RELEASE, [_AWAY])
    await skip(skipping, transfer, timedelta(hours=1))
    assert refused
    back.set()
    await skip(skipping, transfer, timedelta(hours=1))
    assert (await _until(transfer, lambda status: status.mail_problems == [])).state is TransferState.AWAITING_RELEASE
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
    assert (await transfer.result()).state is TransferState.RELEASED


async def test_a_mail_that_waits_goes_no_further_once_the_transfer_turns_back(
    transfer: Transfer, world: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stops a waiting mail when the undo begins."""

    async def ready(order: m.SendMail) -> m.MailSent:
        if order.tell_delays:
            return m.MailSent(sent=0, waiting=[_AWAY])
        raise MailDelayed(_AWAY.problem)

    _server(world, monkeypatch, ready)
    await to_inspection(transfer)
    await _until(transfer, lambda status: status.mail_problems != [])
    await transfer.signal(TransferWorkflow.reject, m.Reject(rejected_by="new side", reason="wrong customer"))
    assert (await transfer.result()).state is TransferState.UNDONE
    assert world.mails()[-1] is MailKind.UNDONE


async def test_news_that_does_not_get_out_bars_no_other_move(
    transfer: Transfer, world: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Makes way for the next move while mail still waits."""
    arrives = world.send

    async def send(order: m.SendMail) -> m.MailSent:
        if order.kind is not MailKind.UNDONE:
            return await arrives(order)
        if order.tell_delays:
            return m.MailSent(sent=0, waiting=[_AWAY])
        raise MailDelayed(_AWAY.problem)

    monkeypatch.setattr(world, "send", send)
    await to_inspection(transfer)
    await transfer.signal(TransferWorkflow.make_way)  # too early: nothing is given up
    await transfer.signal(TransferWorkflow.reject, m.Reject(rejected_by="new side", reason="wrong customer"))
    await _until(transfer, lambda status: status.state is TransferState.UNDONE and status.mail_problems != [])
    assert (await transfer.describe()).status is WorkflowExecutionStatus.RUNNING
    await transfer.signal(TransferWorkflow.make_way)
    async with asyncio.timeout(60):
        assert (await transfer.result()).state is TransferState.UNDONE
    assert [event.kind for event in world.events].count("mail_given_up") == 1


async def test_a_resend_repairs_what_waits(transfer: Transfer, world: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clears a problem once the mail was sent again."""

    async def ready(order: m.SendMail) -> m.MailSent:
        if order.only_to:
            return m.MailSent(sent=1)
        if order.tell_delays:
            return m.MailSent(sent=0, waiting=[_AWAY])
        raise MailDelayed(_AWAY.problem)

    _server(world, monkeypatch, ready)
    await to_inspection(transfer)
    await _until(transfer, lambda status: status.mail_problems != [])
    order = m.ResendMail(kind=MailKind.READY, to=_AWAY.recipient, requested_by="support")
    await transfer.execute_update("resend_mail", order)
    assert (await transfer.query(TransferWorkflow.status)).mail_problems == []
    await reach(transfer, TransferState.AWAITING_RELEASE)
    await transfer.signal(TransferWorkflow.reject, m.Reject(rejected_by="new side", reason="done"))
    await transfer.result()
