"""After the release nothing can be undone: the database itself refuses, whoever asks and by whichever function."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from domain import messages as m
from domain.errors import AlreadyReleased
from tests.integration.adapters.reconcile.test_inspection import Scene, at
from tests.integration.services import Services

# Everything in `control` that drops tables or schemas, with the arguments that make it drop the new environment.
DROPS = {
    "drop_clone_schema": "select control.drop_clone_schema($1, $2)",
    "drop_clone_objects": "select control.drop_clone_objects($1, $2, 200)",
}


@pytest.fixture
async def released(dsn: str) -> AsyncIterator[Scene]:
    async with Services(dsn) as services:
        scene = Scene(services)
        await at(scene, "end")
        yield scene


async def test_every_function_that_drops_refuses_what_is_in_use(released: Scene) -> None:
    """Refuses to drop what people work in, by every function that drops."""
    pool = released.services.pool
    droppers = await pool.fetch(
        "select proname, prosrc from pg_proc where pronamespace = 'control'::regnamespace "
        "and prosrc ~* 'drop (table|schema) (?!pg_temp)' and proname <> 'refuse_drop_in_use'"
    )
    assert {row["proname"] for row in droppers} == set(DROPS), "a new function that drops needs its line above"
    assert all("control.refuse_drop_in_use(" in row["prosrc"] for row in droppers)
    before = await pool.fetchval(
        "select count(*) from pg_class where relnamespace = $1::regnamespace", released.move.new_schema
    )
    someone_elses = released.move.new_environment_id
    for statement in DROPS.values():
        for transfer_id, schema in (
            (released.move.transfer_id, released.move.new_schema),
            (released.move.transfer_id, "env_of_no_matter_whom"),
            (someone_elses, released.move.new_schema),  # no transfer at all: the environment's status is enough
            (someone_elses, released.move.schema),
        ):
            with pytest.raises(asyncpg.ObjectInUseError, match="in use"):
                await pool.execute(statement, transfer_id, schema)
    after = await pool.fetchval(
        "select count(*) from pg_class where relnamespace = $1::regnamespace", released.move.new_schema
    )
    assert before == after > 0


async def test_no_compensation_passes_the_release(released: Scene) -> None:
    """Refuses each compensation of a released transfer."""
    services, move = released.services, released.move
    for undo in (
        services.begin_undo(move),
        services.unfreeze(move),
        services.office.revoke(m.RevokeTicket(transfer_id=move.transfer_id)),
        services.reservations.release(m.ReleaseReservation(transfer_id=move.transfer_id)),
        released.engine.drop(m.DropClone(transfer_id=move.transfer_id)),
        services.log.finish_undo(m.FinishUndo(transfer_id=move.transfer_id)),
    ):
        with pytest.raises(AlreadyReleased):
            await undo
    assert await released.found(deep=True) == []
