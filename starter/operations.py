"""What operators do once: bring the database and the server up to date, and make books to try things with."""

from rich.text import Text

from adapters.books import SeedReport, seed
from adapters.migrations import migrate_control
from adapters.settings import Settings
from adapters.temporal import connect_temporal, register_search_attributes
from starter.output import ExitCode, Output
from starter.services import Surroundings, database
from workflows import search_attributes


async def set_up(here: Surroundings, output: Output) -> ExitCode:
    """Migrate the database and register the search attributes; both may be repeated."""
    async with database(here.settings):  # says where the database should be when it is not there
        migrations = await migrate_control(here.settings.database_url.get_secret_value())
    client = await connect_temporal(environment=here.environment)
    attributes = await register_search_attributes(client, search_attributes.ALL)
    output.answer(
        {"migrations": migrations, "search_attributes": attributes},
        Text(f"Migrations applied: {', '.join(migrations) or 'none, the database is up to date'}"),
        Text(f"Search attributes registered: {', '.join(attributes) or 'none, all were known'}"),
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
