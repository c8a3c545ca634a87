"""`sb-transfer deployment`: which versions of the worker there are, and which of them gets the work."""

from datetime import timedelta

from rich.console import RenderableType
from rich.text import Text

from adapters.settings import Settings
from adapters.temporal.build_id import build_id
from adapters.temporal.client import connect_temporal
from adapters.temporal.deployments import WorkerDeployment, deployment, make_current
from domain.errors import Misconfigured
from starter.cli.output import ExitCode, Output
from starter.cli.panels import columns, plain
from starter.environment import Surroundings


async def show(here: Surroundings, output: Output) -> ExitCode:
    """List the versions.

    Raises:
        Misconfigured: The workers are not versioned.
    """
    found = await deployment(await connect_temporal(environment=here.environment), _name(here.settings))
    output.answer(found, *_answer(found))
    return ExitCode.OK


async def switch(here: Surroundings, output: Output, *, version: str, patience: timedelta) -> ExitCode:
    """Give a version the work: the one that is named, else that of this code.

    Raises:
        Misconfigured: The workers are not versioned.
        VersionUnknown: No worker of that version asks for work.
    """
    name = _name(here.settings)
    client = await connect_temporal(environment=here.environment)
    wanted = version or here.settings.build_id or build_id()
    await make_current(client, name, wanted, patience=patience)
    found = await deployment(client, name)
    output.answer(found, *_answer(found))
    return ExitCode.OK


def _name(settings: Settings) -> str:
    if settings.deployment is None:
        raise Misconfigured("The workers are not versioned. Set SB_TRANSFER_DEPLOYMENT for them and for this command.")
    return settings.deployment


def _answer(found: WorkerDeployment) -> list[RenderableType]:
    if not found.versions:
        return [Text(f"No worker of {found.name} has asked for work yet.")]
    table = columns("version", "status", "first seen")
    for one in found.versions:
        table.add_row(plain(one.build_id), one.status, f"{one.created_at:%Y-%m-%d %H:%M}")
    return [table]
