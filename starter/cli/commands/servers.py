"""What operators run: `setup`, and the programs that serve until they are told to stop."""

import os
import sys
from typing import NoReturn

import typer
from rich.text import Text

from adapters.crypto.payload_codec import EncryptingCodec, encrypting
from adapters.observability.readiness import OK
from adapters.postgres.database import database
from adapters.postgres.guards import unguarded_definitions
from adapters.postgres.shards import open_shards
from adapters.postgres.shards import set_up as set_up_databases
from adapters.temporal.client import connect_temporal, register_search_attributes
from adapters.temporal.schedule import ensure_nightly
from domain.reconciliation import RECONCILE_SCHEDULE
from domain.vocabulary import HOME
from starter.cli.options import AsJson
from starter.cli.output import ExitCode, Output, run
from starter.environment import Surroundings, surroundings
from workflows import search_attributes
from workflows.task_queues import TRANSFERS

commands = typer.Typer()


@commands.command()
def setup(as_json: AsJson = False) -> ExitCode:
    """Migrate the database, register the search attributes, make the nightly schedule; may be repeated."""
    return run(_set_up(surroundings(needs=("payload_keys",)), Output(as_json=as_json)))


@commands.command()
def worker() -> NoReturn:
    """Become the worker: it does the work until SIGTERM or Ctrl-C, and then stops in order."""
    _become("worker")


@commands.command()
def api() -> NoReturn:
    """Become the HTTP API: it serves until SIGTERM or Ctrl-C, and then finishes what it has taken on."""
    _become("starter.api.main")


@commands.command()
def codec() -> NoReturn:
    """Become the codec server, which shows histories in plain text to those who may; until SIGTERM or Ctrl-C."""
    _become("starter.codec.main")


@commands.command()
def web() -> NoReturn:
    """Become the pages, which people press the buttons on; until SIGTERM or Ctrl-C."""
    _become("starter.web.main")


def _become(module: str) -> NoReturn:
    here = surroundings(needs=(), database=False)  # each says itself what it cannot do without
    # Safe path: a `worker.py` in the current folder is not the worker.
    os.execve(sys.executable, [sys.executable, "-P", "-m", module], here.environment)  # noqa: S606 - our own module


async def _set_up(here: Surroundings, output: Output) -> ExitCode:
    """Migrate the database, register the search attributes, and keep the nightly look; all may be repeated."""
    async with database(here.settings.database_url) as home:  # says where the database should be when it is not there
        migrations = await set_up_databases(
            here.settings.database_url.get_secret_value(),
            here.settings.cells,
            EncryptingCodec(here.settings.payload_keys).key_ids,
        )
        async with open_shards(home, here.settings.cells, max_size=1, application_name="sb-transfer setup") as shards:
            unguarded = await unguarded_definitions(shards)
    client = await connect_temporal(environment=here.environment, data_converter=encrypting(here.settings.payload_keys))
    attributes = await register_search_attributes(client, search_attributes.ALL)
    heals = here.settings.reconcile_heals
    scheduled = await ensure_nightly(client, task_queue=TRANSFERS, timezone=here.settings.timezone, heals=heals)
    output.answer(
        {
            "migrations": migrations,
            "search_attributes": attributes,
            "schedule": RECONCILE_SCHEDULE,
            "cells": [HOME, *here.settings.cells],
            "definitions": unguarded or OK,
        },
        Text(f"Migrations applied: {', '.join(migrations) or 'none, the database is up to date'}"),
        Text(f"Cells up to date: {', '.join([HOME, *here.settings.cells])}"),
        Text(f"Search attributes registered: {', '.join(attributes) or 'none, all were known'}"),
        Text(
            f"Schedule {'made' if scheduled else 'kept'}: {RECONCILE_SCHEDULE}, every morning at seven, "
            f"{'heals' if heals else 'reports'}"
        ),
        *([Text(f"Attention. {unguarded}", style="bold yellow")] if unguarded else []),
    )
    return ExitCode.OK
