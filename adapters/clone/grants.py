"""The rights on the new schema itself: given when people may look, not while it is being built."""

from adapters.catalog import schema_grants
from adapters.postgres import Connection


async def apply_schema_grants(connection: Connection, source_schema: str, target_schema: str) -> None:
    """Give the target schema the rights that the source schema carries, inside the caller's transaction."""
    for statement in await schema_grants(connection, source_schema, target_schema):
        await connection.execute(statement)
