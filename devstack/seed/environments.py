"""Who exists after a seed: licences, environments and their administrations, and three moves worth showing."""

from dataclasses import dataclass
from fractions import Fraction
from uuid import UUID, uuid5

from domain.vocabulary import Language, LicenceKind, Scenario

# A namespace of this seed's own (RFC 9562, 6.6), so that its ids can be told from others'.
_NAMESPACE = UUID("6f1d1c0a-7c52-4d0e-9a55-2f3f6d0b5b10")


@dataclass(frozen=True, slots=True)
class SeedLicence:
    """A licence and who holds it."""

    licence_number: str
    holder_name: str
    kind: LicenceKind
    host: str
    contact_email: str
    language: Language = Language.DUTCH
    becon_number: str | None = None


@dataclass(frozen=True, slots=True)
class SeedEnvironment:
    """An environment: its share is of the journal lines that the largest environment gets."""

    name: str
    licence_number: str
    administrations: tuple[str, ...]
    share: Fraction

    def id_for(self, value: int) -> UUID:
        """Return the environment's id under a seed value."""
        return uuid5(_NAMESPACE, f"{value}/{self.licence_number}/{self.name}")

    def administration_id_for(self, value: int, position: int) -> UUID:
        """Return the id of its nth administration, counted from 0, under a seed value."""
        return uuid5(_NAMESPACE, f"{value}/{self.licence_number}/{self.name}/{position}")


@dataclass(frozen=True, slots=True)
class ShowMove:
    """A move that a seeded database can make: which environment goes where, and under what name."""

    scenario: Scenario
    environment: str
    old_licence: str
    new_licence: str
    new_name: str
    login_email: str | None = None


LICENCES = (
    SeedLicence(
        "10001", "De Vries & Partners", LicenceKind.FIRM, "devries", "transfer@devries.example", becon_number="418203"
    ),
    SeedLicence(
        "10002", "Bakker Administraties", LicenceKind.FIRM, "bakker", "kantoor@bakker.example", becon_number="527914"
    ),
    SeedLicence(
        "10003",
        "Northgate Accounting",
        LicenceKind.FIRM,
        "northgate",
        "office@northgate.example",
        Language.ENGLISH,
        becon_number="604377",
    ),
    SeedLicence("20001", "Molenaar Bouw B.V.", LicenceKind.SELF_MANAGED, "molenaar", "info@molenaarbouw.example"),
    SeedLicence("20002", "Bloemisterij Smit", LicenceKind.SELF_MANAGED, "smit", "hallo@bloemsmit.example"),
    SeedLicence(
        "20003", "Wolters Design", LicenceKind.SELF_MANAGED, "wolters", "studio@wolters.example", Language.ENGLISH
    ),
)

ENVIRONMENTS = (
    SeedEnvironment(
        "Hofman Groep",
        "10001",
        (
            "Hofman Holding B.V.",
            "Hofman Transport B.V.",
            "Hofman Opslag B.V.",
            "Hofman Vastgoed B.V.",
            "Hofman Techniek B.V.",
            "Hofman Verhuur B.V.",
            "Hofman Koeriers B.V.",
            "Hofman Logistiek België",
            "Hofman Personeel B.V.",
            "Hofman Verpakkingen B.V.",
            "Hofman Energie B.V.",
            "Stichting Hofman Pensioen",
        ),
        Fraction(1),
    ),
    SeedEnvironment("enyoi", "10001", ("Enyoi B.V.", "Enyoi Holding B.V.", "Enyoi Webshop B.V."), Fraction(3, 10)),
    SeedEnvironment("Molenaar Bouw", "20001", ("Molenaar Bouw B.V.",), Fraction(1, 10)),
    SeedEnvironment("Bloemisterij Smit", "10002", ("Bloemisterij Smit", "Smit Tuinontwerp"), Fraction(1, 8)),
    SeedEnvironment(
        "Van Dam Horeca",
        "10002",
        (
            "Grand Café Van Dam",
            "Hotel Van Dam",
            "Van Dam Catering",
            "Van Dam Beheer B.V.",
            "VOF Van Dam Strandpaviljoen",
        ),
        Fraction(1, 4),
    ),
    SeedEnvironment("Linden Tandartsen", "10003", ("Linden Tandartsen maatschap",), Fraction(1, 16)),
    SeedEnvironment("Wolters Design", "20003", ("Wolters Design",), Fraction(1, 20)),
)

SHOW_MOVES = (
    ShowMove(Scenario.SWITCH, "enyoi", "10001", "10002", "Enyoi"),
    ShowMove(Scenario.OUTSOURCE, "Molenaar Bouw", "20001", "10001", "Molenaar Bouw"),
    ShowMove(
        Scenario.INSOURCE,
        "Bloemisterij Smit",
        "10002",
        "20002",
        "Bloemisterij Smit",
        login_email="sanne@bloemsmit.example",
    ),
)


def licence_of(environment: SeedEnvironment) -> SeedLicence:
    """Return the licence that an environment hangs under."""
    return next(licence for licence in LICENCES if licence.licence_number == environment.licence_number)
