"""Kinds of objects, and of ways in which they need one another, each by itself: carried to the last word."""

import pytest

from adapters.schema.catalog import inspect_schema
from tests.integration.pending_clone import PendingClone

CARRIED = {
    "a body that names its schema": "create function f() returns text language sql as 'select ''{schema}.t'' '",
    "a search_path": "create function f() returns int language sql set search_path = {schema} as 'select 1'",
    "a default that names the schema": "create table t (x text default '{schema}')",
    "a comment that names the schema": "create table t (x text); comment on table t is 'see {schema}.u'",
    "a view that names the schema": "create view v as select '{schema}.t' as name",
    "an argument's default that names the schema": (
        "create function f(x text default '{schema}') returns int language sql as 'select 1'"
    ),
    "a check that names the schema": "create table t (id int check (id <> '{schema}'::regnamespace::oid::int))",
    "a moving aggregate": (
        "create aggregate moving(int) (sfunc = int4pl, stype = int, initcond = 0, msfunc = int4pl, minvfunc "
        "= int4mi, "
        "mstype = int, minitcond = 0); comment on aggregate moving(int) is 'moves'"
    ),
    "an ordered-set aggregate": (
        "create function keep(int[], int) returns int[] language sql immutable as 'select $1 || $2'; "
        "create function pick(int[], float8) returns int language sql immutable as 'select $1[1]'; "
        "create aggregate middle(float8 order by int) (sfunc = keep, stype = int[], finalfunc = pick, "
        "initcond = '{{}}'); "
        "comment on aggregate middle(float8 order by int) is 'in the middle'"
    ),
    "a hypothetical-set aggregate": (
        "create function keep(int[], int) returns int[] language sql immutable as 'select $1 || $2'; "
        "create function rank_of(int[], int) returns int language sql immutable as 'select $2'; "
        "create aggregate place(int order by int) (sfunc = keep, stype = int[], finalfunc = rank_of, "
        "initcond = '{{}}', hypothetical)"
    ),
    "an aggregate of its own name": (
        "create function glue(a anyarray, b anyarray) returns anyarray language sql immutable "
        "as 'select array_cat(a, b)'; create aggregate glue(anyarray) (sfunc = glue, stype = anyarray, "
        "initcond = '{{}}'); "
        "create aggregate count(*) (sfunc = int8inc, stype = bigint, initcond = 0)"
    ),
    "an operator": (
        "create function near(int, int) returns boolean language sql immutable as 'select abs($1 - $2) < 2'; "
        "create operator ~~~ (leftarg = int, rightarg = int, function = near, commutator = ~~~); "
        "comment on operator ~~~ (int, int) is 'near'; create table t (a int, b int, check (a "
        "operator({schema}.~~~) b)); "
        "insert into t values (1, 2); create view v as select a operator({schema}.~~~) b as yes from t"
    ),
    "operators that negate one another": (
        "create function same(int, text) returns boolean language sql immutable as 'select $1::text = $2'; "
        "create function other(int, text) returns boolean language sql immutable as 'select $1::text <> $2'; "
        "create operator === (leftarg = int, rightarg = text, function = same, negator = !==, restrict = eqsel); "
        "create operator !== (leftarg = int, rightarg = text, function = other, negator = ===, restrict = neqsel)"
    ),
    "a collation": (
        'create collation mine from "C"; create table t (x text collate mine); create index on t (x); '
        "comment on collation mine is 'ours'"
    ),
    "text search": (
        "create text search dictionary dict (template = simple, accept = false); "
        "create text search configuration cfg (copy = simple); "
        "alter text search configuration cfg alter mapping for asciiword, word with dict, simple; "
        "create table t (x text, v tsvector generated always as (to_tsvector('{schema}.cfg'::regconfig, x)) stored); "
        "insert into t values ('one two'); comment on text search configuration cfg is 'ours'"
    ),
    "a conversion": "create conversion latin for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8",
    "a cast": (
        "create type mood as enum ('a', 'b'); "
        "create function told(mood) returns text language sql immutable as 'select upper(enum_out($1)::text)'; "
        "create cast (mood as text) with function told(mood) as assignment; "
        "create table t (m mood, ms mood[]); insert into t values ('a', '{{a,b}}'), (null, null)"
    ),
    "a view's row in a table": (
        "create view v as select 1 as x; create table holds (x v, xs v[]); insert into holds select v, array[v] from v"
    ),
    "a domain over a view's row": "create view v as select 1 as x; create domain d as v",
    "a default that reads a view": (
        "create table t (id int); create view v as select * from t; create function f() returns bigint "
        "language sql begin atomic select count(*) from v; end; create table d (x bigint default f())"
    ),
    "a default that needs a key": (
        "create table t (id int primary key, n text); insert into t values (1, 'a'); "
        "create function f() returns bigint language sql begin atomic "
        "select count(*) from (select id, n from t group by id) x; end; create table d (x bigint default f())"
    ),
    "privileges of the schema's future": "alter default privileges in schema {schema} grant select on tables to sb_app",
    "a view that is behind": (
        "create table t (x int); insert into t values (1); create materialized view m as select * from t; "
        "create index on m (x); comment on materialized view m is 'old'; insert into t values (2)"
    ),
    "a view with its own moment": (
        "create table t (x int); insert into t values (1); "
        "create materialized view m as select x, clock_timestamp() as at, random() as luck from t; "
        "create materialized view n as select max(at) as at, 'x'::bpchar as pad from m"
    ),
    "a view of an environment's own types": (
        "create type mood as enum ('a', 'b'); create type pair as (m mood, t text); create domain pad as bpchar; "
        "create materialized view m as select 'b'::mood as m, row('a', 'x')::pair as b, 'y  '::pad as p; "
        "create materialized view nothing as select 'b'::mood as m with no data"
    ),
    "a check of a function that reads another table": (
        "create table rate (n int); insert into rate values (5); "
        "create function known(n int) returns boolean language plpgsql as "
        "'begin return exists (select from rate r where r.n = known.n); end'; "
        "create table z (n int check (known(n))); insert into z values (5); "
        "create table zs (n int, constraint k check (known(n))) partition by list (n); "
        "create table zs_5 partition of zs for values in (5); insert into zs values (5)"
    ),
    "a generated column of an unqualified function": (
        "create function half(n int) returns int language sql immutable as 'select n / 2'; "
        "create function quarter(n int) returns int language plpgsql immutable as 'begin return half(half(n)); end'; "
        "create table t (n int, q int generated always as (quarter(n)) stored); insert into t values (8)"
    ),
    "an index on a function of a function": (
        "create function plain(t text) returns text language sql immutable as 'select lower(btrim(t))'; "
        "create function form(t text) returns text language plpgsql immutable as 'begin return plain(t); end'; "
        "create table t (n text, exclude using btree (form(n) with =)); create index on t (n) where form(n) <> 'x'; "
        "insert into t values ('A'), (' b ')"
    ),
    "a domain whose check takes the domain": (
        "create domain d as int; create function f(d) returns boolean language sql immutable as 'select "
        "$1::int > 0'; "
        "alter domain d add constraint positive check (f(value)); create table t (x d)"
    ),
    "a domain with a name for everything": (
        "create domain d as text constraint there not null constraint short check (length(value) < 9) default 'x'; "
        "comment on constraint there on domain d is 'there'; comment on constraint short on domain d is 'short'; "
        "create domain e as d constraint e_rule check (value <> 'e'); create table t (a d, b e, c d[], f e); "
        "insert into t values ('x', 'y', array['z']::d[], 'w')"
    ),
    "padding under domains": (
        "create domain padded as bpchar; create domain again as padded; create domain three as char(3); "
        'create domain chars as "char"; create domain names as name; create domain list as bpchar[]; '
        "create table t (a padded, b again, c three, d chars, e names, f list, g again[]); "
        "insert into t values ('a  ', 'b ', 'c', 'd', 'e', array['f  '], array['g  ']::again[])"
    ),
    "hash partitions on what hangs on an enum": (
        "create type kind as enum ('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'); "
        "create table m (id int, k kind[]) partition by hash (k); "
        + "".join(f"create table m_{n} partition of m for values with (modulus 3, remainder {n}); " for n in range(3))
        + "insert into m select i, array[(enum_range(null::kind))[1 + i % 8]] from generate_series(1, 80) i; "
        "create table l (y int, k kind) partition by list (y); create table l_1 partition of l for values in (1) "
        "partition by hash (k); "
        + "".join(
            f"create table l_1_{n} partition of l_1 for values with (modulus 2, remainder {n}); " for n in range(2)
        )
        + "insert into l select 1, (enum_range(null::kind))[1 + i % 8] from generate_series(1, 80) i"
    ),
    "a child that is older than its parent's column": (
        "create table document (id int, title text); create table invoice (amount int) inherits (document); "
        "create table bill (due date) inherits (invoice); alter table document add column pages int not null "
        "default 1; "
        "alter table invoice add column paid boolean; "
        "insert into bill (id, title, amount, due, pages, paid) values (1, 'one', 100, '2026-01-01', 3, true); "
        "create table history (before bill); insert into history select b from bill b"
    ),
    "a child that took a parent": (
        "create table child (b int, a int, c int); insert into child values (2, 1, 3); create table parent "
        "(a int, b int); "
        "alter table child inherit parent"
    ),
    "keys of partitions with names of their own": (
        "create table owner_of (id int primary key); "
        "create table doc (y int, o int constraint doc_owner references owner_of) partition by list (y); "
        "create table doc_1 (y int, o int, constraint mine foreign key (o) references owner_of); "
        "alter table doc attach partition doc_1 for values in (1); "
        "create table doc_2 (y int, o int, constraint mine_2 foreign key (o) references owner_of) partition "
        "by list (y); "
        "create table doc_2_2 (y int, o int, constraint deep foreign key (o) references owner_of); "
        "alter table doc_2 attach partition doc_2_2 for values in (2); "
        "alter table doc attach partition doc_2 for values in (2); "
        "comment on constraint mine on doc_1 is 'mine'; comment on constraint deep on doc_2_2 is 'deep'; "
        "insert into owner_of values (1); insert into doc values (1, 1), (2, 1)"
    ),
    "merged rules with comments": (
        "create table p (a int constraint a_there not null, constraint small check (a < 9)); "
        "create table c (constraint small check (a < 9)) inherits (p); comment on constraint small on c is 'c''s'; "
        "create table q (a int not null, constraint big check (a > 0)) partition by list (a); "
        "create table q_1 (a int constraint own_name not null, constraint big check (a > 0)); "
        "alter table q attach partition q_1 for values in (1); comment on constraint big on q_1 is 'q''s'; "
        "comment on constraint own_name on q_1 is 'own'; insert into c values (1); insert into q values (1)"
    ),
    "a rule that old rows break": (
        "create table t (a int, d text); insert into t values (-1, 'x'), (null, 'y'); "
        "alter table t add constraint positive check (a > 0) not valid; "
        "alter table t add constraint there not null a not valid; "
        "create domain code as text; create table u (c code, cs code[]); insert into u values ('old', array['old']); "
        "alter domain code add constraint new check (value <> 'old') not valid; "
        "comment on constraint new on domain code is 'since 2020'"
    ),
    "overloads with parsed bodies": (
        "create function say(n bigint) returns text language sql immutable as 'select ''big'' '; "
        "create function caller() returns text language sql immutable begin atomic select 'x'::text; end; "
        "create function say(n int) returns text language sql immutable as 'select ''int'' '; "
        "create or replace function caller() returns text language sql immutable begin atomic select say(1); end; "
        "create function early() returns text language sql immutable begin atomic select say(2::bigint); end; "
        "create view v as select say(1) as a, say(1::bigint) as b; "
        "create table t (x text default say(3), y text generated always as (say(1)) stored); insert into t "
        "default values"
    ),
    "routines with equal arguments in": (
        "create procedure settle(in a int, out b int) language plpgsql as 'begin b := a; end'; "
        "create procedure settle(in a int, in b int) language plpgsql as 'begin null; end'; "
        "comment on procedure settle(in int, in int) is 'two in'; comment on procedure settle(in int, out "
        "int) is 'one'; "
        "revoke all on procedure settle(in int, out int) from public; grant execute on procedure settle(in "
        "int, in int) "
        "to sb_app"
    ),
    "names that mean something else": (
        'create table line (id int, amount numeric); insert into line values (1, 2.50); create table "bpchar" (a int); '
        "create view lines as select l as whole, id from line l; create type text as enum ('a'); "
        "create table t (a text, b pg_catalog.text, c {schema}.line); insert into t values ('a', 'b', row(1, 2)); "
        "create view totals as with line as (select id from line where id > 0) select count(*) from line; "
        "create function lower(varchar) returns text language sql immutable as 'select ''a''::text'; "
        "create table w (n varchar, check (pg_catalog.lower(n) <> 'q')); insert into w values ('Q1'); "
        "create function now() returns text language sql as 'select ''a''::text'; create view ago as select "
        "pg_catalog.now()"
    ),
    "a domain and a range over own types": (
        "create type mood as enum ('a', 'b', 'c'); create function gap(mood, mood) returns float8 language "
        "sql immutable "
        "as 'select 1::float8'; create type moods as range (subtype = mood, subtype_diff = gap); create "
        "domain dm as moods; "
        "create table t (r moods, m moodsmultirange, d dm); "
        "insert into t values ('[a,c)', '{{[a,b),[b,c]}}', '[b,c]')".replace("moodsmultirange", "multimoods").replace(
            "subtype_diff = gap", "subtype_diff = gap, multirange_type_name = multimoods"
        )
    ),
    "an identity of an inherited column": (
        "create table base (id int not null, note text); create table leaf (extra int) inherits (base); "
        "alter table leaf alter column id add generated by default as identity (start 7); "
        "insert into leaf (note, extra) values ('a', 1), ('b', 2)"
    ),
    "rights that were handed on": (
        "grant usage on schema {schema} to sb_app; create table t (id int, x int); grant select, update on t "
        "to sb_app with grant option; "
        "grant select (x) on t to sb_app with grant option; set role sb_app; grant select on t to pg_monitor; "
        "grant select (x) on t to pg_read_all_data; reset role; grant insert on t to pg_monitor; revoke "
        "delete on t from sb_owner; "
        "create function f() returns int language sql as 'select 1'; revoke all on function f() from public; "
        "create type y as enum ('a'); revoke usage on type y from public; grant usage on type y to sb_app; "
        "create sequence s; "
        "grant usage on sequence s to sb_app; revoke usage on schema {schema} from sb_app"
    ),
    "statistics": (
        "create table t (a int, b int); create statistics both_columns (dependencies, mcv) on a, b from t; "
        "alter statistics both_columns set statistics 50; comment on statistics both_columns is 'both'; "
        "create statistics on_sum on (a + b), (a * 2) from t; insert into t select i % 9, i % 3 from "
        "generate_series(1, 99) i"
    ),
}


@pytest.mark.parametrize("sql", CARRIED.values(), ids=CARRIED.keys())
async def test_is_carried(move: PendingClone, sql: str) -> None:
    """Copies it to the same `pg_dump` text and the same rows, tied to nothing of the original."""
    await move.build(sql.format(schema=move.source))
    async with move.pool.acquire() as connection:
        assert await inspect_schema(connection, move.source) == []
    await move.clone()
    assert move.dump(move.target) == move.dump(move.source)
    if "hash" not in sql:  # which partition a row is in may be another
        assert await move.rows(move.target) == await move.rows(move.source)
    assert await move.ties() == []
    assert await move.verify() == []
