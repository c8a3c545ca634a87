"""Tells of an evening how many are planned, how far they are, and when the last one will be ready."""

from datetime import UTC, date, datetime, timedelta

from adapters.postgres.connection import Pool, translated_errors
from adapters.postgres.statements import load
from domain import messages as m
from domain.window import Window

_SQL = load(__name__)
_COUNTED = ("planned", "begun", "ready", "postponed", "failed")
# As `adapters.clone.attempt` has it: what is not known yet is guessed from how long one reading took.
_READINGS = 6.0


class PostgresEvenings:
    """Reads `control`; changes nothing."""

    def __init__(self, pool: Pool, window: Window, *, slots: int) -> None:
        """Take a pool, the evening window, and how many clones go on at once where none have yet."""
        self._pool = pool
        self._window = window
        self._slots = slots

    async def evening(self, day: date | None = None) -> m.Evening:
        """Return the evening whose window opens on a day: the one that goes on or comes next, if left out."""
        now = datetime.now(UTC)
        day = day or self._window.evening_at(now)
        opens_at, next_at = self._window.opening_on(day), self._window.opening_on(day + timedelta(days=1))
        with translated_errors():
            rows = await self._pool.fetch(_SQL["evening"], opens_at, next_at, _READINGS)
            at_once = await self._pool.fetchval(_SQL["at_once"])
            put_off, undone = [
                [m.NotMoved(**row) for row in await self._pool.fetch(_SQL[name], opens_at, next_at, m.MOST_SHOWN)]
                for name in ("put_off", "undone")
            ]
        left = [row["left_seconds"] for row in rows if row["left_seconds"] is not None]
        ends = [row["last_ready_at"] for row in rows if row["last_ready_at"] is not None]
        if left:
            seconds = sum(left) / max(float(at_once or self._slots), 1.0)
            ends = [max(now, opens_at.astimezone(UTC)) + timedelta(seconds=seconds)]
        return m.Evening(
            evening=day,
            opens_at=opens_at,
            closes_at=self._window.closing_of(opens_at),
            **{name: sum(row[name] for row in rows) for name in _COUNTED},
            by_licence={
                row["licence_number"]: m.LicenceEvening(
                    holder_name=row["holder_name"], **{name: row[name] for name in _COUNTED}
                )
                for row in rows[: m.MOST_SHOWN]
            },
            put_off=put_off,
            undone=undone,
            left_out=max(len(rows) - m.MOST_SHOWN, 0),
            expected_end=max(ends).astimezone(self._window.zone) if ends else None,
        )
