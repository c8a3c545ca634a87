"""A comparison with every row behind it as a file: CSV, a line per value, or a workbook, a sheet per check."""

import csv
from collections.abc import AsyncGenerator, Callable, Sequence
from enum import StrEnum
from io import TextIOWrapper
from typing import IO
from zoneinfo import ZoneInfo

from adapters.mail.formatting import Formatter
from domain import messages as m
from domain.comparison import CONTENTS, Column, Form, Words
from domain.vocabulary import CheckKind, Language

Rows = Callable[[m.Check], AsyncGenerator[m.ComparedRow, None]]
# What a spreadsheet would run as a formula when it stands first in a cell of a CSV file.
_RUN = tuple("=+-@\t\r")
HEADS: tuple[Words, ...] = (("Administratie", "Administration"), ("Controle", "Check"), ("Regel", "Row"))
_VALUE: Words = ("Gegeven", "Value")
OLD: Words = ("Oud", "Old")
NEW: Words = ("Nieuw", "New")
OUTCOME: Words = ("Uitkomst", "Outcome")
_DIFFERS: Words = ("VERSCHIL", "DIFFERENT")
_SAME: Words = ("gelijk", "equal")
_EXPECTED: Words = ("zoals verwacht", "as expected")


class FileForm(StrEnum):
    """What a comparison can be written as."""

    CSV = "csv"
    XLSX = "xlsx"

    @property
    def media_type(self) -> str:
        """Return what HTTP calls it."""
        if self is FileForm.CSV:
            return "text/csv; charset=utf-8"
        return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


async def write_comparison(
    file: IO[bytes], form: FileForm, *, checks: Sequence[m.Check], rows: Rows, language: Language, zone: ZoneInfo
) -> None:
    """Write a comparison into a file.

    Args:
        file: Opened for writing bytes; it stays open.
        form: As what.
        checks: The comparison's checks.
        rows: Gives the rows behind one of them.
        language: The reader's.
        zone: Whose clock the reader lives by.
    """
    words = Formatter(language, zone)
    if form is FileForm.CSV:
        await _write_csv(file, checks, rows, words)
        return
    # To load what makes them is an eighth of the time in which a command line starts, and few commands make any.
    from starter.client.comparison_workbook import write_workbook  # noqa: PLC0415 - loaded by who needs it

    await write_workbook(file, checks, rows, words)


async def _write_csv(file: IO[bytes], checks: Sequence[m.Check], rows: Rows, words: Formatter) -> None:
    # The mark of byte order tells Excel that this is UTF-8; Dutch Excel parts columns at semicolons.
    text = TextIOWrapper(file, "utf-8-sig", errors="replace", newline="")
    writer = csv.writer(text, delimiter=";" if words.language is Language.DUTCH else ",")
    writer.writerow([words.word(head) for head in (*HEADS, _VALUE, OLD, NEW, OUTCOME)])
    for check in checks:
        title = words.check(check.check)
        start = [_tame(check.administration), title]
        told = [words.figures(check.check, side) for side in (check.old, check.new)]
        writer.writerow([*start, "", "", *told, words.verdict(check)])
        async for row in rows(check):
            for column in CONTENTS[check.check].columns:
                values = [
                    "" if side is None else _csv_value(words, column, side.get(column.name))
                    for side in (row.old, row.new)
                ]
                found = words.word(outcome(check.check, row))
                writer.writerow([*start, _tame(words.item(row.item)), words.word(column.title), *values, found])
    text.flush()
    text.detach()


def _csv_value(words: Formatter, column: Column, value: str | int | None) -> str:
    if value is None:
        return ""
    if column.form in (Form.MONEY, Form.NUMBER):
        return str(value).replace(".", ",") if words.language is Language.DUTCH else str(value)
    return str(value) if column.form is Form.DATE else _tame(words.value(column, value))


def _tame(text: str) -> str:
    """Return somebody's text so that no spreadsheet runs it as a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(_RUN) else text


def outcome(kind: CheckKind, row: m.ComparedRow) -> Words:
    """Return what a row is called in both languages: equal, different, or different as it has to be."""
    if not row.equal:
        return _DIFFERS
    return _EXPECTED if kind is CheckKind.BANK_CONNECTIONS else _SAME
