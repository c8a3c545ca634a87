"""The manual's three moves, through the public client, on the real stack: what each side finds afterwards."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, time
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from devstack.seed import SHOW_MOVES, ShowMove, make_books
from devstack.stack import Stack
from domain.errors import (
    AlreadyInTransfer,
    EnvironmentNotActive,
    EnvironmentUnknown,
    LoginEmailMissing,
    NameTaken,
    SameLicence,
    TicketNotGenuine,
    TicketRevoked,
    TicketUsed,
    TransferUnknown,
    UrlReserved,
    WrongMoment,
)
from domain.steps import StepName, StepState
from domain.vocabulary import CheckKind, EnvironmentStatus, MailKind, Scenario, TransferState, UndoReason
from starter.cli.demo_report import mails_caught
from starter.client.client import TransferClient
from starter.client.connect import connect, settings_of
from starter.client.models import PreparedTransfer, Source
from starter.client.polling import snapshots
from tests.end_to_end.history import MOST_ACTIVITIES, activities_of

READ_ONLY = "25006"
OTHERS = ("SB_TRANSFER_", "TEMPORAL_")


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A whole stack with books in it, for this module."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
    async with Stack(tmp_path_factory.mktemp("stack"), environment=environment) as running:
        await make_books(settings_of(running.process_environment()), journal_lines=20_000)
        yield running


@pytest.fixture(scope="module")
async def client(stack: Stack) -> AsyncIterator[TransferClient]:
    """The client as a platform's backend has it."""
    variables = stack.process_environment()
    async with connect(settings_of(variables), environment=variables) as connected:
        yield connected


@pytest.fixture
async def app(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    """The bookkeeping application's own connection."""
    assert stack.info.app_database_url
    connection = await asyncpg.connect(stack.info.app_database_url)
    yield connection
    await connection.close()


async def reach(client: TransferClient, which: str, *states: TransferState) -> TransferState:
    """Wait until a transfer is in one of these states, or has ended; return its state."""
    enough: Callable[[TransferState], bool] = lambda state: state in states or state.is_final  # noqa: E731
    async with asyncio.timeout(120):
        async for sight in snapshots(client, which, lambda status: enough(status.state), poll_seconds=0.1):
            state = sight.status.state
    return state


async def refused_write(app: asyncpg.Connection, schema: str) -> bool:
    """Tell whether the application may not write in an environment, and is told so in a way that it understands."""
    try:
        await app.execute(f'update "{schema}".relation set name = name')
    except asyncpg.ReadOnlySQLTransactionError as error:
        return error.sqlstate == READ_ONLY
    return False


async def assert_the_log_tells_the_same(client: TransferClient, transfer_id: UUID) -> None:
    """Hold what the API shows, which the steps have written down, against what the workflow says of itself."""
    async with asyncio.timeout(60):
        written = await client.snapshot_of(await client.standing(transfer_id))
        while written.told_by is Source.WORKFLOW:  # it is asked until the mail is noted that it sends first
            await asyncio.sleep(0.05)
            written = await client.snapshot_of(await client.standing(transfer_id))
    said = await client.status(str(transfer_id))
    assert said.told_by is Source.WORKFLOW
    beside = {"steps", "closes_at", "evenings_tried", "mail_problems"}
    assert written.status.model_dump(exclude=beside) == said.status.model_dump(exclude=beside)
    # These two run beside the story.
    states = [
        {step.step: step.state for step in sight.status.steps if step.step not in (StepName.HASH, StepName.NOTIFY)}
        for sight in (written, said)
    ]
    assert states[0] == states[1]


async def prepared(client: TransferClient, move: ShowMove) -> PreparedTransfer:
    """Press "Omgeving overdragen" for the environment of a move."""
    return await client.prepare(f"{move.old_licence}/{move.environment}", requested_by="old side")


@pytest.mark.parametrize("move", SHOW_MOVES, ids=lambda move: move.scenario)
async def test_a_move_leaves_both_sides_as_the_manual_says(
    client: TransferClient, stack: Stack, app: asyncpg.Connection, move: ShowMove
) -> None:
    """Leaves books and consequences on both sides as the manual says."""
    old = await client.environment(f"{move.old_licence}/{move.environment}")
    before = await app.fetch(f'select bank, status from "{old.schema_name}".bank_connection order by 1, 2')
    quotes = await app.fetchval(f"select count(*) from \"{old.schema_name}\".quote where status = 'open'")
    assert not await refused_write(app, old.schema_name)

    # The old side prepares: frozen at once, the ticket named after the url.
    ticket = await prepared(client, move)
    assert ticket.ticket_file_name == f"{old.url_part}-overdracht-ticket.avr"
    assert len(ticket.preview.open_quotes) == quotes
    assert await refused_write(app, old.schema_name)
    assert await app.fetchval(f'select bool_and(read_only) from "{old.schema_name}".administration')

    await assert_the_log_tells_the_same(client, ticket.transfer_id)

    # The new side uploads: planned for the next 22:00 in Amsterdam.
    accepted = await client.upload(
        ticket.ticket,
        licence=move.new_licence,
        name=move.new_name,
        login_email=move.login_email,
        uploaded_by="new side",
    )
    starts_at = accepted.starts_at.astimezone(ZoneInfo("Europe/Amsterdam"))
    assert accepted.scenario is move.scenario
    assert starts_at.time() == time(22, 0)
    assert 0 < (starts_at - datetime.now(UTC)).total_seconds() <= 25 * 3600

    await assert_the_log_tells_the_same(client, ticket.transfer_id)

    which = str(ticket.transfer_id)
    early = await client.start_now(which, by="new side")
    assert early.status.state in (TransferState.SCHEDULED, TransferState.CLONING, TransferState.AWAITING_RELEASE)
    assert await reach(client, which, TransferState.AWAITING_RELEASE) is TransferState.AWAITING_RELEASE
    await assert_the_log_tells_the_same(client, ticket.transfer_id)
    new = await client.environment(str(accepted.new_environment_id))
    assert new.status is EnvironmentStatus.AWAITING_RELEASE
    assert new.url == accepted.url
    await assert_equal_but_for_the_consequences(app, old.schema_name, new.schema_name, move.scenario)
    # Everybody may compare, nobody may write yet.
    assert await refused_write(app, old.schema_name)
    assert await refused_write(app, new.schema_name)

    released = await client.release(which, by="new side", note="compared")
    assert released.status.state is TransferState.RELEASED
    result = await client.result(which)
    assert (result.state, result.scenario, result.mismatches) == (TransferState.RELEASED, move.scenario, 0)
    await assert_the_log_tells_the_same(client, ticket.transfer_id)
    assert result.rows > 500
    assert not await refused_write(app, new.schema_name)
    assert await refused_write(app, old.schema_name)
    assert (await client.environment(str(old.environment_id))).status is EnvironmentStatus.READ_ONLY
    after = await app.fetch(f'select bank, status from "{old.schema_name}".bank_connection order by 1, 2')
    assert after == before
    await assert_papers_are_in_order(client, stack, which)


async def assert_equal_but_for_the_consequences(
    app: asyncpg.Connection, old: str, new: str, scenario: Scenario
) -> None:
    """Look at the new environment with the application's eyes."""
    for table in ("journal_line", "open_item", "vat_return", "mailbox_message", "scanbox_document", "bank_transaction"):
        rows = [await app.fetch(f'select * from "{schema}".{table} order by 1, 2') for schema in (old, new)]
        assert rows[0] == rows[1], table
        assert rows[0], table
    banks = {row["bank"]: row["status"] for row in await app.fetch(f'select bank, status from "{new}".bank_connection')}
    assert banks.pop("rabobank") == "active"
    assert banks
    assert set(banks.values()) == {"needs_reactivation"}
    assert (
        await app.fetchval(f"select count(*) from \"{new}\".quote where status = 'open' or portal_token is not null")
        == 0
    )
    assert await app.fetchval(f"select bool_and(status = 'needs_reactivation') from \"{new}\".app_connection")
    assert await app.fetchval(f"select bool_and(mobile_link_status = 'needs_relink') from \"{new}\".app_user")
    becon = await app.fetch(f'select becon_number, becon_number_needs_review from "{new}".administration')
    if scenario is Scenario.INSOURCE:
        assert {row["becon_number"] for row in becon} == {None}
    else:
        assert all(row["becon_number_needs_review"] for row in becon)


async def assert_papers_are_in_order(client: TransferClient, stack: Stack, which: str) -> None:
    """Look at the comparison, the story, the mail and the length of the history."""
    results = await client.results(which)
    assert results.report
    assert {check.check for check in results.report.checks} == set(CheckKind)
    assert all(check.equal for check in results.report.checks)
    assert (results.requested_by, results.uploaded_by, results.released_by) == ("old side", "new side", "new side")
    told = [event.kind for event in await client.events(which)]
    for kind in ("environment_frozen", "ticket_issued", "ticket_downloaded", "start_now", "environment_released"):
        assert told.count(kind) == 1, told
    assert stack.info.mail_dir
    kinds = {mail.kind for mail in mails_caught(await client.mails(which), stack.info.mail_dir)}
    wanted = (MailKind.TICKET_ISSUED, MailKind.UPLOAD_ACCEPTED, MailKind.READY, MailKind.RELEASED, MailKind.INVITATION)
    assert kinds == set(wanted)
    assert await activities_of(stack, (await client.transfer(UUID(which))).workflow_id) <= MOST_ACTIVITIES
    sight = await client.status(which)
    assert sight.told_by is Source.WORKFLOW
    assert all(step.state is StepState.DONE for step in sight.status.steps)


async def test_every_refusal_of_an_upload_leaves_the_transfer_waiting(
    client: TransferClient, app: asyncpg.Connection
) -> None:
    """Goes on waiting after each kind of refused upload."""
    old = await client.environment("10002/Van Dam Horeca")
    ticket = await client.prepare(str(old.environment_id), requested_by="old side")
    which = str(ticket.transfer_id)

    async def upload(licence: str = "10003", name: str = "Van Dam", url_part: str | None = None) -> None:
        await client.upload(ticket.ticket, licence=licence, name=name, url_part=url_part, uploaded_by="new side")

    with pytest.raises(SameLicence):
        await upload(licence="10002")
    with pytest.raises(NameTaken, match="Choose another name"):
        await upload(name="linden TANDARTSEN")
    with pytest.raises(UrlReserved):
        await upload(url_part="admin")
    with pytest.raises(LoginEmailMissing):
        await upload(licence="20001")
    with pytest.raises(TicketNotGenuine):
        await client.upload(ticket.ticket[:-4] + b"AAAA", licence="10003", name="x", uploaded_by="new side")
    assert (await client.status(which)).status.state is TransferState.AWAITING_UPLOAD
    # Two uploads of one ticket at once: exactly one wins.
    outcomes = await asyncio.gather(upload(), upload(name="Van Dam Twee"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome] == [TicketUsed]
    # What comes too early is refused, written down, and not remembered for later.
    with pytest.raises(WrongMoment, match="the transfer is scheduled"):
        await client.release(which, by="too early")
    with pytest.raises(WrongMoment):
        await client.reject(which, by="too early", reason="no")
    refused = [
        event.kind for event in await client.events(which) if event.actor == "too early"
    ]  # mail has its own pace
    assert refused == ["release_refused", "reject_refused"]
    with pytest.raises(AlreadyInTransfer):
        await client.prepare(str(old.environment_id), requested_by="old side")
    with pytest.raises(TicketUsed):
        await client.download_ticket(which)

    undone = await client.cancel(which, by="support", reason="asked by the customer")
    assert undone.status.state in (TransferState.UNDOING, TransferState.UNDONE)
    assert (await client.result(which)).undo_reason is UndoReason.CANCELLED
    assert not await refused_write(app, old.schema_name)
    with pytest.raises(TicketRevoked):
        await upload()
    for late in (client.release(which, by="x"), client.start_now(which, by="x"), client.cancel(which, by="x")):
        with pytest.raises(WrongMoment):
            await late


async def test_a_rejected_move_leaves_nothing_of_the_new_environment(
    client: TransferClient, stack: Stack, app: asyncpg.Connection
) -> None:
    """Leaves no schema, name or url of a rejected move."""
    old = await client.environment("10003/Linden Tandartsen")
    connection = await asyncpg.connect(stack.info.database_url)
    try:
        for _ in range(2):  # the second time proves that name and url came free
            ticket = await client.prepare(str(old.environment_id), requested_by="old side")
            which = str(ticket.transfer_id)
            accepted = await client.upload(ticket.ticket, licence="10001", name="Linden", uploaded_by="new side")
            await client.start_now(which, by="new side")
            assert await reach(client, which, TransferState.AWAITING_RELEASE) is TransferState.AWAITING_RELEASE
            new = await client.environment(str(accepted.new_environment_id))
            await client.reject(which, by="new side", reason="the [balance] is wrong")
            result = await client.result(which)
            assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.REJECTED)
            assert result.undo_detail == "the [balance] is wrong"
            await assert_the_log_tells_the_same(client, ticket.transfer_id)
            assert not await connection.fetchval("select 1 from pg_namespace where nspname = $1", new.schema_name)
            with pytest.raises(EnvironmentUnknown):
                await client.environment(str(new.environment_id))
            assert not await refused_write(app, old.schema_name)
            # An earlier move of the same environment stays what it was, also while it moves again.
            assert (await client.status(which)).status.undo_reason is UndoReason.REJECTED
    finally:
        await connection.close()


async def test_what_is_not_there_cannot_be_moved(client: TransferClient) -> None:
    """Refuses an unknown environment as unknown."""
    with pytest.raises(EnvironmentUnknown):
        await client.prepare("nobody", requested_by="old side")
    with pytest.raises(TransferUnknown):
        await client.status("nobody")
    with pytest.raises(TransferUnknown):
        await client.status(f"transfer-{UUID(int=1)}")


async def test_an_environment_that_moved_cannot_move_again(client: TransferClient) -> None:
    """Refuses to move an old environment once more."""
    moved = await client.transfers(states=[TransferState.RELEASED])
    assert moved, "this test follows the moves above"
    with pytest.raises(EnvironmentNotActive):
        await client.prepare(str(moved[0].environment_id), requested_by="old side")


async def test_one_who_is_told_the_release_was_theirs_did_release(client: TransferClient) -> None:
    """Tells one of two who release at once that it was theirs: the one whom the log names."""
    old = await client.environment("20003/Wolters Design")
    ticket = await client.prepare(str(old.environment_id), requested_by="old side")
    which = str(ticket.transfer_id)
    await client.upload(ticket.ticket, licence="10002", name="Wolters", uploaded_by="new side")
    await client.start_now(which, by="new side")
    await reach(client, which, TransferState.AWAITING_RELEASE)
    outcomes = await asyncio.gather(
        *(client.release(which, by=name) for name in ("anna", "bert")), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, WrongMoment)]
    assert len(refused) == 1
    winner = "anna" if isinstance(outcomes[1], WrongMoment) else "bert"
    assert (await client.results(which)).released_by == winner


def test_the_moves_cover_the_manual() -> None:
    """Moves each of the manual's three scenarios."""
    assert {move.scenario for move in SHOW_MOVES} == set(Scenario)
