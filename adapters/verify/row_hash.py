"""How the verifier turns rows into hashes: which bytes stand for a row, and the statements that add their hashes up.

What stands for a row says everything about it and nothing else, so that two rows with the same are the same row. It is
hashed as a chain: the hash of each part is the seed of the next one's, so both hashes depend on every part and its
place. A sum of hashes that are linear in the columns would miss two amounts that were swapped.

The first part is a string of bytes. The others are values whose own hash takes all of their bytes in and no memory:
a function that makes bytes takes a kilobyte for each value, and above six or so of them a row the server would go to
the operating system for memory, and back, at each row. That takes as long as all the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from adapters.verify.schema_snapshot import SchemaSnapshot, fragment

_HASH_OF_BYTES = 18  # the PostgreSQL since which bytes can be hashed without a row around them
# By the ids that these types have on every server (src/include/catalog/pg_type.dat). First, what is hashed as it is:
# the function with its seed, and what stands for a null, which the first part tells apart. `hashint8extended` is not
# among them: it folds its value to half the size. A text's own collation may call different texts equal.
_CHAINED: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        16: ("hashint4extended({value}::integer, {seed})", "false"),
        21: ("hashint2extended({value}, {seed})", "0::smallint"),
        23: ("hashint4extended({value}, {seed})", "0"),
        25: ('hashtextextended({value} collate "C", {seed})', "''"),
        1043: ('hashtextextended({value} collate "C", {seed})', "''"),
        2950: ("uuid_hash_extended({value}, {seed})", "'00000000-0000-0000-0000-000000000000'::uuid"),
    }
)
_OUT_OF_LINE = {25, 1043}
# Then what is written as bytes: values of always the same number of them, a number that tells its own length, a text
# with a zero byte behind it, and bytes, which need their length.
_FIXED = {
    20: "int8send",
    700: "float4send",
    701: "float8send",
    1082: "date_send",
    1083: "time_send",
    1114: "timestamp_send",
    1184: "timestamptz_send",
}
_NUMERIC = {1700: "numeric_send"}
_TEXT = {1042: "bpcharsend"}
_BYTEA = 17
# Joining is quadratic in the number of values, and a function takes a hundred.
_MOST_DIRECT = 100
_BITS = 30
_SEEDS = (1, 2)


@dataclass(frozen=True, slots=True)
class PageRange:
    """Pages of a table, the end not included; a whole small table has no bounds."""

    table: str
    columns: tuple[str, ...]
    bounds: tuple[int, int] | None = None


def hash_statement(side: SchemaSnapshot, parts: Sequence[PageRange]) -> str:
    """Return a statement that gives each part's place in the list, rows, and two sums of hashes."""
    return " union all ".join(_part_statement(side, place, part) for place, part in enumerate(parts))


def _part_statement(side: SchemaSnapshot, place: int, part: PageRange) -> str:
    row = _Row(side, part.table, part.columns)
    first, second = (row.hash(seed) for seed in _SEEDS)
    return fragment("hash_rows").format(
        place=place,
        first=first,
        second=second,
        read=", ".join(row.read()),
        table=side.tables[part.table].quoted,
        bounds="" if part.bounds is None else "where t.ctid >= '({:d},0)' and t.ctid < '({:d},0)'".format(*part.bounds),
    )


class _Row:
    """Some columns of a table (called t), as they are hashed; those that are hashed as they are go by number (x.c1)."""

    def __init__(self, side: SchemaSnapshot, table: str, columns: tuple[str, ...]) -> None:
        self._side = side
        self._table = table
        kinds = {column: side.tables[table].columns[column][1] for column in columns}
        known = {*_CHAINED, *_FIXED, *_NUMERIC, *_TEXT, _BYTEA}
        self._direct = [column for column in columns if kinds[column] in known][:_MOST_DIRECT]
        self._others = tuple(column for column in columns if column not in set(self._direct))
        self._chained = [column for column in self._direct if kinds[column] in _CHAINED]
        self._kinds = kinds
        self._filled = side.filled(table)

    def read(self) -> list[str]:
        """Return what is taken from each row: the bytes, and the values that are hashed as they are."""
        values = [f"{self._value(column)} as c{number}" for number, column in enumerate(self._chained)]
        return [f"{self._bytes()} as sent", *values]

    def hash(self, seed: int) -> str:
        """Return the expression of a hash of what was read."""
        old_server = self._side.major < _HASH_OF_BYTES
        chain = fragment("hash_of_row" if old_server else "hash_of_bytes").format(bytes="x.sent", seed=seed)
        for number, column in enumerate(self._chained):
            function, stand_in = _CHAINED[self._kinds[column]]
            value = f"x.c{number}" if column in self._filled else f"coalesce(x.c{number}, {stand_in})"
            chain = function.format(value=value, seed=chain)
        return chain

    def _value(self, column: str) -> str:
        value = self._side.bare(self._table, column)
        if self._kinds[column] in _OUT_OF_LINE and self._side.tables[self._table].out_of_line:
            return f"{value} || ''"  # fetched once, and not once for each hash
        return value

    def _bytes(self) -> str:
        """Return the expression of the bytes that stand for a row, but for what is hashed as it is.

        First which of the values are null, then those of fixed length, numbers, texts before a zero byte, bytes after
        their length, and all other values as one record.
        """
        kinds, written = self._kinds, [column for column in self._direct if column not in set(self._chained)]
        chunks = self._signs()
        for writers in (_FIXED, _NUMERIC):
            chunks += [self._written(f"{writers[kinds[c]]}({{}})", c) for c in written if kinds[c] in writers]
        for column in written:
            if kinds[column] in _TEXT:
                chunks += [self._written(f"{_TEXT[kinds[column]]}({{}})", column), r"'\x00'::bytea"]
        for column in written:
            if kinds[column] == _BYTEA:
                chunks += [self._written("int4send(octet_length({}))", column), self._written("{}", column)]
        if self._others or not self._direct:
            chunks.append(f"record_send(row({self._side.row(self._table, self._others)}))")
        return " || ".join(chunks)

    def _written(self, form: str, column: str) -> str:
        written = form.format(self._side.bare(self._table, column))
        return written if column in self._filled else f"coalesce({written}, '')"

    def _signs(self) -> list[str]:
        """Say which values are null: shortly where none is, and not in the bytes that a row with nulls could have."""
        if not self._direct:
            return []
        values = {column: self._side.bare(self._table, column) for column in self._direct}
        open_to_nulls = [value for column, value in values.items() if column not in self._filled]
        if not open_to_nulls:
            return [r"'\x00'::bytea"]
        every = list(values.values())
        words = (
            " + ".join(
                f"({value} is null)::integer * {2**bit}" for bit, value in enumerate(every[start : start + _BITS])
            )
            for start in range(0, len(every), _BITS)
        )
        given = " || ".join(f"int4send({word})" for word in words)
        none = f"num_nulls({', '.join(open_to_nulls)}) = 0"
        return [rf"case when {none} then '\x00'::bytea else '\x01'::bytea || {given} end"]
