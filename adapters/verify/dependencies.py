"""What an environment takes from another one, by the numbers that the server keeps."""

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.postgres.connection import Connection
from adapters.postgres.statements import load

_SQL = load(__name__)


@dataclass(frozen=True, slots=True)
class Tie:
    """Something of an environment's, and what it needs of another one, as the server describes them."""

    schema: str
    what: str
    needs: str


async def ties_to_others(connection: Connection, schemas: Sequence[str]) -> list[Tie]:
    """Return what in some environments' schemas depends on anything in another environment's."""
    return [Tie(**row) for row in await connection.fetch(_SQL["ties"], schemas)]
