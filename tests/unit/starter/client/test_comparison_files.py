"""The comparison as a file for a spreadsheet."""

import csv
import uuid
from collections.abc import AsyncGenerator
from datetime import datetime
from io import BytesIO, StringIO
from zoneinfo import ZoneInfo

import pytest
from openpyxl import load_workbook

from domain import messages as m
from domain.vocabulary import CheckKind, Language
from starter.client.comparison_files import FileForm, write_comparison

ZONE = ZoneInfo("Europe/Amsterdam")
# What a spreadsheet would run, cannot hold, or takes for the end of something.
ODD = ["=1+1", "+31 6", "-2", "@sum(a1)", 'a "b"; c', "line\nbreak", "tab\tx", "\x07bell", "Ω 😀", "]]>&amp;<b>"]
ONE = uuid.UUID(int=1)


async def written(form: FileForm, kind: CheckKind, rows: list[m.ComparedRow], language: Language) -> bytes:
    """Return the file of one check with these rows."""
    figures = m.Figures(rows=len(rows))
    check = m.Check(administration_id=ONE, administration="=A1", check=kind, old=figures, new=figures, equal=True)

    async def behind(_: m.Check) -> AsyncGenerator[m.ComparedRow, None]:
        for row in rows:
            yield row

    file = BytesIO()
    await write_comparison(file, form, checks=[check], rows=behind, language=language, zone=ZONE)
    return file.getvalue()


def products(names: list[str]) -> list[m.ComparedRow]:
    """Return a product of each name."""
    values: dict[str, str | int | None] = {"unit": "hour", "unit_price": "1234.50", "vat_code": "high"}
    return [m.ComparedRow(item=name, old=values, new={**values, "unit_price": "9.90"}, equal=False) for name in names]


@pytest.mark.parametrize("language", list(Language))
async def test_a_csv_file_holds_odd_names_and_runs_none(language: Language) -> None:
    """A customer's name would run as a formula on an accountant's machine, or break a line in two."""
    content = await written(FileForm.CSV, CheckKind.SALES_PRODUCTS, products(ODD), language)
    text = content.decode("utf-8-sig")
    dutch = language is Language.DUTCH
    lines = list(csv.reader(StringIO(text, newline=""), delimiter=";" if dutch else ","))
    assert {len(line) for line in lines} == {7}
    assert not [cell for line in lines for cell in line if cell.startswith(("=", "+", "-", "@", "\t"))]
    assert {line[2].removeprefix("'") for line in lines[2:]} == set(ODD)
    prices = [line for line in lines if line[3].startswith(("Prijs", "Price"))]
    assert {tuple(line[4:6]) for line in prices} == {("1234,50", "9,90") if dutch else ("1234.50", "9.90")}


async def test_a_workbook_holds_numbers_dates_and_odd_names() -> None:
    """Totals of text cannot be made, and a workbook with a control character does not open."""
    content = await written(FileForm.XLSX, CheckKind.SALES_PRODUCTS, products(ODD), Language.DUTCH)
    sheet = load_workbook(BytesIO(content))["Verkoopproducten"]
    heads, *rows = list(sheet.iter_rows(values_only=True))
    place = heads.index("Prijs excl. btw (oud)")
    assert [row[place] for row in rows] == [1234.5] * len(ODD)
    assert [row[1] for row in rows] == [name.replace("\x07", "\N{REPLACEMENT CHARACTER}") for name in ODD]
    assert {cell.data_type for (cell,) in sheet.iter_rows(min_row=2, min_col=2, max_col=2)} == {"s"}
    bought: dict[str, str | int | None] = {"purchased_on": "2024-02-29", "book_value": "10.00"}
    asset = m.ComparedRow(item="VA-1", old=bought, new=None, equal=False)
    content = await written(FileForm.XLSX, CheckKind.FIXED_ASSETS, [asset], Language.ENGLISH)
    row = next(iter(load_workbook(BytesIO(content))["Fixed assets"].iter_rows(min_row=2, values_only=True)))
    assert row[2] == datetime(2024, 2, 29)  # noqa: DTZ001 - a cell's day has no zone
    assert row[-1] == "DIFFERENT"
