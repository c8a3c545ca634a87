"""Anybody who may look: where transfers stand, and what has happened."""

from typing import Annotated

import typer

from domain.vocabulary import TransferState
from starter.cli import tables
from starter.cli.options import AsJson, Which, with_client
from starter.cli.output import ExitCode, Output
from starter.cli.watch import answer_with, code_of, watch_until
from starter.client.client import TransferClient
from starter.client.polling import is_over

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
def watch(
    which: Which,
    until: Annotated[TransferState | None, typer.Option(help="Stop at this state; at the end, if left out.")] = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Show a transfer live until it has ended. Exit code 1 when it was undone."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        snapshot = await watch_until(
            client, which, output.people, output.zone, lambda seen: is_over(seen) or seen.state is until
        )
        output.answer(snapshot)
        return code_of(snapshot)

    return with_client(work, as_json=as_json)


@commands.command()
def events(which: Which, as_json: AsJson = False) -> ExitCode:
    """Tell the whole story of a transfer: who, what, when, why."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        story = await client.events(which)
        output.answer(story, tables.events(story, output.zone))
        return ExitCode.OK

    return with_client(work, as_json=as_json)
