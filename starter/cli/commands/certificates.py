"""Certificates on the command line: written, checked without any server, and held against the databases."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from adapters.crypto.certificate_signer import CertificateReader, CertificateSigner
from domain import messages as m
from domain.certificate import MAX_BYTES, Certificate
from domain.errors import Misconfigured, TransferError
from starter.cli.options import AsJson, Which, with_client
from starter.cli.output import ExitCode, Output, write_json
from starter.cli.panels import columns, plain
from starter.cli.watch import comparing
from starter.client.client import TransferClient
from starter.client.models import CertificateChecked
from starter.environment import surroundings

commands = typer.Typer()


@commands.command()
def certificate(
    which: Which,
    target: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where it goes; to standard output, if left out."),
    ] = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Write the signed certificate of a move: what was moved, that it arrived equal, what was changed on purpose."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        content = await client.certificate(which)
        if target is None:
            sys.stdout.write(content.decode())  # a JSON document in any case
            return ExitCode.OK
        target.write_bytes(content)
        output.answer({"certificate_file": str(target)}, Text.assemble(("The certificate: ", "green"), str(target)))
        return ExitCode.OK

    return with_client(work, as_json=as_json)


@commands.command("verify-certificate")
def verify_certificate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A certificate.")],
    public_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The issuer's public keys; this service's own, if left out."),
    ] = None,
    databases: Annotated[
        bool, typer.Option("--databases", help="Also read both environments and compare them with it.")
    ] = False,
    as_json: AsJson = False,
) -> ExitCode:
    """Check a certificate, without any server. Exit code 2 when it is not genuine.

    With --databases exit code 1 when an environment is not, or no longer, as certified.
    """
    found = _trusted(public_key).read(_content_of(file))
    if not databases:
        Output(as_json=as_json).answer(CertificateChecked(certificate=found), _as_read(found))
        return ExitCode.OK

    async def work(client: TransferClient, output: Output) -> ExitCode:
        output.say(_as_read(found))
        with comparing(output.people) as on_progress:
            checked = await client.hold_against(found, on_progress=on_progress)
        output.answer(checked, _as_checked(checked))
        return ExitCode.OK if checked.equal else ExitCode.DIFFERENT

    return with_client(work, as_json=as_json)


@commands.command("certificate-keys")
def certificate_keys(as_json: AsJson = False) -> ExitCode:
    """Print the public keys that receivers of certificates need: PEM, the newest first."""
    reader = _trusted(None)
    if as_json:
        write_json({"keys": reader.key_ids, "pem": reader.pem()})
    else:
        sys.stdout.write(reader.pem())
    return ExitCode.OK


def _trusted(public_keys: Path | None) -> CertificateReader:
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


def _content_of(file: Path) -> bytes:
    """Return a file's bytes, but no more than a certificate can have."""
    with file.open("rb") as opened:
        return opened.read(MAX_BYTES + 1)


def _as_read(certificate: Certificate) -> RenderableType:
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
        *_ticked(certificate),
    )


def _ticked(certificate: Certificate) -> list[RenderableType]:
    """Return who had ticked which points of the check list when the environment was released."""
    by: dict[str, list[str]] = {}
    for point in certificate.checklist:
        by.setdefault(point.ticked_by, []).append(point.item.value.replace("_", " "))
    return [plain(f"Checked by {who}: {', '.join(points)}.") for who, points in by.items()]


def _as_checked(found: CertificateChecked) -> RenderableType:
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
