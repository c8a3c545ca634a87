"""The new side: "Omgeving overdracht uploaden", comparing, and "Vrijgeven"."""

import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from adapters.crypto.ticket_seal import MAX_TICKET_BYTES
from domain import messages as m
from domain.errors import Misconfigured
from domain.vocabulary import Language
from starter.cli import panels, tables
from starter.cli.options import AsJson, By, Which, acting_user, with_client
from starter.cli.output import ExitCode, Output
from starter.cli.watch import answer_with, comparing
from starter.client.client import TransferClient
from starter.client.comparison_files import FileForm, write_comparison

commands = typer.Typer()


@commands.command()
def upload(  # noqa: PLR0917 - typer names them on the command line
    file: Annotated[Path, typer.Argument(metavar="TICKET", help="The .avr file from the old side.")],
    licence: Annotated[str, typer.Option(help="The number of the licence that takes the environment over.")],
    name: Annotated[str, typer.Option(help="The new name, unique under that licence.")],
    url: Annotated[str | None, typer.Option(help="The customer's part of the url; the name in lower case.")] = None,
    login_email: Annotated[
        str | None, typer.Option(help="What the customer logs in with; needed for a self-managed licence.")
    ] = None,
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Upload a ticket: "Omgeving overdracht uploaden"."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        accepted = await client.upload(
            _ticket_in(file),
            licence=licence,
            name=name,
            url_part=url,
            login_email=login_email,
            uploaded_by=acting_user(by),
        )
        output.answer(
            accepted,
            Text.assemble(("Accepted: ", "green"), panels.plain(accepted.name), " at ", panels.plain(accepted.url)),
            Text(f"The move starts at {panels.moment(accepted.starts_at, output.zone)}."),
        )
        return ExitCode.OK

    return with_client(work, as_json=as_json)


@commands.command()
def compare(
    old: Annotated[str, typer.Argument(metavar="OLD", help="An environment's id, name, or <licence number>/<name>.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Likewise, the other one.")],
    file: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Also write it with every row behind it: .csv or .xlsx."),
    ] = None,
    language: Annotated[Language, typer.Option(help="The file's language.")] = Language.DUTCH,
    as_json: AsJson = False,
) -> ExitCode:
    """Compare two environments, every row and every figure. Exit code 1 when they differ.

    Leaves out what a move changes on purpose. Work done after the release is a difference too.
    """
    form = _form_of(file)

    async def work(client: TransferClient, output: Output) -> ExitCode:
        with comparing(output.people) as on_progress:
            found = await client.compare(old, new, on_progress=on_progress)
        if file is not None:

            def rows(check: m.Check) -> AsyncGenerator[m.ComparedRow, None]:
                day = found.report.made_at.date()
                return client.compared_rows(found.old, found.new, check.check, check.administration_id, day)

            with file.open("wb") as opened:
                await write_comparison(
                    opened, form, checks=found.report.checks, rows=rows, language=language, zone=output.zone
                )
        output.answer(
            found, tables.comparison(found.report.checks, output.zone), tables.differences(found.verification)
        )
        return ExitCode.OK if found.equal else ExitCode.DIFFERENT

    return with_client(work, as_json=as_json)


@commands.command()
def release(
    which: Which,
    note: Annotated[str, typer.Option(help="A remark for the event log.")] = "",
    by: By = "",
    sure: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> ExitCode:
    """Open the new environment for good: "Vrijgeven". There is no way back. On a terminal it asks first."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        if not sure and not as_json and sys.stdin.isatty():
            status = (await client.status(which)).status
            name = panels.plain(status.new.name if status.new else which).plain
            typer.confirm(f"Release {name} for good? There is no way back.", abort=True, err=True)
        return answer_with(output, await client.release(which, by=acting_user(by), note=note))

    return with_client(work, as_json=as_json)


@commands.command()
def reject(
    which: Which,
    reason: Annotated[str, typer.Option(help="Why, for the event log and the mail to both sides.")],
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Undo a transfer after comparing: the old environment becomes writable again."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        answer_with(output, await client.reject(which, by=acting_user(by), reason=reason))
        return ExitCode.OK  # undone is what was asked for

    return with_client(work, as_json=as_json)


def _form_of(file: Path | None) -> FileForm:
    """Return what a file is to be, by its name.

    Raises:
        Misconfigured: Neither CSV nor a workbook.
    """
    if file is None:
        return FileForm.CSV
    try:
        return FileForm(file.suffix.lower().removeprefix("."))
    except ValueError as error:
        raise Misconfigured(f"{file.name} ends in neither .csv nor .xlsx. Choose another name for the file.") from error


def _ticket_in(file: Path) -> bytes:
    """Return a ticket file's bytes; of one too long to be a ticket only so much that it is refused as one."""
    with file.open("rb") as opened:
        return opened.read(MAX_TICKET_BYTES + 1)
