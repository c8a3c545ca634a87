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
from adapters.schema.blueprint import Blueprint, ConstraintDefinition, IndexDefinition, StoredTable
from adapters.schema.ordering import Definition


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
        self._indexes: dict[str, list[IndexDefinition]] = {}
        for index in blueprint.indexes:
            self._indexes.setdefault(index.family, []).append(index)
        self._early = frozenset(self._references_before_rows()) if partitioning.replica else frozenset()

    def loads_of(self, families: Iterable[str]) -> list[StoredTable]:
        """Return the tables with rows in some families."""
        chosen = set(families)
        return [load for load in self.blueprint.loads if load.family in chosen]

    def indexes_before_rows(self, families: Iterable[str]) -> list[str]:
        """Return what makes those indexes that must be there when the rows come.

        Keys, where others refer to a large table; and what somebody's function computes, for that may need names which
        it finds only while rows are written.
        """
        found = [index for index in self._singles(families) if self._before_rows(index)]
        return [*(index.statement for index in found), *(index.constraint for index in found if index.constraint)]

    def indexes_after_rows(self, families: Iterable[str]) -> list[IndexDefinition]:
        """Return the indexes that are built when the rows are there."""
        return [index for index in self._singles(families) if not self._before_rows(index)]

    def keys_of(self, families: Iterable[str]) -> list[str]:
        """Put indexes under their constraints, then let partitioned tables' indexes adopt their partitions'."""
        indexes = [index for family in families for index in self._indexes.get(family, ())]
        return [
            *(index.constraint for index in self.indexes_after_rows(families) if index.constraint),
            *(index.statement for index in indexes if index.partitioned and not index.in_structure),
            *(statement for index in indexes for statement in index.afterwards),
        ]

    def _singles(self, families: Iterable[str]) -> list[IndexDefinition]:
        """Return the indexes that stand alone until a key or a partitioned index takes them."""
        indexes = (index for family in families for index in self._indexes.get(family, ()))
        return [index for index in indexes if not (index.partitioned or index.in_structure)]

    def _before_rows(self, index: IndexDefinition) -> bool:
        return index.computed or (index.key and index.family in self.partitioning.keyed)

    def structure(self) -> list[Definition]:
        """Return what is made before the rows, but for small tables that are made together with theirs."""
        return [item for item in self.blueprint.structure if not self._with_its_rows(item)]

    def bare_of(self, families: Iterable[str]) -> list[str]:
        """Return what makes those of some small tables that are made together with their rows."""
        chosen = set(families)
        mine = [item for item in self.blueprint.structure if item.table in chosen and self._with_its_rows(item)]
        return [statement for item in mine for statement in item.statements]

    def _with_its_rows(self, item: Definition) -> bool:
        return item.table in self.blueprint.alone and item.table in self.small

    def references_of(self, family: str) -> list[ConstraintDefinition]:
        """Return the foreign keys that a family has before its rows, in the order of what they refer to.

        Each locks what it refers to: two families that refer to the same tables must not meet in the middle.
        """
        found = [item for item in self.blueprint.constraints if item in self._early and item.family == family]
        return sorted(found, key=lambda item: item.referred or "")

    def late(self) -> tuple[list[str], list[ConstraintDefinition], dict[str, list[ConstraintDefinition]]]:
        """Return what declares the constraints that come when all rows are there, and what is then held against them.

        That is the constraints of small tables, and by table those of large ones.
        """
        declared: list[str] = []
        soon: list[ConstraintDefinition] = []
        validations: dict[str, list[ConstraintDefinition]] = {}
        for item in self.blueprint.constraints:
            if item in self._early or (item.at_once and not item.foreign_key):
                continue
            small = item.family in self.small
            # A small table is looked through faster than a second transaction is begun. A check calls functions, which
            # are to find what they name: it is never looked through while definitions are made.
            if not self.blueprint.code.around(item) and (item.validation is None or (small and item.foreign_key)):
                declared.append(item.statement)
                continue
            if item.validation is not None:
                declared.append(f"{item.statement} not valid")
            if small or item.validation is None:
                soon.append(item)
            else:
                validations.setdefault(item.table, []).append(item)
        return declared, soon, validations

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
