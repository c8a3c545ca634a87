"""What operators do once: bring the database and the server up to date, and make books to try things with."""

from rich.text import Text

from adapters.crypto.payload_codec import encrypting
from adapters.postgres.shards import set_up as set_up_databases
from adapters.settings import Settings
from adapters.temporal.client import connect_temporal, register_search_attributes
from adapters.temporal.schedule import ensure_nightly
from devstack.seed import SeedReport, seed
from domain.reconciliation import RECONCILE_SCHEDULE
from domain.vocabulary import HOME
from starter.cli.output import ExitCode, Output
from starter.client.connect import database
from starter.environment import Surroundings
from workflows import search_attributes
from workflows.task_queues import TRANSFERS


async def set_up(here: Surroundings, output: Output) -> ExitCode:
    """Migrate the database, register the search attributes, and keep the nightly look; all may be repeated."""
    async with database(here.settings):  # says where the database should be when it is not there
        migrations = await set_up_databases(here.settings.database_url.get_secret_value(), here.settings.cells)
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
        },
        Text(f"Migrations applied: {', '.join(migrations) or 'none, the database is up to date'}"),
        Text(f"Cells up to date: {', '.join([HOME, *here.settings.cells])}"),
        Text(f"Search attributes registered: {', '.join(attributes) or 'none, all were known'}"),
        Text(
            f"Schedule {'made' if scheduled else 'kept'}: {RECONCILE_SCHEDULE}, every morning at seven, "
            f"{'heals' if heals else 'reports'}"
        ),
    )
    return ExitCode.OK


async def seed_books(here: Surroundings, output: Output, *, value: int, journal_lines: int) -> ExitCode:
    """Make licences and environments with books."""
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


async def make_books(settings: Settings, *, value: int = 1, journal_lines: int) -> SeedReport:
    """Seed the database that the settings name."""
    async with database(settings) as pool:
        return await seed(pool, value=value, journal_lines=journal_lines, base_domain=settings.base_domain)
