"""Answers of a question that runs as a role which can do nothing: all of them, as they were asked for."""

from adapters.postgres.contained import asked
from tests.integration.services import Services

# A row that has no room where the last one lies is put elsewhere, and a short one later on where that had left room.
OF_ALL_LENGTHS = (
    "select i, repeat('x', case when i % 7 = 0 then 3000 else i % 50 end) as text from generate_series(1, 2000) i"
)


async def test_many_answers_come_in_their_order_whatever_their_length(services: Services) -> None:
    """An auditfile would tell of a journal in parts, and a comparison see rows as missing that lie elsewhere."""
    for beside_writes in (False, True):
        async with services.pool.acquire() as connection, connection.transaction():
            async with asked(connection, OF_ALL_LENGTHS, order="i", beside_writes=beside_writes) as answers:
                rows = await connection.fetch(answers)
            assert [row["i"] for row in rows] == list(range(1, 2001))
            assert sum(len(row["text"]) for row in rows if row["i"] % 7 == 0) == 285 * 3000
