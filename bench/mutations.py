"""Damages a copy in thousands of ways and counts those that the verifier does not see.

    python -m bench.mutations --count 10000

Each mutation is one of: a single cell changed (to a value chosen for its type, null included), two cells of one column
swapped between two rows, two cells of one row swapped, a row missing, a row doubled, one doubled and another missing.
Mutations that leave the table as it was (by the server's own text of it) are not counted. Every one is rolled back.
One in twenty damages the structure instead: bench/structure.py.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import asyncpg

from adapters.postgres.connection import Connection, connect_pool
from adapters.postgres.migrations import migrate_control
from adapters.verify.verifier import PostgresVerifier
from bench import structure
from devstack.postgres import EmbeddedPostgres

OLD, NEW = f"env_{0:032x}", f"env_{1:032x}"
STRUCTURAL = 20  # one mutation in so many
ROWS = 12
TABLES = 25  # each mutation damages one; so many are damaged before the two sides are compared once

# Column: its type, and values near enough to one another to be taken for each other.
VALUES: dict[str, tuple[str, list[str | None]]] = {
    "small": ("smallint", ["0", "1", "-1", "256", None]),
    "whole": ("integer", ["0", "1", "-1", "65536", "2147483647", None]),
    # Equal when their halves are folded together, as the server's own hash of a bigint does.
    "large": ("bigint", ["0", "5", "4294967300", "-1", "1", "4294967296", None]),
    "amount": ("numeric", ["0", "0.0", "-0.00", "1", "1.0", "1.00", "1e10", "NaN", "Infinity", None]),
    "price": ("numeric(12, 2)", ["0", "10.00", "100.00", "0.10", None]),
    "words": ("text", ["", " ", "a", "a ", "A", "é", "e\u0301", "aa", "0", None]),
    "label": ("varchar(20)", ["", "a", "b", "ab", "ba", None]),
    "code": ("char(3)", ["a", "b", "ab", "", None]),
    "bytes": ("bytea", ["\\x", "\\x00", "\\x0000", "\\x01", "\\x0100", None]),
    "truth": ("boolean", ["true", "false", None]),
    "day": ("date", ["2026-01-01", "2026-01-02", "infinity", "0044-03-15 BC", None]),
    "moment": ("timestamptz", ["2026-03-29 01:30+00", "2026-03-29 01:30:00.000001+00", "infinity", None]),
    "clock": ("time", ["00:00", "24:00", "12:00", None]),
    "real": ("double precision", ["0", "-0", "NaN", "1", "1.0000000000000002", "Infinity", None]),
    "id_of": ("uuid", ["00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001", None]),
    "doc": ("jsonb", ['{"n": 1.0}', '{"n": 1.00}', "{}", "[]", "null", '""', None]),
    "raw": ("json", ['{"a": 1}', '{"a":  1}', "null", None]),
    "list": ("integer[]", ["{}", "{1}", "{NULL}", "{{1}}", "[0:0]={1}", None]),
    "mood": ("mood", ["glad", "sad", None]),
    "pair": ("pair", ["(,)", '("",glad)', "(a,glad)", "(a,sad)", None]),
    "lasting": ("interval", ["1 day", "24 hours", "1 month", "30 days", None]),
}
COLUMNS = list(VALUES)
# Wide mixtures, and tables whose columns of one kind stand side by side: values could be taken for a neighbour's.
ALIKE = ["large", "whole", "small", "words", "bytes", "amount"]


def _columns(number: int, chance: random.Random) -> dict[str, str]:
    """Return a table's columns, each with the key of its values."""
    if number % 2:
        kind = ALIKE[number // 2 % len(ALIKE)]
        return {f"{kind}_{place}": kind for place in range(3)}
    return {name: name for name in chance.sample(COLUMNS, 8)}


async def _build(connection: Connection, chance: random.Random) -> dict[str, dict[str, str]]:
    """Make the same environment twice; return its tables."""
    tables = {f"table_{number}": _columns(number, chance) for number in range(TABLES)}
    for schema in (OLD, NEW):
        await connection.execute(
            f"create schema {schema}; set search_path to {schema}; "
            "create type mood as enum ('glad', 'sad'); create type pair as (a text, b mood)"
        )
        for table, columns in tables.items():
            defined = ", ".join(f"{name} {VALUES[kind][0]}" for name, kind in columns.items())
            await connection.execute(f"create table {table} (row_number integer primary key, {defined})")
    for table, columns in tables.items():
        for row in range(ROWS):
            values = [chance.choice(VALUES[kind][1]) for kind in columns.values()]
            given = ", ".join(f"${place + 2}::text::{VALUES[kind][0]}" for place, kind in enumerate(columns.values()))
            for schema in (OLD, NEW):
                await connection.execute(f"set search_path to {schema}")
                await connection.execute(f"insert into {table} values ($1, {given})", row, *values)
    for table in tables:  # the key only orders the rows here: a doubled row has none of its own
        for schema in (OLD, NEW):
            await connection.execute(f"alter table {schema}.{table} drop constraint {table}_pkey")
    await connection.execute(f"set search_path to {NEW}, pg_catalog")
    return tables


def _damage(table: str, columns: dict[str, str], chance: random.Random) -> tuple[str, str, list[str | None]]:
    """Choose a mutation: its name, a statement and its arguments."""
    one, other = chance.sample(range(ROWS), 2)
    name = chance.choice(list(columns))
    twins = [pair for pair in columns if columns[pair] == columns[name] and pair != name]
    match chance.choice(["cell", "cell", "swap", "neighbours", "missing", "doubled", "both"]):
        case "swap":
            statement = (
                f"update {table} a set {name} = b.{name} from {table} b where (a.row_number, b.row_number) in "
                f"(({one}, {other}), ({other}, {one}))"
            )
            return "two cells of a column swapped", statement, []
        case "neighbours" if twins:
            twin = chance.choice(twins)
            statement = f"update {table} set {name} = {twin}, {twin} = {name} where row_number = {one}"
            return "two cells of a row swapped", statement, []
        case "missing":
            return "a row missing", f"delete from {table} where row_number = {one}", []
        case "doubled":
            return "a row doubled", f"insert into {table} select * from {table} where row_number = {one}", []
        case "both":
            statement = (
                f"with gone as (delete from {table} where row_number = {one}) "
                f"insert into {table} select * from {table} where row_number = {other}"
            )
            return "a row doubled, another missing", statement, []
    kind, values = VALUES[columns[name]]
    statement = f"update {table} set {name} = $1::text::{kind} where row_number = {one}"
    return "a cell changed", statement, [chance.choice(values)]


async def measure(count: int, seed: int) -> int:
    """Make `count` mutations that count; print what was found and return how many were missed."""
    chance = random.Random(seed)  # noqa: S311 - the same mutations again for the same seed, nothing secret
    began = time.monotonic()
    made: Counter[str] = Counter()
    missed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres", settings={"fsync": "off"})
        await server.start()
        try:
            await migrate_control(server.dsn())
            pool = await connect_pool(server.dsn(), max_size=4, application_name="bench")
            verifier = PostgresVerifier(pool, parallelism=2)
            async with pool.acquire() as connection:
                tables = await _build(connection, chance)
                whole = "select array_agg(t::text order by row_number, t::text) from {} t"
                before = {table: await connection.fetchval(whole.format(table)) for table in tables}
                for table in tables:
                    await connection.execute(f"create table public.{table} as table {table}")
                rows = count - count // STRUCTURAL
                while made.total() < rows:
                    damaged: dict[str, str] = {}
                    for table in list(tables)[: rows - made.total()]:
                        name, statement, arguments = _damage(table, tables[table], chance)
                        await connection.execute(statement, *arguments)
                        if await connection.fetchval(whole.format(table)) != before[table]:
                            damaged[table] = f"{name}: {statement} {arguments}"
                            made[name] += 1
                    found = await verifier.compare_schemas(OLD, NEW)
                    seen = {difference.table for difference in found.differences}
                    missed += [damage for table, damage in damaged.items() if table not in seen]
                    if false := seen - damaged.keys():
                        raise SystemExit(f"differences where there is none: {sorted(false)}")
                    await connection.execute(
                        "; ".join(f"truncate {name}; insert into {name} select * from public.{name}" for name in tables)
                    )
            superuser = await asyncpg.connect(server.dsn("postgres"))
            structural, unseen = await structure.measure(superuser, verifier, count - rows, chance)
            made, missed = made + structural, missed + unseen
            await superuser.close()
            await pool.close()
        finally:
            await server.stop()
    for name, number in sorted(made.items()):
        print(f"{number:7,} {name}")
    for damage in missed:
        print(f"MISSED {damage}")
    print(f"{made.total():,} mutations, {len(missed)} missed (seed {seed}, {time.monotonic() - began:.0f} s)")
    return len(missed)


def main() -> None:
    """Measure; exit with 1 when a mutation was missed."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--count", type=int, default=10_000, help="mutations")
    arguments.add_argument("--seed", type=int, default=20260101, help="chooses them")
    chosen = arguments.parse_args()
    sys.exit(1 if asyncio.run(measure(chosen.count, chosen.seed)) else 0)


if __name__ == "__main__":
    main()
