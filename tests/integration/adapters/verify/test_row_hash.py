"""Every kind of damage to rows that a bad copy could do, and any that chance finds."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.postgres.connection import Pool
from adapters.verify import chunks
from adapters.verify.verifier import PostgresVerifier
from tests.integration.adapters.verify.twins import damaged

_CELLS = {
    "two amounts swapped": (
        "update ledger set amount = case nr when 3 then 6.50 else 3.50 end where nr in (3, 6)",
        "ledger",
        ["admin=0, nr=3: amount", "admin=0, nr=6: amount"],
    ),
    "1.50 became 1.5": ("update ledger set amount = 1.5 where nr = 1", "ledger", ["admin=1, nr=1: amount"]),
    "null moved to the neighbour": (
        "update customer set note = null, remark = note where id = 4",
        "customer",
        ["id=4: note, remark"],
    ),
    "empty text for null": ("update customer set remark = '' where id = 4", "customer", ["id=4: remark"]),
    "one bit": ("update customer set blob = '\\x00ff00' where id = 5", "customer", ["id=5: blob"]),
    "an enumeration": ("update customer set feeling = 'glad' where id = 5", "customer", ["id=5: feeling"]),
    "a domain's digits": (
        "update customer set credit = 5.100 where id = 5",
        "customer",
        ["id=5: credit, doubled"],
    ),
    "a domain over an enumeration": ("update customer set best = 'so so' where id = 5", "customer", ["id=5: best"]),
    "a field inside a composite": (
        "update customer set home.feeling = 'sad' where id = 5",
        "customer",
        ["id=5: home"],
    ),
    "a composite of nulls for null": (
        "update customer set home = row(null, null, null) where name = 'empty'",
        "customer",
        ["id=31: home"],
    ),
    "a composite in an array": (
        "update customer set homes[1].number = 6 where id = 5",
        "customer",
        ["id=5: homes"],
    ),
    "a null in an array of composites": (
        "update customer set homes[2] = row(null, null, null)::address where id = 5",
        "customer",
        ["id=5: homes"],
    ),
    "an array of an enumeration": (
        "update customer set feelings = '{glad,sad,NULL}' where id = 5",
        "customer",
        ["id=5: feelings"],
    ),
    "an array's shape": (
        "update customer set feelings = '{{glad,NULL,sad}}' where id = 5",
        "customer",
        ["id=5: feelings"],
    ),
    "an array's first subscript": (
        "update customer set feelings = '[0:2]={glad,NULL,sad}' where id = 5",
        "customer",
        ["id=5: feelings"],
    ),
    "an empty array for null": (
        "update customer set feelings = '{}' where name = 'empty'",
        "customer",
        ["id=31: feelings"],
    ),
    "an array of a domain": ("update customer set credits = '{1.00,5}' where id = 5", "customer", ["id=5: credits"]),
    "a domain over an array": ("update customer set labels = '{x,z}' where id = 5", "customer", ["id=5: labels"]),
    "a range": (
        "update customer set valid = period('2026-01-01', '2026-02-02') where id = 5",
        "customer",
        ["id=5: valid"],
    ),
    "an empty range for null": (
        "update customer set valid = 'empty' where name = 'empty'",
        "customer",
        ["id=31: valid"],
    ),
    "a multirange": ("update customer set valids = '{}' where id = 5", "customer", ["id=5: valids"]),
    "an empty multirange for null": (
        "update customer set valids = '{}' where name = 'empty'",
        "customer",
        ["id=31: valids"],
    ),
    "a range's bound": (
        "update customer set span = moods('glad', 'sad', '[)') where id = 5",
        "customer",
        ["id=5: span"],
    ),
    "digits in jsonb": (
        "update customer set doc = jsonb_set(doc, '{n}', '1.00') where id = 5",
        "customer",
        ["id=5: doc"],
    ),
    "a space in json": ("update customer set raw = '{\"a\": 1}' where id = 5", "customer", ["id=5: raw"]),
    "a point": ("update customer set spot = point(5, -1) where id = 5", "customer", ["id=5: spot"]),
    "a lexeme": ("update customer set words = 'some' where id = 5", "customer", ["id=5: words"]),
    "not a number": ("update customer set ratio = 'NaN' where id = 5", "customer", ["id=5: ratio"]),
    "the last digit": (
        "update customer set ratio = ratio + 2e-16 where id = 1",
        "customer",
        ["id=1: ratio"],
    ),
    "a type that is not sent": (
        "update customer set one_right = 'sb_owner=w/sb_owner' where id = 5",
        "customer",
        ["id=5: one_right"],
    ),
    "an array that is not sent": (
        "update customer set rights = array['sb_owner=w/sb_owner']::aclitem[] where id = 5",
        "customer",
        ["id=5: rights"],
    ),
    "a microsecond": (
        "update customer set born = born + interval '1 microsecond' where id = 5",
        "customer",
        ["id=5: born"],
    ),
    "a row missing": ("delete from ledger where nr = 7", "ledger", ["admin=1, nr=7: only in the old environment"]),
    "a row too many": (
        "insert into ledger values (9, 9, 1, 1)",
        "ledger",
        ["admin=9, nr=9: only in the new environment"],
    ),
    "a row under another key": (
        "update ledger set admin = 8 where nr = 7",
        "ledger",
        ["admin=1, nr=7: only in the old environment", "admin=8, nr=7: only in the new environment"],
    ),
    "one row doubled, another missing": (
        (
            "insert into journal values ('line 1', 1); delete from journal where ctid = "
            "(select min(ctid) from journal where text = 'line 2')"
        ),
        "journal",
        ['("line 1",1): 1 more in the new environment', '("line 2",2): 1 more in the old environment'],
    ),
    "a row in another partition": (
        "update movement set bank = 'rabobank' where id = 2",
        "movement_rest",
        ["(2,knab): 1 more in the old environment"],
    ),
    "a row in a child": ("update child set note = 'q'", "child", ["(1,p,c): 1 more in the old environment"]),
    "a row of no columns": ("insert into nothing default values", "nothing", ["(): 1 more in the new environment"]),
    "a materialised view not refreshed": (
        (
            "alter table ledger disable trigger user; update ledger set amount = 99 where nr = 7; "
            "refresh materialized view sums; update ledger set amount = 7.50 where nr = 7; "
            "alter table ledger enable trigger user"
        ),
        "materialized view sums",
        ["(1,150.00): 1 more in the old environment"],
    ),
}


@pytest.mark.parametrize(("damage", "table", "keys"), _CELLS.values(), ids=_CELLS)
async def test_damage_to_rows_is_found_and_named(twin: Pool, damage: str, table: str, keys: list[str]) -> None:
    """Finds and names each damage to rows."""
    by_table = {one.table: one for one in await damaged(twin, damage)}
    assert table in by_table
    named = by_table[table].keys
    assert {key for key in keys if key in named} == set(keys), named
    assert by_table[table].problem.startswith("rows differ")


async def test_ranges_of_pages_cover_every_row(twin: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads every row by ranges of pages."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 3 * 8192)
    for schema in ("env_old", "env_new"):
        await twin.execute(f"create table {schema}.many (id integer primary key, filler text)")
        await twin.execute(f"insert into {schema}.many select i, repeat('x', i % 100) from generate_series(1, 5000) i")
    compare = PostgresVerifier(twin, parallelism=3).compare_schemas
    try:
        found = await compare("env_old", "env_new")
        assert found.differences == []
        assert found.rows == 99 + 5000
        for row in (1, 2500, 5000):
            await twin.execute("update env_new.many set filler = filler || 'y' where id = $1", row)
        assert (await compare("env_old", "env_new")).differences[0].keys == [
            "id=1: filler",
            "id=2500: filler",
            "id=5000: filler",
        ]
    finally:
        await twin.execute("drop table env_old.many")


# --- single cells, chosen by chance ---------------------------------------------------------------------------------

_TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=5)
_NUMBERS = st.decimals(allow_infinity=False, places=None, min_value=-1000, max_value=1000).map(str)
_VALUES: Mapping[str, st.SearchStrategy[str]] = {
    "number": st.one_of(_NUMBERS, st.sampled_from(["0", "0.0", "-0.00", "NaN", "1", "1.0", "1.00"])),
    "words": st.one_of(_TEXTS, st.sampled_from(["", " ", "a", "a ", "A", "é", "e\u0301"])),
    "bytes": st.binary(max_size=3).map(lambda found: "\\x" + found.hex()),
    "real": st.one_of(st.floats().map(repr), st.sampled_from(["-0", "0", "NaN", "Infinity"])),
    "feeling": st.sampled_from(["glad", "sad"]),
    "feelings": st.lists(st.sampled_from(["glad", "sad", "NULL"]), max_size=3).map(lambda f: "{" + ",".join(f) + "}"),
    "whole": st.sampled_from(['("a",glad)', '("a",sad)', '("",glad)', "(,)", "(,glad)"]),
    "doc": st.recursive(st.none() | st.booleans() | st.integers() | _TEXTS, st.lists, max_leaves=3).map(json.dumps),
    "moment": st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(str),  # noqa: DTZ001 (naive is what the strategy takes)
}
_CELL = st.sampled_from(sorted(_VALUES)).flatmap(
    lambda column: st.tuples(st.just(column), st.none() | _VALUES[column], st.none() | _VALUES[column])
)


@pytest.fixture(scope="module")
async def cells(pool: Pool) -> Pool:
    """Two small environments whose one table has a column of many types."""
    for schema in ("cells_old", "cells_new"):
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(
                f"create schema {schema}; set local search_path to {schema}; "
                "create type mood as enum ('glad', 'sad'); create type pair as (a text, b mood); "
                "create table cell (id integer primary key, number numeric, words text, bytes bytea, "
                "real double precision, feeling mood, feelings mood[], whole pair, doc jsonb, moment timestamptz); "
                "insert into cell select i from generate_series(1, 5) i"
            )
    return pool


@settings(max_examples=100)
@given(cell=_CELL, row=st.integers(1, 5))
async def test_any_single_cell_counts(cells: Pool, cell: tuple[str, str | None, str | None], row: int) -> None:
    """Agrees with the server on every changed cell."""
    column, before, after = cell
    shown: list[Any] = []
    async with cells.acquire() as connection, connection.transaction():
        for schema, value in (("cells_old", before), ("cells_new", after)):
            await connection.execute(f"set local search_path to {schema}; set local extra_float_digits to 3")
            kind = await connection.fetchval(
                "select format_type(atttypid, atttypmod) from pg_attribute "
                "where attrelid = 'cell'::regclass and attname = $1",
                column,
            )
            shown.append(
                await connection.fetchval(
                    f"update cell set {column} = $1::text::{kind} where id = $2 returning {column}::text", value, row
                )
            )
    found = await PostgresVerifier(cells, parallelism=1).compare_schemas("cells_old", "cells_new")
    await cells.execute("update cells_old.cell set " + f"{column} = null; update cells_new.cell set {column} = null")
    assert [one.keys for one in found.differences] == ([[f"id={row}: {column}"]] if shown[0] != shown[1] else [])


# Few values, near to one another, so that rows are often equal, swapped, doubled or each other's neighbours.
_AMOUNTS = st.sampled_from([None, "0", "1", "1.0", "10"])
_LOOSE_ROWS = st.lists(st.tuples(_AMOUNTS, _AMOUNTS, *[st.sampled_from([None, "", "1", "10"])] * 2), max_size=6)


@pytest.fixture(scope="module")
async def loose(cells: Pool) -> Pool:
    """Two tables without a key in the same two environments, columns of one kind side by side."""
    for schema in ("cells_old", "cells_new"):
        await cells.execute(f"create table {schema}.loose (a numeric, b numeric, c text, d text)")
    return cells


@settings(max_examples=60)
@given(old=_LOOSE_ROWS, new=st.one_of(st.none(), _LOOSE_ROWS), order=st.randoms(use_true_random=False))
async def test_any_two_sets_of_rows_are_equal_or_told_apart(
    loose: Pool, old: list[tuple[str | None, ...]], new: list[tuple[str | None, ...]] | None, order: Random
) -> None:
    """Tells any two sets of rows apart, whatever their order."""
    if new is None:
        new = order.sample(old, len(old))
    async with loose.acquire() as connection, connection.transaction():
        for schema, rows in (("cells_old", old), ("cells_new", new)):
            await connection.execute(f"truncate {schema}.loose")
            await connection.executemany(
                f"insert into {schema}.loose values ($1::text::numeric, $2::text::numeric, $3, $4)", rows
            )
    found = await PostgresVerifier(loose, parallelism=1).compare_schemas("cells_old", "cells_new")
    before, after = Counter(old), Counter(new)
    assert [one.table for one in found.differences] == (["loose"] if before != after else [])
    if found.differences:
        assert len(found.differences[0].keys) == len((before - after).keys() | (after - before).keys())
