"""What anybody tries the product with, on servers of their own: `demo`, `up`, `seed`, `token`."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from domain.authority import Caller, Role
from domain.vocabulary import Scenario
from starter.cli.options import AsJson, By, StackFolder, acting_user, needs_extra
from starter.cli.output import ExitCode, Output, run
from starter.environment import Surroundings, surroundings

commands = typer.Typer()


@commands.command()
def demo(
    scenario: Annotated[Scenario | None, typer.Option(help="One scenario only.")] = None,
    journal_lines: Annotated[int, typer.Option(min=1, help="Journal lines of the largest environment.")] = 20_000,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the stack's data here; else it is removed.")
    ] = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Move real environments in all three scenarios, on a stack of its own that is gone afterwards."""
    with needs_extra():
        from starter.cli.demo import demo as play  # noqa: PLC0415 - see `needs_extra`
    return run(play(Output(as_json=as_json), scenario=scenario, journal_lines=journal_lines, keep=keep))


@commands.command()
def up(
    folder: StackFolder = Path(".sb-transfer"),
    as_json: AsJson = False,
) -> ExitCode:
    """Run PostgreSQL, Temporal, a mail catcher and the worker here until Ctrl-C; everything is kept."""
    with needs_extra():
        from starter.cli.stack import stay_up  # noqa: PLC0415 - see `needs_extra`
    return run(stay_up(folder, Output(as_json=as_json)))


@commands.command()
def seed(
    value: Annotated[int, typer.Option(help="Another value makes other books, the same value the same.")] = 1,
    journal_lines: Annotated[int, typer.Option(min=1, help="Journal lines of the largest environment.")] = 20_000,
    as_json: AsJson = False,
) -> ExitCode:
    """Make licences and environments with believable books; what is there already is left as it is."""
    return run(_seed(surroundings(), Output(as_json=as_json), value=value, journal_lines=journal_lines))


@commands.command()
def token(  # noqa: PLR0917 - typer names them on the command line
    role: Annotated[list[Role], typer.Option(help="What the holder is; may be given more than once.")],
    licence: Annotated[str | None, typer.Option(help="Whose user it is; needed for the role firm.")] = None,
    name: By = "",
    hours: Annotated[int, typer.Option(min=1, max=24, help="How long it is good.")] = 1,
    folder: StackFolder = Path(".sb-transfer"),
    as_json: AsJson = False,
) -> ExitCode:
    """Make a bearer token for the API and the codec server of the stack that runs here."""
    with needs_extra():
        from starter.cli.stack import issue_token  # noqa: PLC0415 - see `needs_extra`
    who = acting_user(name)
    holder = Caller(subject=who, name=who, roles=frozenset(role), licence_number=licence)
    return issue_token(folder, holder, timedelta(hours=hours), Output(as_json=as_json))


async def _seed(here: Surroundings, output: Output, *, value: int, journal_lines: int) -> ExitCode:
    with needs_extra():
        from devstack.seed import make_books  # noqa: PLC0415 - see `needs_extra`
    report = await make_books(here.settings, value=value, journal_lines=journal_lines)
    lines = [
        Text(
            f"{'made' if one.created else 'kept'}  {one.environment_id}  {one.licence_number}  {one.name} "
            f"({one.administrations} administrations)"
        )
        for one in report.environments
    ]
    output.answer(
        {**report.model_dump(mode="json"), "rows": report.rows},
        *lines,
        Text(f"{report.rows:,} rows in {report.seconds:.1f} s.", style="green"),
    )
    return ExitCode.OK
