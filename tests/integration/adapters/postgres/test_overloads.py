"""The application's functions and operators that match better than the server's own: none runs as this service."""

import base64
import os
import re
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from adapters.clone import PostgresCloneEngine
from adapters.crypto.certificate_signer import CertificateSigner
from adapters.mail.messages import read_facts
from adapters.postgres.connection import Connection
from adapters.reconcile.inspection import PostgresInspector
from adapters.transfer.target_setup import PostgresTargetSetup
from adapters.verify.certification import PostgresCertifier
from adapters.verify.prefetch import Prefetcher
from adapters.verify.verifier import PostgresVerifier
from domain import messages as m
from domain.messages import CloneProgress
from domain.reconciliation import Inspect
from domain.vocabulary import MailKind
from tests.integration.adapters.reconcile.test_inspection import AT_ONCE, Running
from tests.integration.services import Move, Services

# What a call that does not match exactly may be matched better by: one type for another.
_VARIANTS = (
    {
        "text": "name",
        "name": "text",
        "oid": "regclass",
        "regclass": "text",
        "int8": "int4",
        "int4": "int2",
        "jsonb": "text",
        "any": "text",
    },
    {
        "text": "varchar",
        "name": "varchar",
        "oid": "int4",
        "regclass": "oid",
        "int8": "numeric",
        "int4": "oid",
        "jsonb": "json",
        "any": "name",
    },
    {"text": '"char"', "regclass": "name", "oid": "int8", "int4": "int8", "any": "int4"},
    {"any": "int8"},
)
_OPERATORS = ("=", "<>", "<", "<=", ">", ">=", "||", "+", "-", "~", "->", "->>", "@>")
_TYPES = ("text", "varchar", "name", '"char"', "oid", "regclass", "int4", "int8")
_PLANTED = (
    "language plpgsql as $$ begin perform pg_catalog.nextval('public.overload_calls'::regclass); return null; end $$"
)
_SIGNATURES = """
select distinct p.proname::text as name, p.provariadic <> 0 as variadic,
       array(select case when t.typtype = 'p' and t.typname not in ('internal', 'cstring') then 'any'
                         else t.typname::text end
             from unnest(p.proargtypes) with ordinality a (id, place) join pg_type t on t.oid = a.id
             order by a.place) as types
from pg_proc p where p.pronamespace = 'pg_catalog'::regnamespace and p.proname = any ($1) and p.pronargs between 1 and 4
"""


def _names() -> list[str]:
    """Return every word before a bracket in this service's SQL, and in the code that puts SQL together."""
    root = Path(str(files("adapters")))
    texts = (file.read_text() for ending in ("sql", "py") for file in root.rglob(f"*.{ending}"))
    return sorted({name for text in texts for name in re.findall(r"\b([a-z_][a-z0-9_]*)\(", text)})


def _overloads(signatures: list[asyncpg.Record], variant: dict[str, str]) -> Iterator[str]:
    """Make functions that match better than the server's where one of these types is what is at hand."""
    for row in signatures:
        for extra in range(4 if row["variadic"] else 1):
            types = [variant.get(one, one) for one in [*row["types"], *["any"] * extra]]
            types = [one for one in types if one not in ("any", "internal", "cstring")]
            if types:
                yield f'create function "{row["name"]}"({", ".join(types)}) returns text {_PLANTED}'


def _operators() -> Iterator[str]:
    """Make every operator that our SQL uses for every pair of types."""
    for left in _TYPES:
        for right in _TYPES:
            yield f"create function planted({left}, {right}) returns boolean {_PLANTED}"
            for operator in _OPERATORS:
                yield f"create operator {operator} (leftarg = {left}, rightarg = {right}, function = planted)"


async def _plant(app: Connection, schema: str, statements: Iterator[str]) -> int:
    """Plant what can be planted in a schema; return how many there are."""
    attempts = "; ".join(f"begin {one}; n := n + 1; exception when others then null; end" for one in statements)
    await app.execute(
        f"set search_path to {schema}; "
        f"do $plant$ declare n int := 0; begin {attempts}; "
        "perform set_config('test.planted', n::text, false); end $plant$"
    )
    return int(await app.fetchval("select current_setting('test.planted')"))


@pytest.fixture
async def app(app_dsn: str) -> AsyncIterator[Connection]:
    """A connection of the bookkeeping application."""
    connection = await asyncpg.connect(app_dsn)
    yield connection
    await connection.close()


async def _move(services: Services, move: Move) -> None:
    """Take every step of a move up to its release, with all that looks at it."""

    def ignore(_: CloneProgress) -> None:
        """Nobody reads it."""

    pool, sides = services.pool, {"source_schema": move.schema, "target_schema": move.new_schema}
    whose = {"transfer_id": move.transfer_id}
    verifier = PostgresVerifier(pool, parallelism=2)
    signer = CertificateSigner([SecretStr(base64.b64encode(os.urandom(32)).decode())])
    certifier = PostgresCertifier(pool, verifier, signer)
    setup = PostgresTargetSetup(pool)
    await services.accept(move, await services.ticket(move))
    await certifier.hash_frozen(m.HashFrozen(**whose, schema_name=move.schema), ignore)
    engine = PostgresCloneEngine(pool, parallelism=2, meanwhile=Prefetcher)
    await engine.clone(m.CloneAdministrations(**whose, **sides), ignore)
    assert (await verifier.verify(m.VerifyClone(**whose, **sides), ignore)).differences == []
    await setup.reconnect_banks(m.ReconnectBanks(**whose))
    await setup.apply_consequences(m.ApplyConsequences(**whose))
    await setup.compare(m.CompareEnvironments(**whose))
    await services.gate.open_for_inspection(m.OpenForInspection(**whose))
    await certifier.certify(m.IssueCertificate(**whose, **sides), ignore)
    await PostgresInspector(pool, Running(), verifier, look_again_after=AT_ONCE).inspect(Inspect(deep=True))
    async with pool.acquire() as connection:
        for kind in (MailKind.TICKET_ISSUED, MailKind.READY, MailKind.INVITATION):
            await read_facts(connection, move.transfer_id, kind)


async def _deliver(services: Services, app: Connection, move: Move) -> list[str]:
    """Bring a mail and a scan to an environment as the application does; return what became of them."""
    address = await services.pool.fetchval(
        "select mailbox_address from control.environment where environment_id = $1", move.environment_id
    )
    mail = b"From: =?utf-8?q?J=C3=B6rg?= <a@b.example>\r\nSubject: =?utf-8?B?aG9p?=\r\n\r\nhoi"
    key = os.urandom(8).hex()
    return [
        await app.fetchval("select control.deliver_mail($1, $2, $3, pg_catalog.now())", address, key, mail),
        await app.fetchval("select control.deliver_scan($1, $2, 'bon.png', $3, pg_catalog.now())", address, key, mail),
    ]


async def test_no_function_of_the_applications_runs_as_this_service(services: Services, app: Connection) -> None:
    """It would read tickets and change transfers, with all rights of this service, for a name that matches better."""
    signatures = await services.pool.fetch(_SIGNATURES, _names())
    undone, moved = await services.move("Terug"), await services.move("Enyoi")
    await services.pool.execute(
        "create sequence public.overload_calls; grant usage on sequence public.overload_calls to public; "
        f"grant create on schema public to sb_app; grant create on schema {moved.schema} to sb_app; "
        f"grant create on schema {undone.schema} to sb_app"
    )
    for schema in ("public", moved.schema):
        assert await _plant(app, schema, _overloads(signatures, _VARIANTS[0])) > 50
        assert await _plant(app, schema, _operators()) > 300
    for schema in (moved.schema, undone.schema):
        for variant in _VARIANTS[1:]:
            await _plant(app, schema, _overloads(signatures, variant))
    assert (await services.previews.preview(moved.environment_id)).obstacles == []
    assert await _deliver(services, app, moved) == ["delivered", "delivered"]
    await services.freeze(moved)
    assert await _deliver(services, app, moved) == ["held", "held"]
    await services.freeze(undone)
    for variant in _VARIANTS[1:]:
        assert await _plant(app, "public", _overloads(signatures, variant)) > 20
        assert await _plant(app, moved.schema, _overloads(signatures, variant)) == 0
    await _move(services, moved)
    await services.gate.release(services.release_order(moved))
    await services.begin_undo(undone)
    await services.undo_steps(undone)
    calls = await services.row("select last_value, is_called from public.overload_calls")
    assert tuple(calls) == (1, False)
