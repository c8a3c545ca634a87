"""Measures the clone between two servers, from PostgreSQL 15 to 18, against a dump and restore between the same two."""

import asyncio
import os
import shutil
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import asyncpg

from adapters.clone import PostgresCloneEngine
from adapters.postgres.connection import connect_pool
from adapters.postgres.migrations import migrate_control
from adapters.postgres.shards import Shards, settle
from adapters.verify.prefetch import Prefetcher
from adapters.verify.verifier import PostgresVerifier
from devstack.binaries import postgres_bin
from devstack.postgres import EmbeddedPostgres
from domain import messages as m
from tests.tools.older_postgres import older_postgres

_TOOLS = Path(__file__).parents[1] / ".tools"
_ELSEWHERE = "elsewhere"
_PARALLELISM = 2
_DUMPS = {
    "pg_dump -Fc | pg_restore": "{dump} -Fc {database} | {restore}",
    "folder, two jobs": "{dump} -Fd -j2 -f {dir} {database} && {restore} -j2 {dir}",
    "pg_dump | psql": "{dump} {database} | {psql}",
}
Peak = Callable[[], AbstractContextManager[Callable[[], float]]]


class Between:
    """Two servers, and an environment on the older one."""

    def __init__(self, old: EmbeddedPostgres, new: EmbeddedPostgres, shards: Shards, folder: Path) -> None:
        self._servers = (old, new)
        self._shards = shards
        self._folder = folder
        self._source = f"env_{uuid.uuid4().hex}"

    async def build(self, sql: str) -> None:
        """Make the schema to carry."""
        pool = self._shards.pool(_ELSEWHERE)
        async with pool.acquire() as connection:
            await connection.execute(f"create schema {self._source}")
            await connection.execute(f"set search_path to {self._source}, pg_catalog")
            await connection.execute(sql)
            await connection.execute("reset search_path")
        await pool.execute("vacuum analyze")

    async def ours(self, peak_memory: Peak) -> dict[str, float]:
        """Clone and prove; return the seconds of both and the worker's memory."""
        transfer, new = uuid.uuid4(), uuid.uuid4()
        await self._shards.home.execute(
            "insert into control.transfer (transfer_id, workflow_id, environment_id, state, new_environment_id) "
            "values ($1, 'bench', $2, 'scheduled', $3)",
            transfer,
            uuid.uuid4(),
            new,
        )
        place = {"source_schema": self._source, "target_schema": f"env_{new.hex}", "source_cell": _ELSEWHERE}
        engine = PostgresCloneEngine(
            self._shards.home, parallelism=_PARALLELISM, shards=self._shards, meanwhile=Prefetcher
        )
        verifier = PostgresVerifier(self._shards.home, parallelism=_PARALLELISM, shards=self._shards)
        with peak_memory() as peak:
            began = time.monotonic()
            await engine.clone(m.CloneAdministrations(transfer_id=transfer, **place), lambda _: None)
            cloned = time.monotonic() - began
            proof = await verifier.verify(m.VerifyClone(transfer_id=transfer, **place), lambda _: None)
            total = time.monotonic() - began
            if not proof.equal:
                raise SystemExit(f"the clone differs: {proof.differences[:3]}")
            measured = {"seconds": total, "clone": cloned, "verify": total - cloned, "peak_mb_over_idle": peak()}
        await self._shards.home.execute(
            "update control.transfer set state = 'undoing', undo_reason = 'failed' where transfer_id = $1", transfer
        )
        await engine.drop(m.DropClone(transfer_id=transfer))
        return measured

    async def dump_by(self, pipe: str) -> float:
        """Dump from the one server and restore into a fresh database of the other; return the seconds."""
        name = f"restore_{uuid.uuid4().hex}"
        await self._administer(f"create database {name} owner sb_owner")
        old, new = (urlparse(server.dsn()) for server in self._servers)
        programs, folder = postgres_bin(), self._folder / name
        to = f"PGPASSWORD='{unquote(new.password or '')}' {programs}"
        where = f"-h 127.0.0.1 -p {new.port} -U {new.username}"
        line = pipe.format(
            dump=f"{programs}/pg_dump -h 127.0.0.1 -p {old.port} -U {old.username} -n {self._source}",
            restore=f"{to}/pg_restore {where} -d {name}",
            psql=f"{to}/psql {where} -q -o /dev/null -v ON_ERROR_STOP=1 {name}",
            database=old.path[1:],
            dir=folder,
        )
        environment = {**os.environ, "PGPASSWORD": unquote(old.password or "")}
        began = time.monotonic()
        await asyncio.to_thread(subprocess.run, ["bash", "-o", "pipefail", "-c", line], check=True, env=environment)
        seconds = time.monotonic() - began
        shutil.rmtree(folder, ignore_errors=True)
        await self._administer(f"drop database {name} with (force)")
        return seconds

    async def settle(self) -> None:
        """Write out what earlier work has left in memory, so that no way pays for another's."""
        await self._administer("checkpoint")

    async def _administer(self, statement: str) -> None:
        connection = await asyncpg.connect(self._servers[1].dsn("postgres", "postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


async def measure(sql: str, rows: int, repeat: int, peak_memory: Peak) -> dict[str, Any]:
    """Measure the clone of a schema between two servers; of several rounds the median counts."""
    rounds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        new = EmbeddedPostgres(Path(folder) / "new")
        old = EmbeddedPostgres(Path(folder) / "old", programs=older_postgres(_TOOLS))
        try:
            for server, name in ((new, "home"), (old, _ELSEWHERE)):
                await server.start()
                await migrate_control(server.dsn())
                await settle(server.dsn(), name)
            pools = [await connect_pool(server.dsn(), max_size=4, application_name="bench") for server in (new, old)]
            bench = Between(old, new, Shards(pools[0], {_ELSEWHERE: pools[1]}), Path(folder))
            await bench.build(sql)
            for _ in range(repeat):
                dumps = {}
                for name, pipe in _DUMPS.items():
                    await bench.settle()
                    dumps[name] = await bench.dump_by(pipe)
                await bench.settle()
                rounds.append({**dumps, **await bench.ours(peak_memory)})
            for pool in pools:
                await pool.close()
        finally:
            await old.stop()
            await new.stop()
    best = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    dump = min(best["pg_dump -Fc | pg_restore"], best["folder, two jobs"])
    return {
        "case": "across",
        "rows": rows,
        "seconds": round(best["seconds"], 3),
        "clone_seconds": round(best["clone"], 3),
        "verify_seconds": round(best["verify"], 3),
        "ratio_pg_dump": round(best["seconds"] / dump, 3),
        "ratio_psql": round(best["seconds"] / best["pg_dump | psql"], 3),
        "peak_mb_over_idle": round(max(one["peak_mb_over_idle"] for one in rounds), 1),
        "others": {name: round(best[name], 3) for name in _DUMPS},
    }
