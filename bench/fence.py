"""How long writers are held while an environment is frozen: `python bench/fence.py [writers] [rounds] [tables]`.

Each writer inserts one row after another. A freeze holds the writers from its first lock until its commit, then they
are refused; what is measured is, for each writer, how long its last write took until the refusal came. Beside it: how
long a write takes while nothing is frozen, and how long the freeze itself took.
"""

import asyncio
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from adapters.gate import PostgresEnvironmentGate
from adapters.migrations import migrate_control, migrate_environment
from adapters.postgres import Pool, connect_pool
from devstack.postgres import EmbeddedPostgres
from domain.errors import EnvironmentBusy
from domain.messages import FreezeEnvironment
from domain.naming import schema_name_of, workflow_id_of


async def environment(pool: Pool, tables: int) -> uuid.UUID:
    """Make an active environment with `tables` tables beyond its own."""
    environment_id = uuid.uuid4()
    schema = schema_name_of(environment_id)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(f"create schema {schema}")
        await migrate_environment(connection, schema)
        await connection.execute(f"set local search_path to {schema}, pg_catalog")
        await connection.execute("create table tally (writer integer, number integer)")
        for number in range(tables):
            await connection.execute(f"create table more_{number} (id integer)")
        await connection.execute(f"grant insert on all tables in schema {schema} to sb_app")
        await connection.execute(
            "insert into control.environment (environment_id, licence_number, name, url_part, url, schema_name, "
            "status, mailbox_address) values ($1, '1', $2, 'x', $2, $3, 'active', $2)",
            environment_id,
            environment_id.hex,
            schema,
        )
    return environment_id


async def write(app: "asyncpg.Connection[asyncpg.Record]", schema: str, writer: int, usual: list[float]) -> float:
    """Write until refused; return how many seconds the refused write took."""
    number = 0
    while True:
        begun = time.perf_counter()
        try:
            await app.execute(f"insert into {schema}.tally values ($1, $2)", writer, number)
        except asyncpg.ReadOnlySQLTransactionError:
            return time.perf_counter() - begun
        usual.append(time.perf_counter() - begun)
        number += 1


def line(what: str, seconds: Sequence[float]) -> str:
    """Return one line of the table, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return f"{what:<34} {statistics.median(seconds) * 1e3:8.1f} {cuts[98] * 1e3:8.1f} {max(seconds) * 1e3:8.1f}"


async def main(writers: int, rounds: int, tables: int) -> None:
    """Freeze `rounds` environments under the writes of `writers` connections."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder))
        await server.start()
        try:
            await migrate_control(server.dsn())
            pool = await connect_pool(server.dsn(), application_name="bench")
            await pool.execute("insert into control.licence values ('1', 'x', 'firm', 'x', 'x@x.example')")
            apps = [await asyncpg.connect(server.dsn("sb_app")) for _ in range(writers)]
            gate = PostgresEnvironmentGate(pool)
            usual: list[float] = []
            held: list[float] = []
            freezes: list[float] = []
            busy = 0
            for _ in range(rounds):
                environment_id = await environment(pool, tables)
                schema = schema_name_of(environment_id)
                running = [asyncio.create_task(write(app, schema, n, usual)) for n, app in enumerate(apps)]
                await asyncio.sleep(0.3)
                order = FreezeEnvironment(
                    transfer_id=uuid.uuid4(),
                    environment_id=environment_id,
                    workflow_id=workflow_id_of(environment_id),
                    requested_by="bench",
                )
                while True:
                    begun = time.perf_counter()
                    try:
                        frozen = await gate.freeze(order)
                    except EnvironmentBusy:
                        busy += 1
                        await asyncio.sleep(0.1)
                        continue
                    break
                freezes.append(time.perf_counter() - begun)
                held += await asyncio.gather(*running)
            print(f"{writers} writers, {rounds} freezes, {frozen.tables} tables each, {busy} attempts found it busy")
            print(f"{'milliseconds':<34} {'median':>8} {'p99':>8} {'max':>8}")
            print(line("a write while nothing is frozen", usual))
            print(line("a writer held until its refusal", held))
            print(line("the freeze, from order to answer", freezes))
            for app in apps:
                await app.close()
            await pool.close()
        finally:
            await server.stop()


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    asyncio.run(main(*(given + [8, 20, 0][len(given) :])))
