"""Anybody who may look: where transfers stand, and what has happened."""

from typing import Annotated

import typer

from domain.vocabulary import EnvironmentStatus, TransferState
from starter.cli import tables
from starter.cli.options import AsJson, Which, with_client
from starter.cli.output import ExitCode, Output
from starter.cli.watch import answer_with, code_of, follow_evening, watch_until
from starter.client.client import TransferClient
from starter.client.polling import WAITING_FOR_PEOPLE, is_over

commands = typer.Typer()


@commands.command()
def status(which: Which, as_json: AsJson = False) -> ExitCode:
    """Tell where a transfer stands and what it waits for. Exit code 1 when it was undone."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        return answer_with(output, await client.status(which))

    return with_client(work, as_json=as_json)


@commands.command("list")
def list_transfers(
    state: Annotated[list[TransferState] | None, typer.Option(help="In this state only; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most, the newest first.")] = 100,
    as_json: AsJson = False,
) -> ExitCode:
    """List transfers, the newest first."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        found = await client.transfers(states=state or (), limit=limit)
        output.answer(found, tables.transfers(found, output.zone))
        return ExitCode.OK

    return with_client(work, as_json=as_json)


@commands.command()
def environments(
    search: Annotated[
        str, typer.Argument(help="Part of a name, url, licence number or holder's name, or the beginning of an id.")
    ] = "",
    status: Annotated[list[EnvironmentStatus] | None, typer.Option(help="Only such; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    as_json: AsJson = False,
) -> ExitCode:
    """List environments, or search them, by licence and name."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        found = await client.environments(search, statuses=status or (), limit=limit)
        output.answer(found, tables.environments(found))
        return ExitCode.OK

    return with_client(work, as_json=as_json)


@commands.command()
def watch(
    which: Which,
    until: Annotated[
        TransferState | None, typer.Option(help="Stop at this state, and not when somebody has to act.")
    ] = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Show a transfer live until it has ended or waits for a person. Exit code 1 when it was undone."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        stops = WAITING_FOR_PEOPLE if until is None else {until}
        snapshot = await watch_until(
            client, which, output.people, output.zone, lambda seen: is_over(seen) or seen.state in stops
        )
        output.answer(snapshot)
        return code_of(snapshot)

    return with_client(work, as_json=as_json)


@commands.command()
def tonight(as_json: AsJson = False) -> ExitCode:
    """Show the evening that goes on or comes next, live on a terminal. Exit code 1 when it does not fit."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        evening = await follow_evening(client, output.people, output.zone)
        output.answer(evening, *(() if output.people.is_terminal else (tables.evening(evening, output.zone),)))
        return ExitCode.OK if evening.fits else ExitCode.DIFFERENT

    return with_client(work, as_json=as_json)


@commands.command()
def events(which: Which, as_json: AsJson = False) -> ExitCode:
    """Tell the whole story of a transfer: who, what, when, why."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        story = await client.events(which)
        output.answer(story, tables.events(story, output.zone))
        return ExitCode.OK

    return with_client(work, as_json=as_json)
