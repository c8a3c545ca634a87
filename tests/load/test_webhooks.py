"""A slice of `tests.load.webhooks`, which tells a receiver of ten thousand events."""

from pathlib import Path

from adapters.postgres.connection import connect_pool
from tests.load.webhooks import run


async def test_none_is_lost_when_receiver_and_deliverers_are_killed(dsn: str, tmp_path: Path) -> None:
    """An event would be lost, or told before the one that it follows, when a server dies at the wrong moment."""
    pool = await connect_pool(dsn, max_size=12, application_name="load of webhooks")
    report = await run(pool, tmp_path, events=60, every_seconds=0.3, blows=2)
    await pool.close()
    assert report.is_good, report
