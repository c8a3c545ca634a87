"""What the server says of two schemas, held beside each other: definitions, comments, rights, settings."""

import re
from collections.abc import Iterator, Mapping

from adapters.verify.schema_snapshot import THIS_SCHEMA, Definitions, SchemaSnapshot
from domain.messages import TableDifference

OLD, NEW = "the old environment", "the new environment"
_MAX_DEFINITION = 200
# The version since which NOT NULL is a constraint with a name, and one that brought several smaller things.
_NAMED_NOT_NULL, _SEVENTEEN = 18, 17
_NOT_NULL = re.compile(r"NOT NULL( .+?)?(: inherited|: name)?", re.DOTALL)
# What people wrote, and names: never to be read with an eye shut.
_VERBATIM = re.compile(r"body|labels|parameters|settings|.*comment|.*default of .*", re.DOTALL)
_QUALIFIER = re.compile(r"""'(?:[^']|'')*'|(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)\.(?=["a-z_*])|\s+""")


def schema_differences(old: SchemaSnapshot, new: SchemaSnapshot) -> Iterator[TableDifference]:
    """Compare what the server says of each object of two schemas.

    Two servers of different major versions put the same definition into other words: a newer one leaves out the name of
    a view's only table, and knows of names and rights that the older one has no place for. That, and white space, is
    overlooked between them; within one version every character counts.
    """
    before, after = old.definitions, new.definitions
    across = old.major != new.major
    if across:
        before, after = (_in_common(side, min(old.major, new.major)) for side in (old, new))
    for name in sorted(before.keys() | after.keys()):
        if name not in after or name not in before:
            yield TableDifference(table=_plain(name), problem=f"missing in {NEW if name in before else OLD}")
            continue
        mine, yours = before[name], after[name]
        for fact in sorted(mine.keys() | yours.keys()):
            if _differ(fact, mine.get(fact), yours.get(fact), across=across):
                shown = _shown(mine.get(fact), yours.get(fact))
                yield TableDifference(table=_plain(name), problem=f"{fact}: {shown[0]} in {OLD}, {shown[1]} in {NEW}")


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


def _differ(fact: str, old: str | None, new: str | None, *, across: bool) -> bool:
    if old == new:
        return False
    if not across or old is None or new is None or _VERBATIM.fullmatch(fact):
        return True
    return _plainly(old) != _plainly(new)


def _plainly(definition: str) -> str:
    """Return a definition without the names of tables in front of columns and without white space."""
    return _QUALIFIER.sub(lambda found: found[0] if found[0].startswith("'") else "", definition)


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
