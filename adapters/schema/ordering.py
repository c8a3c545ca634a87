"""The order in which definitions can be made: each after those that it needs, as the server has written them down."""

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter

Key = tuple[int, int]
"""Of an object: the catalog it is in, and its id there."""

# Where nothing else decides, what comes first.
_RANKS = {"type": 0, "domain": 0, "sequence": 2, "table": 3, "attachment": 4, "default": 5, "index": 6, "check": 7}
_FUNCTION_RANK, _VIEW_RANK = 1, 8
VIEWS = frozenset({"view", "filled view", "empty view"})
# What every table may need before its rows.
_WITH_TABLES = frozenset({"type", "domain", "domain check", "sequence", "table", "attachment", "default", "check"})
# Only in the way of rows, and not needed by tables unless something else says so.
_BEHIND = VIEWS | {"index", "domain rule", "cast", "view default"}


class CircularDefinitionsError(Exception):
    """Some definitions need one another, so that none can be made first. Holds what they are."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(", ".join(names))


@dataclass(frozen=True, slots=True)
class Definition:
    """An object and the statements that make it; `table`: of which table it is a part, by its quoted name."""

    key: Key
    kind: str
    name: str
    statements: tuple[str, ...]
    table: str | None = None

    @property
    def rank(self) -> int:
        """Return where it comes among those that need nothing of one another."""
        return _RANKS.get(self.kind, _VIEW_RANK if self.kind in VIEWS else _FUNCTION_RANK)


@dataclass(slots=True)
class Definitions:
    """Everything in a schema, and what each needs."""

    items: dict[Key, Definition] = field(default_factory=dict)
    parts: Mapping[Key, Key] = field(default_factory=dict)
    needs: dict[Key, set[Key]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        items: Iterable[Definition],
        parts: Mapping[Key, Key],
        needs: Iterable[tuple[Key, Key]],
    ) -> "Definitions":
        """Put together what there is.

        Args:
            items: Every object that has statements of its own.
            parts: Objects that are made with another one, and which.
            needs: Pairs of an object, or part of one, and what it needs.
        """
        made = cls({item.key: item for item in items}, parts)
        made.needs = {key: set() for key in made.items}
        for needy, needed in needs:
            one, other = made.whole(needy), made.whole(needed)
            if one is not None and other is not None and one != other:
                made.needs[one].add(other)
        made._fold_domain_checks()
        return made

    def whole(self, key: Key) -> Key | None:
        """Return what an object is made with, itself where it is made alone; None when that is not in the schema."""
        while key not in self.items:
            if key not in self.parts:
                return None
            key = self.parts[key]
        return key

    def _fold_domain_checks(self) -> None:
        """Make domains with their checks, but for those that call a function which takes the domain."""
        domains = {item.name: item.key for item in self.items.values() if item.kind == "domain"}
        for key, check in [*self.items.items()]:
            if check.kind != "domain check":
                continue
            domain = domains[check.name]
            needed = self.needs[key] - {domain}
            if domain in self.closure(needed):
                statement = f"alter domain {check.name} add {check.statements[0]}"
                self.items[key] = replace(check, statements=(statement,))
                continue
            whole = self.items[domain]
            self.items[domain] = replace(whole, statements=(f"{whole.statements[0]} {check.statements[0]}",))
            self.needs[domain] |= needed
            del self.items[key], self.needs[key]

    def closure(self, keys: Iterable[Key]) -> set[Key]:
        """Return some objects with everything that they need, directly or not."""
        found: set[Key] = set()
        waiting = list(keys)
        while waiting:
            key = waiting.pop()
            if key not in found:
                found.add(key)
                waiting.extend(self.needs.get(key, ()))
        return found

    def split(self, also: Iterable[Key]) -> tuple[list[Definition], list[Definition]]:
        """Return what is made before rows, and what when everything else is there, each in its order.

        Whatever tables need comes before rows. Functions do too, unless they need a view or a key; views and casts come
        late. Indexes are made elsewhere, unless something before the rows needs one.

        Args:
            also: What is needed before rows beside.

        Raises:
            CircularDefinitionsError: Some need one another.
        """
        first = self.closure([*(key for key, item in self.items.items() if item.kind in _WITH_TABLES), *also])
        behind = {key for key, item in self.items.items() if item.kind in _BEHIND} - first
        for key in self.items.keys() - first - behind:
            if not self.closure([key]) & behind:
                first.add(key)
        rest = [key for key, item in self.items.items() if key not in first and item.kind != "index"]
        return [*self._ordered(first)], [*self._ordered(rest)]

    def _ordered(self, keys: Collection[Key]) -> Iterator[Definition]:
        chosen = set(keys)
        sorter = TopologicalSorter({key: self.needs[key] & chosen for key in chosen})
        try:
            sorter.prepare()
        except CycleError as error:
            raise CircularDefinitionsError(sorted({self.items[key].name for key in error.args[1]})) from error
        ready: list[tuple[int, Key]] = []
        while sorter.is_active():
            for key in sorter.get_ready():
                heapq.heappush(ready, (self.items[key].rank, key))
            _, key = heapq.heappop(ready)
            yield self.items[key]
            sorter.done(key)

    def needed_by_other_tables(self, among: Iterable[Definition]) -> set[str]:
        """Return the tables of which something is needed that is not a part of them."""
        pairs = ((item, self.items[key].table) for item in among for key in self.needs[item.key])
        return {table for item, table in pairs if table is not None and table != item.table}
