"""A comparison with every row behind it as a file: CSV, a line per value, or a workbook, a sheet per check."""

import asyncio
import csv
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import date
from decimal import Decimal
from enum import StrEnum
from io import TextIOWrapper
from typing import IO, Any
from zoneinfo import ZoneInfo

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from adapters.mail.formatting import Formatter
from domain import messages as m
from domain.comparison import CONTENTS, Column, Form, Words
from domain.vocabulary import CheckKind, Language

Rows = Callable[[m.Check], AsyncGenerator[m.ComparedRow, None]]
# What XML, and so a workbook, cannot hold.
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# What a spreadsheet would run as a formula when it stands first in a cell of a CSV file.
_RUN = tuple("=+-@\t\r")
_MONEY = "#,##0.00"
_MOST_LINES = 1_000_000  # of the 1,048,576 that a sheet can have
_LONGEST_CELL = 32_767
_HEADS: tuple[Words, ...] = (("Administratie", "Administration"), ("Controle", "Check"), ("Regel", "Row"))
_VALUE: Words = ("Gegeven", "Value")
_OLD: Words = ("Oud", "Old")
_NEW: Words = ("Nieuw", "New")
_OUTCOME: Words = ("Uitkomst", "Outcome")
_DIFFERS: Words = ("VERSCHIL", "DIFFERENT")
_SAME: Words = ("gelijk", "equal")
_EXPECTED: Words = ("zoals verwacht", "as expected")
_SUMMARY: Words = ("Overzicht", "Summary")
_FULL: Words = (
    "Er zijn meer regels dan een werkblad kan bevatten; het CSV-bestand heeft ze alle.",
    "There are more rows than a sheet can hold; the CSV file has them all.",
)


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
    writer = _write_csv if form is FileForm.CSV else _write_workbook
    await writer(file, checks, rows, words)


async def _write_csv(file: IO[bytes], checks: Sequence[m.Check], rows: Rows, words: Formatter) -> None:
    # The mark of byte order tells Excel that this is UTF-8; Dutch Excel parts columns at semicolons.
    text = TextIOWrapper(file, "utf-8-sig", errors="replace", newline="")
    writer = csv.writer(text, delimiter=";" if words.language is Language.DUTCH else ",")
    writer.writerow([words.word(head) for head in (*_HEADS, _VALUE, _OLD, _NEW, _OUTCOME)])
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
                outcome = words.word(_outcome(check.check, row))
                writer.writerow([*start, _tame(words.item(row.item)), words.word(column.title), *values, outcome])
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


async def _write_workbook(file: IO[bytes], checks: Sequence[m.Check], rows: Rows, words: Formatter) -> None:
    book = Workbook(write_only=True)
    summary = book.create_sheet(words.word(_SUMMARY))
    summary.append([_bold(summary, words.word(head)) for head in (*_HEADS[:2], _OLD, _NEW, _OUTCOME)])
    for check in checks:
        told = [words.figures(check.check, side) for side in (check.old, check.new)]
        line = (check.administration, words.check(check.check), *told, words.verdict(check))
        summary.append([_text(summary, value) for value in line])
    for kind in CheckKind:
        sheet = book.create_sheet(words.check(kind).replace("/", "-")[:31])
        columns = CONTENTS[kind].columns
        heads = [words.word(head) for head in (_HEADS[0], _HEADS[2])]
        for column in columns:
            heads += [f"{words.word(column.title)} ({words.word(side).lower()})" for side in (_OLD, _NEW)]
        sheet.append([_bold(sheet, head) for head in (*heads, words.word(_OUTCOME))])
        lines = 0
        for check in (one for one in checks if one.check is kind):
            async with aclosing(rows(check)) as found:
                async for row in found:
                    lines += 1
                    if lines > _MOST_LINES:
                        break
                    cells = [_text(sheet, check.administration), _text(sheet, words.item(row.item))]
                    for column in columns:
                        cells += [_cell(sheet, words, column, side) for side in (row.old, row.new)]
                    sheet.append([*cells, _text(sheet, words.word(_outcome(kind, row)))])
        if lines > _MOST_LINES:
            sheet.append([_text(sheet, words.word(_FULL))])
    await asyncio.to_thread(book.save, file)


def _cell(sheet: Any, words: Formatter, column: Column, side: dict[str, str | int | None] | None) -> Any:
    value = None if side is None else side.get(column.name)
    if value is None:
        return None
    if column.form in (Form.MONEY, Form.NUMBER):
        cell = WriteOnlyCell(sheet)
        cell.value = Decimal(value)
        cell.number_format = _MONEY if column.form is Form.MONEY else "0"
        return cell
    if column.form is Form.DATE:
        cell = WriteOnlyCell(sheet)
        cell.value = date.fromisoformat(str(value))
        return cell
    return _text(sheet, words.value(column, value))


def _text(sheet: Any, value: str) -> Any:
    cell = WriteOnlyCell(sheet, _NO_XML.sub("\N{REPLACEMENT CHARACTER}", value)[:_LONGEST_CELL])
    cell.data_type = "s"  # never a formula, whatever a name begins with
    return cell


def _bold(sheet: Any, value: str) -> Any:
    cell = _text(sheet, value)
    cell.font = Font(bold=True)
    return cell


def _outcome(kind: CheckKind, row: m.ComparedRow) -> Words:
    if not row.equal:
        return _DIFFERS
    return _EXPECTED if kind is CheckKind.BANK_CONNECTIONS else _SAME
