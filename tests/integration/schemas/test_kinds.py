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
# A move of the usual books takes a second whatever is beside them, so kinds that have no name in common share one;
# neighbours in the alphabet may have.
_ENVIRONMENTS = 6


def _is_known(file: Path) -> bool:
    """Tell whether the server under test has such a thing."""
    found = _SINCE.match(file.read_text())
    return not found or int(found[1]) <= POSTGRES_MAJOR


def _environments() -> list[list[Path]]:
    files = sorted(KINDS.glob("*.sql"))
    return [[file for file in files[first::_ENVIRONMENTS] if _is_known(file)] for first in range(_ENVIRONMENTS)]


@pytest.mark.parametrize("kinds", _environments(), ids=lambda kinds: f"{kinds[0].stem} and others")
async def test_is_carried(
    kinds: list[Path], services: Services, postgres: EmbeddedPostgres, database_name: str
) -> None:
    """Moves each to the same text of `pg_dump`, with every row, and nothing that depends on the old environment."""
    trial = Trial(services, postgres, database_name, await services.move())
    for kind in kinds:
        await trial.load(kind.read_text())
    assert await trial.obstacles() == []
    await carry(trial, Carried("several kinds"))


@pytest.mark.parametrize("kind", [file.stem for file in sorted(ODD.glob("*.sql")) if _is_known(file)])
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
