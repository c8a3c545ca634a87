"""Names the rows in which two environments differ, wherever each of them lives."""

import asyncpg

from adapters.postgres.connection import Connection, rows_of, unless_lost
from adapters.postgres.contained import ask, asked
from adapters.postgres.shards import Shards
from adapters.postgres.statements import load
from adapters.verify.schema_diff import NEW, OLD
from adapters.verify.schema_snapshot import SchemaSnapshot, fragment, reading

_SQL = load("adapters.verify.rows")
_AT_ONCE = 5000


class RowDiff:
    """One table that is not equal on both sides."""

    def __init__(
        self, shards: Shards, table: str, columns: tuple[str, ...], key: tuple[str, ...] | None, at_most: int
    ) -> None:
        """Take who is connected, the table, the columns that are compared, its key, and how many rows to name."""
        self._shards = shards
        self._table = table
        self._columns = columns
        self._key = key or ()
        self._at_most = at_most + 1  # so that the caller sees that there are more

    async def keys(self, old: SchemaSnapshot, new: SchemaSnapshot) -> list[str]:
        """Name the rows that differ by their primary key, with the columns that differ."""
        async with reading(self._shards.pool(new.cell), readonly=False) as connection:
            parts = [self._hashed(side) for side in (old, new)]
            if old.cell != new.cell:
                parts[0] = await self._carry(old, connection, parts[0], "keys")
            statement = fragment("differing_keys").format(old=parts[0], new=parts[1], most=self._at_most)
            keys = [row["key"] for row in await ask(connection, statement, old.schema, new.schema)]
        sides: list[dict[bytes, asyncpg.Record]] = []
        for side in (old, new):
            statement = fragment("keyed_rows").format(
                keys=", ".join(f"'\\x{key.hex()}'" for key in keys),
                key=side.row(self._table, self._key),
                shown=", ".join(f"left({side.bare(self._table, column)}::text, 80)" for column in self._key),
                columns=", ".join(
                    fragment("column_hash").format(value=side.exact(self._table, column)) for column in self._columns
                ),
                table=side.tables[self._table].quoted,
            )
            async with reading(self._shards.pool(side.cell), readonly=False) as connection:
                sides.append({row["key"]: row for row in await ask(connection, statement, side.schema)})
        return [self._named(sides[0].get(one), sides[1].get(one)) for one in keys]

    async def rows(self, old: SchemaSnapshot, new: SchemaSnapshot) -> list[str]:
        """Name the rows that differ by the beginning of their text, where no primary key does."""
        async with reading(self._shards.pool(new.cell), readonly=False) as connection:
            parts = [
                fragment("hashed_rows").format(
                    row=side.row(self._table, self._columns), table=side.tables[self._table].quoted
                )
                for side in (old, new)
            ]
            if old.cell != new.cell:
                parts[0] = await self._carry(old, connection, parts[0], "rows")
            statement = fragment("differing_rows").format(old=parts[0], new=parts[1], most=self._at_most)
            found = await ask(connection, statement, old.schema, new.schema)
        surplus = {(row["first"], row["second"]): row["surplus"] for row in found}
        shown: dict[tuple[int, int], str] = {}
        for side in (old, new):
            statement = fragment("shown_rows").format(
                firsts=", ".join(f"'{first:d}'" for first, _ in surplus),
                row=side.row(self._table, self._columns),
                # As people know the table: in the order of its columns.
                plain=", ".join(
                    side.bare(self._table, name) for name in old.tables[self._table].columns if name in self._columns
                ),
                table=side.tables[self._table].quoted,
            )
            async with reading(self._shards.pool(side.cell), readonly=False) as connection:
                for row in await ask(connection, statement, side.schema):
                    shown[row["first"], row["second"]] = row["shown"]
        return [f"{shown[row]}: {abs(count)} more in {OLD if count > 0 else NEW}" for row, count in surplus.items()]

    def _hashed(self, side: SchemaSnapshot) -> str:
        return fragment("hashed_keys").format(
            key=side.row(self._table, self._key),
            row=side.row(self._table, self._columns),
            table=side.tables[self._table].quoted,
        )

    async def _carry(self, old: SchemaSnapshot, connection: Connection, query: str, what: str) -> str:
        """Put the old side's hashes beside the new side's, in a table that goes with the transaction."""
        # A name for each kind: what a connection once knew of a table's columns it goes on believing.
        table = f"sb_compared_{what}"
        await connection.execute(_SQL[f"make_compared_{what}"])
        question = fragment("compared").format(hashed=query)
        async with (
            reading(self._shards.pool(old.cell), readonly=False) as there,
            asked(there, question, old.schema) as answers,
            unless_lost(connection),
        ):
            hashes = rows_of(there, answers, at_once=_AT_ONCE)
            await connection.copy_records_to_table(table, schema_name="pg_temp", records=hashes)
        return f"pg_temp.{table}"

    def _named(self, old: asyncpg.Record | None, new: asyncpg.Record | None) -> str:
        row = old or new
        if row is None:
            raise AssertionError("a key comes from one side or the other")
        name = ", ".join(f"{column}={shown}" for column, shown in zip(self._key, row["shown"], strict=True))
        if old is None or new is None:
            return f"{name}: only in {NEW if old is None else OLD}"
        cells = zip(self._columns, old["columns"], new["columns"], strict=True)
        return f"{name}: {', '.join(column for column, before, after in cells if before != after)}"
