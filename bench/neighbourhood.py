"""What neighbours cost an environment that moves: `python -m bench.neighbourhood [--others 2000] [--json FILE]`.

The same small environment (the usual books) is previewed, frozen, cloned, proved, compared and certified in two
databases of one server: beside five others, and beside thousands. Both take turns in each round, and each figure is the
least of the rounds, for whatever else the machine does only adds; `ratio` is how much longer it takes beside the many.
First the catalogs are as nobody has analysed them since the server was made, then as after ANALYZE; a question's own
`ratio` is the worse of the two. Read ratios.
"""

import argparse
import asyncio
import base64
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import asyncpg
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from adapters.clone import PostgresCloneEngine
from adapters.crypto.certificate_signer import CertificateSigner
from adapters.postgres.migrations import migrate_control
from adapters.transfer.target_setup import PostgresTargetSetup
from adapters.verify.certification import PostgresCertifier
from adapters.verify.prefetch import Prefetcher
from adapters.verify.verifier import PostgresVerifier
from devstack.postgres import EmbeddedPostgres
from domain import messages as m
from tests.integration.services import Services

FEW = 5
QUESTIONS = ("preview", "freeze", "clone", "proof", "comparison", "certificate")
CATALOGS = ("not_analysed", "analysed")
Seconds = dict[str, list[float]]
T = TypeVar("T")

# A neighbour has some of everything that the catalog keeps.
NEIGHBOURS = """
do $$ declare schema text; begin
for neighbour in {first} .. {last} loop
    schema := 'env_' || md5(neighbour::text);
    execute format('create schema %1$I; set local search_path to %1$I, pg_catalog', schema);
    create type mood as enum ('glad', 'sad');
    create domain euro as numeric check (value > -1000000);
    create function stamp() returns trigger language plpgsql as 'begin return new; end';
    create table customer (id bigserial primary key, name text not null, feeling mood default 'glad', credit euro);
    create table invoice (id bigserial primary key, customer_id bigint references customer,
        amount numeric check (amount > 0));
    create table line (invoice_id bigint references invoice, number integer, words text,
        primary key (invoice_id, number));
    create index line_words on line (lower(words));
    create view owing as select c.name, sum(i.amount) as amount
        from customer c join invoice i on i.customer_id = c.id group by 1;
    create rule keep as on delete to line where old.number > 5 do instead nothing;
    create trigger stamp before insert on invoice for each row execute function stamp();
    execute format('grant select, insert on all tables in schema %I to sb_app', schema);
    if neighbour % 25 = 0 then commit; end if;
end loop; end $$
"""


async def make_neighbours(dsn: str, first: int, last: int) -> None:
    """Make neighbours of these numbers."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(NEIGHBOURS.replace("{first}", str(first)).replace("{last}", str(last)))
    await connection.close()


class Side:
    """One database, and the moves that were measured in it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._verifier = PostgresVerifier(services.pool, parallelism=2)
        signer = CertificateSigner([SecretStr(base64.b64encode(os.urandom(32)).decode())])
        self._certifier = PostgresCertifier(services.pool, self._verifier, signer)
        self._moves = 0
        self.seconds: Seconds = defaultdict(list)

    async def move(self) -> None:
        """Move an environment up to its certificate, and take both away."""
        services, self._moves = self._services, self._moves + 1
        move = await services.move(f"Enyoi {self._moves}")
        sides = {"source_schema": move.schema, "target_schema": move.new_schema}
        given = {"transfer_id": move.transfer_id}
        setup = PostgresTargetSetup(services.pool)
        await self._timed("preview", lambda: services.previews.preview(move.environment_id))
        await self._timed("freeze", lambda: services.freeze(move))
        await self._timed(
            "certificate",
            lambda: self._certifier.hash_frozen(m.HashFrozen(schema_name=move.schema, **given), _unheard),
        )
        await services.issue(move)
        ticket = (await services.office.download(move.transfer_id))[1]
        await services.accept(move, ticket, name=f"Enyoi Nieuw {self._moves}")
        engine = PostgresCloneEngine(services.pool, parallelism=2, meanwhile=Prefetcher)
        await self._timed("clone", lambda: engine.clone(m.CloneAdministrations(**given, **sides), _unheard))
        proof = await self._timed("proof", lambda: self._verifier.verify(m.VerifyClone(**given, **sides), _unheard))
        if not proof.equal:
            raise SystemExit(f"The copy differs: {proof.differences}")
        await setup.reconnect_banks(m.ReconnectBanks(**given))
        await setup.apply_consequences(m.ApplyConsequences(**given))
        await self._timed("comparison", lambda: setup.compare(m.CompareEnvironments(**given)))
        await services.gate.open_for_inspection(m.OpenForInspection(**given))
        certify = m.IssueCertificate(**given, **sides)
        await self._timed("certificate", lambda: self._certifier.certify(certify, _unheard), add=True)
        for schema in (move.schema, move.new_schema):
            await services.pool.execute(f"drop schema {schema} cascade")

    async def _timed(self, question: str, ask: Callable[[], Awaitable[T]], *, add: bool = False) -> T:
        began = time.perf_counter()
        answer = await ask()
        seconds = time.perf_counter() - began
        if add:
            self.seconds[question][-1] += seconds
        else:
            self.seconds[question].append(seconds)
        return answer

    def least(self) -> dict[str, float]:
        """Return the least of each question so far, seconds, and begin anew."""
        found = {question: min(self.seconds[question]) for question in QUESTIONS}
        self.seconds.clear()
        return found


def _unheard(_: m.CloneProgress) -> None:
    """Take a report that nobody reads."""


async def measure(others: int, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Measure both databases in turn, before and after ANALYZE; return figures by question and catalogs."""
    found: dict[str, dict[str, dict[str, float]]] = {question: {} for question in QUESTIONS}
    settings = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder), settings=settings)
        await server.start()
        try:
            await migrate_control(server.dsn())
            admin = await asyncpg.connect(server.dsn("sb_owner", "postgres"))
            await admin.execute("create database many template sb owner sb_owner")
            await make_neighbours(server.dsn(), 1, FEW)
            many_dsn, half = server.dsn(database="many"), others // 2
            await asyncio.gather(
                make_neighbours(many_dsn, 1, half),
                make_neighbours(many_dsn, half + 1, others),
            )
            async with Services(server.dsn()) as few, Services(many_dsn) as many:
                sides = {"few": Side(few), "many": Side(many)}
                for catalogs in CATALOGS:
                    if catalogs == "analysed":
                        for services in (few, many):
                            await services.pool.execute("analyze")
                    for side in sides.values():  # what is read and planned for the first time counts on neither side
                        await side.move()
                        side.seconds.clear()
                    for _ in range(rounds):
                        for side in sides.values():
                            await side.move()
                    least = {name: side.least() for name, side in sides.items()}
                    for question in QUESTIONS:
                        one, other = (least[name][question] for name in sides)
                        figures = {"few_seconds": round(one, 4), "many_seconds": round(other, 4)}
                        found[question][catalogs] = figures | {"ratio": round(other / one, 2)}
            await admin.close()
        finally:
            await server.stop()
    return found


def main() -> None:
    """Measure, print a table, write JSON if asked."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--others", type=int, default=2000, help="environments beside the one that moves")
    arguments.add_argument("--rounds", type=int, default=5, help="moves in each database, twice")
    arguments.add_argument("--json", type=Path, help="where to write the figures")
    chosen = arguments.parse_args()
    found = asyncio.run(measure(chosen.others, chosen.rounds))
    table = Table("question", "catalogs", f"beside {FEW}, s", f"beside {chosen.others}, s", "ratio")
    for question, states in found.items():
        for catalogs, one in states.items():
            table.add_row(question, catalogs, *(str(one[key]) for key in ("few_seconds", "many_seconds", "ratio")))
    Console(width=100).print(table)
    if chosen.json:
        told = {
            question: {"ratio": max(one["ratio"] for one in states.values()), **states}
            for question, states in found.items()
        }
        chosen.json.write_text(json.dumps({"others": chosen.others, "few": FEW, **told}, indent=2) + "\n")


if __name__ == "__main__":
    main()
