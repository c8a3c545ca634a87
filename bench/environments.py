"""As many environments as a measurement needs, all of one firm, with as many rows as it says."""

import uuid

import asyncpg

from adapters.postgres.migrations import migrate_environment
from domain.naming import mailbox_address_of, schema_name_of, url_of

OLD = "10001"
FILLED = """
insert into administration (id, name, read_only) values ('{administration}', 'Bench', false);
insert into relation (administration_id, number, kind, name)
    select '{administration}', i::text, 'debtor', 'relation ' || i from generate_series(1, {lines}) i;
"""


async def build(dsn: str, count: int, lines: int) -> list[str]:
    """Make environments with so many rows, and return their ids."""
    owner = await asyncpg.connect(dsn)
    host = await owner.fetchval("select host from control.licence where licence_number = $1", OLD)
    made = []
    for number in range(count):
        one, part = uuid.uuid4(), f"bench-{number}"
        schema = schema_name_of(one)
        async with owner.transaction():
            await owner.execute(
                "insert into control.environment (environment_id, licence_number, name, url_part, url, schema_name, "
                "status, mailbox_address) values ($1, $2, $3, $3, $4, $5, 'active', $6)",
                *(one, OLD, part, url_of(host=host, base_domain="sb.example", url_part=part), schema),
                mailbox_address_of(host=host, base_domain="sb.example", url_part=part),
            )
            await owner.execute(f"create schema {schema}")
            await migrate_environment(owner, schema)  # type: ignore[arg-type]
            await owner.execute(f"set local search_path to {schema}, pg_catalog")
            await owner.execute(FILLED.format(administration=uuid.uuid4(), lines=lines))
            await owner.execute(f"grant usage on schema {schema} to sb_app")
        made.append(str(one))
    await owner.execute("analyze")
    await owner.close()
    return made
