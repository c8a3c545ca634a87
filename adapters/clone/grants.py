"""The rights on the new schema itself: given when people may look, not while it is being built."""

from adapters.postgres.connection import Connection
from adapters.schema.catalog import schema_grants, schema_grants_across


async def apply_schema_grants(
    connection: Connection, source_schema: str, target_schema: str, *, source: Connection | None = None
) -> None:
    """Give the target schema the rights that the source schema carries, inside the caller's transaction.

    `source` is connected to the source's database, when that is another one.
    """
    if source is None or source is connection:
        statements = await schema_grants(connection, source_schema, target_schema)
    else:
        statements = await schema_grants_across(source, source_schema, connection, target_schema)
    for statement in statements:
        await connection.execute(statement)
