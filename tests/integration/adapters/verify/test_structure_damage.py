"""Every kind of damage to what holds the rows, and what belongs to a move and not to an environment."""

import pytest

from adapters.postgres.connection import Pool
from adapters.verify.verifier import MAX_DIFFERENCES, MAX_KEYS, PostgresVerifier
from domain.errors import CloneDiffers
from tests.integration.adapters.verify.twins import damaged

_STRUCTURE = {
    "a sequence off by one": ("select setval('invoice_number', 4716)", "sequence invoice_number", "position: 4711"),
    "a number not given out": ("select setval('invoice_number', 4711, false)", "sequence invoice_number", "(not yet"),
    "an identity off by one": ("select nextval('customer_id_seq')", "sequence customer_id_seq", "position: 31"),
    "a sequence's step": ("alter sequence invoice_number increment 1", "sequence invoice_number", "increment 5"),
    "a sequence without owner": (
        "alter sequence tally_id_seq owned by none",
        "sequence tally_id_seq",
        "owned by: a tally.id",
    ),
    "an index missing": ("drop index ledger_amount", "ledger", "index ledger_amount"),
    "an index of other columns": (
        "drop index ledger_amount; create index ledger_amount on ledger (amount) where amount > 0",
        "ledger",
        "index ledger_amount",
    ),
    "a primary key missing": ("alter table ledger drop constraint ledger_pkey", "ledger", "constraint ledger_pkey"),
    "a check missing": ("alter table ledger drop constraint ledger_positive", "ledger", "constraint ledger_positive"),
    "a foreign key that does otherwise": (
        (
            "alter table ledger drop constraint ledger_customer; "
            "alter table ledger add constraint ledger_customer foreign key (nr) references customer"
        ),
        "ledger",
        "ON DELETE RESTRICT",
    ),
    "a foreign key to the old environment": (
        (
            "alter table ledger drop constraint ledger_customer; alter table ledger add constraint ledger_customer "
            "foreign key (nr) references env_old.customer on delete restrict"
        ),
        "ledger",
        "env_old.customer",
    ),
    "a trigger disabled": ("alter table ledger disable trigger stamp", "ledger", "trigger stamp: enabled: O"),
    "a trigger missing": ("drop trigger stamp on ledger", "ledger", "trigger stamp"),
    "a trigger of the old environment's function": (
        (
            "create or replace trigger stamp before insert on ledger for each row when (new.amount > 5) "
            "execute function env_old.stamp()"
        ),
        "ledger",
        "env_old.stamp()",
    ),
    "a view changed": (
        "create or replace view glad_customers as select id, name, total(2) as total from customer",
        "view glad_customers",
        "definition",
    ),
    "a view of the old environment": (
        (
            "create or replace view glad_customers as select id, name, total(1) as total from env_old.customer "
            "where feeling = 'glad'"
        ),
        "view glad_customers",
        "env_old.customer",
    ),
    "a function's body": (
        "create or replace function total(an_admin integer) returns numeric language sql stable as 'select 1.0'",
        "function total(an_admin integer)",
        "body",
    ),
    "a function's volatility": (
        "alter function total(integer) volatile",
        "function total(an_admin integer)",
        "volatility s",
    ),
    "a function that looks in the old environment": (
        "alter function stamp() set search_path to env_old",
        "function stamp()",
        "search_path=<this schema>",
    ),
    "a function missing": ("drop procedure nap()", "function nap()", "missing in the new environment"),
    "a label too many": ("alter type mood add value 'sleepy'", "type mood", "labels: 'glad', 'sad', 'so so' in"),
    "labels in another order": (
        (
            "alter type mood rename value 'sad' to 'x'; alter type mood rename value 'so so' to 'sad'; "
            "alter type mood rename value 'x' to 'so so'"
        ),
        "type mood",
        "labels",
    ),
    "a domain's check": (
        "alter domain euro drop constraint euro_check",
        "type euro",
        "constraint euro_check",
    ),
    "a policy": ("alter policy own_tally on tally using (id > 6)", "tally", "policy own_tally: using"),
    "row security off": ("alter table tally disable row level security", "tally", "row security: on"),
    "a rule missing": ("drop rule keep on journal", "journal", "rule keep"),
    "statistics missing": ("drop statistics ledger_numbers", "statistics ledger_numbers", "missing in the new"),
    "a grant missing": ("revoke insert on ledger from sb_app", "ledger", "grant of INSERT to sb_app: given"),
    "a grant too many": ("grant update on ledger to sb_app", "ledger", "grant of UPDATE to sb_app: none"),
    "a column's grant missing": (
        "revoke select (name) on customer from sb_app",
        "customer",
        "column name: grant of SELECT to sb_app",
    ),
    "a sequence's grant missing": (
        "revoke usage on sequence invoice_number from sb_app",
        "sequence invoice_number",
        "grant of USAGE to sb_app",
    ),
    "a function open to everybody": (
        "revoke execute on function total(integer) from public",
        "function total(an_admin integer)",
        "grant of EXECUTE to public: given",
    ),
    "a comment changed": ("comment on table ledger is 'what is owned'", "ledger", "comment: what is owed"),
    "a column's comment missing": ("comment on column ledger.amount is null", "ledger", "column amount: comment"),
    "a comment on the schema": ("comment on schema env_new is 'new'", "schema", "comment: none in"),
    "a right on what is made later": (
        "alter default privileges in schema env_new grant select on tables to sb_app",
        "schema",
        "default of SELECT on new objects of kind r for sb_app: none",
    ),
    "a NOT NULL under another name": (
        "alter table ledger rename constraint ledger_nr_not_null to filled",
        "ledger",
        "NOT NULL nr: name: ledger_nr_not_null",
    ),
    "a cast of its own": (
        (
            "create function plain(mood) returns integer language sql return 1; "
            "create cast (mood as integer) with function plain(mood)"
        ),
        "cast from mood to integer",
        "missing in the old environment",
    ),
    "columns in another order": (
        """alter table "Odd ""name"" ;" drop column "a {column} $1", add "a {column} $1" integer""",
        'Odd "name" ;',
        'order of columns: "a {column} $1", "Ünï" in',
    ),
    "columns of a partition in another order": (
        (
            "drop table movement_rest; create table movement_rest (bank text, id integer); "
            "alter table movement attach partition movement_rest default; "
            "insert into movement values (2, 'knab'), (3, null)"
        ),
        "movement_rest",
        "order of columns: id, bank in",
    ),
    "a constraint that is not validated": (
        (
            "alter table ledger drop constraint ledger_positive; "
            "alter table ledger add constraint ledger_positive check (amount > -1000) not valid"
        ),
        "ledger",
        "constraint ledger_positive: validated: none",
    ),
    "a default changed": (
        "alter table customer alter column name set default 'x'",
        "customer",
        "column name: default: 'nobody'::text",
    ),
    "a default of the old environment's sequence": (
        "alter table tally alter column id set default nextval('env_old.tally_id_seq')",
        "tally",
        "env_old.tally_id_seq",
    ),
    "a column that may be empty": (
        "alter table customer alter column name drop not null",
        "customer",
        "column name: not null: true",
    ),
    "a wider type": ("alter table ledger alter column other type numeric(15,2)", "ledger", "numeric(14,2)"),
    "a column missing": ("alter table customer drop column remark", "customer", "column remark: text in"),
    "a column too many": ("alter table ledger add column more text", "ledger", "column more: none"),
    "no identity": ("alter table customer alter column id drop identity", "customer", "column id: identity: d"),
    "another storage": (
        "alter table customer alter column note set storage extended",
        "customer",
        "column note: storage: e",
    ),
    "another fill factor": ("alter table ledger reset (fillfactor)", "ledger", "options: {fillfactor=70}"),
    "a partition's bound": (
        (
            "alter table movement detach partition movement_rabo; "
            "alter table movement attach partition movement_rabo for values in ('rabobank', 'regio')"
        ),
        "movement_rabo",
        "partition bound",
    ),
    "a child without parent": ("alter table child no inherit parent", "child", "parents: parent"),
    "a table missing": ("drop table journal", "journal", "missing in the new environment"),
    "a table too many": ("create table more (id integer)", "more", "missing in the old environment"),
    "an unlogged table": ("alter table journal set unlogged", "journal", "persistence: p"),
    "rows that hide": ("alter table tally force row level security", "tally", "its rows could not be read"),
    "a materialised view that is empty": (
        "refresh materialized view sums with no data",
        "materialized view sums",
        "populated: true",
    ),
}


@pytest.mark.parametrize(("damage", "name", "problem"), _STRUCTURE.values(), ids=_STRUCTURE)
async def test_damage_to_the_structure_is_found(twin: Pool, damage: str, name: str, problem: str) -> None:
    """Finds each damage to the structure."""
    found = await damaged(twin, damage)
    assert [one for one in found if one.table == name and problem in one.problem], found


async def test_the_write_fence_is_not_part_of_an_environment(twin: Pool) -> None:
    """Leaves the fence out of the comparison."""
    assert await twin.fetchval("select control.raise_fence('env_old', 'transferred')") == 11
    try:
        assert await damaged(twin, "select 1") == []
    finally:
        await twin.execute(
            "do $$ declare t text; begin for t in select quoted from control.fenceable_tables('env_old') loop "
            "execute format('drop trigger sb_transfer_fence on %s', t); end loop; end $$"
        )


async def test_a_trigger_with_a_fence_like_name_counts(twin: Pool) -> None:
    """Compares a trigger whose name is like the fence's."""
    found = await damaged(
        twin, "create trigger sb_transfer_fences before insert on journal for each row execute function stamp()"
    )
    assert {one.table for one in found} == {"journal"}


async def test_a_table_that_cannot_be_read_hides_no_other(twin: Pool) -> None:
    """Finds damage beside a table that cannot be read."""
    hidden = "alter table {}.customer enable row level security, force row level security"
    try:
        await twin.execute(hidden.format("env_old"))
        await twin.execute(hidden.format("env_new"))
        found = await damaged(twin, "update only parent set id = 2")
        assert [one.table.split()[-1] for one in found] == ["customer", "parent"]
        assert "could not be read" in found[0].problem
        assert "row-level security" in found[0].problem
        assert "rows differ" in found[1].problem
        with pytest.raises(CloneDiffers, match="customer: its rows could not be read"):
            await PostgresVerifier(twin, parallelism=1).hashes("env_new")
    finally:
        await twin.execute("alter table env_old.customer disable row level security, no force row level security")


async def test_many_differences_stay_a_small_message(twin: Pool) -> None:
    """Caps the differences of one answer."""
    found = await damaged(twin, "update ledger set amount = amount + 1 where nr <= 25; drop table nothing")
    rows = next(one for one in found if one.problem.startswith("rows differ"))
    assert len(rows.keys) == MAX_KEYS
    assert "the first 20 are named" in rows.problem
    found = await damaged(
        twin, "do $$ begin for i in 1..150 loop execute format('create table more_%s ()', i); end loop; end $$"
    )
    assert len(found) == MAX_DIFFERENCES
    assert found[-1].table == "*"
