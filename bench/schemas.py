"""Move every schema that a folder holds, each by the command line, and say what became of it.

`python -m bench.schemas FOLDER [--json FILE]` starts a stack of its own; `--list` names what would be moved and starts
nothing. A file is SQL that is loaded by sb_owner into an environment with the usual tables, with that environment's
schema in front of `public` on the search_path; the contributed extensions are there, in `public`. Nothing is fetched.

A schema is `released` when `prepare` accepted it and everything after that went well, up to the release, with the same
`pg_dump` text on both sides; `refused` when `prepare` named why; anything else is `failed`, and the exit code is 1.
"""

import argparse
import asyncio
import difflib
import json
import os
import re
import subprocess
import tempfile
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg

from adapters.postgres.migrations import migrate_environment
from devstack.binaries import postgres_bin
from devstack.postgres import EmbeddedPostgres
from devstack.stack import Stack
from domain.naming import default_url_part, mailbox_address_of, schema_name_of, url_of
from tests.tools.commands import run_command

_OLD, _NEW = "10001", "10002"
_LICENCES = ((_OLD, "Kantoor Noord", "firm", "noord"), (_NEW, "Kantoor Zuid", "firm", "zuid"))
_EXTENSIONS = ("btree_gin", "btree_gist", "citext", "hstore", "intarray", "ltree", "pg_trgm", "unaccent")
_ADMINISTRATION = "insert into administration (id, name, read_only) values ($1, $2, false)"
_FENCES = (
    "select count(*) from pg_trigger t join pg_class c on c.oid = t.tgrelid "
    "where t.tgname = 'sb_transfer_fence' and c.relnamespace = $1::text::regnamespace"
)
_COMMAND_SECONDS = 900
_SWEEP_SECONDS = 120
_MOST_LINES = 10


@dataclass
class Outcome:
    """What became of one schema."""

    schema: str
    outcome: str = "failed"
    why: list[str] = field(default_factory=list)
    tables: int = 0
    rows: int = 0
    seconds: float = 0.0


class Failed(Exception):
    """A command or a comparison did not end as it has to."""


class Mover:
    """Makes environments on a running stack and moves them by its command line."""

    def __init__(self, folder: Path, database_url: str) -> None:
        """Take the folder in which `.sb-transfer` is, and the address of its database as sb_owner."""
        self._folder = folder
        self._url = database_url
        self._variables = {
            name: value for name, value in os.environ.items() if not name.startswith(("SB_TRANSFER_", "TEMPORAL_"))
        }

    async def move(self, file: Path) -> Outcome:
        """Load a file into an environment of its own and move that as far as it goes."""
        found, began = Outcome(file.stem), time.monotonic()
        try:
            await self._move(file, found)
        except (Failed, asyncpg.PostgresError) as error:
            found.why.append(str(error))
        found.seconds = round(time.monotonic() - began, 1)
        return found

    async def _move(self, file: Path, found: Outcome) -> None:
        name = file.stem
        schema = await self._make(name, await asyncio.to_thread(file.read_text, encoding="utf-8"))
        before = await asyncio.to_thread(self._dump, schema)
        prepared = await self._json("prepare", name, "-o", ".", codes=(0, 2))
        if "error" in prepared:
            found.outcome = "refused"
            found.why = [prepared["error"]["message"]]
            return
        ticket = f"{default_url_part(name)}-overdracht-ticket.avr"
        await self._json("upload", ticket, "--licence", _NEW, "--name", name)
        await self._json("start-now", name)
        status = (await self._json("watch", name, "--until", "awaiting_release", codes=(0, 1)))["status"]
        if status["state"] != "awaiting_release":
            raise Failed(f"{status['state']}: {status['undo_detail']}")
        new = status["new"]["environment_id"]
        compared = (await self._json("compare", f"{_OLD}/{name}", new))["verification"]
        found.tables, found.rows = compared["tables"], compared["rows"]
        await self._json("release", name, "--by", "bench")
        new_schema = schema_name_of(uuid.UUID(new))
        await self._until_swept(new_schema)
        after = await asyncio.to_thread(self._dump, new_schema)
        if after != before:
            raise Failed(f"pg_dump writes another text for the new environment:\n{_first_differences(before, after)}")
        found.outcome = "released"

    async def _make(self, name: str, sql: str) -> str:
        """Make an environment with the usual tables and what the file makes; return its schema's name."""
        environment_id, part = uuid.uuid4(), default_url_part(name)
        schema = schema_name_of(environment_id)
        where = {"host": _LICENCES[0][3], "base_domain": "sb.example", "url_part": part}
        owner = await asyncpg.connect(self._url)
        try:
            async with owner.transaction():
                await owner.execute(f"create schema {schema}")
                version = await migrate_environment(owner, schema)  # type: ignore[arg-type]
                await owner.execute(f"set local search_path to {schema}, pg_catalog")
                await owner.execute(_ADMINISTRATION, uuid.uuid4(), name)
            await owner.execute(f"set search_path to {schema}, public")
            await owner.execute(sql)
            await owner.execute("reset search_path")
            await owner.execute(
                "insert into control.environment (environment_id, licence_number, name, url_part, url, schema_name, "
                "status, mailbox_address, schema_version) values ($1, $2, $3, $4, $5, $6, 'active', $7, $8)",
                *(environment_id, _OLD, name, part, url_of(**where), schema, mailbox_address_of(**where), version),
            )
        finally:
            await owner.close()
        return schema

    async def _json(self, *words: str, codes: tuple[int, ...] = (0,)) -> Any:
        done = await asyncio.to_thread(
            run_command,
            [*words, "--json"],
            folder=self._folder,
            variables=self._variables,
            timeout_seconds=_COMMAND_SECONDS,
        )
        if done.returncode not in codes:
            raise Failed(f"sb-transfer {words[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")
        return json.loads(done.stdout or done.stderr)

    async def _until_swept(self, schema: str) -> None:
        """Wait a while for the lifted fences to be gone: what is released is worked in before they are."""
        owner = await asyncpg.connect(self._url)
        try:
            with suppress(TimeoutError):  # the texts tell which are left
                async with asyncio.timeout(_SWEEP_SECONDS):
                    while await owner.fetchval(_FENCES, schema):  # noqa: ASYNC110 - the worker's to drop
                        await asyncio.sleep(0.1)
        finally:
            await owner.close()

    def _dump(self, schema: str) -> str:
        """Return what pg_dump writes of a schema, under a common name."""
        parts = urlsplit(self._url)
        place = ["-h", str(parts.hostname), "-p", str(parts.port), "-U", str(parts.username)]
        dumped = subprocess.run(
            [str(postgres_bin() / "pg_dump"), *place, "-s", "-n", schema, parts.path[1:]],
            env={**self._variables, "PGPASSWORD": unquote(parts.password or "")},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        kept = [line for line in dumped.splitlines() if not re.match(r"\\(un)?restrict ", line)]
        return "\n".join(kept).replace(schema, "env")


def _first_differences(before: str, after: str) -> str:
    differing = difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", n=0, lineterm="")
    return "\n".join(islice(differing, _MOST_LINES))


async def move_all(files: list[Path]) -> list[Outcome]:
    """Move each file's schema, one after the other, on a stack that is gone afterwards."""
    given = {name: value for name, value in os.environ.items() if not name.startswith(("SB_TRANSFER_", "TEMPORAL_"))}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with Stack(folder / ".sb-transfer", environment=given) as stack:
            stack.info.write(stack.folder)
            await _furnish(stack.info.database_url, EmbeddedPostgres(stack.folder / "postgres"))
            mover = Mover(folder, stack.info.database_url)
            return [await mover.move(file) for file in files]


async def _furnish(url: str, server: EmbeddedPostgres) -> None:
    """Make two licences, and as a superuser what extensions a platform has."""
    owner = await asyncpg.connect(url)
    await owner.executemany(
        "insert into control.licence (licence_number, holder_name, kind, host, contact_email, language) "
        "values ($1, $2, $3, $4, $4 || '@example.nl', 'nl')",
        _LICENCES,
    )
    await owner.close()
    parts = urlsplit(url)
    secrets = json.loads((server.folder / "secrets.json").read_text())
    superuser = await asyncpg.connect(
        host=parts.hostname, port=parts.port, user="postgres", password=secrets["postgres"], database=parts.path[1:]
    )
    for extension in _EXTENSIONS:
        await superuser.execute(f"create extension if not exists {extension} schema public")
    await superuser.execute("grant usage on schema public to sb_owner")
    await superuser.close()


def main() -> None:
    """Print one line a schema."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("folder", type=Path, help="a folder of .sql files")
    words.add_argument("--list", action="store_true", help="name the files and move nothing")
    words.add_argument("--only", default="", help="a file's name without .sql")
    words.add_argument("--json", type=Path, help="where to write the outcomes")
    given = words.parse_args()
    files = sorted(file for file in given.folder.glob("*.sql") if given.only in ("", file.stem))
    if not files:
        raise SystemExit(f"{given.folder} holds no such .sql file. Name a folder of schemas.")
    if given.list:
        print("\n".join(file.stem for file in files))
        return
    outcomes = asyncio.run(move_all(files))
    for one in outcomes:
        print(f"{one.outcome:9}{one.schema:30}{one.tables:6} tables {one.rows:9} rows {one.seconds:7.1f} s")
        for why in one.why:
            print(f"         {why}")
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in outcomes], indent=2) + "\n")
    if any(one.outcome == "failed" for one in outcomes):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
