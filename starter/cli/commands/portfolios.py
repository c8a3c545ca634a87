"""`sb-transfer portfolio`: many environments to one licence."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from adapters.postgres.database import database
from adapters.transfer.portfolios import PostgresPortfolios
from domain.errors import LicenceUnknown
from domain.portfolio import MovePortfolio, PortfolioStanding
from starter.cli import panels
from starter.cli.options import AsJson, By, acting_user
from starter.cli.output import ExitCode, Output, run
from starter.cli.panels import columns
from starter.cli.ticket_file import TicketFile
from starter.client.client import TransferClient
from starter.client.connect import connect
from starter.client.tickets_file import tickets_file
from starter.environment import surroundings

commands = typer.Typer()
portfolio = typer.Typer(help="Move many environments to one licence: a dry run for all first.", no_args_is_help=True)
commands.add_typer(portfolio, name="portfolio")
Which = Annotated[uuid.UUID, typer.Argument(metavar="PORTFOLIO", help="The portfolio's id.")]
_SHOWN = 200


@portfolio.command()
def create(  # noqa: PLR0917 - typer names them on the command line
    licence: Annotated[str, typer.Option(help="The number of the licence that takes them over.")],
    environments: Annotated[
        list[str] | None, typer.Argument(metavar="[ENV]...", help="Ids or names, in the order in which they move.")
    ] = None,
    from_licence: Annotated[str | None, typer.Option(help="All active environments of this licence instead.")] = None,
    pattern: Annotated[str, typer.Option(help="What they are called there; {name} is the present name.")] = "{name}",
    first_evening: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The coming one, if left out.")
    ] = None,
    per_night: Annotated[int, typer.Option(min=1, max=10_000, help="How many move in one evening.")] = 50,
    at_once: Annotated[int, typer.Option(min=1, max=50, help="How many are frozen side by side.")] = 4,
    begin: Annotated[bool, typer.Option("--begin", help="Do not wait after the dry run.")] = False,
    upload: Annotated[bool, typer.Option(help="Upload the tickets at once, or leave that to the new side.")] = True,
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Look whether each environment could move; `begin` moves those that can."""
    if bool(environments) == (from_licence is not None):
        raise typer.BadParameter("give environments or --from-licence, one of the two")
    if "{name}" not in pattern:
        raise typer.BadParameter("the pattern needs {name}, or all would be called the same", param_hint="--pattern")

    async def work() -> ExitCode:
        async with _opened(as_json=as_json) as (client, books, output):
            if await client.licence_kind(licence) is None:
                raise LicenceUnknown
            named = uuid.uuid4()
            ids = [(await client.environment(one)).environment_id for one in environments or ()]
            await books.create(
                named,
                licence=licence,
                environments=ids,
                from_licence=from_licence,
                name_pattern=pattern,
                first_evening=first_evening.date() if first_evening else None,
                per_night=per_night,
                created_by=acting_user(by),
                uploads=upload,
            )
            await client.lead_portfolio(MovePortfolio(portfolio_id=named, at_once=at_once, begin=begin))
            _answer(output, await books.standing(named))
        return ExitCode.OK

    return run(work())


@portfolio.command()
def show(which: Which, as_json: AsJson = False) -> ExitCode:
    """Show how many are in which state, and what is wrong. Exit code 1 when something was refused."""
    return run(_tell(which, None, "", as_json=as_json))


@portfolio.command("begin")
def begin_all(which: Which, by: By = "", as_json: AsJson = False) -> ExitCode:
    """Move all that can be moved."""
    return run(_tell(which, "begin", by, as_json=as_json))


@portfolio.command()
def release(which: Which, by: By = "", as_json: AsJson = False) -> ExitCode:
    """Release all in which the comparison found no difference."""
    return run(_tell(which, "release_equal", by, as_json=as_json))


@portfolio.command()
def retry(
    which: Which,
    number: Annotated[int | None, typer.Option(min=1, help="Of this one alone, also when it was undone.")] = None,
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Try again what was refused."""
    return run(_tell(which, "retry", by, as_json=as_json, number=number))


@portfolio.command()
def reject(
    which: Which,
    number: Annotated[int, typer.Option(min=1, help="Which of them.")],
    reason: Annotated[str, typer.Option(help="Why, for the event log and the mail to both sides.")],
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Undo one that awaits its release; all others go on."""

    async def work() -> ExitCode:
        async with _opened(as_json=as_json) as (client, books, output):
            await client.reject(str(await books.transfer_of(which, number)), by=acting_user(by), reason=reason)
            standing = await books.standing(which, after=number - 1, limit=1)
            _answer(output, standing)
        return ExitCode.OK

    return run(work())


@portfolio.command()
def tickets(
    which: Which,
    into: Annotated[Path, typer.Option("-o", "--output", help="The zip file; it must not be there yet.")],
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Write the tickets that are still to be uploaded into one file; those that were made before stop working."""

    async def work() -> ExitCode:
        async with _opened(as_json=as_json) as (client, books, output):
            await books.standing(which, limit=1)
            waiting = await books.waiting_for_upload(which)
            file = TicketFile(into.absolute().parent, into.name)
            content = await tickets_file(client, waiting, by=acting_user(by))
            file.write(content)
            output.answer({"file": str(into), "tickets": len(waiting)}, Text(f"{len(waiting)} tickets: {into}"))
        return ExitCode.OK

    return run(work())


@portfolio.command()
def cancel(which: Which, by: By = "", as_json: AsJson = False) -> ExitCode:
    """Cancel what has not begun."""
    return run(_tell(which, "cancel_rest", by, as_json=as_json))


@asynccontextmanager
async def _opened(*, as_json: bool) -> AsyncIterator[tuple[TransferClient, PostgresPortfolios, Output]]:
    here = surroundings()
    async with (
        connect(here.settings, environment=here.environment) as client,
        database(here.settings.database_url) as pool,
    ):
        yield client, PostgresPortfolios(pool), Output(as_json=as_json, zone=here.settings.zone)


async def _tell(
    which: uuid.UUID, decision: str | None, by: str, *, as_json: bool, number: int | None = None
) -> ExitCode:
    async with _opened(as_json=as_json) as (client, books, output):
        standing = await books.standing(which, limit=_SHOWN)
        if decision is not None:
            await client.tell_portfolio(which, decision, by=acting_user(by), number=number)
        _answer(output, standing)
    refused = decision is None and standing.counts.get("refused", 0)
    return ExitCode.DIFFERENT if refused else ExitCode.OK


def _answer(output: Output, standing: PortfolioStanding) -> None:
    counts = ", ".join(f"{number} {state}" for state, number in standing.counts.items())
    output.answer(standing, Text(f"Portfolio {standing.portfolio_id}: {counts}."), _items(standing))


def _items(standing: PortfolioStanding) -> Table:
    table = columns("", "environment", "state", "evening", "problem")
    for item in standing.items:
        state = item.transfer_state or item.state
        evening = f"{item.evening:%Y-%m-%d}" if item.evening else ""
        table.add_row(str(item.number), panels.plain(item.name), state.value, evening, panels.plain(item.problem or ""))
    return table
