"""What commands have in common: their options, who acts, and the client that they work with."""

import getpass
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import Misconfigured
from starter.cli.output import ExitCode, Output, run
from starter.client.client import TransferClient
from starter.client.connect import connect
from starter.environment import STACK_FOLDER, surroundings

AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON document on standard output.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does this, for the event log; you, if left out.")]
Which = Annotated[
    str, typer.Argument(metavar="T", help="A workflow id, a transfer id, an environment id or an environment's name.")
]
Folder = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the ticket file goes.")]
StackFolder = Annotated[
    Path, typer.Option("--dir", metavar="DIR", envvar=STACK_FOLDER, help="Where the stack's data is kept.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a ticket file that is there.")]
Reason = Annotated[str, typer.Option(help="Why, for the event log.")]

Work = Callable[[TransferClient, Output], Awaitable[ExitCode]]


def acting_user(given: str) -> str:
    """Return who does this: who was named, else who is logged in (a container may have no name for its user)."""
    if given.strip():
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def with_client(work: Work, *, as_json: bool) -> ExitCode:
    """Connect, do the work, and close everything."""

    async def session() -> ExitCode:
        here = surroundings()
        async with connect(here.settings, environment=here.environment) as client:
            return await work(client, Output(as_json=as_json, zone=here.settings.zone))

    return run(session())


@contextmanager
def needs_extra() -> Iterator[None]:
    """Say which extra a command needs; production installs without the embedded stack and its books."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"{error.name} is missing: it comes with an extra. Run: pip install 'sb-transfer[api,devstack]'"
        ) from error
