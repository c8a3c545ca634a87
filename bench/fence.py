"""How long writers are held while an environment is frozen: `python bench/fence.py [--cycles 100] [--json]`.

One writer of each kind of `tests.load.writers`, each with a server process of its own, writes without a pause while the
environment is frozen and unfrozen again and again. A freeze holds the writers from its first lock until its commit;
then they are refused. Exit code 1 when a write was lost or slipped in.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from adapters.postgres.connection import Pool, connect_pool
from adapters.postgres.migrations import migrate_control, migrate_environment
from devstack.postgres import EmbeddedPostgres
from domain.naming import schema_name_of
from tests.load.freeze_cycles import held, passed_meanwhile, refused_after, run_freeze_cycles, score
from tests.load.writers import KINDS, create_tables, running_writers


async def environment(pool: Pool, tables: int) -> uuid.UUID:
    """Make an active environment with `tables` tables beyond its own and the writers'."""
    environment_id = uuid.uuid4()
    schema = schema_name_of(environment_id)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(f"create schema {schema}")
        await migrate_environment(connection, schema)
        await create_tables(connection, schema)
        for number in range(tables):
            await connection.execute(f"create table {schema}.more_{number} (id integer)")
        await connection.execute(
            "insert into control.environment (environment_id, licence_number, name, url_part, url, schema_name, "
            "status, mailbox_address) values ($1, '1', $2, 'x', $2, $3, 'active', $2)",
            environment_id,
            environment_id.hex,
            schema,
        )
    return environment_id


def milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median, the 99th percentile and the greatest of durations."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    figures = {"median": statistics.median(seconds), "p99": cuts[98], "max": max(seconds)}
    return {name: round(figure * 1e3, 1) for name, figure in figures.items()}


async def measure(cycles: int, tables: int, kinds: list[str]) -> dict[str, object]:
    """Freeze and open an environment under writers, on a server of its own, and return the figures."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder))
        await server.start()
        try:
            await migrate_control(server.dsn())
            superuser = await asyncpg.connect(server.dsn("postgres"))
            await superuser.execute("grant set on parameter session_replication_role to sb_app")
            await superuser.close()
            pool = await connect_pool(server.dsn(), application_name="bench")
            await pool.execute("insert into control.licence values ('1', 'x', 'firm', 'x', 'x@x.example')")
            environment_id = await environment(pool, tables)
            schema = schema_name_of(environment_id)
            async with running_writers(server.dsn("sb_app"), schema, kinds, replica=True) as writers:
                done = await run_freeze_cycles(pool, environment_id, cycles=cycles, open_seconds=0.3, shut_seconds=0.05)
            outcome = await score(pool, schema, writers)
            await pool.close()
        finally:
            await server.stop()
    usual = [one.ended - one.begun for writer in writers for one in writer.tries if not one.refused]
    return {
        "writers": len(kinds),
        "cycles": cycles,
        "tables": tables,
        "acknowledged": outcome.acknowledged,
        "refused": outcome.refused,
        "lost": outcome.lost,
        "slipped_in": outcome.strays + sum(bool(cycle.changed) for cycle in done),
        "doubled": outcome.doubled,
        "attempts_found_busy": sum(cycle.busy for cycle in done),
        "milliseconds": {
            "any acknowledged write": milliseconds(usual),
            "a write that waited for a freeze's refusal": milliseconds(held(writers, done)),
            "a write acknowledged while freezing": milliseconds(passed_meanwhile(writers, done)),
            "from a freeze's answer to the refusal": milliseconds(refused_after(writers, done)),
            "the freeze, from order to answer": milliseconds([one.frozen_at - one.ordered_at for one in done]),
        },
    }


def main() -> int:
    """Read the command line, measure, print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python bench/fence.py")
    parser.add_argument("--cycles", type=int, default=20, help="freezes and undos")
    parser.add_argument("--tables", type=int, default=0, help="tables beyond an environment's own")
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), default=list(KINDS), help="which writers")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    given = parser.parse_args()
    found = asyncio.run(measure(given.cycles, given.tables, given.kinds))
    if given.json:
        print(json.dumps(found, indent=2))
    else:
        timings = found.pop("milliseconds")
        print(", ".join(f"{name} {figure}" for name, figure in found.items()))
        print(f"{'milliseconds':<46} {'median':>8} {'p99':>8} {'max':>8}")
        for name, figures in timings.items():  # type: ignore[attr-defined] # a dictionary, as built above
            print(f"{name:<46} {figures['median']:8.1f} {figures['p99']:8.1f} {figures['max']:8.1f}")
    return 1 if any(found[name] for name in ("lost", "slipped_in", "doubled")) else 0


if __name__ == "__main__":
    raise SystemExit(main())
