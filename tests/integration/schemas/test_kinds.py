"""One schema for each kind of thing that PostgreSQL keeps in one, in its odder forms: what a dump carries, we carry."""

import re
from pathlib import Path

import pytest

from devstack.postgres import EmbeddedPostgres
from tests.integration.schemas.trial import Carried, Trial, carry
from tests.integration.services import Services
from tests.tools.older_postgres import POSTGRES_MAJOR

KINDS = Path(__file__).with_name("kinds")
# Each is carried, or refused with a remedy; what is accepted is moved.
ODD = Path(__file__).with_name("odd")
# In the first line of a file: the PostgreSQL since which there is such a thing.
_SINCE = re.compile(r"-- PostgreSQL (\d+)")


def _kinds(folder: Path) -> list[str]:
    """Return the kinds that the server under test knows."""
    since = {file.stem: _SINCE.match(file.read_text()) for file in sorted(folder.glob("*.sql"))}
    return [kind for kind, found in since.items() if not found or int(found[1]) <= POSTGRES_MAJOR]


@pytest.mark.parametrize("kind", _kinds(KINDS))
async def test_is_carried(kind: str, services: Services, postgres: EmbeddedPostgres, database_name: str) -> None:
    """Moves it to the same text of `pg_dump`, with every row, and nothing that depends on the old environment."""
    trial = Trial(services, postgres, database_name, await services.move())
    await trial.load((KINDS / f"{kind}.sql").read_text())
    assert await trial.obstacles() == []
    await carry(trial, Carried(kind))


@pytest.mark.parametrize("kind", _kinds(ODD))
async def test_is_carried_or_refused(
    kind: str, services: Services, postgres: EmbeddedPostgres, database_name: str
) -> None:
    """Says so before anything is frozen, with a remedy, where it would not be moved exactly."""
    trial = Trial(services, postgres, database_name, await services.move())
    await trial.load((ODD / f"{kind}.sql").read_text())
    obstacles = await trial.obstacles()
    if obstacles:
        assert all(one.remedy and one.nl.remedy for one in obstacles)
    else:
        await carry(trial, Carried(kind))
