"""What an environment is, as hashes: of every row of every table, and of every definition.

Two environments with the same fingerprint hold the same, wherever they live: rows are hashed by content, in no order,
and nothing of a server (type ids, positions on disk, owners, rights, settings) is in it. Sequences are told by where
they stand.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from pydantic import AwareDatetime, Field

from domain.messages import Message, TableDifference

# Names how rows become hashes; another way of hashing gets another name. docs/certificate.md describes this one.
METHOD = "sb-transfer rows 3"


class TableHash(Message):
    """A table, partition or materialised view: every column of every row, and its definition."""

    table: str
    rows: int
    content: str = Field(pattern="^[0-9a-f]{64}$", description="two sums of hashes of rows, 128 bits each")
    definition: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of what the server says it is")


class ObjectHash(Message):
    """Anything else in the schema: a sequence (with its position), view, function, type."""

    object: str
    definition: str = Field(pattern="^[0-9a-f]{64}$")
    position: str | None = Field(default=None, description="where a sequence stands")


class Fingerprint(Message):
    """One environment at one moment."""

    method: str = METHOD
    taken_at: AwareDatetime
    server: str = Field(description="the version of PostgreSQL; definitions compare within one major version only")
    tables: list[TableHash]
    others: list[ObjectHash]

    @property
    def rows(self) -> int:
        """Return the number of rows in all."""
        return sum(table.rows for table in self.tables)

    @property
    def major(self) -> str:
        """Return the server's major version."""
        return self.server.split(".", 1)[0]

    def changes(self, later: "Fingerprint", *, definitions: bool = True) -> list[TableDifference]:
        """Return what differs in a later fingerprint, in order of name.

        Args:
            later: Of the same environment, or of its copy.
            definitions: Also those; two environments may have the same ones in other words.
        """
        worded = definitions and self.major == later.major
        found = [*self._tables_changed(later, worded=worded), *self._others_changed(later, worded=worded)]
        return sorted(found, key=lambda change: change.table)

    def _tables_changed(self, later: "Fingerprint", *, worded: bool) -> Iterator[TableDifference]:
        before, after = ({table.table: table for table in side.tables} for side in (self, later))
        yield from _come_and_gone(before.keys(), after.keys())
        for name in before.keys() & after.keys():
            old, new = before[name], after[name]
            problems = []
            if old.rows != new.rows:
                problems.append(f"{old.rows} rows became {new.rows}")
            elif old.content != new.content:
                problems.append("the content of its rows has changed")
            redefined = worded and old.definition != new.definition
            if redefined:
                problems.append("its definition has changed")
            if problems:
                yield TableDifference(table=name, problem=", ".join(problems), redefined=redefined)

    def _others_changed(self, later: "Fingerprint", *, worded: bool) -> Iterator[TableDifference]:
        before, after = ({other.object: other for other in side.others} for side in (self, later))
        yield from _come_and_gone(before.keys(), after.keys())
        for name in before.keys() & after.keys():
            old, new = before[name], after[name]
            if old.position != new.position:
                yield TableDifference(table=name, problem=f"it stood at {old.position} and stands at {new.position}")
            elif worded and old.definition != new.definition:
                yield TableDifference(table=name, problem="its definition has changed", redefined=True)


def _come_and_gone(before: AbstractSet[str], after: AbstractSet[str]) -> Iterator[TableDifference]:
    yield from (TableDifference(table=name, problem="it is gone", redefined=True) for name in before - after)
    yield from (
        TableDifference(table=name, problem="it was not there before", redefined=True) for name in after - before
    )
