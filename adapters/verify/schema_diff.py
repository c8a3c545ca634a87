"""What the server says of two schemas, held beside each other: definitions, comments, rights, settings."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from adapters.postgres.connection import Connection
from adapters.verify.schema_snapshot import THIS_SCHEMA, Definitions, SchemaSnapshot
from adapters.verify.wording import same_rule
from domain.messages import TableDifference

OLD, NEW = "the old environment", "the new environment"
_MAX_DEFINITION = 200
# The version since which NOT NULL is a constraint with a name, and one that brought several smaller things.
_NAMED_NOT_NULL, _SEVENTEEN = 18, 17
_NOT_NULL = re.compile(r"NOT NULL( .+?)?(: inherited|: name)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact that differs; None where a side has no such fact. `fact` is empty where a side has no such object."""

    object: str
    fact: str
    old: str | None
    new: str | None

    def told(self) -> TableDifference:
        """Return it as people read it."""
        if not self.fact:
            problem = f"missing in {NEW if self.new is None else OLD}"
        else:
            old, new = _shown(self.old, self.new)
            problem = f"{self.fact}: {old} in {OLD}, {new} in {NEW}"
        return TableDifference(table=_plain(self.object), problem=problem)


async def schema_differences(connection: Connection, old: SchemaSnapshot, new: SchemaSnapshot) -> list[TableDifference]:
    """Compare what the server says of each object of two schemas, and what each calls.

    Two wordings that the new side's server takes for one definition are equal. Where the two sides are servers of
    different major versions, what only one of them has a word for is left out.

    Args:
        connection: Where the new side is, in a transaction that may write; nothing stays.
        old: One side.
        new: The other.
    """
    return [
        difference.told()
        for difference in differing(old, new)
        if difference.old is None
        or difference.new is None
        or not await same_rule(connection, new, difference.object, difference.fact, (difference.old, difference.new))
    ]


def differing(old: SchemaSnapshot, new: SchemaSnapshot) -> Iterator[Difference]:
    """Yield what two schemas' servers say otherwise, character by character."""
    before, after = old.definitions, new.definitions
    if old.major != new.major:
        before, after = (_in_common(side, min(old.major, new.major)) for side in (old, new))
    for name in sorted(before.keys() | after.keys()):
        if name not in after or name not in before:
            yield Difference(name, "", *("there" if name in side else None for side in (before, after)))
            continue
        mine, yours = before[name], after[name]
        for fact in sorted(mine.keys() | yours.keys()):
            if mine.get(fact) != yours.get(fact):
                yield Difference(name, fact, mine.get(fact), yours.get(fact))
    for name in sorted(old.calls.keys() & new.calls.keys()):  # what one side does not have was told above
        if old.calls[name] != new.calls[name]:
            yield Difference(name, "calls", old.calls[name], new.calls[name])


def _in_common(side: SchemaSnapshot, oldest: int) -> Definitions:
    """Leave out what only one of two versions can say, and says of everything."""

    def given(definitions: Mapping[str, str], fact: str) -> bool:
        if oldest < _NAMED_NOT_NULL and _NOT_NULL.fullmatch(fact) and "NO INHERIT" not in fact:
            return fact.endswith((": validated", ": comment", ": enforcement"))
        if oldest >= _SEVENTEEN:
            return True
        # A right of every owner, an identity that partitions have with their parent, and "as usual" written as nothing.
        return not (
            "grant of MAINTAIN to " in fact
            or (fact.endswith(": identity") and "partition bound" in definitions)
            or (fact == "target" and definitions[fact] == "-1")
        )

    return {
        name: {fact: definition for fact, definition in definitions.items() if given(definitions, fact)}
        for name, definitions in side.definitions.items()
    }


def _plain(text: str) -> str:
    """Return a text as people who work in one schema read it."""
    return text.replace(f"{THIS_SCHEMA}.", "")


def _shown(*definitions: str | None) -> list[str]:
    plain = [None if one is None else _plain(one) for one in definitions]
    return [_shortened(one) for one in (plain if len({*plain}) == len({*definitions}) else definitions)]


def _shortened(definition: str | None) -> str:
    if definition is None:
        return "none"
    return definition if len(definition) <= _MAX_DEFINITION else f"{definition[:_MAX_DEFINITION]}…"
