"""Damages the structure of a copy: what is named, called, owned or ordered otherwise, though it may read the same.

Part of `python -m bench.mutations`. A schema holds many sets of the same objects, told apart by a number; each mutation
damages one set. What is only said in other words is among them, and must not be a difference.
"""

import random
from collections import Counter

from adapters.postgres.connection import Connection
from adapters.verify.verifier import PostgresVerifier

OLD, NEW = f"env_{2:032x}", f"env_{3:032x}"
SETS = 20
# At once: what the verifier tells is bounded, and one mutation may be several differences.
_DAMAGED = 10

_SET = """
create domain sum_{n} as integer constraint positive_{n} check (value > 0);
comment on constraint positive_{n} on domain sum_{n} is 'more than nothing';
create function part_{n}(a integer) returns integer language sql immutable as 'select a';
create function poly_{n}(a integer) returns integer language sql immutable as 'select a';
create function poly_{n}(a anyelement) returns integer language sql immutable as 'select 0';
create function plus_{n}(a integer, b integer) returns integer language sql immutable as 'select a + b';
create aggregate total_{n}(integer) (sfunc = plus_{n}, stype = integer, initcond = '0');
create function touched_{n}() returns trigger language plpgsql as 'begin return new; end';
create table whole_{n} (id integer primary key, amount integer constraint amount_{n} check (amount > 0),
    state varchar constraint state_{n} check (state in ('a', 'b')), number integer default part_{n}(1),
    one text, two text);
create table history_{n} (before whole_{n});
create table split_{n} (id integer, at integer, ref integer, constraint key_{n} primary key (id, at),
    constraint ref_{n} foreign key (ref) references whole_{n}) partition by range (at);
create table split_{n}_low partition of split_{n} for values from (0) to (10);
comment on constraint ref_{n} on split_{n}_low is 'of the lower half';
create index by_{n} on whole_{n} (part_{n}(amount));
create trigger touch_{n} before insert on whole_{n} for each row execute function touched_{n}();
create view seen_{n} as select part_{n}(id) as part from whole_{n};
create view polys_{n} as select poly_{n}(id) as part from whole_{n};
create function calling_{n}() returns integer begin atomic select part_{n}(1); end;
grant select on whole_{n} to sb_app with grant option;
grant select on whole_{n} to pg_monitor
"""
_EQUAL = "the same rule in other words"
# {n} is the set, {old} the other environment; a role before "as" is who does it.
_MUTATIONS = {
    _EQUAL: (
        "alter table whole_{n} drop constraint state_{n}; alter table whole_{n} add constraint state_{n} "
        "check (state::text = any (array[('a'::varchar)::text, ('b'::varchar)::text]))"
    ),
    "a rule in nearly the same words": (
        "alter table whole_{n} drop constraint state_{n}; "
        "alter table whole_{n} add constraint state_{n} check (state in ('a', 'c'))"
    ),
    "a view calls another environment": (
        "create or replace view seen_{n} as select {old}.part_{n}(id) as part from whole_{n}"
    ),
    "an aggregate calls another environment": (
        "drop aggregate total_{n}(integer); "
        "create aggregate total_{n}(integer) (sfunc = {old}.plus_{n}, stype = integer, initcond = '0')"
    ),
    "a function calls another environment": (
        "create or replace function calling_{n}() returns integer begin atomic select {old}.part_{n}(1); end"
    ),
    "an index calls another environment": (
        "drop index by_{n}; create index by_{n} on whole_{n} ({old}.part_{n}(amount))"
    ),
    "a default calls another environment": "alter table whole_{n} alter number set default {old}.part_{n}(1)",
    "a trigger calls another environment": (
        "create or replace trigger touch_{n} before insert on whole_{n} "
        "for each row execute function {old}.touched_{n}()"
    ),
    "a row type of another environment": "alter table history_{n} drop before, add before {old}.whole_{n}",
    "the same text calls another function": (
        "alter function poly_{n}(integer) rename to away_{n}; "
        "create or replace view polys_{n} as select poly_{n}(id) as part from whole_{n}; "
        "alter function away_{n}(integer) rename to poly_{n}"
    ),
    "a row type's columns in another order": "alter table whole_{n} drop column one, add column one text",
    "a partition's key is not validated": (
        "update pg_constraint set convalidated = false where conrelid = 'split_{n}_low'::regclass and contype = 'f'"
    ),
    "a partition's key under another name": (
        "update pg_constraint set conname = 'other_{n}' where conrelid = 'split_{n}_low'::regclass and contype = 'f'"
    ),
    "a table's rule under another name": "alter table whole_{n} rename constraint amount_{n} to other_{n}",
    "a domain's rule under another name": "alter domain sum_{n} rename constraint positive_{n} to other_{n}",
    "a domain's rule without its comment": "comment on constraint positive_{n} on domain sum_{n} is null",
    "a partition's key with another comment": "comment on constraint ref_{n} on split_{n}_low is 'of the upper half'",
    "a rule that is not validated": (
        "alter table whole_{n} drop constraint amount_{n}; "
        "alter table whole_{n} add constraint amount_{n} check (amount > 0) not valid"
    ),
    "a right from another hand": (
        "revoke select on whole_{n} from pg_monitor; set role sb_app; "
        "grant select on whole_{n} to pg_monitor; reset role"
    ),
    "another owner": "alter view seen_{n} owner to postgres",
    "a key that acts otherwise": (
        "alter table split_{n} drop constraint ref_{n}; alter table split_{n} add constraint ref_{n} "
        "foreign key (ref) references whole_{n} on delete cascade; "
        "comment on constraint ref_{n} on split_{n}_low is 'of the lower half'"
    ),
}


async def build(superuser: Connection, schema: str) -> None:
    """Make all sets anew in a schema."""
    await superuser.execute(
        f"set role sb_owner; drop schema if exists {schema} cascade; create schema {schema}; "
        f"grant usage on schema {schema} to sb_app; set search_path to {schema}, pg_catalog"
    )
    for number in range(SETS):
        await superuser.execute(_SET.replace("{n}", f"n{number:02}"))
    await superuser.execute("reset role")


async def measure(
    superuser: Connection, verifier: PostgresVerifier, count: int, chance: random.Random
) -> tuple[Counter[str], list[str]]:
    """Make mutations of the structure; return how many of each kind, and those that were not seen.

    Raises:
        SystemExit: Something is called different that is not.
    """
    made: Counter[str] = Counter()
    missed: list[str] = []
    await build(superuser, OLD)
    kinds = list(_MUTATIONS)
    while made.total() < count:
        await build(superuser, NEW)
        sets = chance.sample(range(SETS), min(_DAMAGED, count - made.total()))
        chosen = {f"n{number:02}": chance.choice(kinds) for number in sets}
        for number, kind in chosen.items():
            await superuser.execute(_MUTATIONS[kind].replace("{n}", number).replace("{old}", OLD))
        found = await verifier.compare_schemas(OLD, NEW)
        if any(one.table == "*" for one in found.differences):
            raise SystemExit("The verifier leaves differences out: damage fewer sets at once.")
        for number in (f"n{number:02}" for number in range(SETS)):
            told = [one for one in found.differences if number in one.table or number in one.problem]
            kind = chosen.get(number)
            if told and kind in (None, _EQUAL):
                raise SystemExit(f"differences where there is none: {kind} {told}")
            if kind is not None:
                made[kind] += 1
                if not told and kind != _EQUAL:
                    missed.append(f"{kind}: {number}")
    return made, missed
