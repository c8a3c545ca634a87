"""A comparison as a workbook: a summary, and a sheet per check with its rows."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import aclosing
from datetime import date
from decimal import Decimal
from typing import IO, Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from adapters.mail.formatting import Formatter
from domain import messages as m
from domain.comparison import CONTENTS, Column, Form, Words
from domain.vocabulary import CheckKind
from starter.client.comparison_files import HEADS, NEW, OLD, OUTCOME, Rows, outcome

# What XML, and so a workbook, cannot hold.
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MONEY = "#,##0.00"
_MOST_LINES = 1_000_000  # of the 1,048,576 that a sheet can have
_LONGEST_CELL = 32_767
_SUMMARY: Words = ("Overzicht", "Summary")
_FULL: Words = (
    "Er zijn meer regels dan een werkblad kan bevatten; het CSV-bestand heeft ze alle.",
    "There are more rows than a sheet can hold; the CSV file has them all.",
)


async def write_workbook(file: IO[bytes], checks: Sequence[m.Check], rows: Rows, words: Formatter) -> None:
    """Write a comparison, the rows of each check on a sheet of its own, as `write_comparison` does."""
    book = Workbook(write_only=True)
    summary = book.create_sheet(words.word(_SUMMARY))
    summary.append([_bold(summary, words.word(head)) for head in (*HEADS[:2], OLD, NEW, OUTCOME)])
    for check in checks:
        told = [words.figures(check.check, side) for side in (check.old, check.new)]
        line = (check.administration, words.check(check.check), *told, words.verdict(check))
        summary.append([_text(summary, value) for value in line])
    for kind in CheckKind:
        sheet = book.create_sheet(words.check(kind).replace("/", "-")[:31])
        columns = CONTENTS[kind].columns
        heads = [words.word(head) for head in (HEADS[0], HEADS[2])]
        for column in columns:
            heads += [f"{words.word(column.title)} ({words.word(side).lower()})" for side in (OLD, NEW)]
        sheet.append([_bold(sheet, head) for head in (*heads, words.word(OUTCOME))])
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
                    sheet.append([*cells, _text(sheet, words.word(outcome(kind, row)))])
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
