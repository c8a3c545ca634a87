"""How the verifier turns rows into hashes: which bytes stand for a row, and the statements that add their hashes up.

Each row becomes one string of bytes that says everything about it and nothing else, so that two rows with the same
bytes are the same row; both hashes are of that whole string. A sum of hashes that are linear in the columns would miss
two amounts that were swapped. `record_send` makes such bytes for every type; for the common ones the server's own
functions are called directly, which takes half the time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.sides import Side, fragment

_HASH_OF_BYTES = 18  # the PostgreSQL since which bytes can be hashed without a row around them
# By the ids that these types have on every server (src/include/catalog/pg_type.dat): values of always the same number
# of bytes, a number that tells its own length, texts, which hold no zero byte, and bytes, which need their length.
_FIXED = {
    16: "boolsend",
    20: "int8send",
    21: "int2send",
    23: "int4send",
    700: "float4send",
    701: "float8send",
    1082: "date_send",
    1083: "time_send",
    1114: "timestamp_send",
    1184: "timestamptz_send",
    2950: "uuid_send",
}
_NUMERIC = {1700: "numeric_send"}
_TEXT = {25: "textsend", 1042: "bpcharsend", 1043: "varcharsend"}
_BYTEA = 17
# Joining is quadratic in the number of values, and a function takes a hundred.
_MOST_DIRECT = 100
_BITS = 30


@dataclass(frozen=True, slots=True)
class Part:
    """Pages of a table, the end not included; a whole small table has no bounds."""

    table: str
    columns: tuple[str, ...]
    bounds: tuple[int, int] | None = None


def hash_statement(side: Side, parts: Sequence[Part]) -> str:
    """Return a statement that gives each part's place in the list, rows, and two sums of hashes.

    The bounds of a single part are the statement's parameters, so that it is prepared once for all ranges of a table.
    """
    old_server = side.major < _HASH_OF_BYTES
    rows, one = fragment("hash_rows"), fragment("hash_of_row" if old_server else "hash_of_bytes")
    return " union all ".join(
        rows.format(
            place=place,
            first=one.format(bytes="x.sent", seed=1),
            second=one.format(bytes="x.sent", seed=2),
            sent=row_bytes(side, part.table, part.columns),
            table=side.tables[part.table].quoted,
            bounds="" if part.bounds is None else "where t.ctid >= $1 and t.ctid < $2",
        )
        for place, part in enumerate(parts)
    )


def row_bytes(side: Side, table: str, columns: tuple[str, ...]) -> str:
    """Return the expression of the bytes that stand for a row of a table (called t), some columns of it.

    First which of the values that are written directly are null, then those of fixed length, numbers, texts before a
    zero byte, bytes after their length, and all other values as one record.
    """
    kinds = {column: side.tables[table].columns[column][1] for column in columns}
    direct = [column for column in columns if kinds[column] in {*_FIXED, *_NUMERIC, *_TEXT, _BYTEA}][:_MOST_DIRECT]
    values = {column: side.bare(table, column) for column in direct}
    pieces = [_signs(list(values.values()))] if direct else []
    for writers in (_FIXED, _NUMERIC):
        pieces += [f"coalesce({writers[kinds[name]]}({values[name]}), '')" for name in direct if kinds[name] in writers]
    for column in direct:
        if kinds[column] in _TEXT:
            pieces += [f"coalesce({_TEXT[kinds[column]]}({values[column]}), '')", r"'\x00'::bytea"]
    for column in direct:
        if kinds[column] == _BYTEA:
            pieces += [f"coalesce(int4send(octet_length({values[column]})), '')", f"coalesce({values[column]}, '')"]
    others = tuple(column for column in columns if column not in values)
    if others or not direct:
        pieces.append(f"record_send(row({side.row(table, others)}))")
    return " || ".join(pieces)


def _signs(values: Sequence[str]) -> str:
    """Say which values are null: shortly where none is, and not in the bytes that a row with nulls could have."""
    words = (
        " + ".join(f"({value} is null)::integer * {2**bit}" for bit, value in enumerate(values[start : start + _BITS]))
        for start in range(0, len(values), _BITS)
    )
    told = " || ".join(f"int4send({word})" for word in words)
    return rf"case when num_nulls({', '.join(values)}) = 0 then '\x00'::bytea else '\x01'::bytea || {told} end"
