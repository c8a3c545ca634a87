"""The certificate of a move: what was moved, that it arrived equal, and what was changed on purpose.

A certificate is a JSON document. What is signed are its canonical bytes (RFC 8785, which for text, integers, lists and
objects with ASCII names is what `canonical` makes); what is written to a file is one fixed rendering of it, so that no
byte of a file can change unseen. docs/certificate.md explains it to those who receive one.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, NoReturn, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, ValidationError

from domain.checklist import ChecklistItem
from domain.errors import CertificateAltered, CertificateTooNew
from domain.fingerprint import Fingerprint, ObjectHash, TableHash
from domain.messages import BankOutcome, ComparisonSummary, Consequence
from domain.vocabulary import Scenario

FORMAT: Final = "sb-transfer certificate 1"
ALGORITHM: Final = "Ed25519"
# Ten thousand tables are 5 MB. More is no certificate and is not worth reading.
MAX_BYTES = 64 * 1024 * 1024
_SIGNATURE = re.compile("[0-9a-f]{128}")


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Issuer(_Part):
    """What made the certificate."""

    package: str
    postgresql: str


class CertifiedEnvironment(_Part):
    """One side of the move, as it was named when the certificate was issued."""

    environment_id: UUID
    name: str
    url: str
    licence_number: str


class Moments(_Part):
    """When what happened. The old environment refused every write of the application from `frozen_at` on."""

    frozen_at: Moment
    hashed_when_frozen_at: Moment
    verified_at: Moment
    compared_at: Moment
    opened_at: Moment
    hashed_when_opened_at: Moment


class OpenedTable(_Part):
    """A table of the new environment in which the move changed something on purpose, when it was opened."""

    rows: int
    content: str


class CertifiedTable(TableHash):
    """A table. `content` was the same three times: frozen, and on both sides after the clone."""

    opened: OpenedTable | None = None


class CertifiedObject(ObjectHash):
    """Something that holds no rows. `opened_at_position`: where a sequence of the new environment stood otherwise."""

    opened_at_position: str | None = None


class PurposefulChange(_Part):
    """Columns that a move may change."""

    table: str
    columns: list[str]


class CheckedPoint(_Part):
    """A point of the manual's check lists that somebody had ticked when the environment was released."""

    item: ChecklistItem
    ticked_by: str
    ticked_at: Moment


class Totals(_Part):
    tables: int
    rows: int


class Certificate(_Part):
    """What is signed."""

    format: Literal["sb-transfer certificate 1"] = FORMAT
    algorithm: Literal["Ed25519"] = ALGORITHM
    key_id: str
    issued_at: Moment
    issuer: Issuer
    transfer_id: UUID
    scenario: Scenario
    old: CertifiedEnvironment
    new: CertifiedEnvironment
    moments: Moments
    method: str
    totals: Totals
    tables: list[CertifiedTable]
    others: list[CertifiedObject]
    comparison: ComparisonSummary
    changed_on_purpose: list[PurposefulChange]
    banks: list[BankOutcome]
    consequences: list[Consequence]
    checklist: list[CheckedPoint] = []
    """In the manual's order; empty until the last look before the release."""

    def old_side(self) -> Fingerprint:
        """Return what the old environment was when it was frozen, and should be for ever."""
        return Fingerprint(
            method=self.method,
            taken_at=self.moments.hashed_when_frozen_at,
            server=self.issuer.postgresql,
            tables=list(self.tables),
            others=list(self.others),
        )

    def new_side(self) -> Fingerprint:
        """Return what the new environment was when it was opened for inspection, and should be until its release."""
        return Fingerprint(
            method=self.method,
            taken_at=self.moments.hashed_when_opened_at,
            server=self.issuer.postgresql,
            tables=[
                table.model_copy(update=table.opened.model_dump()) if table.opened else table for table in self.tables
            ],
            others=[
                other.model_copy(update={"position": other.opened_at_position}) if other.opened_at_position else other
                for other in self.others
            ],
        )


def certified_tables(frozen: Fingerprint, opened: Fingerprint) -> list[CertifiedTable]:
    """Return the tables of a certificate: as they were frozen, with what the new side has otherwise."""
    now = {table.table: table for table in opened.tables}
    found = []
    for table in frozen.tables:
        after = now[table.table]
        same = after.content == table.content
        opened_as = None if same else OpenedTable(rows=after.rows, content=after.content)
        found.append(CertifiedTable(**table.model_dump(), opened=opened_as))
    return found


def certified_objects(frozen: Fingerprint, opened: Fingerprint) -> list[CertifiedObject]:
    """Return what else a certificate lists."""
    now = {other.object: other.position for other in opened.others}
    return [
        CertifiedObject(
            **other.model_dump(),
            opened_at_position=None if now[other.object] == other.position else now[other.object],
        )
        for other in frozen.others
    ]


def canonical(document: Mapping[str, Any]) -> bytes:
    """Return the one sequence of bytes that stands for a document of text, integers, truth values, lists and objects.

    Raises:
        ValueError: It holds a number that is no integer.
    """
    return json.dumps(document, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """A certificate as it is handed over: the document, and the signature over its canonical bytes."""

    document: dict[str, Any]
    signature: bytes

    def file(self) -> bytes:
        """Return the bytes of the file; the same document and signature give the same bytes."""
        whole = {"certificate": self.document, "signature": self.signature.hex()}
        return (json.dumps(whole, ensure_ascii=False, allow_nan=False, sort_keys=True, indent=2) + "\n").encode()

    @classmethod
    def of(cls, file: bytes) -> Self:
        """Take a file apart; nothing is believed yet.

        Raises:
            CertificateAltered: It is no certificate, or not byte for byte as it was issued.
        """
        if len(file) > MAX_BYTES:
            raise CertificateAltered
        try:
            match json.loads(file, parse_float=_no_number, parse_constant=_no_number):
                case {"certificate": dict(document), "signature": str(signature)} if _SIGNATURE.fullmatch(signature):
                    found = cls(document, bytes.fromhex(signature))
                case _:
                    raise CertificateAltered
            same = found.file() == file
        except (ValueError, RecursionError):  # no JSON, no UTF-8, half a character
            raise CertificateAltered from None
        if not same:
            raise CertificateAltered
        return found

    def certificate(self) -> Certificate:
        """Return what the document says; call it when the signature has been checked.

        Raises:
            CertificateTooNew: It is of a format that this version does not know.
        """
        try:
            return Certificate.model_validate_json(canonical(self.document))
        except ValidationError as error:
            raise CertificateTooNew from error


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)
