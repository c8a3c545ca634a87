"""As many environments as a measurement needs, all of one firm, with as many rows as it says."""

import uuid
from collections.abc import Sequence

import asyncpg

from adapters.postgres.migrations import migrate_environment
from domain.naming import mailbox_address_of, schema_name_of, url_of

OLD = "10001"
# Mixed as they are in a large firm: the share of each number of rows, and of each firm that they go to.
SIZES = ((0.80, 200), (0.15, 5_000), (0.05, 50_000))
FIRMS = (("10002", 0.80), ("10003", 0.19), ("10004", 0.01))
FILLED = """
insert into administration (id, name, read_only) values ('{administration}', 'Bench', false);
insert into relation (administration_id, number, kind, name)
    select '{administration}', i::text, 'debtor', 'relation ' || i from generate_series(1, {lines}) i;
"""


async def build(dsn: str, sizes: Sequence[int], *, prefix: str = "bench") -> list[str]:
    """Make an environment of each size, in rows, and return their ids in order."""
    owner = await asyncpg.connect(dsn)
    host = await owner.fetchval("select host from control.licence where licence_number = $1", OLD)
    made = []
    for number, lines in enumerate(sizes):
        one, part = uuid.uuid4(), f"{prefix}-{number}"
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


def sizes(moves: int) -> list[int]:
    """Return the rows of each environment; the large ones stand among the small, not at the end."""
    every = [rows for share, rows in SIZES for _ in range(max(round(share * moves), 1))][:moves]
    every += [SIZES[0][1]] * (moves - len(every))
    return [every[(number * 7919) % moves] for number in range(moves)] if moves % 7919 else every


def firms(moves: int) -> list[str]:
    """Return whose each becomes: the large firm's all come first, so that the small one is behind them."""
    counts = [max(round(share * moves), 1) for _, share in FIRMS]
    counts[0] -= sum(counts) - moves
    return [firm for (firm, _), count in zip(FIRMS, counts, strict=True) for _ in range(count)]
