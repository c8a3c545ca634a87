"""The auditfile: well-formed whatever the books hold, by the format's rules, and the same of both sides."""

import uuid
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from io import BytesIO

import pytest

from adapters.transfer.auditfile import booked_years, write_auditfile
from devstack.postgres import EmbeddedPostgres
from domain.errors import YearUnknown
from domain.messages import BookedYear
from tests.integration.conftest import CopiedEnvironment, copied, seeded_database

# In the order of the format's description; what is in capitals must be there.
COMPANY = (
    "companyIdent COMPANYNAME TAXREGISTRATIONCOUNTRY TAXREGIDENT customersSuppliers generalLedger vatCodes periods "
)
COMPANY += "openingBalance transactions"
LINE = "NR ACCID DOCREF EFFDATE desc AMNT AMNTTP custSupID vat"
RELATION = (
    "CUSTSUPID custSupName eMail taxRegistrationCountry taxRegIdent relationshipID custSupTp streetAddress bankAccount"
)
ENTRY = "NR desc PERIODNUMBER TRDT trLine"
ORDERS = {
    "company": COMPANY,
    "customerSupplier": RELATION,
    "ledgerAccount": "ACCID ACCDESC ACCTP leadReference",
    "transaction": ENTRY,
    "trLine": LINE,
    "vat": "VATID VATPERC VATAMNT VATAMNTTP",
    "journal": "JRNID DESC jrnTp transaction",
    "obLine": "NR ACCID AMNT AMNTTP",
    "openingBalance": "OPBALDATE opBalDesc LINESCOUNT TOTALDEBIT TOTALCREDIT obLine",
    "transactions": "LINESCOUNT TOTALDEBIT TOTALCREDIT journal",
    "period": "PERIODNUMBER STARTDATEPERIOD ENDDATEPERIOD",
    "header": "FISCALYEAR STARTDATE ENDDATE CURCODE DATECREATED softwareDesc softwareVersion",
}
LONGEST = {
    "custSupID": 35,
    "custSupName": 50,
    "accID": 35,
    "nr": 35,
    "docRef": 999,
    "desc": 9999,
    "city": 50,
    "taxRegIdent": 30,
}
ODD = [
    *(
        "]]>",
        "&amp; <b>",
        "<!-- x -->",
        "<![CDATA[x",
        "&#0;",
        "\x01\x02\x08",
        "\x0b\x0c",
        "\x1f",
        "\x7f",
        "\ufffe",
        "\uffff",
    ),
    *("a\r\nb", "\ttab\t", "   ", "é ß 漢 😀", "\u202eright", "'\"", "%s {} $1", "x" * 12_000, "<?xml?>", "é" * 9_999),
]


@pytest.fixture(scope="module")
async def moved(postgres: EmbeddedPostgres, seeded_template: str) -> AsyncIterator[CopiedEnvironment]:
    """`enyoi` and its copy."""
    async with seeded_database(postgres, seeded_template) as pool:
        yield await copied(pool, "enyoi", new_licence="10002", scenario="switch")


async def years_of(moved: CopiedEnvironment) -> list[BookedYear]:
    """Return what there is to write."""
    async with moved.pool.acquire() as connection, connection.transaction():
        return await booked_years(connection, moved.old_schema)


async def written(
    moved: CopiedEnvironment, schema: str, one: BookedYear, *changes: str, made_on: date = date(2026, 11, 29)
) -> bytes:
    """Return a file of books in which something was changed first; the change is taken back."""
    file = BytesIO()
    async with moved.pool.acquire() as connection:
        attempt = connection.transaction()
        await attempt.start()
        try:
            if changes:
                await connection.execute("set local session_replication_role = replica")
                await connection.execute(f"set local search_path to {schema}")
            for change in changes:
                assert not (await connection.execute(change)).endswith(" 0"), "the change hits no row"
            await write_auditfile(file, connection, schema, one.administration_id, one.year, made_on=made_on)
        finally:
            await attempt.rollback()
    return file.getvalue()


def parsed(content: bytes) -> ET.Element:
    """Return the file's root, its names without the namespace."""
    root = ET.fromstring(content)  # noqa: S314 - the file was made here
    for element in root.iter():
        assert element.tag.startswith("{http://www.auditfiles.nl/XAF/3.2}")
        element.tag = element.tag.partition("}")[2]
    return root


def money(element: ET.Element, path: str) -> Decimal:
    """Return an amount."""
    return Decimal(element.findtext(path) or "none")


def signed(line: ET.Element) -> Decimal:
    """Return a line's amount, credit below nothing."""
    return money(line, "amnt") * (1 if line.findtext("amntTp") == "D" else -1)


def require_rules(root: ET.Element) -> None:
    """Check what the format asks: order, lengths, keys, references, periods and totals."""
    for name, order in ORDERS.items():
        allowed = order.split()
        for element in root.iter(name):
            places = [[one.lower() for one in allowed].index(child.tag.lower()) for child in element]
            assert places == sorted(places), (name, [child.tag for child in element])
            found = {child.tag.lower() for child in element}
            assert found >= {one.lower() for one in allowed if one.isupper()}
    for name, longest in LONGEST.items():
        assert all(0 < len(element.text or "") <= longest for element in root.iter(name))
    accounts = [element.text for element in root.findall("company/generalLedger/ledgerAccount/accID")]
    relations = [element.text for element in root.findall("company/customersSuppliers/customerSupplier/custSupID")]
    codes = [element.text for element in root.findall("company/vatCodes/vatCode/vatID")]
    periods = [element.text for element in root.findall("company/periods/period/periodNumber")]
    journals = [element.text for element in root.iter("jrnID")]
    for keys in (accounts, relations, codes, periods, journals):
        assert len(set(keys)) == len(keys) > 0
    assert {one.text for one in root.iter("accID")} <= set(accounts)
    assert {one.text for one in root.findall(".//trLine/custSupID")} <= set(relations)
    assert {one.text for one in root.findall(".//trLine/vat/vatID")} <= set(codes)
    assert {one.text for one in root.findall(".//transaction/periodNumber")} <= set(periods)
    year = root.findtext("header/fiscalYear")
    for journal in root.iter("journal"):
        entries = journal.findall("transaction")
        assert len({entry.findtext("nr") for entry in entries}) == len(entries) > 0
        for entry in entries:
            day = entry.findtext("trDt") or ""
            assert (day[:4], str(int(day[5:7]))) == (year, entry.findtext("periodNumber"))
            lines = entry.findall("trLine")
            assert len({line.findtext("nr") for line in lines}) == len(lines) > 0
            assert sum(map(signed, lines)) == 0
    for whole, name in ((root.find("company/openingBalance"), "obLine"), (root.find("company/transactions"), "trLine")):
        assert whole is not None
        amounts = [signed(line) for line in whole.iter(name)]
        assert whole.findtext("linesCount") == str(len(amounts))
        assert money(whole, "totalDebit") == sum(one for one in amounts if one > 0)
        assert money(whole, "totalCredit") == -sum(one for one in amounts if one < 0)
        assert money(whole, "totalDebit") == money(whole, "totalCredit")


async def test_every_year_of_every_administration_keeps_the_rules(moved: CopiedEnvironment) -> None:
    """An accountant's program would refuse the file, or read other books."""
    years = await years_of(moved)
    assert {one.year for one in years} == {2023, 2024, 2025, 2026}
    assert len({one.administration_id for one in years}) == 3
    for one in years:
        root = parsed(await written(moved, moved.old_schema, one))
        require_rules(root)
        assert len(root.findall(".//trLine")) == one.lines


async def test_both_sides_give_the_same_bytes_but_for_the_header(moved: CopiedEnvironment) -> None:
    """Filed with the certificate, the two would not show that the books arrived whole."""
    for one in await years_of(moved):
        old = await written(moved, moved.old_schema, one)
        new = await written(moved, moved.new_schema, one, made_on=date(2027, 1, 2))
        assert old != new
        assert old.partition(b"</header>")[2] == new.partition(b"</header>")[2] != b""


async def test_a_year_opens_with_what_the_years_before_came_to(moved: CopiedEnvironment) -> None:
    """The balance sheet would begin at nothing every January."""
    one = next(year for year in await years_of(moved) if year.year == 2025)
    root = parsed(await written(moved, moved.old_schema, one))
    async with moved.pool.acquire() as connection, connection.transaction():
        await connection.execute(f"set local search_path to {moved.old_schema}")
        expected = {
            row["code"]: row["amount"]
            for row in await connection.fetch(
                """select a.code, sum(l.debit) - sum(l.credit) as amount
                   from ledger_account a, journal_line l, journal_entry e
                   where a.administration_id = $1
                   and (l.administration_id, l.ledger_account_id) = (a.administration_id, a.id)
                   and (e.administration_id, e.id) = (l.administration_id, l.journal_entry_id)
                   and e.entry_date <= '2024-12-31' and a.kind = 'balance_sheet' group by a.code""",
                one.administration_id,
            )
            if row["amount"]
        }
    found = {line.findtext("accID"): signed(line) for line in root.iter("obLine")}
    result = found.pop("RESULTAAT")
    assert found == expected
    assert result == -sum(expected.values())


@pytest.mark.parametrize("text", ODD)
async def test_any_description_makes_a_file_that_can_be_read(moved: CopiedEnvironment, text: str) -> None:
    """One odd character in one of a million lines would make the whole file unreadable."""
    one = next(year for year in await years_of(moved) if year.year == 2024)
    quoted = "'" + text.replace("'", "''") + "'"
    where = f"administration_id = '{one.administration_id}'"
    content = await written(
        moved,
        moved.old_schema,
        one,
        f"update journal_line set description = {quoted} where {where}",
        f"update journal_entry set description = {quoted}, number = {quoted} || id where {where}",
        f"update relation set name = {quoted}, street = {quoted}, number = {quoted} || id where {where}",
        f"update relation set country = 'ZZ' where {where} and id = 1",
        f"update ledger_account set name = {quoted} where {where}",
        f"update administration set legal_name = {quoted} where id = '{one.administration_id}'",
    )
    root = parsed(content)
    require_rules(root)
    said = {element.text for element in root.findall(".//trLine/desc")}
    if text.isprintable() and len(text) < 9_999:
        assert said == {text}


async def test_a_year_without_bookings_is_refused(moved: CopiedEnvironment) -> None:
    """An empty file would be filed as the books of a year."""
    (one, *_) = await years_of(moved)
    for odd in (
        one.model_copy(update={"year": 1999}),
        one.model_copy(update={"year": 0}),
        one.model_copy(update={"administration_id": uuid.uuid4()}),
    ):
        with pytest.raises(YearUnknown):
            await written(moved, moved.old_schema, odd)
