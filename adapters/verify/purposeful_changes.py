"""What a move changes on purpose in one environment: in our tables, or in those that its views lead to."""

from collections import defaultdict
from collections.abc import Mapping

from adapters.postgres.connection import Connection
from adapters.postgres.contained import ask
from adapters.postgres.statements import load, within
from domain.consequences import CHANGED_ON_PURPOSE

_SQL = load(__name__)


async def changed_on_purpose(connection: Connection, schema_name: str) -> Mapping[str, frozenset[str]]:
    """Return by table the columns that may differ: ours, and what a platform's view `sb_changed_on_purpose` names."""
    if not await connection.fetchval(_SQL["has_mapping"], schema_name):
        return CHANGED_ON_PURPOSE
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, columns in CHANGED_ON_PURPOSE.items():
        found[name] |= columns
    for row in await ask(connection, within(_SQL["mapping"], schema_name), schema_name):
        found[row["name"]].add(row["part"])
    return {name: frozenset(columns) for name, columns in found.items()}
