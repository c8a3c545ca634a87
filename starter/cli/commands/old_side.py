"""The old side: "Omgeving overdragen", and the ticket that comes out."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.text import Text

from domain.errors import Misconfigured, WrongMoment
from domain.naming import ticket_file_name
from starter.cli import panels
from starter.cli.options import AsJson, By, Folder, Overwrite, Reason, Which, acting_user, with_client
from starter.cli.output import ExitCode, Output
from starter.cli.ticket_file import TicketFile
from starter.cli.watch import screen
from starter.client.client import TransferClient
from starter.client.models import TransferSnapshot

commands = typer.Typer()


@commands.command()
def prepare(  # noqa: PLR0917 - typer names them on the command line
    environment: Annotated[str, typer.Argument(metavar="ENV", help="An environment's id, or its name.")],
    folder: Folder = Path(),
    overwrite: Overwrite = False,
    for_licence: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Bind the ticket to this licence: no other may upload it.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would happen.")] = False,
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Freeze an environment and get its ticket: "Omgeving overdragen".

    Tells first what the move will do. When it is refused, nothing has changed.
    """

    async def work(client: TransferClient, output: Output) -> ExitCode:
        found = await client.environment(environment)
        preview = await client.preview(str(found.environment_id))
        output.say(panels.preview(preview))
        if dry_run:
            if not (output.as_json and preview.obstacles):  # programs read the obstacles from the document
                await client.require_movable(preview, for_licence=for_licence)
            output.answer(preview)
            return ExitCode.REFUSED if preview.obstacles else ExitCode.OK
        file = TicketFile(folder, ticket_file_name(found.url_part), overwrite=overwrite)
        with screen(output.people, output.zone) as show:
            prepared = await client.prepare(
                str(found.environment_id),
                requested_by=acting_user(by),
                for_licence=for_licence,
                preview=preview,
                on_progress=lambda status: show(TransferSnapshot(status=status)),
            )
        _keep(file, prepared.ticket, prepared.transfer_id)
        output.answer(
            {**prepared.model_dump(mode="json"), "ticket_file": str(file.path)},
            Text.assemble(("The environment is read-only now. Its ticket: ", "green"), str(file.path)),
            Text(
                f"Send that file to licence {panels.plain(for_licence)}. It works once, and for no other."
                if for_licence
                else "Send that file to the new side. It works once, for whoever has it."
            ),
        )
        return ExitCode.OK

    return with_client(work, as_json=as_json)


@commands.command()
def ticket(
    which: Which, folder: Folder = Path(), overwrite: Overwrite = False, by: By = "", as_json: AsJson = False
) -> ExitCode:
    """Get the ticket file once more while the upload is awaited; an earlier file stops working."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        results = await client.results(which)
        if results.ticket_file_name is None:
            raise WrongMoment
        file = TicketFile(folder, results.ticket_file_name, overwrite=overwrite)
        name, content = await client.download_ticket(which, requested_by=acting_user(by))
        file.write(content)
        output.answer(
            {"ticket_file_name": name, "ticket_file": str(file.path)},
            Text.assemble(("The ticket: ", "green"), str(file.path)),
        )
        return ExitCode.OK

    return with_client(work, as_json=as_json)


@commands.command()
def retire(
    environment: Annotated[str, typer.Argument(metavar="ENV", help="An environment's id, name or licence/name.")],
    call_back: Annotated[bool, typer.Option("--call-back", help="Keep it after all.")] = False,
    reason: Reason = "",
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Remove an old environment that was moved away: both sides are told, and it can be called back for a while."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        if call_back:
            result = await client.call_back(environment, by=acting_user(by), reason=reason)
            output.answer(result, Text("Called back: the environment stays as it is.", "green"))
            return ExitCode.OK
        planned = await client.retire(environment, by=acting_user(by), reason=reason)
        when = panels.moment(planned.due_at, output.zone)
        keep = f"sb-transfer retire {planned.environment_id} --call-back"
        output.answer(planned, Text(f"It is removed at {when}. Until then, to keep it:\n{keep}"))
        return ExitCode.OK

    return with_client(work, as_json=as_json)


def _keep(file: TicketFile, ticket: bytes, transfer_id: UUID) -> None:
    """Write a ticket; when that fails the environment is frozen all the same, so say how to go on."""
    try:
        file.write(ticket)
    except (Misconfigured, OSError) as error:
        raise Misconfigured(
            f"The environment is read-only now, but its ticket could not be written: {error} "
            f"Get it with: sb-transfer ticket {transfer_id} -o DIR"
        ) from error
