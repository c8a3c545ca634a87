"""An evening that did not suffice is taken back whole, and nothing that is left of it reaches the next one."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta

import asyncpg
import pytest

from adapters.clone import PostgresCloneEngine
from adapters.clone.attempt import CloneAttempt
from adapters.postgres.place import Move as Places
from adapters.postgres.place import Place
from adapters.transfer.target_setup import PostgresTargetSetup
from adapters.verify.verifier import PostgresVerifier
from domain import messages as m
from domain.errors import AlreadyReleased, EveningInvalid, Superseded, WindowTooShort, WrongMoment
from domain.vocabulary import TransferState
from tests.integration.services import AMSTERDAM, WINDOW, Move, Services

WHY = "evening 1 of 3 did not suffice"


class Night(Services):
    """What happens between an opening and a closing of the window."""

    def order(self, move: Move, evening: int = 1) -> m.CloneAdministrations:
        return m.CloneAdministrations(
            transfer_id=move.transfer_id, source_schema=move.schema, target_schema=move.new_schema, evening=evening
        )

    async def scheduled(self) -> tuple[Move, m.ReservationMade]:
        move = await self.move()
        return move, await self.accept(move, await self.ticket(move))

    async def clone(self, move: Move, evening: int = 1) -> m.CloneFinished:
        return await PostgresCloneEngine(self.pool, parallelism=2).clone(self.order(move, evening), lambda _: None)

    async def proven(self, move: Move, evening: int = 1) -> m.Verification:
        order = m.VerifyClone.model_validate(self.order(move, evening).model_dump())
        return await PostgresVerifier(self.pool, parallelism=2).verify(order, lambda _: None)

    async def changed(self, move: Move, evening: int = 1) -> m.OpenedForInspection:
        """Do what follows on the proof, as far as the inspection."""
        successor = PostgresTargetSetup(self.pool)
        await successor.reconnect_banks(m.ReconnectBanks(transfer_id=move.transfer_id, evening=evening))
        await successor.apply_consequences(m.ApplyConsequences(transfer_id=move.transfer_id, evening=evening))
        compared = await successor.compare(m.CompareEnvironments(transfer_id=move.transfer_id, evening=evening))
        assert compared.unequal == 0
        return await self.gate.open_for_inspection(m.OpenForInspection(transfer_id=move.transfer_id, evening=evening))

    async def postpone(self, move: Move, evening: int = 1, at: datetime | None = None) -> m.StartPlanned:
        return await self.planner.postpone(
            m.PostponeStart(transfer_id=move.transfer_id, evening=evening, decided_at=at or datetime.now(UTC), why=WHY)
        )

    async def plan(self, move: Move, *, starts_at: datetime, size: int, hash_seconds: float) -> None:
        """Let a scheduled move have begun to wait, and be of a size."""
        await self.pool.execute(
            "update control.transfer set starts_at = $2, size_bytes = $3, hash_seconds = $4 where transfer_id = $1",
            move.transfer_id,
            starts_at,
            size,
            hash_seconds,
        )

    async def moved_before(self, begun_at: datetime, *, size: int, seconds: float) -> None:
        """Let somebody else have moved."""
        await self.pool.execute(
            "insert into control.transfer (transfer_id, workflow_id, environment_id, state, size_bytes, begun_at, "
            "ready_at) values ($1, 'x', $1, 'released', $2, $3, $4)",
            uuid.uuid4(),
            size,
            begun_at,
            begun_at + timedelta(seconds=seconds),
        )

    async def schema_exists(self, move: Move) -> bool:
        row = await self.row("select to_regnamespace($1::text) is not null as there", move.new_schema)
        return bool(row["there"])

    async def assert_as_before_the_evening(self, move: Move) -> None:
        """Nothing of the clone is left, and everything that the next evening needs."""
        assert not await self.schema_exists(move)
        transfer = await self.transfer_row(move)
        assert transfer["state"] == TransferState.SCHEDULED
        results = ("clone_result", "verification", "banks", "consequences", "report")
        assert [transfer[name] for name in results] == [None] * 5
        assert await self.status_of(move.environment_id) == "read_only"
        assert await self.status_of(move.new_environment_id) == "building"
        assert await self.pool.fetchval("select count(*) from control.clone_unit") == 0
        fence = await self.row("select lifted_at from control.fence where transfer_id = $1", move.transfer_id)
        assert fence["lifted_at"] is None
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await self.pool.execute(f"update {move.schema}.relation set name = name")


@pytest.fixture
async def night(dsn: str) -> AsyncIterator[Night]:
    async with Night(dsn) as night:
        yield night


async def test_an_evening_that_was_too_short_is_followed_by_one_that_is_not(night: Night) -> None:
    """Moves on the next evening after one that was too short."""
    move, made = await night.scheduled()
    await night.clone(move)
    assert (await night.proven(move)).equal
    planned = await night.postpone(move, at=made.closes_at)
    assert planned.had_begun
    assert planned.evening == 2
    assert planned.starts_at == WINDOW.start_after(made.closes_at)
    assert planned.closes_at == WINDOW.closing_of(planned.starts_at)
    await night.assert_as_before_the_evening(move)

    await night.clone(move, evening=2)
    assert (await night.proven(move, evening=2)).equal
    await night.changed(move, evening=2)
    await night.gate.release(night.release_order(move))
    assert await night.status_of(move.new_environment_id) == "active"
    kinds = await night.kinds(move)
    assert [kind for kind in kinds if kind.startswith(("clone", "start"))] == [
        "clone_started",
        "clone_finished",
        "clone_verified",
        "start_postponed",
        "clone_dropped",
        "clone_started",
        "clone_finished",
        "clone_verified",
    ]


async def test_a_clone_begins_only_when_all_that_follows_fits_in_what_is_left(night: Night) -> None:
    """Before others have moved it goes by its hash, then by what others took for their bytes."""
    move, _ = await night.scheduled()
    opened = datetime.now(UTC) - timedelta(hours=4)

    async def begins(left: timedelta, grace: timedelta = timedelta()) -> bool:
        closes_at = datetime.now(UTC) + left
        places = Places.of(night.order(move))
        try:
            async with asyncio.timeout(60):
                await CloneAttempt.begin(
                    night.pool, move.transfer_id, places, closes_at=closes_at, grace_until=closes_at + grace
                )
        except WindowTooShort:
            return False
        await night.pool.execute(
            "update control.transfer set state = 'scheduled' where transfer_id = $1", move.transfer_id
        )
        return True

    await night.plan(move, starts_at=opened, size=1_000_000, hash_seconds=100)
    assert not await begins(timedelta(seconds=500))
    assert "clone_started" not in await night.kinds(move)
    assert await begins(timedelta(seconds=700))
    # Last week everything went quickly; this evening it does not, and that is what counts.
    for number in range(8):
        await night.moved_before(opened - timedelta(days=7), size=500_000 * (number + 1), seconds=1 + number)
    assert await begins(timedelta(seconds=30))
    for number in range(5):
        await night.moved_before(opened, size=500_000 * (number + 1), seconds=60 * (number + 1))
    assert not await begins(timedelta(seconds=90))
    assert await begins(timedelta(seconds=180))
    # Some take longer than their bytes tell: what the grace does not hold has to be left of the window.
    for number in range(5):
        await night.moved_before(opened, size=1_000_000, seconds=120 + 120 * (number % 2))
    assert not await begins(timedelta(seconds=200))
    assert await begins(timedelta(seconds=200), timedelta(minutes=15))
    assert not await begins(timedelta(seconds=90), timedelta(minutes=15))
    await night.plan(move, starts_at=datetime.now(UTC), size=1_000_000_000, hash_seconds=100)
    assert await begins(timedelta(hours=1))  # no other evening gives it more time


async def test_a_firms_moves_come_one_after_the_other_and_those_put_off_first(night: Night) -> None:
    """A thousand that begin at the same moment keep the first from being ready."""
    moves, made = [], []
    now = datetime.now(UTC)  # the same for all: at 22:00 the next ones would be for tomorrow
    for number, name in enumerate(("Een", "Twee", "Drie")):
        moves.append(await night.move(name))
        accepted_at = now.replace(microsecond=number)
        file = await night.ticket(moves[-1])
        made.append(await night.accept(moves[-1], file, name=name, accepted_at=accepted_at))
    assert [one.behind for one in made] == [0, 1, 2]
    planned = await night.postpone(moves[2], at=made[2].closes_at)
    assert planned.behind == 0
    await night.pool.execute("update control.transfer set starts_at = $1", planned.starts_at)
    found = [await night.reservations.read(m.ReadReservation(transfer_id=move.transfer_id)) for move in moves]
    assert [one.behind for one in found if one] == [1, 2, 0]


async def test_an_evening_that_nobody_began_is_planned_again(night: Night) -> None:
    """Plans another evening when nobody began."""
    move, _ = await night.scheduled()
    morning = datetime(2026, 11, 25, 8, 0, tzinfo=AMSTERDAM)
    planned = await night.postpone(move, at=morning)
    assert not planned.had_begun
    assert planned.starts_at == datetime(2026, 11, 25, 22, 0, tzinfo=AMSTERDAM)
    await night.assert_as_before_the_evening(move)
    at_night = datetime(2026, 11, 25, 23, 30, tzinfo=AMSTERDAM)
    assert (await night.postpone(move, evening=2, at=at_night)).starts_at == at_night


async def test_what_could_already_be_looked_at_is_built_again(night: Night) -> None:
    """Shuts and drops an opened clone whose evening is put off."""
    move, _ = await night.scheduled()
    await night.clone(move)
    await night.changed(move)
    await night.postpone(move)
    await night.assert_as_before_the_evening(move)


async def test_what_is_left_of_an_evening_changes_nothing_in_the_next(night: Night) -> None:
    """Bars what is left of an evening that was put off."""
    move, _ = await night.scheduled()
    places = Places(Place(move.schema), Place(move.new_schema))
    lost = await CloneAttempt.begin(night.pool, move.transfer_id, places)
    await night.postpone(move)
    fresh = await CloneAttempt.begin(night.pool, move.transfer_id, places, evening=2)
    assert fresh.attempt > lost.attempt
    async with night.pool.acquire() as connection:
        with pytest.raises(Superseded):
            async with lost.unit("rows of yesterday", connection):
                raise AssertionError("yesterday's unit must not begin")
        async with fresh.unit("rows of today", connection):
            pass
    transfer_id = move.transfer_id
    successor = PostgresTargetSetup(night.pool)
    for late in (
        night.clone(move),
        night.proven(move),
        successor.reconnect_banks(m.ReconnectBanks(transfer_id=transfer_id)),
        successor.apply_consequences(m.ApplyConsequences(transfer_id=transfer_id)),
        successor.compare(m.CompareEnvironments(transfer_id=transfer_id)),
        night.gate.open_for_inspection(m.OpenForInspection(transfer_id=transfer_id)),
    ):
        with pytest.raises(Superseded):
            await late
    async with night.pool.acquire() as connection, fresh.unit("more of today", connection):
        pass


async def test_a_second_try_at_the_same_evening_leaves_the_next_one_alone(night: Night) -> None:
    """Changes nothing when a postponement is delivered twice."""
    move, _ = await night.scheduled()
    await night.clone(move)
    first = await night.postpone(move)
    assert await night.postpone(move) == first
    await night.clone(move, evening=2)
    assert await night.postpone(move) == first
    assert (await night.proven(move, evening=2)).equal
    await night.postpone(move, evening=2)
    with pytest.raises(Superseded):
        await night.postpone(move)
    kinds = await night.kinds(move)
    assert (kinds.count("start_postponed"), kinds.count("clone_dropped")) == (2, 2)


async def test_a_postponement_that_is_killed_half_way_is_finished_by_the_next_try(night: Night) -> None:
    """Finishes a postponement that was killed half-way."""
    move, _ = await night.scheduled()
    await night.clone(move)
    blocker = await asyncpg.connect(night._dsn)
    try:
        async with blocker.transaction():
            await blocker.execute(f"lock table {move.new_schema}.relation in access share mode")
            killed = asyncio.create_task(night.postpone(move))
            async with asyncio.timeout(60):
                while (await night.transfer_row(move))["evening"] == 1:  # noqa: ASYNC110 - the server has no event for it
                    await asyncio.sleep(0.01)
            killed.cancel()
            with pytest.raises(asyncio.CancelledError):
                await killed
            assert await night.schema_exists(move)
            # Until it is gone nobody clones into it.
            with pytest.raises(Superseded):
                await night.clone(move, evening=2)
    finally:
        await blocker.close()
    assert (await night.postpone(move)).evening == 2
    assert not await night.schema_exists(move)
    await night.clone(move, evening=2)
    assert (await night.proven(move, evening=2)).equal


async def test_an_undo_comes_before_a_postponement(night: Night) -> None:
    """Lets an undo win over a postponement."""
    move, _ = await night.scheduled()
    await night.clone(move)
    await night.begin_undo(move)
    with pytest.raises(Superseded):
        await night.postpone(move)
    await PostgresCloneEngine(night.pool, parallelism=2).drop(m.DropClone(transfer_id=move.transfer_id))
    assert not await night.schema_exists(move)
    assert await night.pool.fetchval("select count(*) from control.clone_run") == 0


async def test_nothing_is_put_off_that_was_never_planned_or_is_released(night: Night) -> None:
    """Refuses to put off what is not planned, or is released."""
    move = await night.move()
    await night.ticket(move)
    with pytest.raises(WrongMoment):
        await night.postpone(move)
    await night.inspectable(other := await night.move("Ander"), name="Ander Nieuw")
    await night.gate.release(night.release_order(other))
    with pytest.raises(AlreadyReleased):
        await night.postpone(other, at=datetime.now(UTC) + timedelta(days=1))
    assert await night.schema_exists(other)


NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def chosen(move: Move, on: date, evening: int = 1, asked_at: datetime = NOON) -> m.RescheduleStart:
    return m.RescheduleStart(
        transfer_id=move.transfer_id,
        evening=evening,
        on=on,
        asked_at=asked_at,
        requested_by="new side",
        reason="a busy week",
        event_key=uuid.uuid4(),
    )


async def test_an_evening_that_is_chosen_is_planned_and_told_once(night: Night) -> None:
    """Plans a chosen evening and writes it once."""
    move, made = await night.scheduled()
    on = made.accepted.starts_at.date() + timedelta(days=5)
    order = chosen(move, on, asked_at=datetime.now(UTC))
    planned = await night.planner.reschedule(order)
    assert planned == await night.planner.reschedule(order)
    assert planned.starts_at == datetime.combine(on, time(22), AMSTERDAM)
    assert planned.closes_at == datetime.combine(on + timedelta(days=1), time(6), AMSTERDAM)
    assert (await night.transfer_row(move))["starts_at"] == planned.starts_at
    told = await night.row("select * from control.transfer_event where kind = 'start_rescheduled'")
    assert (told["actor"], told["reason"]) == ("new side", "a busy week")
    assert (await night.kinds(move)).count("start_rescheduled") == 1
    assert made.accepted.starts_at != planned.starts_at


@pytest.mark.parametrize("on", [date(2026, 11, 24), date(2020, 1, 1), date(2027, 3, 1), date(9999, 12, 31), date.min])
async def test_an_evening_in_the_past_or_far_away_is_refused(night: Night, on: date) -> None:
    """Refuses an evening in the past or beyond a quarter."""
    move, made = await night.scheduled()
    with pytest.raises(EveningInvalid):
        await night.planner.reschedule(chosen(move, on))
    assert (await night.transfer_row(move))["starts_at"] == made.accepted.starts_at
    assert "start_rescheduled" not in await night.kinds(move)


async def test_no_evening_is_chosen_for_what_does_not_wait(night: Night) -> None:
    """Refuses another evening for a transfer that does not wait."""
    move, made = await night.scheduled()
    await night.postpone(move, at=made.closes_at)
    with pytest.raises(Superseded):
        await night.planner.reschedule(chosen(move, date(2026, 12, 1)))
    await night.clone(move, evening=2)
    with pytest.raises(WrongMoment):
        await night.planner.reschedule(chosen(move, date(2026, 12, 1), evening=2))
