"""Measures a verified clone against what a database administrator would run by hand, in one run on one server.

    python -m bench.clone --case medium --rows 2000000 --json clone.json

Ways: our clone with its proof; `pg_dump -Fc | pg_restore`; a dump to a folder and its restore, two jobs each;
`pg_dump | psql`; a binary COPY through psql of each table into the schema made before, indexes and all; and the
floor: CREATE TABLE AS and indexes on two connections, no foreign keys. Only ours is verified. Ratios below one say that
ours is faster. Read ratios, not seconds: all ways of one round share the machine. Each figure is the rounds' median.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import asyncpg
import psutil
from rich.console import Console
from rich.table import Table

from adapters.clone import PostgresCloneEngine
from adapters.postgres.connection import Pool, connect_pool
from adapters.postgres.migrations import migrate_control
from adapters.verify.prefetch import Prefetcher
from adapters.verify.verifier import PostgresVerifier
from bench import across
from bench.plot import draw
from devstack.binaries import postgres_bin
from devstack.postgres import EmbeddedPostgres
from domain import messages as m

PARALLELISM = 2
OURS = "our clone, verified"

BOOKS = """
create table administration (id uuid primary key, name text not null);
create table ledger_account (administration_id uuid not null references administration, id bigint not null,
    name text not null, primary key (administration_id, id));
create table journal_entry (administration_id uuid not null references administration, id bigint not null,
    booked_on date not null, description text not null, primary key (administration_id, id));
create table journal_line (administration_id uuid not null references administration, id bigint not null,
    journal_entry_id bigint not null, ledger_account_id bigint not null, debit numeric(15, 2) not null,
    credit numeric(15, 2) not null, description text not null, primary key (administration_id, id),
    foreign key (administration_id, journal_entry_id) references journal_entry,
    foreign key (administration_id, ledger_account_id) references ledger_account,
    check (debit = 0 or credit = 0));
insert into administration select md5('a')::uuid, 'Enyoi';
insert into ledger_account select md5('a')::uuid, i, 'account ' || i from generate_series(1, 200) i;
insert into journal_entry select md5('a')::uuid, i, date '2020-01-01' + i % 2000, 'entry ' || i
    from generate_series(1, {rows} / 4 + 1) i;
insert into journal_line select md5('a')::uuid, i, 1 + i / 4, 1 + i % 200, case i % 2 when 0 then i % 90000 else 0 end,
    case i % 2 when 1 then i % 90000 else 0 end, 'line ' || i from generate_series(1, {rows}) i;
create index journal_line_by_entry on journal_line (administration_id, journal_entry_id);
create index journal_line_by_account on journal_line (administration_id, ledger_account_id);
"""

DOCUMENTS = """
create table scanbox_document (id bigint primary key, name text not null, content bytea not null);
alter table scanbox_document alter column content set storage external;
insert into scanbox_document select i, 'scan ' || i, (select decode(string_agg(md5(i::text || j), ''), 'hex')
    from generate_series(1, 6400) j) from generate_series(1, greatest({rows} / 100, 1)) i;
"""

# A thousand administrations, their lines in the order in which they came: those of one lie far apart.
ADMINISTRATIONS = """
create table administration (id uuid primary key, name text not null);
create table ledger_account (administration_id uuid not null references administration, id bigint not null,
    name text not null, primary key (administration_id, id));
create table journal_line (administration_id uuid not null references administration, id bigint not null,
    ledger_account_id bigint not null, amount numeric(15, 2) not null, description text not null,
    primary key (administration_id, id),
    foreign key (administration_id, ledger_account_id) references ledger_account);
insert into administration select md5(a::text)::uuid, 'administration ' || a from generate_series(0, 999) a;
insert into ledger_account select md5(a::text)::uuid, i, 'account ' || i
    from generate_series(0, 999) a, generate_series(0, 49) i;
insert into journal_line select md5((i % 1000)::text)::uuid, i, i / 1000 % 50, i % 90000, 'line ' || i
    from generate_series(1, {rows}) i;
create index journal_line_by_account on journal_line (administration_id, ledger_account_id);
"""

MANY_TABLES = """
do $$ begin
    for i in 1 .. {tables} loop
        execute format('create table part_%s (id bigint generated always as identity primary key, owner bigint, '
                       'name text not null default %L, amount numeric(12, 2) check (amount >= 0))', i, 'x');
        execute format('insert into part_%s (owner, name, amount) select 1 + j %% 10, %L || j, j from '
                       'generate_series(1, {rows}) j', i, 'name ');
        execute format('create index part_%s_by_name on part_%s (name)', i, i);
        if i > 1 then
            execute format('alter table part_%s add foreign key (owner) references part_%s', i, i - 1);
        end if;
    end loop;
end $$;
"""


@dataclass(frozen=True)
class Case:
    """A schema to copy; `rows` as the case counts them, `title` says of what."""

    sql: str
    rows: int
    title: str

    def label(self, rows: int) -> str:
        return self.title.format(rows=rows, scans=rows // 100)

    def statements(self, rows: int) -> str:
        return self.sql.replace("{rows}", str(rows))


CASES = {
    "small": Case(MANY_TABLES.replace("{tables}", "20"), 250, "20 tables of {rows:,} rows"),
    "medium": Case(BOOKS, 2_000_000, "{rows:,} journal lines"),
    "large": Case(BOOKS, 10_000_000, "{rows:,} journal lines"),
    "wide": Case(DOCUMENTS, 1_000_000, "{scans:,} scans of 100 KB"),
    "many": Case(ADMINISTRATIONS, 1_000_000, "1,000 administrations, {rows:,} lines"),
    "across": Case(BOOKS, 2_000_000, "{rows:,} journal lines, from PostgreSQL 15 to 18"),
    "tables": Case(MANY_TABLES.replace("{tables}", "500"), 20, "500 tables of {rows:,} rows"),
}


@contextmanager
def peak_memory() -> Iterator[Callable[[], float]]:
    """Watch this process; the yielded function returns its peak in MB over what it was at first."""
    process = psutil.Process()
    idle = peak = process.memory_info().rss
    over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.02):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield lambda: (peak - idle) / 2**20
    finally:
        over.set()
        watcher.join()


class Bench:
    """One server, one case."""

    def __init__(self, server: EmbeddedPostgres, pool: Pool, folder: Path) -> None:
        self._server = server
        self._pool = pool
        self._folder = folder
        self.source = f"env_{uuid.uuid4().hex}"

    async def build(self, sql: str) -> None:
        """Make the schema to copy."""
        async with self._pool.acquire() as connection:
            await connection.execute(f"create schema {self.source}")
            await connection.execute(f"set search_path to {self.source}, pg_catalog")
            await connection.execute(sql)
            await connection.execute("reset search_path")
        await self._pool.execute("vacuum analyze")

    async def ours(self) -> dict[str, float]:
        """Clone and prove; return the seconds of both and the worker's memory."""
        transfer, new = uuid.uuid4(), uuid.uuid4()
        target = f"env_{new.hex}"
        await self._pool.execute(
            "insert into control.transfer (transfer_id, workflow_id, environment_id, state, new_environment_id) "
            "values ($1, 'bench', $2, 'scheduled', $3)",
            transfer,
            uuid.uuid4(),
            new,
        )
        engine = PostgresCloneEngine(self._pool, parallelism=PARALLELISM, meanwhile=Prefetcher)
        verifier = PostgresVerifier(self._pool, parallelism=PARALLELISM)
        with peak_memory() as peak:
            began = time.monotonic()
            await engine.clone(
                m.CloneAdministrations(transfer_id=transfer, source_schema=self.source, target_schema=target),
                lambda _: None,
            )
            cloned = time.monotonic() - began
            proof = await verifier.verify(
                m.VerifyClone(transfer_id=transfer, source_schema=self.source, target_schema=target), lambda _: None
            )
            total = time.monotonic() - began
            if not proof.equal:
                raise SystemExit(f"the clone differs: {proof.differences[:3]}")
            measured = {"seconds": total, "clone": cloned, "verify": total - cloned, "peak_mb_over_idle": peak()}
        await self._pool.execute(
            "update control.transfer set state = 'undoing', undo_reason = 'failed' where transfer_id = $1", transfer
        )
        await engine.drop(m.DropClone(transfer_id=transfer))
        return measured

    async def floor(self) -> None:
        """Copy rows and build indexes, as fast as two connections can: the largest first, nothing else."""
        target = f"floor_{uuid.uuid4().hex}"
        await self._pool.execute(f"create schema {target}")
        rows = await self._pool.fetch(
            "select format('create table %I.%I as table %I.%I', $2::text, c.relname, $1::text, c.relname) as statement "
            "from pg_class c where c.relnamespace = $1::text::regnamespace and c.relkind = 'r' "
            "order by pg_table_size(c.oid) desc",
            self.source,
            target,
        )
        await self._side_by_side([row["statement"] for row in rows])
        indexes = await self._pool.fetch(
            "select replace(pg_get_indexdef(x.indexrelid), $1::text, $2::text) as statement from pg_index x "
            "join pg_class c on c.oid = x.indrelid and c.relnamespace = $1::text::regnamespace and c.relkind = 'r' "
            # As ours does: what has to be sorted most comes first.
            "cross join lateral (select coalesce(max(abs(s.correlation)), 0) as sorted from pg_stats s "
            "join pg_attribute a on a.attrelid = c.oid and a.attname = s.attname and a.attnum = any (x.indkey) "
            "where s.schemaname = $1 and s.tablename = c.relname and s.n_distinct <> 1) s "
            "order by pg_table_size(c.oid) * (3 - 2 * s.sorted) desc",
            self.source,
            target,
        )
        await self._side_by_side([row["statement"] for row in indexes])
        await self._pool.execute(f"drop schema {target} cascade")

    async def _side_by_side(self, statements: list[str]) -> None:
        waiting = statements[::-1]

        async def take_turns() -> None:
            async with self._pool.acquire() as connection:
                await connection.execute("set maintenance_work_mem = '32MB'")
                while waiting:
                    statement = waiting.pop()
                    # As ours does: the last one may have help, for then a connection is idle or soon will be.
                    await connection.execute(f"set max_parallel_maintenance_workers = {int(not waiting)}")
                    await connection.execute(statement)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(PARALLELISM):
                tasks.create_task(take_turns())

    async def dump_by(self, pipe: str) -> None:
        """Run a dump and restore into a fresh database; `pipe` is a shell line, its programs in braces."""
        name = f"restore_{uuid.uuid4().hex}"
        await self._administer(f"create database {name} owner sb_owner")
        address = urlparse(self._server.dsn())
        where = f"-h 127.0.0.1 -p {address.port} -U {address.username}"
        programs = postgres_bin()
        folder = self._folder / name
        line = pipe.format(
            dump=f"{programs}/pg_dump {where} -n {self.source}",
            restore=f"{programs}/pg_restore {where} -d {name}",
            psql=f"{programs}/psql {where} -q -o /dev/null -v ON_ERROR_STOP=1 {name}",
            out=f"{programs}/psql {where} -q {address.path[1:]}",
            database=address.path[1:],
            dir=folder,
        )
        environment = {**os.environ, "PGPASSWORD": unquote(address.password or "")}
        script = self._folder / f"{name}.sh"  # a line of its own for each of five hundred tables is no argument
        script.write_text(line)
        await asyncio.to_thread(subprocess.run, ["bash", "-o", "pipefail", str(script)], check=True, env=environment)
        shutil.rmtree(folder, ignore_errors=True)
        await self._administer(f"drop database {name} with (force)")

    async def copy_by_psql(self) -> None:
        """Pipe every table through psql into a database that has the schema already, largest first, one by one."""
        tables = await self._pool.fetch(
            "select format('%I.%I', $1::text, relname) as name from pg_class "
            "where relnamespace = $1::text::regnamespace and relkind = 'r' order by pg_table_size(oid) desc",
            self.source,
        )
        pipes = [
            f'{{out}} -c "copy {row["name"]} to stdout (format binary)" | '
            f'{{psql}} -c "set session_replication_role = replica" -c "copy {row["name"]} from stdin (format binary)"'
            for row in tables
        ]
        await self.dump_by(" && ".join(["{dump} --schema-only {database} | {psql}", *pipes]))

    async def settle(self) -> None:
        """Write out what earlier work has left in memory, so that no way pays for another's."""
        await self._administer("checkpoint")

    async def _administer(self, statement: str) -> None:
        connection = await asyncpg.connect(self._server.dsn("postgres", "postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


DUMPS = {
    "pg_dump -Fc | pg_restore": "{dump} -Fc {database} | {restore}",
    "folder, two jobs": "{dump} -Fd -j2 -f {dir} {database} && {restore} -j2 {dir}",
    "pg_dump | psql": "{dump} {database} | {psql}",
}


PSQL_COPY = "COPY through psql"


async def _seconds(work: Awaitable[None]) -> float:
    began = time.monotonic()
    await work
    return time.monotonic() - began


async def measure(case: str, rows: int | None, repeat: int) -> dict[str, Any]:
    """Measure one case on a server of its own; of several rounds the median counts."""
    if case == "across":
        count = rows or CASES[case].rows
        return await across.measure(CASES[case].statements(count), count, repeat, peak_memory)
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres")
        await server.start()
        try:
            await migrate_control(server.dsn())
            pool = await connect_pool(server.dsn(), max_size=PARALLELISM + 2, application_name="bench")
            bench = Bench(server, pool, Path(folder))
            await bench.build(CASES[case].statements(rows or CASES[case].rows))
            rounds: list[dict[str, float]] = []
            for _ in range(repeat):
                dumps = {}
                for name, pipe in DUMPS.items():
                    await bench.settle()
                    dumps[name] = await _seconds(bench.dump_by(pipe))
                await bench.settle()
                dumps[PSQL_COPY] = await _seconds(bench.copy_by_psql())
                await bench.settle()
                floor = await _seconds(bench.floor())
                await bench.settle()
                rounds.append({**dumps, "floor": floor, **await bench.ours()})
            await pool.close()
        finally:
            await server.stop()
    best = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    best["peak_mb_over_idle"] = max(one["peak_mb_over_idle"] for one in rounds)
    dump = min(best["pg_dump -Fc | pg_restore"], best["folder, two jobs"])
    return {
        "case": case,
        "rows": rows or CASES[case].rows,
        "seconds": round(best["seconds"], 3),
        "clone_seconds": round(best["clone"], 3),
        "verify_seconds": round(best["verify"], 3),
        "ratio_pg_dump": round(best["seconds"] / dump, 3),
        "ratio_psql": round(best["seconds"] / best["pg_dump | psql"], 3),
        "ratio_floor": round(best["seconds"] / best["floor"], 3),
        "peak_mb_over_idle": round(best["peak_mb_over_idle"], 1),
        "others": {name: round(best[name], 3) for name in (*DUMPS, PSQL_COPY, "floor")},
    }


def main() -> None:
    """Measure the chosen cases, print a table, write JSON if asked."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--case", action="append", choices=CASES, help="default: small and medium")
    arguments.add_argument("--rows", type=int, help="another number of rows than the case's own")
    arguments.add_argument("--repeat", type=int, default=1, help="rounds, of which the median counts")
    arguments.add_argument("--json", type=Path, help="where to write the figures")
    arguments.add_argument("--plot", type=Path, help="where to draw them, as SVG")
    chosen = arguments.parse_args()
    table = Table(
        "case", "clone", "verify", "together", *DUMPS, PSQL_COPY, "floor", "/ dump", "/ psql", "/ floor", "MB over idle"
    )
    results: list[dict[str, Any]] = []
    for case in chosen.case or ["small", "medium"]:
        found = asyncio.run(measure(case, chosen.rows, chosen.repeat))
        results.append(found)
        others = found["others"]
        figures = [found[name] for name in ("clone_seconds", "verify_seconds", "seconds")]
        ratios = [found.get(name, "") for name in ("ratio_pg_dump", "ratio_psql", "ratio_floor", "peak_mb_over_idle")]
        ways = [others.get(name, "") for name in (*DUMPS, PSQL_COPY, "floor")]  # between servers there are fewer
        table.add_row(case, *(str(value) for value in (*figures, *ways, *ratios)))
    Console(width=160).print(table)
    if chosen.plot:
        titles = [f"{one['case']}: {CASES[one['case']].label(one['rows'])}" for one in results]
        drawn = [(title, {OURS: one["seconds"], **one["others"]}) for title, one in zip(titles, results, strict=True)]
        chosen.plot.write_text(draw(drawn, OURS))
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
