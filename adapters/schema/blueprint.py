"""Everything that makes a schema again, put together from what the catalog says."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from adapters.schema.deparse import reparsable
from adapters.schema.inheritance import Table, as_it_came_to_be, out_of_order
from adapters.schema.ordering import Definition, Definitions, Key
from adapters.schema.rights import Owner, Rights

Rows = Sequence[asyncpg.Record]
Rename = Callable[[str], str]

# Ids of catalogs, which are the same on every server; partitions' attachments are in none.
_ATTACHMENT, _PG_CLASS, _PG_CONSTRAINT = 0, 1259, 2606


@dataclass(frozen=True, slots=True)
class IndexDefinition:
    """An index of a table and what has to follow once it is built.

    `bytes` are the table's. `disorder` is 0 where its rows lie in the index's order, and up to 1 where they do not.
    `key`: it is a constraint's, or foreign keys refer to it. `computed`: somebody's function gives its values, so it is
    there before the rows. `in_structure`: a definition needs it, so it is made among them.
    """

    family: str
    name: str
    partitioned: bool
    bytes: int
    disorder: float
    statement: str
    constraint: str | None
    afterwards: list[str]
    key: bool = False
    computed: bool = False
    in_structure: bool = False

    @property
    def effort(self) -> int:
        """Return what a build costs beside others: sorting what is not sorted takes up to three times as long."""
        return round(self.bytes * (1 + 2 * self.disorder))


@dataclass(frozen=True, slots=True)
class ConstraintDefinition:
    """A check or a foreign key; `referred` is the family it refers to.

    `outside`: its name, when that is in another schema, or among what was left out.
    """

    table: str
    family: str
    referred: str | None
    statement: str
    validation: str | None
    foreign_key: bool
    at_once: bool
    outside: str | None = None


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table with rows of its own; `bytes` with what is kept out of line, `pages` of the main fork.

    `portable`: its rows in binary mean the same in another database. `names` are those of `columns`, bare. `target` is
    the table that they are written to: itself, or a partitioned one that finds the place of each row anew.
    """

    table: str
    family: str
    name: str
    pages: int
    filenode: int
    bytes: int
    rows_estimate: int
    columns: str
    expressions: str
    names: tuple[str, ...]
    portable: bool
    target: str


@dataclass(frozen=True, slots=True)
class CarriedCode:
    """Where code that somebody has made runs while a copy is made: see `adapters/postgres/contained.py`.

    `families` are those that run some when they are written; `tables` has the names of all families' tables, when there
    is one such. `views` are the materialised ones.
    """

    families: frozenset[str]
    tables: Mapping[str, tuple[str, ...]]
    views: tuple[str, ...]

    def of(self, *families: str | None) -> list[str]:
        """Return the tables of some families, if one of these runs code; those of other schemas are in none."""
        if self.families.isdisjoint(families):
            return []
        return [table for family in dict.fromkeys(families) for table in self.tables.get(family or "", ())]

    def around(self, item: ConstraintDefinition) -> list[str]:
        """Return the tables that are looked at when rows are held against a constraint, if one of them runs code."""
        return self.of(item.family, item.referred)

    @classmethod
    def found(cls, rows: Rows) -> "CarriedCode":
        """Take the answer to `carried_code`."""
        return cls(
            families=frozenset(row["family"] for row in rows if row["runs_code"] and not row["view"]),
            tables={row["family"]: tuple(row["tables"]) for row in rows if not row["view"]},
            views=tuple(row["tables"][0] for row in rows if row["view"]),
        )


@dataclass(frozen=True, slots=True)
class Blueprint:
    """Everything that makes a schema again, in the order in which it is run.

    `structure` is made before rows, `late` when the rows, keys and constraints are there. `alone` names the tables that
    can be made at any time after what else is in `structure`, beside others. `filled` are materialised views with rows,
    by the keys of their definitions.
    """

    tables: int
    structure: list[Definition]
    alone: frozenset[str]
    loads: list[StoredTable]
    indexes: list[IndexDefinition]
    constraints: list[ConstraintDefinition]
    late: list[Definition]
    filled: dict[Key, StoredTable]
    attached: list[str]
    comments: list[str]
    definers: list[str]
    owners: list[Owner]
    rights: Rights
    default_privileges: list[str]
    sequences: list[str]
    code: CarriedCode

    def without_rows(self) -> "WithoutRows":
        """Return everything but owners and rights, in an order in which it can be made where there are no rows."""
        named = {item.statement: item.validation for item in self.constraints if not item.foreign_key}
        singles = [index for index in self.indexes if not (index.partitioned or index.in_structure)]
        rest = [
            *(index.statement for index in singles),
            *(index.constraint for index in singles if index.constraint),
            *(index.statement for index in self.indexes if index.partitioned and not index.in_structure),
            *(statement for index in self.indexes for statement in index.afterwards),
            *(
                f"{item.statement} not valid" if named.get(item.statement) else item.statement
                for item in self.constraints
                if item.foreign_key or not item.at_once
            ),
            *(text for item in self.late for text in item.statements[: 1 if item.key in self.filled else None]),
        ]
        validations = [item.validation for item in self.constraints if not (item.foreign_key or item.at_once)]
        return WithoutRows(
            structure=[statement for item in self.structure for statement in item.statements],
            rest=rest,
            attached=[*self.attached, *self.comments, *self.default_privileges],
            validations=[text for text in validations if text],
            refreshes=[item.statements[1] for item in self.late if item.key in self.filled],
        )


@dataclass(frozen=True, slots=True)
class WithoutRows:
    """Statements in their order. The last two call functions, which are to find what they name."""

    structure: list[str]
    rest: list[str]
    attached: list[str]
    validations: list[str]
    refreshes: list[str]


def renaming(schema: str, copy: str) -> Rename:
    """Return what makes a text of the server's, about a schema, one that is run for a copy.

    The copy's name takes the place of the schema's, wherever that stands as a whole word.
    """
    pattern = re.compile(rf"(?<![\w$]){re.escape(schema)}(?![\w$])")
    return lambda text: reparsable(pattern.sub(lambda _: copy, text))


def assemble(found: Mapping[str, Rows], rename: Rename) -> Blueprint:
    """Put a blueprint together.

    Args:
        found: The answers to the queries of `catalog.sql`, by their names.
        rename: Puts the copy's name in the place of the schema's.

    Raises:
        CircularDefinitionsError: Some definitions need one another.
    """
    tables = {row["id"]: _table(row, rename) for row in found["tables"]}
    families = [[table.id for table in family] for family in out_of_order(tables)]
    definitions = Definitions.of(
        _definitions(found, tables, rename),
        {(row["child_class"], row["child"]): (row["whole_class"], row["whole"]) for row in found["parts"]}
        | {(_PG_CLASS, one): (_PG_CLASS, family[-1]) for family in families for one in family[:-1]},
        [*_needs(found)],
    )
    structure, late = definitions.split(_needed_before_rows(found, definitions))
    made = {item.key for item in structure}
    needed = definitions.needed_by_other_tables(structure)
    return Blueprint(
        tables=len(tables),
        structure=structure,
        alone=frozenset(row["quoted"] for row in found["tables"] if row["lonely"]) - needed,
        loads=[_stored(row, rename) for row in found["loads"] if not row["view"]],
        indexes=[_index(row, rename, in_structure=(_PG_CLASS, row["id"]) in made) for row in found["indexes"]],
        constraints=[_constraint(row, rename) for row in found["constraints"]],
        late=late,
        filled={(_PG_CLASS, row["id"]): _stored(row, rename) for row in found["loads"] if row["view"]},
        attached=_statements(found["attached"], rename),
        comments=_statements(found["comments"], rename),
        definers=_statements(found["definers"], rename),
        owners=[Owner(rename(row["what"]), row["owner"]) for row in found["owners"]],
        rights=Rights.of(found["rights"], rename),
        default_privileges=_statements(found["default_privileges"], rename),
        sequences=[row["relname"] for row in found["sequences"]],
        code=CarriedCode.found(found["carried_code"]),
    )


def _statements(rows: Rows, rename: Rename) -> list[str]:
    return [rename(row["statement"]) for row in rows]


def _table(row: asyncpg.Record, rename: Rename) -> Table:
    return Table(
        id=row["id"],
        qualified=rename(row["qualified"]),
        quoted=row["quoted"],
        partition=row["partition"],
        parents=tuple(row["parents"]),
        head=rename(row["head"]),
        names=tuple(row["names"] or ()),
        clauses=tuple(rename(clause) for clause in row["clauses"] or ()),
        own=tuple(row["own"] or ()),
        not_nulls=tuple(rename(rule) for rule in row["not_nulls"]),
        inherits=rename(row["inherits"] or ""),
        tail=rename(row["tail"]),
        worked_out=(rename(row["schema"]), row["name"]) if row["worked_out"] else None,
    )


def _definitions(found: Mapping[str, Rows], tables: Mapping[int, Table], rename: Rename) -> Iterator[Definition]:
    for row in found["definitions"]:
        table = tables[row["table_id"]].quoted if row["table_id"] in tables else None
        kind = "view default" if row["kind"] == "default" and table is None else row["kind"]
        name, statements = rename(row["name"]), [rename(row["statement"])]
        if kind == "filled view":  # only what a query has filled once can be read
            statements.append(f"refresh materialized view {name}")
        yield Definition((row["class"], row["id"]), kind, name, tuple(statements), table)
    for one, statements in _made_tables(found["columns"], tables, rename).items():
        yield Definition((_PG_CLASS, one), "table", tables[one].quoted, tuple(statements), tables[one].quoted)
    for row in found["tables"]:
        if row["attachment"]:
            # Partitions find their parents while they are empty: nothing is scanned then.
            name, statement = row["quoted"], rename(row["attachment"])
            yield Definition((_ATTACHMENT, row["id"]), "attachment", name, (statement,), name)
    for row in found["constraints"]:
        if row["at_once"] and not row["foreign_key"]:
            name, statement = row["table_name"], rename(row["statement"])
            yield Definition((_PG_CONSTRAINT, row["id"]), "check", name, (statement,), name)
    for row in found["indexes"]:
        texts = tuple(rename(text) for text in (row["statement"], row["constraint_of"]) if text)
        yield Definition((_PG_CLASS, row["id"]), "index", row["index_name"], texts, tables[row["table_id"]].quoted)


def _made_tables(columns: Rows, tables: Mapping[int, Table], rename: Rename) -> dict[int, list[str]]:
    """Return the statements that make tables with their settings, those of a family at its last one."""
    settings: dict[int, list[str]] = {}
    for row in columns:
        settings.setdefault(row["id"], []).append(rename(row["statement"]))
    made = {table.id: [table.create, *settings.get(table.id, ())] for table in tables.values()}
    for family in out_of_order(tables):
        for table in family[:-1]:
            del made[table.id]
        rest = [statement for table in family for statement in settings.get(table.id, ())]
        made[family[-1].id] = [*as_it_came_to_be(family), *rest]
    return made


def _needs(found: Mapping[str, Rows]) -> Iterator[tuple[Key, Key]]:
    for row in found["needs"]:
        yield (row["classid"], row["objid"]), (row["refclassid"], row["refobjid"])
    for row in found["tables"]:
        if row["attachment"]:
            for other in (row["id"], *row["parents"]):
                yield (_ATTACHMENT, row["id"]), (_PG_CLASS, other)


def _needed_before_rows(found: Mapping[str, Rows], definitions: Definitions) -> Iterator[Key]:
    """Return what indexes and checks are made of: they may be made before the rows, or while those come."""
    ids: list[Key] = [(_PG_CLASS, row["id"]) for row in found["indexes"]]
    checks = {row["id"] for row in found["constraints"] if not row["foreign_key"]}
    for row in found["needs"]:
        if row["classid"] == _PG_CONSTRAINT and row["objid"] in checks:
            needed = definitions.whole((row["refclassid"], row["refobjid"]))
            if needed is not None:
                yield needed
    for key in ids:
        yield from (need for need in definitions.needs[key] if definitions.items[need].kind != "index")


def _stored(row: asyncpg.Record, rename: Rename) -> StoredTable:
    return StoredTable(
        table=row["table_name"],
        family=row["family"],
        name=row["relname"],
        pages=row["pages"],
        filenode=row["filenode"],
        bytes=row["bytes"],
        rows_estimate=row["rows_estimate"],
        columns=row["columns"] or "",
        expressions=rename(row["expressions"] or ""),
        names=tuple(row["names"]),
        portable=row["portable"],
        target=row["through"] or row["relname"],
    )


def _index(row: asyncpg.Record, rename: Rename, *, in_structure: bool) -> IndexDefinition:
    return IndexDefinition(
        family=row["family"],
        name=row["index_name"],
        partitioned=row["partitioned"],
        bytes=row["bytes"],
        disorder=row["disorder"],
        statement=rename(row["statement"]),
        constraint=rename(row["constraint_of"]) if row["constraint_of"] else None,
        afterwards=[rename(statement) for statement in row["afterwards"]],
        key=row["key"],
        computed=row["computed"] and not row["partitioned"],
        in_structure=in_structure,
    )


def _constraint(row: asyncpg.Record, rename: Rename) -> ConstraintDefinition:
    return ConstraintDefinition(
        table=row["table_name"],
        family=row["family"],
        referred=row["referred"],
        statement=rename(row["statement"]),
        validation=rename(row["validation"]) if row["validation"] else None,
        foreign_key=row["foreign_key"],
        at_once=row["at_once"],
        outside=row["outside"],
    )
