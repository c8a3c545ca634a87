"""What tests ask of all seeded environments together."""

import asyncpg

from adapters.postgres.connection import Pool


async def schemas(pool: Pool) -> list[str]:
    """Return the schemas of all environments."""
    return [row[0] for row in await pool.fetch("select schema_name from control.environment order by name")]


async def in_every_schema(pool: Pool, query: str) -> list[asyncpg.Record]:
    """Return the rows that a query gives in each environment, together."""
    found: list[asyncpg.Record] = []
    async with pool.acquire() as connection:
        for schema in await schemas(pool):
            await connection.execute(f"set search_path to {schema}")
            found += await connection.fetch(query)
    return found
