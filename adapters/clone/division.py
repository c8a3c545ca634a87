"""How a clone's rows are divided over units of work; decided once per clone, kept, and the same for every attempt."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from adapters.catalog import Load

# A family of tables below this shares a unit with others: a transaction for each of 500 near-empty tables would cost
# more than their rows.
_SMALL_BYTES = 4 * 1024 * 1024
_BATCH_TABLES = 60
# What a table costs beside its rows, as if it were rows.
_TABLE_BYTES = 64 * 1024
# A range is small enough to redo after a kill and to keep every connection busy to the end, and large enough that its
# bookkeeping does not show; a huge schema gets larger ones, so that there are never more than about a thousand.
_RANGE_BYTES = 16 * 1024 * 1024
_MOST_RANGES = 1024


@dataclass(frozen=True, slots=True)
class Division:
    """Which families are small, in which batches, and where the other tables are cut.

    `cuts` maps a large table to the pages at which its ranges begin, with the end of the last one behind them.
    `filenodes` says in which files the rows lay: a table that is rewritten meanwhile has its rows elsewhere.
    """

    replica: bool
    batches: tuple[tuple[str, ...], ...]
    cuts: dict[str, tuple[int, ...]]
    filenodes: dict[str, int]

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(
            {"replica": self.replica, "batches": self.batches, "cuts": self.cuts, "filenodes": self.filenodes}
        )

    @classmethod
    def from_json(cls, text: str) -> "Division":
        """Return what an earlier attempt has kept."""
        kept = json.loads(text)
        return cls(
            replica=kept["replica"],
            batches=tuple(tuple(batch) for batch in kept["batches"]),
            cuts={table: tuple(pages) for table, pages in kept["cuts"].items()},
            filenodes=kept["filenodes"],
        )


def divide(loads: Iterable[Load], families: Iterable[str], *, replica: bool, parallelism: int = 1) -> Division:
    """Divide tables by their size.

    Args:
        loads: The tables that hold rows.
        families: Every family, those without a table that holds rows included.
        replica: Whether rows may be loaded without firing the checks of foreign keys.
        parallelism: Connections to keep busy.
    """
    every = list(loads)
    sizes = dict.fromkeys(families, 0)
    for load in every:
        sizes[load.family] = sizes.get(load.family, 0) + load.bytes
    range_bytes = max(_RANGE_BYTES, sum(sizes.values()) // _MOST_RANGES)
    return Division(
        replica=replica,
        batches=tuple(_batches(sizes, parallelism)),
        cuts={load.table: _cuts(load, range_bytes) for load in every if sizes[load.family] >= _SMALL_BYTES},
        filenodes={load.table: load.filenode for load in every},
    )


def _batches(sizes: dict[str, int], parallelism: int) -> Iterable[tuple[str, ...]]:
    """Put small families together so that every connection has its share, also of a few."""
    weights = {family: size + _TABLE_BYTES for family, size in sizes.items() if size < _SMALL_BYTES}
    share = min(_SMALL_BYTES, -(-sum(weights.values()) // parallelism))
    batch: list[str] = []
    taken = 0
    for family, weight in weights.items():
        batch.append(family)
        taken += weight
        if taken >= share or len(batch) == _BATCH_TABLES:
            yield tuple(batch)
            batch, taken = [], 0
    if batch:
        yield tuple(batch)


def _cuts(load: Load, range_bytes: int) -> tuple[int, ...]:
    step = max(1, load.pages * range_bytes // max(load.bytes, 1))
    return (*range(0, load.pages, step), load.pages)
