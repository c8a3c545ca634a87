"""When the evening run starts: "Dit proces starten wij 's avonds om 22:00" (manual, Overdragen afronden)."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo


def next_opening(accepted_at: datetime, opens: time, zone: ZoneInfo) -> datetime:
    """Return the first moment strictly after `accepted_at` at which the wall clock in `zone` shows `opens`.

    Strictly after: an upload accepted at exactly 22:00:00.000 is for the next evening, one accepted a microsecond
    earlier is for this one. On the days of the clock change the wall clock rules, so two openings lie 23 or 25 hours
    apart. A wall time that a clock change skips is taken at the moment the clock jumps over it; one that occurs twice
    is taken the first time.

    Args:
        accepted_at: An aware moment.
        opens: A naive wall-clock time.
        zone: The zone whose wall clock rules.

    Returns:
        An aware moment in `zone`.

    Raises:
        ValueError: `accepted_at` has no zone, or `opens` has one.
    """
    if accepted_at.tzinfo is None:
        raise ValueError("accepted_at must be an aware datetime: give it a time zone.")
    if opens.tzinfo is not None:
        raise ValueError("opens must be a naive wall-clock time: the zone is a separate setting.")
    accepted_utc = accepted_at.astimezone(UTC)
    day = accepted_utc.astimezone(zone).date()
    # The day before is tried too: a skipped wall time may normalise to a moment on the other side of midnight.
    for offset in (-1, 0, 1, 2):
        # Arithmetic through UTC: subtracting two datetimes of one zone ignores the clock change between them.
        opening = datetime.combine(day + timedelta(days=offset), opens, tzinfo=zone).astimezone(UTC)
        if opening > accepted_utc:
            return opening.astimezone(zone)
    raise AssertionError("unreachable: one of the next two days opens later")  # pragma: no cover
