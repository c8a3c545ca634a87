"""Lets the server say whether two wordings are of one definition.

`x in ('a', 'b')` on a varchar is written in one way when it was made by a person, and in another when it was made from
what the server wrote; a newer server leaves out the name of a query's only table. Nothing but a parser can tell such
from a difference, so both wordings are made once more by the same server, and what it then says of them is compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from adapters.postgres.connection import Connection
from adapters.postgres.statements import load
from adapters.verify.schema_snapshot import THIS_SCHEMA, SchemaSnapshot

_SQL = load(__name__)
_KINDS = ("view ", "materialized view ", "foreign table ", "type ", "statistics ")
_KEYS = " USING "
_ALONE = {"default": "alone", "definition": "query", "partition key": "partitioned"}
_ON_A_TABLE = {"constraint": "constraint", "index": "index", "trigger": "statement", "rule": "statement"}


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What makes a wording: statements of wording.sql by name, what each is about, and the wording as each takes it."""

    scratch: str
    steps: tuple[tuple[str, str | None], ...]
    wording: str
    body: str | None = None


async def same_rule(
    connection: Connection, side: SchemaSnapshot, name: str, fact: str, wordings: tuple[str, str]
) -> bool:
    """Tell whether the server takes two wordings of what a fact says of an object for one definition.

    Args:
        connection: Where the side is, in a transaction that may write and whose settings are fixed; nothing stays.
        side: The schema beside which both are made.
        name: The object, as the side's definitions call it.
        fact: Which of its facts.
        wordings: Both texts, with `THIS_SCHEMA` for the schema.
    """
    if fact.startswith("index ") and len({wording.partition(_KEYS)[0] for wording in wordings}) > 1:
        return False  # its name, or whether it is unique
    said = []
    for wording in wordings:
        attempt = _attempt(side.definitions.get(name, {}), name, fact, wording)
        if attempt is None:
            return False  # no definition that could be said otherwise
        try:
            said.append(await _said(connection, side.schema, attempt))
        except asyncpg.OperatorInterventionError:
            raise
        except asyncpg.PostgresError:
            return False  # it is not even understood
    return said[0] == said[1] != []


async def _said(connection: Connection, schema: str, attempt: _Attempt) -> list[str]:
    made = connection.transaction()
    await made.start()
    try:
        wording, body = (text and text.replace(THIS_SCHEMA, schema) for text in (attempt.wording, attempt.body))
        for step, about in attempt.steps:
            mine = about and about.replace(THIS_SCHEMA, schema)
            statement = await connection.fetchval(_SQL[step], schema, mine, wording, body)
            if statement is None:
                return []
            await connection.execute(statement)
        found: list[str] = await connection.fetchval(_SQL["said"], attempt.scratch)
        return found
    finally:
        await made.rollback()


def _attempt(facts: Mapping[str, str], name: str, fact: str, wording: str) -> _Attempt | None:
    about, (kind, _, detail) = _bare(name), fact.partition(" ")
    match name[: name.find(" ") + 1], fact:
        case "function ", "arguments":
            return _Attempt("", (("function", facts.get("result")),), wording)
        case "function ", "SQL body":
            return _Attempt("", (("function", facts.get("result")),), facts["arguments"], wording)
        case "type ", _ if kind == "constraint":
            return _Attempt("", (("domain", facts.get("base type")),), wording)
        case "statistics ", "definition":
            table = facts["table"]
            return _Attempt(table, (("table", table), ("statistics", table)), wording)
    steps: tuple[tuple[str, str], ...] = ()
    if fact in _ALONE:
        steps = ((_ALONE[fact], about),)
    elif fact.endswith((": default", ": generated", ": using", ": with check")):
        steps = (("expression", about),)
    elif kind in _ON_A_TABLE and ": " not in detail:
        steps = (("table", about), (_ON_A_TABLE[kind], about))
    made_of = wording.partition(_KEYS)[2] if kind == "index" else wording
    return _Attempt(about, steps, made_of) if steps else None


def _bare(name: str) -> str:
    """Return an object's name without what kind of object it is."""
    return next((name.removeprefix(kind) for kind in _KINDS if name.startswith(kind)), name)
