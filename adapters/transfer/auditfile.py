"""An administration's year as an XML Auditfile Financieel 3.2 (XAF): what an accountant files, and programs read.

The format is `XmlAuditfileFinancieel3.2.xsd` of https://www.softwarepakketten.nl: the order of its elements, the
lengths of its texts, and its keys. Both sides of a move give the same bytes but for the header.
"""

import calendar
import re
from asyncio import to_thread
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version
from itertools import count
from tempfile import TemporaryFile
from typing import IO
from uuid import UUID
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl
from zlib import compress

import asyncpg

from adapters.postgres.connection import Connection, transaction
from adapters.postgres.contained import ask, asked, bound
from adapters.postgres.shards import Shards
from adapters.postgres.statements import load, within
from domain import messages as m
from domain.errors import WrongMoment, YearUnknown
from domain.messages import BookedYear

_SQL = load(__name__)
_NAMESPACE = "http://www.auditfiles.nl/XAF/3.2"
_NO_ATTRIBUTES: "AttributesImpl[str]" = AttributesImpl({})
_AT_ONCE = 1000
_MONTHS = 12
_PART = 1 << 20
_LONGEST_ID = 35
# The countries that the format knows; it is older than some.
_COUNTRIES = (
    "AD AE AF AG AI AL AM AN AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BM BN BO BR BS BT BV BW BY BZ "
    "CA CC CD CF CG CH CI CK CL CM CN CO CR CS CU CV CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM "
    "FO FR GA GB GD GE GF GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT "
    "JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD MG MH MK ML MM MN MO "
    "MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT "
    "PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR ST SV SY SZ TC TD TF TG TH TJ TK TL TM "
    "TN TO TR TT TV TW TZ UA UG UK UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW "
)
# What XML 1.0 cannot hold, escaped or not.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# The journals' names and types: sales, purchases, bank, cash, general.
_JOURNALS = {
    "sales": ("Verkoop", "S"),
    "purchase": ("Inkoop", "P"),
    "bank": ("Bank", "B"),
    "cash": ("Kas", "C"),
    "memorial": ("Memoriaal", "M"),
}
_OTHER_JOURNAL = "Z"
# Tariffs in per cent, by VAT code and since when.
_TARIFFS: Mapping[str, Sequence[tuple[date, int]]] = {
    "high": ((date(2012, 10, 1), 21), (date(2001, 1, 1), 19), (date.min, 17)),
    "low": ((date(2019, 1, 1), 9), (date.min, 6)),
    "zero": ((date.min, 0),),
}
_VAT_NAMES = {"high": "Btw hoog", "low": "Btw laag", "zero": "Btw nul of verlegd"}
# Profit and loss of earlier years has no account of its own in the books; the format wants one for each line.
_RESULT = ("RESULTAAT", "Resultaat voorgaande jaren")


async def booked_years(connection: Connection, schema: str) -> list[BookedYear]:
    """Return the years of which there can be an auditfile, by administration; within the caller's transaction."""
    rows = await ask(connection, within(_SQL["years"], schema), schema)
    return [BookedYear.model_validate(dict(row)) for row in rows]


async def write_auditfile(
    file: IO[bytes], connection: Connection, schema: str, administration: UUID, year: int, *, made_on: date
) -> None:
    """Write one administration's year as XAF 3.2 into a file; a thousand lines are held at a time.

    Args:
        file: Opened for writing bytes; it stays open.
        connection: As `sb_owner`, in a transaction of the caller's.
        schema: The environment's schema, which is only read.
        administration: Whose books.
        year: The fiscal year, which is the calendar's.
        made_on: The date in the header, which alone differs between two files of the same books.

    Raises:
        YearUnknown: There is no such administration, or nothing was booked in that year.
    """
    if not date.min.year < year < date.max.year:
        raise YearUnknown
    books = _Books(connection, schema, (administration, date(year, 1, 1), date(year + 1, 1, 1)))
    companies = await books.ask("company")
    if not companies:
        raise YearUnknown
    await _Auditfile(file, books, companies[0], year).write(made_on)


class PostgresAuditor:
    """Plays `domain.ports.Auditor`."""

    def __init__(self, shards: Shards) -> None:
        """Take pools that are connected as sb_owner."""
        self._shards = shards

    async def write(self, order: m.WriteAuditfile) -> m.AuditfileWritten:
        """Write the books of a year, compress them and keep them in `control`, instead of what was kept before.

        Raises:
            WrongMoment: Nobody may look at the new environment yet, or any more.
            YearUnknown: There is no such administration, or nothing was booked in that year.
        """
        key = order.transfer_id, order.old_side, order.administration_id, order.year
        async with transaction(self._shards.home) as home:
            sides = await home.fetchrow(_SQL["sides"], order.transfer_id)
            if sides is None:
                raise WrongMoment
            side = "old" if order.old_side else "new"
            cell, schema = sides[f"{side}_cell"], sides[f"{side}_schema"]
            with TemporaryFile() as file:
                async with self._shards.together(None, cell, cell) as (there, _):
                    today = datetime.now(UTC).date()
                    await write_auditfile(file, there, schema, order.administration_id, order.year, made_on=today)
                size = file.tell()
                file.seek(0)
                await home.execute(_SQL["forget"], *key)
                for part in count():
                    if not (chunk := file.read(_PART)):
                        break
                    await home.execute(_SQL["keep"], *key, part, await to_thread(compress, chunk))
        return m.AuditfileWritten(size=size)


@dataclass(frozen=True, slots=True)
class _Books:
    """What the statements of an auditfile are asked of."""

    connection: Connection
    schema: str
    arguments: tuple[UUID, date, date]

    async def ask(self, name: str) -> list[asyncpg.Record]:
        return await ask(self.connection, self._statement(name), self.schema)

    async def read(self, name: str, *, order: str) -> AsyncGenerator[asyncpg.Record, None]:
        async with asked(self.connection, self._statement(name), self.schema, order=order) as answers:
            async for row in self.connection.cursor(answers, prefetch=_AT_ONCE):
                yield row

    def _statement(self, name: str) -> str:
        return within(bound(_SQL[name], *self.arguments), self.schema)


class _Auditfile:
    """One file while it is being written."""

    def __init__(
        self,
        file: IO[bytes],
        books: _Books,
        company: asyncpg.Record,
        year: int,
    ) -> None:
        self._xml = XMLGenerator(file, "UTF-8", short_empty_elements=True)
        self._books = books
        self._company = company
        self._year = year

    async def write(self, made_on: date) -> None:
        [totals] = await self._books.ask("totals")
        if not totals["lines"]:
            raise YearUnknown
        opening = await self._books.ask("opening")
        self._xml.startDocument()
        self._xml.startElement("auditfile", AttributesImpl({"xmlns": _NAMESPACE}))
        self._header(made_on)
        self._open("company")
        own = self._company
        self._value("companyIdent", own["chamber_of_commerce_number"] or str(own["id"]), _LONGEST_ID)
        self._value("companyName", own["legal_name"] or own["name"], 999)
        self._value("taxRegistrationCountry", "NL")
        self._value("taxRegIdent", own["vat_number"] or "onbekend", 30)
        await self._relations()
        await self._accounts(with_result=any(line["code"] is None for line in opening))
        await self._vat_codes()
        self._periods()
        self._opening(opening)
        await self._transactions(totals)
        self._close("company")
        self._close("auditfile")
        self._xml.endDocument()

    def _header(self, made_on: date) -> None:
        self._open("header")
        self._value("fiscalYear", str(self._year))
        self._value("startDate", f"{self._year:04}-01-01")
        self._value("endDate", f"{self._year:04}-12-31")
        self._value("curCode", "EUR")
        self._value("dateCreated", made_on.isoformat())
        self._value("softwareDesc", "sb-transfer")
        self._value("softwareVersion", version("sb-transfer"), 20)
        self._close("header")

    async def _relations(self) -> None:
        self._open("customersSuppliers")
        async with aclosing(self._books.read("relations", order="id")) as rows:
            async for row in rows:
                self._open("customerSupplier")
                # A customer and a supplier may have one number; their ids are two.
                self._value("custSupID", str(row["id"]))
                self._value("custSupName", row["name"], 50)
                self._value("eMail", row["email"], 999)
                country = row["country"] if row["country"] in _COUNTRIES else None
                self._value("taxRegistrationCountry", country if row["vat_number"] else None)
                self._value("taxRegIdent", row["vat_number"], 30)
                self._value("relationshipID", row["number"], _LONGEST_ID)
                self._value("custSupTp", "C" if row["kind"] == "debtor" else "S")
                if row["street"] or row["city"] or row["postal_code"]:
                    self._open("streetAddress")
                    self._value("streetname", row["street"], 999)
                    self._value("city", row["city"], 50)
                    self._value("postalCode", row["postal_code"], 10)
                    self._value("country", country)
                    self._close("streetAddress")
                if row["iban"]:
                    self._open("bankAccount")
                    self._value("bankAccNr", row["iban"], _LONGEST_ID)
                    self._close("bankAccount")
                self._close("customerSupplier")
        self._close("customersSuppliers")

    async def _accounts(self, *, with_result: bool) -> None:
        self._open("generalLedger")
        rows = await self._books.ask("accounts")
        accounts = [(row["code"], row["name"], row["kind"], row["rgs_code"]) for row in rows]
        for code, name, kind, rgs_code in [*accounts, *([(*_RESULT, "balance_sheet", None)] if with_result else [])]:
            self._open("ledgerAccount")
            self._value("accID", code)
            self._value("accDesc", name or code, 999)
            self._value("accTp", "B" if kind == "balance_sheet" else "P")
            self._value("leadReference", rgs_code, 999)
            self._close("ledgerAccount")
        self._close("generalLedger")

    async def _vat_codes(self) -> None:
        self._open("vatCodes")
        for row in await self._books.ask("vat_accounts"):
            self._open("vatCode")
            self._value("vatID", row["vat_code"], _LONGEST_ID)
            self._value("vatDesc", _VAT_NAMES.get(row["vat_code"], row["vat_code"]), 999)
            self._value("vatToPayAccID", row["to_pay"])
            self._value("vatToClaimAccID", row["to_claim"])
            self._close("vatCode")
        self._close("vatCodes")

    def _periods(self) -> None:
        self._open("periods")
        for month in range(1, _MONTHS + 1):
            self._open("period")
            self._value("periodNumber", str(month))
            self._value("startDatePeriod", f"{self._year:04}-{month:02}-01")
            self._value("endDatePeriod", f"{self._year:04}-{month:02}-{calendar.monthrange(self._year, month)[1]:02}")
            self._close("period")
        self._close("periods")

    def _opening(self, lines: Sequence[asyncpg.Record]) -> None:
        amounts = [line["amount"] for line in lines]
        self._open("openingBalance")
        self._value("opBalDate", f"{self._year:04}-01-01")
        self._value("opBalDesc", "Beginbalans")
        self._value("linesCount", str(len(lines)))
        self._value("totalDebit", f"{sum((one for one in amounts if one > 0), Decimal()):.2f}")
        self._value("totalCredit", f"{-sum((one for one in amounts if one < 0), Decimal()):.2f}")
        for number, line in enumerate(lines, start=1):
            self._open("obLine")
            self._value("nr", str(number))
            self._value("accID", line["code"] or _RESULT[0])
            self._amount(line["amount"])
            self._close("obLine")
        self._close("openingBalance")

    async def _transactions(self, totals: asyncpg.Record) -> None:
        self._open("transactions")
        self._value("linesCount", str(totals["lines"]))
        self._value("totalDebit", f"{totals['debit']:.2f}")
        self._value("totalCredit", f"{totals['credit']:.2f}")
        journal: str | None = None
        async with aclosing(self._entries()) as entries:
            async for entry in entries:
                if entry[0]["journal"] != journal:
                    if journal is not None:
                        self._close("journal")
                    journal = entry[0]["journal"]
                    name, kind = _JOURNALS.get(journal, (journal, _OTHER_JOURNAL))
                    self._open("journal")
                    self._value("jrnID", journal, _LONGEST_ID)
                    self._value("desc", name, 9999)
                    self._value("jrnTp", kind)
                self._entry(entry)
        if journal is not None:
            self._close("journal")
        self._close("transactions")

    async def _entries(self) -> AsyncGenerator[list[asyncpg.Record], None]:
        """Give the lines of one entry after another."""
        entry: list[asyncpg.Record] = []
        async with aclosing(self._books.read("lines", order="journal, entry_date, entry_id, id")) as lines:
            async for line in lines:
                if entry and entry[0]["entry_id"] != line["entry_id"]:
                    yield entry
                    entry = []
                entry.append(line)
        if entry:
            yield entry

    def _entry(self, lines: Sequence[asyncpg.Record]) -> None:
        first = lines[0]
        day = first["entry_date"].isoformat()
        self._open("transaction")
        self._value("nr", _number(first))
        self._value("desc", first["entry_description"], 9999)
        self._value("periodNumber", str(first["entry_date"].month))
        self._value("trDt", day)
        for line in lines:
            amount = line["debit"] - line["credit"]
            self._open("trLine")
            self._value("nr", str(line["id"]))
            self._value("accID", line["code"])
            self._value("docRef", first["number"].strip() or _number(first), 999)
            self._value("effDate", day)
            self._value("desc", line["description"], 9999)
            self._amount(amount)
            self._value("custSupID", None if line["relation_id"] is None else str(line["relation_id"]))
            if line["vat_code"] is not None:
                self._open("vat")
                self._value("vatID", line["vat_code"], _LONGEST_ID)
                self._value("vatPerc", str(_tariff(line["vat_code"], first["entry_date"])))
                self._amount(amount, "vatAmnt")
                self._close("vat")
            self._close("trLine")
        self._close("transaction")

    def _amount(self, amount: Decimal, name: str = "amnt") -> None:
        self._value(name, f"{abs(amount):.2f}")
        self._value(f"{name}Tp", "C" if amount < 0 else "D")

    def _value(self, name: str, value: str | None, longest: int = 9999) -> None:
        """Write an element, unless there is nothing to say; text that is too long is cut."""
        if value is None or value == "":
            return
        self._xml.startElement(name, _NO_ATTRIBUTES)
        # A reader takes a carriage return for the end of a line in any case.
        plain = _NO_XML.sub("\N{REPLACEMENT CHARACTER}", value.replace("\r\n", "\n").replace("\r", "\n"))
        self._xml.characters(plain[:longest])
        self._xml.endElement(name)

    def _open(self, name: str) -> None:
        self._xml.startElement(name, _NO_ATTRIBUTES)

    def _close(self, name: str) -> None:
        self._xml.endElement(name)
        self._xml.ignorableWhitespace("\n")


def _number(entry: asyncpg.Record) -> str:
    """Return an entry's number, or its id where the format would make two numbers one."""
    number: str = entry["number"]
    if number and not number.startswith("#") and len(number) <= _LONGEST_ID and not _NO_XML.search(number):
        return number
    return f"#{entry['entry_id']}"


def _tariff(code: str, day: date) -> int:
    return next((percent for since, percent in _TARIFFS.get(code, ()) if day >= since), 0)
