"""Certificates on the command line: written, checked without any server, and held against the databases."""

from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from adapters.crypto.certificate_signer import CertificateReader, CertificateSigner
from domain import messages as m
from domain.certificate import MAX_BYTES, Certificate
from domain.errors import Misconfigured, TransferError
from starter.cli.panels import columns, plain
from starter.client.models import CertificateChecked
from starter.environment import surroundings


def trusted(public_keys: Path | None) -> CertificateReader:
    """Return whom to trust: the keys in a file, else those of our own ring.

    Raises:
        Misconfigured: There are none.
    """
    if public_keys is not None:
        return CertificateReader.from_file(public_keys)
    try:
        return CertificateSigner(surroundings().settings.certificate_keys).reader
    except TransferError as error:
        raise Misconfigured(
            f"Give the issuer's public keys with --public-key FILE; this service's own are not at hand: {error}"
        ) from error


def content_of(file: Path) -> bytes:
    """Return a file's bytes, but no more than a certificate can have."""
    with file.open("rb") as opened:
        return opened.read(MAX_BYTES + 1)


def as_read(certificate: Certificate) -> RenderableType:
    """Return what a genuine certificate says."""
    table = columns("", "old environment", "new environment")
    for title, field in (("name", "name"), ("licence", "licence_number"), ("address", "url")):
        table.add_row(title, *(plain(getattr(side, field)) for side in (certificate.old, certificate.new)))
    changed = sum(one.opened is not None for one in certificate.tables)
    totals = certificate.totals
    return Group(
        Text(
            f"Genuine: signed with key {certificate.key_id} at {certificate.issued_at:%Y-%m-%d %H:%M:%S} UTC.", "green"
        ),
        table,
        Text(f"{totals.tables} tables with {totals.rows:,} rows arrived as they were frozen."),
        Text(f"{changed} of them were then changed on purpose, as the certificate lists."),
    )


def as_checked(found: CertificateChecked) -> RenderableType:
    """Return how the databases compare with a certificate."""
    lines: list[RenderableType] = [
        Text(f"The {side.side} environment: {side.told}", style="red" if side.changes else "green")
        for side in found.sides
    ]
    changes: list[tuple[str, m.TableDifference]] = [(side.side, one) for side in found.sides for one in side.changes]
    if changes:
        table = columns("environment", "table", "difference")
        for side, change in changes:
            table.add_row(side, plain(change.table), plain(change.problem))
        lines.append(table)
    return Group(*lines)
