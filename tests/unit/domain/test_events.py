"""Kinds of events are written in SQL as well: a word that only one of both knows is never found again."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from domain.events import EventKind
from domain.steps import STEPS

ROOT = Path(__file__).parents[3]
_TABLE = re.compile(r"\bcontrol\.transfer_event\b(?:\s+(?!where|group|order|disable|enable|add)(?P<alias>[a-z]+)\b)?")
_WORD = r"'([a-z_]+)'"


def kinds_in(statement: str) -> Iterator[str]:
    """Yield the literals that a statement holds beside the column `kind` of the event log."""
    for found in _TABLE.finditer(statement):
        column = rf"(?<![\w.]){found['alias']}\.kind" if found["alias"] else r"(?<![\w.])kind"
        yield from re.findall(rf"{column}\s*(?:=|<>)\s*{_WORD}", statement)
        for listed in re.findall(rf"{column}\s+in\s+\(([^)]*)\)", statement):
            yield from re.findall(_WORD, listed)
        for listed in re.findall(rf"\({column},[^)]*\)\s+in\s+\((.*?)\)\)", statement):
            yield from re.findall(rf"\({_WORD},", listed)
    for inserted in re.findall(
        r"insert into control\.transfer_event \([^)]*\)\s+select [^,]+, [^,]+, ([^,]+),", statement
    ):
        yield inserted.strip().strip("'")


def statements() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "adapters").rglob("*.sql")):
        ends = r";" if "migrations" in path.parts else r"^-- name: "
        for statement in re.split(ends, path.read_text(), flags=re.MULTILINE):
            yield f"{path.relative_to(ROOT)}: {statement.splitlines()[0] if statement else ''}", statement


def test_sql_knows_no_other_kinds() -> None:
    """Finds every kind that a statement of ours names in the enumeration."""
    found = {(where, kind) for where, statement in statements() for kind in kinds_in(statement)}
    assert {(where, kind) for where, kind in found if kind not in set(EventKind)} == set()
    assert len(found) >= 9  # else this test has gone blind


def test_programs_write_no_other_kinds() -> None:
    """Finds no kind written as a word of its own where an event is appended."""
    written = []
    for path in [*(ROOT / "adapters").rglob("*.py"), *(ROOT / "workflows").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in (
                "tell",
                "record",
            ):
                written += [
                    f"{path.name}:{node.lineno} {one.value}"
                    for one in node.args[1:3]
                    if isinstance(one, ast.Constant) and one.value in set(EventKind)
                ]
    assert written == []


def test_a_line_tells_one_thing_of_one_step() -> None:
    """Finds no kind that ends two steps, or undoes two."""
    ends = [step.ended_by for step in STEPS if step.ended_by]
    undone = [step.compensation.event for step in STEPS if step.compensation]
    assert len({*ends, *undone}) == len(ends) + len(undone)
