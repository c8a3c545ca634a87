"""The people, companies, products and possessions of one administration, thrown with dice that always fall the same."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from random import Random
from typing import Any

from devstack.seed.iban import BANK_CODES, BankCode, dutch_iban

_SURNAMES = (
    "Jansen",
    "Visser",
    "Smits",
    "Meijer",
    "Mulder",
    "Bos",
    "Vos",
    "Peters",
    "Hendriks",
    "Dekker",
    "Brouwer",
    "Kok",
    "Jacobs",
    "Vermeulen",
    "Schouten",
    "Willems",
    "Hoekstra",
    "Koster",
    "Prins",
    "Huisman",
    "Postma",
    "Veenstra",
    "Kramer",
    "Scholten",
    "Kuipers",
    "Post",
    "Kuiper",
    "Veldman",
    "Groß",
    "Nguyen",
    "Özdemir",
    "Kowalski",
    "Françoise",
)
_TRADES = (
    "Bakkerij",
    "Installatietechniek",
    "Schilderwerken",
    "Drukkerij",
    "Slagerij",
    "Bouwbedrijf",
    "Transport",
    "Makelaardij",
    "Fietsen",
    "Optiek",
    "Groenvoorziening",
    "Advies",
    "Interieurbouw",
    "Elektrotechniek",
    "Catering",
    "Loodgieters",
    "Reclamestudio",
    "Schoonmaak",
    "Tegelhandel",
    "Automatisering",
)
_FORMS = ("B.V.", "V.O.F.", "", "Holding B.V.", "& Zn.")
_PLACES = (
    ("Leusden", "3831"),
    ("Amersfoort", "3811"),
    ("Utrecht", "3511"),
    ("Groningen", "9711"),
    ("Zwolle", "8011"),
    ("Eindhoven", "5611"),
    ("Breda", "4811"),
    ("Haarlem", "2011"),
    ("Leeuwarden", "8911"),
    ("'s-Hertogenbosch", "5211"),
    ("Middelburg", "4331"),
)
_STREETS = ("Dorpsstraat", "Kerkstraat", "Stationsweg", "Industrieweg", "Molenlaan", "Havenkade", "Julianastraat")
_POSTAL_LETTERS = "ABCDEGHJKLMNPRSTVWXZ"
_PRODUCTS = (
    ("Adviesuur", "hour", "95.00", "high"),
    ("Onderhoudsabonnement", "month", "49.50", "high"),
    ("Montage op locatie", "hour", "72.50", "high"),
    ("Voorrijkosten", "piece", "35.00", "high"),
    ("Materiaalpakket", "piece", "210.00", "high"),
    ("Boeket van de week", "piece", "24.95", "low"),
    ("Handboek", "piece", "32.50", "low"),
    ("Lunchpakket", "piece", "11.75", "low"),
    ("Levering binnen de EU", "piece", "480.00", "zero"),
    ("Verhuur aanhanger", "day", "55.00", "high"),
    ("Projectleiding", "hour", "110.00", "high"),
    ("Ontwerp", "piece", "650.00", "high"),
)
_REVENUE_ACCOUNT = {"high": 8000, "low": 8010, "zero": 8020}
_ASSETS = (
    ("Draaibank", 100, 120),
    ("Heftruck", 100, 84),
    ("Bureaus en stoelen", 200, 60),
    ("Laptops", 200, 36),
    ("Server", 200, 60),
    ("Bestelbus", 300, 60),
    ("Personenauto", 300, 60),
)


@dataclass(frozen=True, slots=True)
class Account:
    """A bank account of the administration itself."""

    bank: BankCode
    iban: str
    consent_reference: str


def dice_of(*what: object) -> Random:
    """Return dice for one purpose: they fall the same each time, and whatever other dice are thrown."""
    return Random("/".join(map(str, what)))  # noqa: S311 - invented books, nothing is kept secret with it


def bank_accounts(dice: Random, count: int) -> list[Account]:
    """Return an administration's bank accounts, Rabobank first, each at another bank."""
    return [
        Account(bank, dutch_iban(bank.code, dice.randrange(10**8, 9 * 10**8)), f"consent-{dice.getrandbits(64):016x}")
        for bank in BANK_CODES[:count]
    ]


def relations(dice: Random, debtors: int, creditors: int) -> Iterator[dict[str, Any]]:
    """Yield customers (ids 1 to `debtors`) and then suppliers; every one has a valid IBAN."""
    for position in range(debtors + creditors):
        is_debtor = position < debtors
        surname, trade, form = dice.choice(_SURNAMES), dice.choice(_TRADES), dice.choice(_FORMS)
        city, postal_digits = dice.choice(_PLACES)
        number = position + 1 if is_debtor else position + 1 - debtors
        yield {
            "id": position + 1,
            "number": f"{(10000 if is_debtor else 50000) + number}",
            "kind": "debtor" if is_debtor else "creditor",
            "name": " ".join(f"{trade} {surname} {form}".split()),
            "email": f"administratie@{trade.lower()}{number}.example",
            "street": f"{dice.choice(_STREETS)} {dice.randrange(1, 240)}",
            "postal_code": f"{postal_digits} {''.join(dice.choices(_POSTAL_LETTERS, k=2))}",
            "city": city,
            "country": "NL",
            "iban": dutch_iban(dice.choice(BANK_CODES).code, dice.randrange(10**8, 10**9)),
            "vat_number": f"NL{dice.randrange(10**9):09d}B{dice.randrange(1, 100):02d}",
            "payment_days": dice.choice((8, 14, 30, 30, 30, 60)),
        }


def products(dice: Random) -> Iterator[dict[str, Any]]:
    """Yield what the administration sells."""
    for position, (name, unit, price, vat_code) in enumerate(_PRODUCTS, start=1):
        yield {
            "id": position,
            "code": f"ART-{position:03d}",
            "name": name,
            "unit": unit,
            "unit_price": Decimal(price) + Decimal(dice.randrange(0, 500)) / 100,
            "vat_code": vat_code,
            "ledger_account_id": _REVENUE_ACCOUNT[vat_code],
        }


def assets(dice: Random, first_day: date) -> Iterator[dict[str, Any]]:
    """Yield fixed assets that were bought in the two years before the books begin; not yet depreciated."""
    for position, (name, account, months) in enumerate(_ASSETS, start=1):
        value = Decimal(dice.randrange(120_000, 4_000_000)) / 100
        yield {
            "id": position,
            "code": f"VA-{position:03d}",
            "name": name,
            "ledger_account_id": account,
            "depreciation_account_id": account + 7,
            "purchased_on": first_day - timedelta(days=dice.randrange(1, 700)),
            "purchase_value": value,
            "residual_value": (value / 10).quantize(Decimal("0.01")),
            "life_months": months,
        }


def quotes(dice: Random, *, salt: str, debtors: int, last_day: date) -> Iterator[dict[str, Any]]:
    """Yield quotes in every state; the open ones, one in three, have a token for the portal.

    `salt` makes the tokens differ between administrations: a token is unique in an environment.
    """
    for position in range(1, 13):
        status = ("open", "accepted", "open", "rejected", "accepted", "expired")[position % 6]
        quoted = last_day - timedelta(days=dice.randrange(5, 40) if status == "open" else dice.randrange(60, 700))
        amount = Decimal(dice.randrange(15_000, 900_000)) / 100
        yield {
            "id": position,
            "number": f"OFF-{quoted.year}-{position:04d}",
            "relation_id": dice.randrange(1, debtors + 1),
            "status": status,
            "quoted_on": quoted,
            "valid_until": quoted + timedelta(days=60),
            "amount": amount,
            "total": (amount * Decimal("1.21")).quantize(Decimal("0.01")),
            "portal_token": sha256(f"{salt}/{position}".encode()).hexdigest() if status == "open" else None,
            "description": dice.choice(("Nieuwe vloer", "Jaarcontract onderhoud", "Levering en montage", "Maatwerk")),
        }


def invoices_to_send(dice: Random, *, first_id: int, debtors: int, last_day: date) -> Iterator[dict[str, Any]]:
    """Yield sales invoices that wait to be sent; they are booked when they go out, so not yet."""
    for position in range(dice.randrange(4, 9)):
        amount = Decimal(dice.randrange(5_000, 400_000)) / 100
        vat = (amount * Decimal("0.21")).quantize(Decimal("0.01"))
        yield {
            "id": first_id + position,
            "number": f"VF-{last_day.year}-{first_id + position:07d}",
            "relation_id": dice.randrange(1, debtors + 1),
            "status": "to_send",
            "invoice_date": last_day,
            "due_date": last_day + timedelta(days=30),
            "amount": amount,
            "vat_amount": vat,
            "total": amount + vat,
            "description": dice.choice(("Werkzaamheden maart", "Levering", "Abonnement april", "Meerwerk")),
        }


def app_connections(connected_at: datetime) -> Iterator[dict[str, Any]]:
    """Yield the programs of others that an environment is connected to."""
    for position, name in enumerate(("Webwinkel", "Kassa", "Urenregistratie", "Betaallinks"), start=1):
        yield {"id": position, "name": name, "status": "active", "connected_at": connected_at}


def users(dice: Random, *, domain: str) -> Iterator[dict[str, Any]]:
    """Yield an environment's users: all have come in, and all have AFAS Link on their telephone."""
    people = (
        ("Sanne", "owner", "nl"),
        ("Daan", "bookkeeper", "nl"),
        ("Fatima", "accountant", "nl"),
        ("Oliver", "reader", "en"),
    )
    for position, (first_name, role, language) in enumerate(people, start=1):
        yield {
            "id": position,
            "email": f"{first_name.lower()}@{domain}",
            "full_name": f"{first_name} {dice.choice(_SURNAMES)}",
            "role": role,
            "language": language,
            "invitation_status": "accepted",
            "mobile_link_status": "linked",
        }
