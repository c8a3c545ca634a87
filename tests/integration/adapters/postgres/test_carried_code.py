"""A customer's own code that a move carries: which of it runs in which step, as whom, and what it can reach then."""

import base64
import os
import re
import uuid
from collections.abc import Awaitable
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from adapters.clone import PostgresCloneEngine
from adapters.crypto.certificate_signer import CertificateSigner
from adapters.postgres.connection import connect_pool
from adapters.postgres.contained import require_carrier
from adapters.postgres.shards import Shards
from adapters.transfer.preview import PostgresPreviewReader
from adapters.transfer.target_setup import PostgresTargetSetup
from adapters.verify.certification import PostgresCertifier
from adapters.verify.prefetch import Prefetcher
from adapters.verify.verifier import PostgresVerifier
from devstack.postgres import EmbeddedPostgres
from domain import messages as m
from domain.errors import Misconfigured
from domain.messages import CloneProgress
from tests.integration.services import Move, Services

# Tries what only this service may, undoes it, and writes into the server's log what it could do: that is all that stays
# of a transaction that cannot write, or is rolled back.
SPY = """
create function {env}.peek(kind text) returns boolean language plpgsql as $spy$
declare
    got text[] := '{{}}';
    attempt record;
begin
    for attempt in select * from (values
        ('tickets', 'perform 1 from control.ticket'),
        ('transfers', 'perform 1 from control.transfer'),
        ('another', (select pg_catalog.format('perform 1 from %s', oid::regclass) from pg_catalog.pg_class
                     where relname = 'of_another')),
        ('control', 'update control.transfer set requested_by = requested_by'),
        ('reset role', 'reset role; perform 1 from control.ticket'),
        ('set role', 'set local role sb_owner; perform 1 from control.ticket'),
        ('authorization', 'set local session authorization sb_owner; perform 1 from control.ticket')) t (what, how)
    loop
        begin
            execute pg_catalog.format('do $do$ begin %s; end $do$', attempt.how);
            raise exception using errcode = 'SPY01';
        exception
            when sqlstate 'SPY01' then got := got || attempt.what;
            when others then null;
        end;
    end loop;
    raise log 'spy {env} % % %.', kind, current_user, pg_catalog.array_to_string(got, ',');
    return true;
end $spy$;
create function {env}.says(kind text) returns integer language plpgsql immutable as
    $spy$ begin perform {env}.peek(kind); return 1; end $spy$;
create function {env}.tells(kind text, id integer) returns integer language plpgsql immutable as
    $spy$ begin perform {env}.peek(kind); return id; end $spy$;
create function {env}.says_of(kind text, value boolean) returns boolean language plpgsql immutable as
    $spy$ begin perform {env}.peek(kind); return value; end $spy$;
create function {env}.react() returns trigger language plpgsql as
    $spy$ begin perform {env}.peek('trigger'); return new; end $spy$;
create domain {env}.odd as integer check ({env}.tells('domain', value) > 0);
create table {env}.carried (
    id integer primary key check ({env}.tells('check', id) > 0),
    twice integer generated always as ({env}.tells('generated', id) * 2) stored,
    odd {env}.odd
);
insert into {env}.carried (id, odd) values (1, 1), (2, 2);
create index carried_indexed on {env}.carried ({env}.tells('index', id));
create index carried_folded on {env}.carried ((id + {env}.says('planner')));
create statistics {env}.carried_known on id, ({env}.tells('statistics', id)) from {env}.carried;
create table {env}.made (id integer, one integer generated always as ({env}.says('made')) stored);
insert into {env}.made values (1);
create materialized view {env}.filled as select {env}.peek('filled') as seen;
alter table {env}.mailbox_message add column note integer default {env}.says('default');
create trigger react before insert or update on {env}.administration for each row execute function {env}.react();
create rule also as on insert to {env}.mailbox_message do also select {env}.peek('rule');
alter table {env}.mailbox_message enable always rule also;
alter table {env}.vat_return rename to vat_box;
insert into {env}.vat_box select id, 1, 2026, 1, 1, 1, 1, 1, 1, 1, 1, 'filed' from {env}.administration;
alter table {env}.administration add check ({env}.says('flagged') > 0);
create index on {env}.administration ({env}.says_of('flag index', read_only));
alter table {env}.bank_connection add check ({env}.says('bank') > 0);
alter table {env}.app_user add check ({env}.says('user') > 0);
create unique index on {env}.filled ({env}.says_of('view index', seen));
create table {env}.kept_apart (id integer, exclude (({env}.tells('exclusion', id)) with =));
create table {env}.divided (id integer) partition by list ({env}.tells('partition', id));
create table {env}.divided_1 partition of {env}.divided for values in (1);
create index on {env}.divided ((id + {env}.says('attached')));
insert into {env}.kept_apart values (1), (2);
insert into {env}.divided values (1), (1);
create table {env}.referred (id integer primary key);
create index on {env}.referred ((id + {env}.says('foreign key')));
create table {env}.referring (id integer references {env}.referred);
insert into {env}.referred values (1);
insert into {env}.referring values (1);
create view {env}.vat_return as select * from {env}.vat_box where {env}.peek('view');
"""

# What a copy is made of, be it without rows.
BUILT = {
    "attached",
    "bank",
    "check",
    "domain",
    "exclusion",
    "filled",
    "flag index",
    "flagged",
    "foreign key",
    "generated",
    "index",
    "made",
    "partition",
    "planner",
    "user",
    "view index",
}
# What the planner runs whenever it reads.
READ = {"attached", "foreign key", "planner"}
# What runs, by step: all of it as a role that can do nothing.
CONTAINED = {
    "delivery": {"default", "rule"},
    "preview": BUILT,
    "freeze": {"flagged", "flag index"},
    "undo": {"default", "rule", "flagged", "flag index"},
    "hash": READ,
    "clone": BUILT | {"statistics"},
    "proof": READ,
    "banks": {"bank"},
    "consequences": {"user", "flagged"},
    "comparison": {"view"},
    "certificate": READ,
    "check": READ,
    "release": {"default", "rule", "user", "flagged", "flag index"},
}


class Watch:
    """Reads in the server's log what spies have seen during a step."""

    def __init__(self, services: Services, log: Path) -> None:
        self._services = services
        self._log = log
        self._seen: list[tuple[str, str, str, str]] = []

    async def during(self, step: str, work: Awaitable[object]) -> None:
        # A session remembers what the planner has once worked out.
        await self._services.pool.expire_connections()
        begins = self._log.stat().st_size
        await work
        with self._log.open(encoding="utf-8") as log:
            log.seek(begins)
            told: list[tuple[str, str, str]] = re.findall(
                r"LOG:  spy \w+ ([\w ]+) (\w+) (.*)\.$", log.read(), re.MULTILINE
            )
        self._seen += [(step, *one) for one in told]

    def seen_as(self, role: str) -> dict[str, set[str]]:
        """Return the kinds of code that have run as a role, by step."""
        steps = {step for step, _, runs_as, _ in self._seen if runs_as == role}
        return {one: {kind for step, kind, runs_as, _ in self._seen if (step, runs_as) == (one, role)} for one in steps}

    def got_by(self, role: str) -> set[str]:
        """Return what spies could do as a role."""
        return {got for _, _, runs_as, got in self._seen if runs_as == role}


async def test_what_a_customers_code_can_do(services: Services, postgres: EmbeddedPostgres, app_dsn: str) -> None:
    """Who reads or writes an environment is not read by it, in any step."""
    another, moved, undone = [await services.move(name) for name in ("Ander", "Enyoi", "Terug")]
    await services.pool.execute(f"create table {another.schema}.of_another ()")
    for move in (moved, undone):
        await services.pool.execute(SPY.format(env=move.schema))
    application = await asyncpg.connect(app_dsn)

    async def deliver(move: Move) -> None:
        address = await services.pool.fetchval(
            "select mailbox_address from control.environment where environment_id = $1", move.environment_id
        )
        await application.fetchval(
            "select control.deliver_mail($1, $2, 'hoi', pg_catalog.now())", address, os.urandom(8).hex()
        )

    def ignore(_: CloneProgress) -> None:
        """Nobody reads it."""

    pool, sides = services.pool, {"source_schema": moved.schema, "target_schema": moved.new_schema}
    whose = {"transfer_id": moved.transfer_id}
    verifier = PostgresVerifier(pool, parallelism=2)
    signer = CertificateSigner([SecretStr(base64.b64encode(os.urandom(32)).decode())])
    certifier = PostgresCertifier(pool, verifier, signer)
    setup = PostgresTargetSetup(pool)
    engine = PostgresCloneEngine(pool, parallelism=2, meanwhile=Prefetcher)
    watch = Watch(services, postgres.folder / "log")
    during = watch.during
    await during("delivery", deliver(moved))
    await during(
        "preview", PostgresPreviewReader(pool, question_timeout=timedelta(minutes=2)).preview(moved.environment_id)
    )
    await during("freeze", services.freeze(undone))
    await deliver(undone)
    await services.begin_undo(undone)
    await during("undo", services.undo_steps(undone))
    ticket = await services.ticket(moved)
    await deliver(moved)
    await services.accept(moved, ticket)
    await during("hash", certifier.hash_frozen(m.HashFrozen(**whose, schema_name=moved.schema), ignore))
    await during("clone", engine.clone(m.CloneAdministrations(**whose, **sides), ignore))
    await during("proof", verifier.verify(m.VerifyClone(**whose, **sides), ignore))
    await during("banks", setup.reconnect_banks(m.ReconnectBanks(**whose)))
    await during("consequences", setup.apply_consequences(m.ApplyConsequences(**whose)))
    await during("comparison", setup.compare(m.CompareEnvironments(**whose)))
    await during("opening", services.gate.open_for_inspection(m.OpenForInspection(**whose)))
    await during("certificate", certifier.certify(m.IssueCertificate(**whose, **sides), ignore))
    checked = m.CheckUnchanged(**whose, **sides, requested_by="x", event_key=uuid.uuid4())
    await during("check", certifier.check(checked, ignore))
    await during("release", services.gate.release(services.release_order(moved)))
    await application.close()
    assert watch.seen_as("sb_owner") == {}
    assert watch.seen_as("sb_carrier") == CONTAINED
    assert watch.got_by("sb_carrier") == {""}


async def test_what_runs_as_its_owner_does_not_while_a_copy_is_made(
    services: Services, postgres: EmbeddedPostgres
) -> None:
    """Its maker is this service then, whoever its owner will be."""
    role = f"clerk_{uuid.uuid4().hex}"
    superuser = await asyncpg.connect(postgres.dsn("postgres", "postgres"))
    await superuser.execute(f"create role {role}; grant {role} to sb_owner")
    move = await services.move()
    await services.pool.execute(SPY.format(env=move.schema))
    await services.pool.execute(f"""
        create function {move.schema}.known(id integer) returns boolean language plpgsql security definer as
            $spy$ begin return {move.schema}.peek('definer'); end $spy$;
        alter table {move.schema}.carried add check ({move.schema}.known(id));
        grant create on schema {move.schema} to {role};
        alter function {move.schema}.known(integer) owner to {role};
        revoke create on schema {move.schema} from {role};
        grant usage on schema {move.schema} to {role}""")
    await services.accept(move, await services.ticket(move))
    watch = Watch(services, postgres.folder / "log")
    order = m.CloneAdministrations(
        transfer_id=move.transfer_id, source_schema=move.schema, target_schema=move.new_schema
    )
    await watch.during("clone", PostgresCloneEngine(services.pool, parallelism=2).clone(order, lambda _: None))
    assert watch.seen_as(role) == watch.seen_as("sb_owner") == {}
    assert "definer" in watch.seen_as("sb_carrier")["clone"]
    assert watch.got_by("sb_carrier") == {""}
    whose = "select prosecdef, proowner::regrole::text from pg_proc where oid = $1::text::regprocedure"
    assert [*await services.row(whose, f"{move.new_schema}.known(integer)")] == [True, role]
    await superuser.close()


@pytest.mark.parametrize(
    ("definition", "refused"),
    [
        ("(two integer generated always as (id * {env}.twice(1)) stored) inherits ({env}.base)", "column two of x"),
        ("(id integer, two integer generated always as (id * {env}.twice(1)) stored)", None),
        ("(id integer) partition by list ((id + {env}.twice(1)))", "table x"),
        ("(id integer, two integer generated always as ({env}.twice(id) * abs(-1)) stored)", None),
    ],
)
async def test_what_the_server_works_out_by_itself_is_refused(
    services: Services, definition: str, refused: str | None
) -> None:
    """It would run as this service whenever the definition is read."""
    move = await services.move()
    twice = (
        "create function {env}.twice(integer) returns integer language plpgsql immutable as 'begin return 2 * $1; end'"
    )
    await services.pool.execute(
        f"{twice}; create table {{env}}.base (id integer); create table {{env}}.x {definition}".replace(
            "{env}", move.schema
        )
    )
    obstacles = (await services.previews.preview(move.environment_id)).obstacles
    assert [one.what for one in obstacles] == ([] if refused is None else [refused])
    assert all("constants" in str(one) and "constanten" in str(one.nl) for one in obstacles)


async def test_a_worker_without_the_role_says_what_to_do(services: Services, app_dsn: str) -> None:
    """It would stop at the first preview, in words that nobody understands."""
    await require_carrier(Shards(services.pool))
    stranger = await connect_pool(app_dsn, application_name="a stranger to the role")
    with pytest.raises(Misconfigured, match=r"home the role sb_carrier.*`sb-transfer setup`"):
        await require_carrier(Shards(stranger))
    await stranger.close()
