"""The gate: what a freeze shuts, what an undo opens again, what a release opens for good.

Long, for what shuts is opened again in the same place.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from adapters.transfer.queries import PostgresTransferQueries
from adapters.transfer.registration import PostgresRegistration, RegisteredLicence
from devstack.postgres import EmbeddedPostgres
from domain import messages as m
from domain.errors import (
    AlreadyInTransfer,
    AlreadyReleased,
    CloneDiffers,
    EnvironmentNotActive,
    EnvironmentUnknown,
    LicenceInUse,
    NotItsTransfer,
    Superseded,
    TransferUnknown,
    WrongMoment,
)
from tests.integration.services import ENTREPRENEUR, NEW_FIRM, OTHER_ENTREPRENEUR, Move, Services

WRITE = "update {}.app_user set full_name = 'x'"
WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"


@pytest.fixture
async def app(app_dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """The bookkeeping application's connection."""
    connection = await asyncpg.connect(app_dsn)
    yield connection
    await connection.close()


async def test_a_freeze_shuts_the_environment_and_remembers_how_it_was(
    services: Services, app: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Refuses every write after the freeze, in words, and keeps how it was."""
    move = await services.move()
    frozen = await services.freeze(move)
    assert frozen.administrations == 3
    assert frozen.environment.name == "Enyoi"
    assert await services.status_of(move.environment_id) == "read_only"
    assert all((await services.read_only(move.schema)).values())
    fences = await services.fences(move.schema)
    assert len(fences) == frozen.tables > 10
    assert set(fences.values()) == {"A"}
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError) as refused:
        await app.execute(WRITE.format(move.schema))
    assert "Er is niets opgeslagen" in str(refused.value)
    assert "Nothing was saved" in str(refused.value)
    assert refused.value.hint
    assert await app.fetchval(f"select count(*) from {move.schema}.app_user") == 2
    assert (await services.transfer_row(move))["state"] == "preparing"
    assert await services.kinds(move) == ["environment_frozen"]


async def test_a_crash_after_the_freeze_moves_no_sequence_on(
    services: Services, app: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Leaves no number drawn ahead, which a crash of the server would skip: the clone would differ from the hash."""
    move = await services.move()
    await app.execute(f"insert into {move.schema}.app_connection (name, status) values ('Nieuw', 'active')")
    state = f"select last_value, is_called, log_cnt from {move.schema}.app_connection_id_seq"
    assert (await services.row(state))["log_cnt"] > 0
    await services.freeze(move)
    assert tuple(await services.row(state)) == (3, True, 0)
    draw = f"select pg_catalog.nextval('{move.schema}.app_connection_id_seq'::regclass)"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await services.pool.execute(draw)
    await services.begin_undo(move)
    await services.undo_steps(move)
    assert await app.fetchval(draw) == 4


async def test_a_retried_freeze_gives_the_same_answer(services: Services) -> None:
    """Gives a retried freeze the first answer."""
    move = await services.move()
    first = await services.freeze(move)
    again = await services.freeze(move)
    assert again == first
    assert await services.kinds(move) == ["environment_frozen"]


async def test_a_run_that_was_reset_finds_what_was_done_before(services: Services) -> None:
    """A workflow that was reset to its beginning would wait a month for an upload that was made, or undo it all."""
    move = await services.move()
    file = await services.ticket(move)
    frozen = await services.freeze(move)
    assert not (await services.issue(move)).used
    read = m.ReadReservation(transfer_id=move.transfer_id)
    assert await services.reservations.read(read) is None
    made = await services.accept(move, file)
    assert await services.freeze(move) == frozen
    assert (await services.issue(move)).used
    assert await services.accept(move, file) == await services.reservations.read(read) == made
    assert not made.begun


async def test_a_run_that_was_reset_to_before_the_release_hears_of_it(services: Services) -> None:
    """It would find everything changed since, and tell the new side to reject what it has been working in."""
    move = await services.move()
    await services.inspectable(move)
    made = await services.reservations.read(m.ReadReservation(transfer_id=move.transfer_id))
    assert made is not None
    assert made.begun
    await services.gate.release(services.release_order(move))
    with pytest.raises(AlreadyReleased):
        await services.freeze(move)
    with pytest.raises(AlreadyReleased):
        await services.gate.open_for_inspection(m.OpenForInspection(transfer_id=move.transfer_id))
    assert await services.gate.release(services.release_order(move)) == await services.gate.release(
        services.release_order(move)
    )


async def test_attempts_at_once_freeze_once(services: Services) -> None:
    """Freezes once when two attempts run together."""
    move = await services.move()
    answers = await asyncio.gather(*(services.freeze(move) for _ in range(5)))
    assert all(answer == answers[0] for answer in answers)
    assert await services.kinds(move) == ["environment_frozen"]


async def test_attempts_at_once_settle_a_sequence_one_after_the_other(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lets no attempt change the rights on a sequence while another one does: the server would refuse the later."""
    move = await services.move()
    await services.pool.execute(
        f"create sequence {move.schema}.drawn; select pg_catalog.nextval('{move.schema}.drawn'::regclass)"
    )
    frozen, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def hold(*_: object) -> None:
        frozen.release()
        await go_on.wait()

    monkeypatch.setattr("adapters.transfer.freeze_release.wait_for_drawn_numbers", hold)
    attempts = [asyncio.create_task(services.freeze(move)) for _ in range(2)]
    for _ in attempts:
        await frozen.acquire()
    async with services.pool.acquire() as other, other.transaction():
        # Its state can be read and its rights changed, and it is not set.
        await other.execute(f"alter sequence {move.schema}.drawn owned by none")
        go_on.set()
        async with asyncio.timeout(60):
            while await services.pool.fetchval(WAITING) < len(attempts):  # noqa: ASYNC110 - the server's to tell
                await asyncio.sleep(0.01)
    first, second = await asyncio.gather(*attempts)
    assert first == second
    assert (await services.row(f"select log_cnt from {move.schema}.drawn"))["log_cnt"] == 0


async def test_an_attempt_that_is_left_over_sets_no_sequence_after_an_undo(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would set back one that people draw from again, and they would draw the same number twice."""
    move = await services.move()
    frozen, go_on = asyncio.Event(), asyncio.Event()

    async def hold(*_: object) -> None:
        frozen.set()
        await go_on.wait()

    monkeypatch.setattr("adapters.transfer.freeze_release.wait_for_drawn_numbers", hold)
    late = asyncio.create_task(services.freeze(move))
    await frozen.wait()
    await services.begin_undo(move)
    await services.unfreeze(move)
    await services.pool.execute(f"select pg_catalog.nextval('{move.schema}.app_user_id_seq'::regclass)")
    go_on.set()
    with pytest.raises(Superseded):
        await late
    assert (await services.row(f"select log_cnt from {move.schema}.app_user_id_seq"))["log_cnt"] > 0


async def test_a_freeze_says_no_and_changes_nothing(services: Services) -> None:
    """Changes nothing when the freeze is refused."""
    move = await services.move()
    with pytest.raises(EnvironmentUnknown):
        await services.freeze(Move(uuid.uuid4(), uuid.uuid4(), uuid.uuid4()))
    await services.freeze(move)
    with pytest.raises(AlreadyInTransfer):
        await services.freeze(Move(move.environment_id, uuid.uuid4(), uuid.uuid4()))
    sleeping = await services.move("Slaper")
    await services.pool.execute(
        "update control.environment set status = 'awaiting_release' where environment_id = $1", sleeping.environment_id
    )
    with pytest.raises(EnvironmentNotActive):
        await services.freeze(sleeping)
    assert await services.pool.fetchval("select count(*) from control.transfer") == 1
    assert await services.fences(sleeping.schema) == {}


async def test_a_freeze_after_the_undo_began_is_superseded(services: Services) -> None:
    """Supersedes a freeze that comes after the undo began."""
    move = await services.move()
    await services.begin_undo(move)
    with pytest.raises(Superseded):
        await services.freeze(move)
    assert await services.status_of(move.environment_id) == "active"
    assert await services.fences(move.schema) == {}


async def test_an_undo_gives_back_exactly_what_was(
    services: Services, app: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Gives flags and rights back as they were, no more."""
    move = await services.move()
    grants = "select relname, relacl::text from pg_class where relnamespace = $1::regnamespace order by relname"
    before = await services.pool.fetch(grants, move.schema)
    flags = await services.read_only(move.schema)
    await services.freeze(move)
    with pytest.raises(WrongMoment):
        await services.unfreeze(move)
    await services.begin_undo(move)
    await services.unfreeze(move)
    await services.unfreeze(move)
    assert await services.pool.fetch(grants, move.schema) == before
    assert (
        await services.read_only(move.schema)
        == flags
        == {"Enyoi BV": False, "Enyoi Holding": False, "Afgesloten BV": True}
    )
    assert await services.fences(move.schema) == {}
    assert await services.status_of(move.environment_id) == "active"
    await app.execute(WRITE.format(move.schema))
    assert await services.kinds(move) == ["environment_frozen", "undo_begun", "environment_unfrozen"]


async def test_another_transfers_freeze_is_not_lifted(services: Services) -> None:
    """Leaves another transfer's freeze in place."""
    move = await services.move()
    await services.freeze(move)
    other = Move(move.environment_id, uuid.uuid4(), uuid.uuid4())
    await services.begin_undo(other)
    await services.unfreeze(other)
    await services.unfreeze(Move(move.environment_id, uuid.uuid4(), uuid.uuid4()))
    assert await services.status_of(move.environment_id) == "read_only"
    assert set((await services.fences(move.schema)).values()) == {"A"}


async def test_an_environment_moves_again_after_an_undo(services: Services) -> None:
    """Freezes again after an undo."""
    move = await services.move()
    await services.freeze(move)
    await services.begin_undo(move)
    await services.unfreeze(move)
    await services.log.finish_undo(m.FinishUndo(transfer_id=move.transfer_id))
    again = Move(move.environment_id, uuid.uuid4(), uuid.uuid4())
    assert (await services.freeze(again)).administrations == 3


async def test_a_long_report_does_not_keep_an_undone_environment_shut(
    services: Services, app: "asyncpg.Connection[asyncpg.Record]", app_dsn: str
) -> None:
    """Opens an undone environment while a report still reads it."""
    move = await services.move()
    await services.freeze(move)
    await services.begin_undo(move)
    async with app.transaction(isolation="repeatable_read", readonly=True):
        await app.fetch(f"select * from {move.schema}.app_user")
        await services.unfreeze(move)
        assert await services.fences(move.schema) == {"app_user": "D"}
        writer = await asyncpg.connect(app_dsn)
        await writer.execute(WRITE.format(move.schema))
        await writer.close()
    again = Move(move.environment_id, uuid.uuid4(), uuid.uuid4())
    await services.log.finish_undo(m.FinishUndo(transfer_id=move.transfer_id))
    frozen = await services.freeze(again)
    fences = await services.fences(move.schema)
    assert len(fences) == frozen.tables
    assert set(fences.values()) == {"A"}


async def test_the_new_environment_is_seen_and_not_written(
    services: Services, app: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Opens the new environment for reading only."""
    move = await services.move()
    await services.moved(move)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.fetch(f"select * from {move.new_schema}.app_user")
    order = m.OpenForInspection(transfer_id=move.transfer_id)
    opened = await services.gate.open_for_inspection(order)
    assert await services.gate.open_for_inspection(order) == opened
    assert await services.status_of(move.new_environment_id) == "awaiting_release"
    assert (await services.transfer_row(move))["state"] == "awaiting_release"
    assert await app.fetchval(f"select count(*) from {move.new_schema}.app_user") == 2
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError, match="nog niet vrijgegeven"):
        await app.execute(WRITE.format(move.new_schema))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute(f"select nextval('{move.new_schema}.app_user_id_seq')")
    assert (await services.kinds(move)).count("opened_for_inspection") == 1


async def test_a_table_that_escaped_the_fence_stops_the_move(services: Services) -> None:
    """Fails when a table without a fence appeared during the move."""
    move = await services.move()
    await services.moved(move)
    await services.pool.execute(f"create table {move.schema}.latecomer (id integer)")
    with pytest.raises(CloneDiffers, match="latecomer"):
        await services.gate.open_for_inspection(m.OpenForInspection(transfer_id=move.transfer_id))


async def test_a_release_opens_invites_and_routes(
    services: Services, app: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Opens the environment, invites its users and routes the old address."""
    move = await services.move()
    await services.inspectable(move)
    at = datetime(2026, 3, 1, 9, tzinfo=UTC)
    released = await services.gate.release(services.release_order(move, at))
    assert released.users_invited == 2
    assert released.forward_until == at + timedelta(days=30)
    assert released.old_mailbox_address == "enyoi@noord.mailbox.sb.example"
    assert released.new_mailbox_address == "enyoi-nieuw@zuid.mailbox.sb.example"
    assert await services.status_of(move.new_environment_id) == "active"
    assert await services.status_of(move.environment_id) == "read_only"
    assert await services.fences(move.new_schema) == {}
    assert await services.read_only(move.new_schema) == {
        "Enyoi BV": False,
        "Enyoi Holding": False,
        "Afgesloten BV": True,
    }
    await app.execute(WRITE.format(move.new_schema))
    await app.execute(f"select nextval('{move.new_schema}.app_user_id_seq')")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError, match="overgedragen"):
        await app.execute(WRITE.format(move.schema))
    routes = {
        row["address"]: (row["environment_id"], row["valid_until"])
        for row in await services.pool.fetch("select * from control.mailbox_route")
    }
    assert routes == {
        released.new_mailbox_address: (move.new_environment_id, None),
        released.old_mailbox_address: (move.new_environment_id, released.forward_until),
    }
    statuses = await services.pool.fetch(f"select distinct invitation_status from {move.new_schema}.app_user")
    assert [row[0] for row in statuses] == ["invited"]
    row = await services.transfer_row(move)
    assert (row["state"], row["released_by"], row["released_at"]) == ("released", "bo@zuid.example", at)


async def test_an_entrepreneurs_last_environment_leaves_the_licence(services: Services) -> None:
    """Says so of the last one only, so that the platform hears when a licence can be cancelled."""
    licences = PostgresTransferQueries(services.pool)
    moves = [await services.move(name, ENTREPRENEUR) for name in ("Eerste", "Laatste")]
    for move, in_use in zip(moves, (True, False), strict=True):
        await services.inspectable(move, name=f"Nieuw {move.environment_id}")
        await services.gate.release(services.release_order(move))
        assert ("licence_left" in await services.kinds(move)) is not in_use
        (licence,) = await licences.licences(ENTREPRENEUR, only=ENTREPRENEUR)
        assert licence.in_use is in_use
    (firm,) = await licences.licences(NEW_FIRM, only=NEW_FIRM)
    assert firm.in_use


async def test_the_move_that_left_a_licence_tells_that_it_was_cancelled(
    services: Services, postgres: EmbeddedPostgres, database_name: str
) -> None:
    """Refuses a cancel while an environment is worked in, and writes it down once where the old side reads it."""
    row = await services.row("select * from control.licence where licence_number = $1", ENTREPRENEUR)
    licence = RegisteredLicence(**{name: row[name] for name in RegisteredLicence.model_fields if name != "cancelled"})
    move = await services.move("Eerste", ENTREPRENEUR)
    async with asyncpg.create_pool(postgres.dsn("sb_api", database_name), min_size=0) as pool:
        registration = PostgresRegistration(pool, "sb.example")
        with pytest.raises(LicenceInUse):
            await registration.licence(licence, cancelled=True, by="the platform")
        await services.inspectable(move, name="Nieuw")
        await services.gate.release(services.release_order(move))
        for _ in range(2):
            cancelled, _new = await registration.licence(licence, cancelled=True, by="the platform")
            assert cancelled.cancelled
        (seen,) = await PostgresTransferQueries(pool).licences(ENTREPRENEUR, only=ENTREPRENEUR)
        assert seen.cancelled_at is not None
    told = await services.row("select actor, detail from control.transfer_event where kind = 'licence_cancelled'")
    assert (told["actor"], ENTREPRENEUR in told["detail"]) == ("the platform", True)
    assert (await services.kinds(move)).count("licence_cancelled") == 1


async def test_the_portal_opens_nothing_of_what_moves_or_was_moved_away(
    services: Services, app: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Shuts the link to a quote from the freeze on, opens it again after an undo, and never after a release."""

    async def opens(environment_id: uuid.UUID) -> bool:
        return bool(await app.fetchval("select control.portal_opens($1)", environment_id))

    undone, move = await services.move("Terug"), await services.move()
    await services.freeze(undone)
    assert not await opens(undone.environment_id)
    await services.begin_undo(undone)
    await services.unfreeze(undone)
    assert await opens(undone.environment_id)
    await services.inspectable(move)
    assert not await opens(move.new_environment_id)
    await services.gate.release(services.release_order(move))
    assert await opens(move.new_environment_id)
    assert not await opens(move.environment_id)
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await app.execute(f"update {move.schema}.quote set status = 'accepted'")


async def test_a_retried_release_changes_nothing_more(
    services: Services, app: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Changes nothing when a release is retried."""
    move = await services.move()
    await services.inspectable(move)
    first = await services.gate.release(services.release_order(move))
    await app.execute(f"update {move.new_schema}.app_user set invitation_status = 'accepted'")
    later = services.release_order(move, datetime.now(UTC) + timedelta(hours=1))
    assert await services.gate.release(later) == first
    assert (
        await app.fetchval(f"select count(*) from {move.new_schema}.app_user where invitation_status = 'accepted'") == 2
    )
    assert (await services.kinds(move)).count("environment_released") == 1


async def test_nothing_is_undone_after_the_release(services: Services) -> None:
    """Refuses every compensation after the release."""
    move = await services.move()
    await services.inspectable(move)
    await services.gate.release(services.release_order(move))
    with pytest.raises(AlreadyReleased):
        await services.begin_undo(move)
    with pytest.raises(AlreadyReleased):
        await services.unfreeze(move)
    with pytest.raises(AlreadyReleased):
        await services.reservations.release(m.ReleaseReservation(transfer_id=move.transfer_id))
    assert await services.status_of(move.new_environment_id) == "active"
    assert (await services.transfer_row(move))["state"] == "released"


async def test_a_release_and_an_undo_at_once_do_not_both_happen(services: Services) -> None:
    """Lets one of a release and an undo at once happen."""
    for index in range(8):
        move = await services.move(f"Klant {index}")
        await services.inspectable(move, name=f"Nieuw {index}")
        release, undo = await asyncio.gather(
            services.gate.release(services.release_order(move)), services.begin_undo(move), return_exceptions=True
        )
        state = (await services.transfer_row(move))["state"]
        if isinstance(release, Superseded):
            assert undo is None
            assert state == "undoing"
            assert await services.status_of(move.new_environment_id) == "awaiting_release"
        else:
            assert isinstance(release, m.EnvironmentReleased)
            assert isinstance(undo, AlreadyReleased)
            assert state == "released"


async def test_a_release_at_the_wrong_moment_is_refused(services: Services) -> None:
    """Refuses to release what was not opened."""
    move = await services.move()
    await services.moved(move)
    with pytest.raises(WrongMoment):
        await services.gate.release(services.release_order(move))
    with pytest.raises(TransferUnknown):
        await services.gate.release(services.release_order(Move(uuid.uuid4(), uuid.uuid4(), uuid.uuid4())))


@pytest.mark.parametrize(("email", "users"), [("Baas@Enyoi.example", 2), ("nieuw@enyoi.example", 3)])
async def test_who_goes_self_managed_owns_the_environment(services: Services, email: str, users: int) -> None:
    """Makes the login address the owner of a self-managed environment."""
    move = await services.move()
    await services.inspectable(move, licence_number=ENTREPRENEUR, login_email=email)
    released = await services.gate.release(services.release_order(move))
    assert released.users_invited == users
    owner = await services.row(
        f"select role, invitation_status from {move.new_schema}.app_user where lower(email) = lower($1)", email
    )
    assert tuple(owner) == ("owner", "invited")


async def test_the_old_address_is_closed_after_the_forwarding_time(services: Services) -> None:
    """Closes the old address after thirty days, for good."""
    move = await services.move()
    await services.inspectable(move)
    released = await services.gate.release(services.release_order(move, datetime.now(UTC) - timedelta(days=30)))
    order = m.CloseMailboxForwarding(transfer_id=move.transfer_id, old_mailbox_address=released.old_mailbox_address)
    await services.gate.close_forwarding(order)
    await services.gate.close_forwarding(order)
    row = await services.row("select * from control.mailbox_route where address = $1", released.old_mailbox_address)
    assert row["environment_id"] is None
    assert row["closed_at"] is not None
    assert (await services.kinds(move)).count("mailbox_forwarding_closed") == 1


async def test_nobody_closes_an_address_that_is_not_his_to_close(services: Services) -> None:
    """Whoever starts a mailbox's workflow by hand closes no other's address, and none before its time."""
    other, move = await services.move("Buren"), await services.move()
    await services.inspectable(move)
    released = await services.gate.release(services.release_order(move))
    theirs = await services.row(
        "select mailbox_address from control.environment where environment_id = $1", other.environment_id
    )
    for address in (theirs[0], released.new_mailbox_address, released.old_mailbox_address, "made@up.example"):
        order = m.CloseMailboxForwarding(transfer_id=move.transfer_id, old_mailbox_address=address)
        with pytest.raises(NotItsTransfer):
            await services.gate.close_forwarding(order)
    open_ones = await services.row("select count(*) from control.mailbox_route where closed_at is null")
    assert open_ones[0] == 3


async def test_addresses_follow_an_environment_that_moves_twice(services: Services) -> None:
    """Routes the first address on when the environment moves again."""
    move = await services.move()
    await services.inspectable(move)
    first = await services.gate.release(services.release_order(move))
    second = Move(move.new_environment_id, uuid.uuid4(), uuid.uuid4())
    await services.inspectable(second, licence_number=OTHER_ENTREPRENEUR, name="Enyoi", login_email="a@b.example")
    await services.gate.release(services.release_order(second))
    row = await services.row("select * from control.mailbox_route where address = $1", first.old_mailbox_address)
    assert row["environment_id"] == second.new_environment_id
    assert row["valid_until"] == first.forward_until


async def test_triggers_of_the_customer_do_not_react_to_our_flags(services: Services) -> None:
    """Sets flags without waking a customer's triggers."""
    move = await services.move()
    await services.pool.execute(
        f"create table {move.schema}.audit (what text); "
        f"create function {move.schema}.audited() returns trigger language plpgsql as "
        "$$ begin execute format('insert into %I.audit values (%L)', tg_table_schema, tg_op); return null; end $$; "
        f"create constraint trigger audited after update on {move.schema}.administration "
        f"deferrable initially deferred for each row execute function {move.schema}.audited()"
    )
    await services.freeze(move)
    await services.begin_undo(move)
    await services.unfreeze(move)
    assert await services.pool.fetchval(f"select count(*) from {move.schema}.audit") == 0
