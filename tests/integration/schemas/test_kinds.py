"""One schema for each kind of thing that PostgreSQL keeps in one, in its odder forms: what a dump carries, we carry."""

from pathlib import Path

import pytest

from devstack.postgres import EmbeddedPostgres
from tests.integration.schemas.trial import Carried, Trial, carry
from tests.integration.services import Services

KINDS = Path(__file__).with_name("kinds")


@pytest.mark.parametrize("kind", sorted(file.stem for file in KINDS.glob("*.sql")))
async def test_is_carried(kind: str, services: Services, postgres: EmbeddedPostgres, database_name: str) -> None:
    """Moves it to the same text of `pg_dump`, with every row, and nothing that depends on the old environment."""
    trial = Trial(services, postgres, database_name, await services.move())
    await trial.load((KINDS / f"{kind}.sql").read_text())
    assert await trial.obstacles() == []
    await carry(trial, Carried(kind))


# Each is carried, or refused with a remedy; what is accepted is moved.
ODD = {
    "cast_of_its_own": "create type ca as (n int); create function ca_text(c ca) returns text language sql immutable "
    "as 'select (c).n::text'; create cast (ca as text) with function ca_text(ca) as assignment",
    "rights_that_the_owner_lost": "create table rt (id int); revoke all on rt from sb_owner; "
    "grant select, insert on rt to sb_owner",
    "table_that_the_owner_may_not_read": "create table re (id int); revoke all on re from sb_owner",
    "row_security_forced_on_the_owner": "create table rf (id int); alter table rf enable row level security; "
    "alter table rf force row level security; create policy p on rf using (id > 0)",
    "foreign_keys_between_partitions": "create table a (id int, y int, primary key (id, y)) partition by list (y); "
    "create table a1 partition of a for values in (1); "
    "create table b (id int, y int, foreign key (id, y) references a) partition by list (y); create table b1 partition of b for values in (1); insert into a values (1, 1); "
    "insert into b values (1, 1)",
    "numbers_of_tables_in_arrays_and_ranges": "create domain rd as regclass; create type rc as (a rd[], b int); "
    "create domain rdd as rc; create table rn (x rdd[]); insert into rn values (null)",
    "rows_by_chance": "create table rb (id int); insert into rb values (1); "
    "create materialized view rm as select id, random() as r from rb",
    "index_by_the_clock": "create function recent(t timestamptz) returns boolean language sql immutable as "
    "'select t > now()'; create table ic (t timestamptz); create index on ic (t) where recent(t); "
    "insert into ic values (now() + interval '1 second')",
    "generated_by_the_time_zone": "create function day_of(t timestamptz) returns date language sql immutable as "
    "'select t::date'; set timezone = 'Asia/Tokyo'; create table gz (t timestamptz, d date generated always as "
    "(day_of(t)) stored); insert into gz values ('2026-01-01 20:00+00'); reset timezone",
    "domain_by_the_clock": "create domain fresh as timestamptz "
    "check (value > clock_timestamp() - interval '1 second'); create table df (f fresh); insert into df values (clock_timestamp()); select pg_sleep(1.2)",
}


@pytest.mark.parametrize("kind", ODD)
async def test_is_carried_or_refused(
    kind: str, services: Services, postgres: EmbeddedPostgres, database_name: str
) -> None:
    """Says so before anything is frozen, with a remedy, where it would not be moved exactly."""
    trial = Trial(services, postgres, database_name, await services.move())
    await trial.load(ODD[kind])
    obstacles = await trial.obstacles()
    if obstacles:
        assert [one for one in obstacles if not one.model_dump().get("remedy")] == []
    else:
        await carry(trial, Carried(kind))
