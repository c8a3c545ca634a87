"""Tables that inherit, with their columns in the order in which they stand.

A column that a parent was given after its child stands in the child behind the child's own. A table that is created
with its parents gets theirs first, so a family in which that happened is made again as it came to be: without columns,
and then one column after another. The order is not only for the eye: it is what a stored row of the table means.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from adapters.postgres.contained import as_made_contained

_Column = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the catalog tells of it; `own`: which of its columns are its own, be they its parents' as well.

    `worked_out`: schema and name, bare, of one whose definition runs code when it is made.
    """

    id: int
    qualified: str
    quoted: str
    partition: bool
    parents: tuple[int, ...]
    head: str
    names: tuple[str, ...]
    clauses: tuple[str, ...]
    own: tuple[bool, ...]
    not_nulls: tuple[str, ...]
    inherits: str
    tail: str
    worked_out: tuple[str, str] | None

    @property
    def create(self) -> str:
        """Return the statement that makes it after its parents."""
        columns = [clause for clause, own in zip(self.clauses, self.own, strict=True) if own]
        statement = f"{self.head} ({', '.join([*columns, *self.not_nulls])}){self.inherits}{self.tail}"
        return as_made_contained(*self.worked_out, statement) if self.worked_out else statement


def out_of_order(tables: Mapping[int, Table]) -> list[list[Table]]:
    """Return the families, parents first, in which a table would get its columns in another order."""
    wrong = {table.id for table in tables.values() if table.inherits and _created(table, tables) != list(table.names)}
    families: list[list[Table]] = []
    left = set(wrong)
    while left:
        family = _family(left.pop(), tables)
        left -= family
        order = TopologicalSorter({one: set(tables[one].parents) & family for one in sorted(family)}).static_order()
        families.append([tables[one] for one in order])
    return families


def _created(table: Table, tables: Mapping[int, Table]) -> list[str]:
    """Return the columns in the order in which `create table … inherits` puts them."""
    inherited = (name for parent in table.parents if parent in tables for name in tables[parent].names)
    own = (name for name, mine in zip(table.names, table.own, strict=True) if mine)
    return list(dict.fromkeys([*inherited, *own]))


def _family(start: int, tables: Mapping[int, Table]) -> set[int]:
    near: dict[int, set[int]] = {one: set() for one in tables}
    for table in tables.values():
        for parent in table.parents if not table.partition else ():
            if parent in tables:
                near[table.id].add(parent)
                near[parent].add(table.id)
    found: set[int] = set()
    waiting = [start]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting.extend(near[one])
    return found


def as_it_came_to_be(family: Iterable[Table]) -> list[str]:
    """Return the statements that make a family of tables, each column where it stands.

    Where nothing is known that leads to this order they are made in the usual one, which a look at the copy tells.
    """
    family = [*family]
    try:
        return _column_by_column(family)
    except CycleError:
        return [table.create for table in family]


def _column_by_column(family: Iterable[Table]) -> list[str]:
    tables = {table.id: table for table in family}
    statements = [f"{table.head} (){table.inherits}{table.tail}" for table in tables.values()]
    order: TopologicalSorter[_Column] = TopologicalSorter()
    clauses: dict[_Column, str] = {}
    before: defaultdict[_Column, set[_Column]] = defaultdict(set)
    firsts: dict[_Column, _Column] = {}
    for table in tables.values():
        for name, clause, own in zip(table.names, table.clauses, table.own, strict=True):
            column = (table.id, name)
            origins = [firsts[parent, name] for parent in table.parents if (parent, name) in firsts]
            if own:
                clauses[column] = f"alter table {table.qualified} add column {clause}"
                order.add(column)
            # Of what brings a column along, what comes first puts it in its place.
            free = [origin for origin in origins if not before[origin] & set(origins)]
            first = column if own else (free or origins)[0]
            firsts[column] = first
            for origin in set(origins) - {first}:
                before[origin].add(first)
        for earlier, later in pairwise(firsts[table.id, name] for name in table.names):
            order.add(later, earlier)
    for later, others in before.items():
        order.add(later, *others)
    statements += [clauses[column] for column in order.static_order()]
    for table in reversed(tables.values()):
        statements += [f"alter table {table.qualified} add {rule}" for rule in table.not_nulls]
    return statements
