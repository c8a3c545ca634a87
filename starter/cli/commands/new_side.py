"""The new side: "Omgeving overdracht uploaden", comparing, and "Vrijgeven"."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from adapters.crypto.ticket_seal import MAX_TICKET_BYTES
from starter.cli import panels, tables
from starter.cli.options import AsJson, By, Which, acting_user, with_client
from starter.cli.output import ExitCode, Output
from starter.cli.watch import answer_with, comparing
from starter.client.client import TransferClient

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
    as_json: AsJson = False,
) -> ExitCode:
    """Compare two environments, every row and every figure. Exit code 1 when they differ.

    Leaves out what a move changes on purpose. Work done after the release is a difference too.
    """

    async def work(client: TransferClient, output: Output) -> ExitCode:
        with comparing(output.people) as on_progress:
            found = await client.compare(old, new, on_progress=on_progress)
        output.answer(found, tables.comparison(found.report.checks), tables.differences(found.verification))
        return ExitCode.OK if found.equal else ExitCode.DIFFERENT

    return with_client(work, as_json=as_json)


@commands.command()
def release(
    which: Which,
    note: Annotated[str, typer.Option(help="A remark for the event log.")] = "",
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Open the new environment for good: "Vrijgeven". There is no way back."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
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


def _ticket_in(file: Path) -> bytes:
    """Return a ticket file's bytes; of one too long to be a ticket only so much that it is refused as one."""
    with file.open("rb") as opened:
        return opened.read(MAX_TICKET_BYTES + 1)
