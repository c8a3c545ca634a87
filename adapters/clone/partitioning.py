"""How a clone's rows are divided over units of work; decided once per clone, kept, and the same for every attempt."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from adapters.schema.blueprint import Blueprint, IndexDefinition, StoredTable

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
# Of `IndexDefinition.disorder`: rows that were added at the end, but for a few.
_IN_ORDER = 0.05


@dataclass(frozen=True, slots=True)
class Partitioning:
    """Which families are small, in which batches, and where the other tables are cut.

    `cuts` maps a large table to the pages at which its ranges begin, with the end of the last one behind them.
    `filenodes` says in which files the rows lay: a table that is rewritten meanwhile has its rows elsewhere.
    `keyed` are the families that get their keys before their rows.
    """

    replica: bool
    batches: tuple[tuple[str, ...], ...]
    cuts: dict[str, tuple[int, ...]]
    filenodes: dict[str, int]
    keyed: frozenset[str] = frozenset()

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(
            {
                "replica": self.replica,
                "batches": self.batches,
                "cuts": self.cuts,
                "filenodes": self.filenodes,
                "keyed": sorted(self.keyed),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Partitioning":
        """Return what an earlier attempt has kept."""
        kept = json.loads(text)
        return cls(
            replica=kept["replica"],
            batches=tuple(tuple(batch) for batch in kept["batches"]),
            cuts={table: tuple(pages) for table, pages in kept["cuts"].items()},
            filenodes=kept["filenodes"],
            keyed=frozenset(kept["keyed"]),
        )


def partition(blueprint: Blueprint, *, replica: bool, parallelism: int = 1) -> Partitioning:
    """Divide tables by their size.

    Args:
        blueprint: What there is to make; its tables that hold rows, and every family, those without rows included.
        replica: Whether rows may be loaded without firing the checks of foreign keys.
        parallelism: Connections to keep busy.
    """
    loads = blueprint.loads
    families = [*(index.family for index in blueprint.indexes), *(item.family for item in blueprint.constraints)]
    sizes = dict.fromkeys(families, 0)
    for load in loads:
        sizes[load.family] = sizes.get(load.family, 0) + load.bytes
    range_bytes = max(_RANGE_BYTES, sum(sizes.values()) // _MOST_RANGES)
    return Partitioning(
        replica=replica,
        batches=tuple(_batches(sizes, parallelism)),
        cuts={load.table: _cuts(load, range_bytes) for load in loads if sizes[load.family] >= _SMALL_BYTES},
        filenodes={load.table: load.filenode for load in loads},
        keyed=frozenset(_keyed(blueprint, sizes)) if replica else frozenset(),
    )


def _keyed(blueprint: Blueprint, sizes: dict[str, int]) -> Iterator[str]:
    """Choose the families that get their keys before their rows, so that others may refer to them at once.

    A larger table that refers to one would else wait for its rows and the build of its key, and connections with it.
    Rows that come in the order of a key find their place in it at no great cost; others would not.
    """
    referring = dict.fromkeys(sizes, 0)
    for item in blueprint.constraints:
        if item.foreign_key and item.at_once and item.referred in referring and item.referred != item.family:
            referring[item.referred] += sizes[item.family]
    of_family: dict[str, list[IndexDefinition]] = {}
    for index in blueprint.indexes:
        of_family.setdefault(index.family, []).append(index)
    for family, size in sizes.items():
        indexes = of_family.get(family, [])
        keys = [index for index in indexes if index.key]
        in_order = keys and all(key.disorder < _IN_ORDER for key in keys)
        if (
            in_order
            and size >= _SMALL_BYTES
            and 2 * size <= referring[family]
            and not any(i.partitioned for i in indexes)
        ):
            yield family


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


def _cuts(load: StoredTable, range_bytes: int) -> tuple[int, ...]:
    step = max(1, load.pages * range_bytes // max(load.bytes, 1))
    return (*range(0, load.pages, step), load.pages)
