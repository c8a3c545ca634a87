"""`python -m tests.load.many_tables`: an environment of 5,000 tables moves on a server with room for few locks.

The look at noon is the whole one. The lines say how long that took, and the way up to the release with the proof that
both sides are the same; anything else fails. Takes some minutes.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from adapters.postgres.migrations import migrate_control
from devstack.postgres import EmbeddedPostgres
from tests.integration.schemas.trial import REPORTED, Carried, Trial, carry
from tests.integration.services import Services
from tests.tools.older_postgres import POSTGRES_MAJOR, postgres_of
from tests.tools.paths import TOOLS

_SCHEMA = REPORTED / "five_thousand_tables.sql"
_AS_REPORTED = "5000"


@dataclass(frozen=True)
class Taken:
    """Seconds of the preview, and of everything after it."""

    preview: float
    move: float


async def move_many_tables(folder: Path, tables: int, *, locks: int, connections: int) -> Taken:
    """Move an environment of so many tables on a server with so many locks per transaction; fail unless it is equal."""
    settings = {"fsync": "off", "max_locks_per_transaction": str(locks), "max_connections": str(connections)}
    server = EmbeddedPostgres(folder, settings=settings, programs=postgres_of(POSTGRES_MAJOR, TOOLS))
    await server.start()
    try:
        await migrate_control(server.dsn())
        async with Services(server.dsn()) as services:
            trial = Trial(services, server, "sb", await services.move())
            await trial.load(_SCHEMA.read_text(encoding="utf-8").replace(_AS_REPORTED, str(tables)))
            began = time.monotonic()
            obstacles = await trial.obstacles()
            looked = time.monotonic()
            assert obstacles == []
            await carry(trial, Carried(_SCHEMA.stem))
            return Taken(looked - began, time.monotonic() - looked)
    finally:
        await server.stop()


def main() -> None:
    """Move, and print what it took."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--tables", type=int, default=int(_AS_REPORTED))
    arguments.add_argument("--locks", type=int, default=64, help="max_locks_per_transaction")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        taken = asyncio.run(move_many_tables(Path(folder), chosen.tables, locks=chosen.locks, connections=100))
    sys.stdout.write(
        f"{chosen.tables} tables: preview {taken.preview:.1f} s, then until the release {taken.move:.1f} s\n"
    )


if __name__ == "__main__":
    main()
