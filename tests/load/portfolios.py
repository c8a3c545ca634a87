"""A portfolio on the real stack: many customers registered, looked at, planned over evenings, moved and released.

`python -m tests.load.portfolios --customers 50` says what came of it, and how long each part took; a customer that is
not released, or an evening with more than its number, makes it fail.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg

from adapters.postgres.migrations import migrate_environment
from devstack.issuer import EmbeddedIssuer
from devstack.stack import Stack
from domain.authority import Caller, Role
from domain.naming import schema_name_of
from tests.tools.paths import ROOT

# A distribution of its own, which is not installed beside the service.
sys.path.append(str(ROOT / "client"))
from sb_transfer_client import AsyncClient
from sb_transfer_client.models import PortfolioItem

_BOOKS = """
insert into administration (id, name) values (gen_random_uuid(), 'BV');
insert into relation (administration_id, number, kind, name)
select id, n::text, 'debtor', 'Klant ' || n from administration, generate_series(1, 200) n;
insert into bank_connection (administration_id, bank, iban, consent_reference, status)
select id, 'rabobank', 'NL44RABO0123456789', 'consent', 'active' from administration;
insert into app_user (email, role, invitation_status, mobile_link_status)
values ('baas@klant.example', 'owner', 'accepted', 'linked');
"""
_LONGEST_SECONDS = 1_800.0


@dataclass
class Report:
    """What came of it; seconds from the request for the portfolio on."""

    customers: int
    per_night: int
    looked_at_s: float = 0.0
    planned_s: float = 0.0
    ready_s: float = 0.0
    released_s: float = 0.0
    released: int = 0
    most_in_an_evening: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Tell whether everybody has moved, and no evening was too full."""
        return self.released == self.customers and self.most_in_an_evening <= self.per_night


async def _customers(stack: Stack, backend: AsyncClient, count: int) -> None:
    """Make two firms and, under the first, so many small customers, as a platform does."""
    for number, host in (("90001", "van"), ("90002", "naar")):
        words: dict[str, Any] = {"holder_name": f"Kantoor {host}", "kind": "firm", "host": host}
        await backend.register_licence(number, **words, contact_email=f"info@{host}.example")
    connection = await asyncpg.connect(stack.info.database_url)
    for customer in range(1, count + 1):
        made = uuid.uuid4()
        async with connection.transaction():
            await connection.execute(f"create schema {schema_name_of(made)}")
            await migrate_environment(connection, schema_name_of(made))
            await connection.execute(f"set local search_path to {schema_name_of(made)}, pg_catalog")
            await connection.execute(_BOOKS)
        await backend.register_environment(made, licence="90001", name=f"Klant {customer:03}")
    await connection.close()


async def run(stack: Stack, *, customers: int, per_night: int, at_once: int = 4) -> Report:
    """Move so many customers in one portfolio; the evenings begin as soon as all are planned."""
    issuer = EmbeddedIssuer(stack.folder)

    def token(role: Role) -> str:
        return issuer.token(Caller(subject=role, name="load", roles=frozenset({role})), timedelta(minutes=10))

    report = Report(customers, per_night)
    url = str(stack.info.api_url)
    async with (
        AsyncClient(url, lambda: token(Role.BACKEND)) as backend,
        AsyncClient(url, lambda: token(Role.SUPPORT)) as support,
    ):
        await _customers(stack, backend, customers)
        started = time.monotonic()
        made = await backend.create_portfolio(
            licence="90002", from_licence="90001", name_pattern="{name} (over)", per_night=per_night, at_once=at_once
        )

        async def until(state: str) -> float:
            async with asyncio.timeout(_LONGEST_SECONDS):
                while True:
                    seen = (await backend.get_portfolio(made.portfolio_id, limit=1)).counts
                    if seen != report.counts:
                        sys.stderr.write(f"{time.monotonic() - started:6.1f} {seen}\n")
                    report.counts = seen
                    if report.counts.get(state, 0) == customers:
                        return round(time.monotonic() - started, 1)
                    await asyncio.sleep(0.5)

        report.looked_at_s = await until("ready")
        await backend.begin_portfolio(made.portfolio_id)
        report.planned_s = await until("scheduled")
        items: list[PortfolioItem] = []
        while len(items) < customers:
            items += (await backend.get_portfolio(made.portfolio_id, after=len(items))).items
        moves = [str(item.transfer_id) for item in items]
        evenings = Counter([(await backend.get_transfer(one)).starts_at for one in moves])
        report.most_in_an_evening = max(evenings.values())
        for one in moves:
            await support.start_transfer_now(one, reason="load")
        report.ready_s = await until("awaiting_release")
        await backend.release_portfolio(made.portfolio_id)
        report.released_s = await until("released")
        report.released = report.counts["released"]
    return report


async def main() -> int:
    """Run it on a stack of its own; exit code 1 when anybody is left behind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=50)
    parser.add_argument("--per-night", type=int, default=20)
    parser.add_argument("--at-once", type=int, default=4)
    wanted = parser.parse_args()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("SB_TRANSFER_", "TEMPORAL_"))
    }
    # An hour's work of a person in minutes is not what limits of attempts are for.
    environment["SB_TRANSFER_API_CHANGES_PER_MINUTE"] = "100000"
    with tempfile.TemporaryDirectory() as folder:
        async with Stack(Path(folder) / "stack", api=True, environment=environment) as stack:
            report = await run(stack, customers=wanted.customers, per_night=wanted.per_night, at_once=wanted.at_once)
    print(json.dumps({**asdict(report), "good": report.is_good}))  # noqa: T201 - the answer
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
