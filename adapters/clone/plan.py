"""The order of a clone's work: what must wait for what, so that nothing is scanned twice and no core idles.

A foreign key that is declared while its table is empty needs no scan of the rows, and rows may be loaded past it: the
source enforces it, and the proof of equality carries that over. So a large table's rows come after its foreign keys,
those after the keys of the tables they refer to, and those after their rows. Small tables do all of theirs in one
transaction for many; their foreign keys, and those that go round in a circle, are declared when all rows are there.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from adapters.clone.partitioning import Partitioning
from adapters.schema.catalog import Blueprint, ConstraintDefinition, IndexDefinition, StoredTable, TableDefinition


@dataclass(frozen=True, slots=True)
class PageRange:
    """Pages of a table, the end not included."""

    load: StoredTable
    start: int
    end: int


class ClonePlan:
    """A blueprint under a partitioning: what each unit of work holds."""

    def __init__(self, blueprint: Blueprint, partitioning: Partitioning) -> None:
        self.blueprint = blueprint
        self.partitioning = partitioning
        self.small = {family: number for number, batch in enumerate(partitioning.batches) for family in batch}
        self.large = [
            family for family in dict.fromkeys(load.family for load in blueprint.loads) if family not in self.small
        ]
        self._early = frozenset(self._references_before_rows()) if partitioning.replica else frozenset()

    def loads_of(self, families: Iterable[str]) -> list[StoredTable]:
        """Return the tables with rows in some families."""
        chosen = set(families)
        return [load for load in self.blueprint.loads if load.family in chosen]

    def indexes_of(self, families: Iterable[str]) -> list[IndexDefinition]:
        """Return the indexes that stand alone until a key or a partitioned index takes them."""
        chosen = set(families)
        return [index for index in self.blueprint.indexes if index.family in chosen and not index.partitioned]

    def keys_before_rows(self, family: str) -> list[str]:
        """Return what makes a family's keys while it is empty; nothing where they come after the rows."""
        if family not in self.partitioning.keyed:
            return []
        keys = [index for index in self.blueprint.indexes if index.family == family and index.constraint]
        return [*(key.statement for key in keys), *(key.constraint for key in keys if key.constraint)]

    def builds_of(self, family: str) -> list[IndexDefinition]:
        """Return the indexes of a large family that are built when its rows are there."""
        early = family in self.partitioning.keyed
        return [index for index in self.indexes_of([family]) if not (early and index.constraint)]

    def keys_of(self, families: Iterable[str]) -> list[str]:
        """Put indexes under their constraints, then let partitioned tables' indexes adopt their partitions'."""
        chosen = set(families)
        indexes = [index for index in self.blueprint.indexes if index.family in chosen]
        return [
            *(i.constraint for i in indexes if i.constraint and i.family not in self.partitioning.keyed),
            *(index.statement for index in indexes if index.partitioned),
            *(statement for index in indexes for statement in index.afterwards),
        ]

    def bare_first(self) -> tuple[list[str], list[str]]:
        """Return what makes tables that are large or needed by others, and what completes them before their rows."""
        return self._bare([table for table in self.blueprint.tables if not self._with_its_rows(table)])

    def bare_of(self, families: Iterable[str]) -> list[str]:
        """Return what makes those of some small tables that are made together with their rows."""
        chosen = set(families)
        tables, rest = self._bare([t for t in self.blueprint.tables if t.name in chosen and self._with_its_rows(t)])
        return [*tables, *rest]

    def _with_its_rows(self, table: TableDefinition) -> bool:
        return table.alone and table.name in self.small

    def _bare(self, tables: list[TableDefinition]) -> tuple[list[str], list[str]]:
        names = {table.name for table in tables}
        checks = [
            item.statement
            for item in self.blueprint.constraints
            if item.at_once and not item.foreign_key and item.table in names
        ]
        columns = [statement for table in tables for statement in table.columns]
        return [table.statement for table in tables], [*columns, *checks]

    def references_of(self, family: str) -> list[ConstraintDefinition]:
        """Return the foreign keys that a family has before its rows, in the order of what they refer to.

        Each locks what it refers to: two families that refer to the same tables must not meet in the middle.
        """
        found = [item for item in self.blueprint.constraints if item in self._early and item.family == family]
        return sorted(found, key=lambda item: item.referred or "")

    def late(self) -> tuple[list[str], dict[str, list[str]]]:
        """Return the constraints that come when all rows are there, and per table what then validates them."""
        declared: list[str] = []
        validations: dict[str, list[str]] = {}
        for item in self.blueprint.constraints:
            if item in self._early or (item.at_once and not item.foreign_key):
                continue
            # A small table is looked through faster than a second transaction is begun.
            if item.validation is None or item.family in self.small:
                declared.append(item.statement)
            else:
                declared.append(f"{item.statement} not valid")
                validations.setdefault(item.table, []).append(item.validation)
        return declared, validations

    def ranges_of(self, load: StoredTable) -> list[PageRange]:
        """Cut a large table as the partitioning says."""
        cuts = self.partitioning.cuts[load.table]
        return [PageRange(load, start, end) for start, end in pairwise(cuts)]

    def _references_before_rows(self) -> Iterator[ConstraintDefinition]:
        """Choose the foreign keys of large tables that do not lead back to where they began."""
        outgoing: dict[str, set[str]] = {}
        chosen = [item for item in self.blueprint.constraints if item.foreign_key and item.at_once and item.referred]
        for item in chosen:
            outgoing.setdefault(item.family, set()).add(item.referred or "")
        for item in chosen:
            if item.family not in self.small and not _leads(item.referred or "", item.family, outgoing, self.small):
                yield item


def _leads(start: str, goal: str, outgoing: dict[str, set[str]], small: dict[str, int]) -> bool:
    """Tell whether one family's foreign keys lead to another; a small one's are declared last, so it is an end."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        family = waiting.pop()
        if family == goal:
            return True
        if family in seen or family in small:
            continue
        seen.add(family)
        waiting.extend(outgoing.get(family, ()))
    return False
