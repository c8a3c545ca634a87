"""When the evening run starts and when it must be over: "Dit proces starten wij 's avonds om 22:00" (manual)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from zoneinfo import ZoneInfo

# A shorter window may not exist at all in the night in which the clock is put forward.
SHORTEST_WINDOW = timedelta(hours=2)
# The old environment is read-only until its move: longer is nobody's wish, and mostly a slip of the year.
FURTHEST_EVENING = timedelta(days=92)
# A quarter of a year of weekly mail has not helped: from then on every fourth one is left, so that a release that
# nobody ever makes costs its history some 150 events a year (11 for a reminder) and not 600; the server ends a workflow
# at 51,200.
_REMINDERS_IN_A_ROW = 13
_THEN_EVERY = 4


def zone_named(name: str) -> ZoneInfo:
    """Return a zone by its name; the manual's when there is no such zone."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError):  # an unknown zone is a kind of both
        return ZoneInfo("Europe/Amsterdam")


def next_opening(accepted_at: datetime, opens: time, zone: ZoneInfo) -> datetime:
    """Return the first moment strictly after `accepted_at` at which the wall clock in `zone` shows `opens`.

    Strictly after: an upload accepted at exactly 22:00:00.000 is for the next evening, one accepted a microsecond
    earlier is for this one. On the days of the clock change the wall clock rules, so two openings lie 23 or 25 hours
    apart. A wall time that a clock change skips is taken as the clock would have shown it without the change, one that
    occurs twice is taken the first time.

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


def closing_after(start: datetime, closes: time, zone: ZoneInfo) -> datetime:
    """Return when the window that is open at `start` closes: the next time that the wall clock shows `closes`.

    Strictly after, as the opening is: at 06:00:00.000 the window is closed, and what starts then has a day. The wall
    clock rules: 22:00 to 06:00 is seven hours in the night in which the clock is put forward, nine when it is put back.

    Args:
        start: An aware moment at which the window is open.
        closes: A naive wall-clock time.
        zone: The zone whose wall clock rules.

    Raises:
        ValueError: `start` has no zone, or `closes` has one.
    """
    return next_opening(start, closes, zone)


def length_of(opens: time, closes: time) -> timedelta:
    """Return how long a window is by the clock, past midnight or not; nothing when it opens and closes at once."""
    opening, closing = (timedelta(hours=at.hour, minutes=at.minute, seconds=at.second) for at in (opens, closes))
    return (closing - opening) % timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Window:
    """The evening window: two wall-clock times in a zone, the second after midnight or not."""

    opens: time
    closes: time
    zone: ZoneInfo
    grace: timedelta = timedelta(0)
    """How much longer what is nearly done may take."""

    def start_after(self, accepted_at: datetime) -> datetime:
        """Return when a move starts whose upload was accepted at a moment: the next opening."""
        return next_opening(accepted_at, self.opens, self.zone)

    def start_again_at(self, moment: datetime) -> datetime:
        """Return when a move that was put off starts: at once if the window is open, else at its next opening."""
        opening = self.start_after(moment)
        return moment.astimezone(self.zone) if self.closing_of(moment) < opening else opening

    def opening_on(self, day: date) -> datetime:
        """Return when the window of an evening opens, the day being the one on which it does."""
        return datetime.combine(day, self.opens, tzinfo=self.zone).astimezone(UTC).astimezone(self.zone)

    def evening_at(self, moment: datetime) -> date:
        """Return the day of the evening that goes on at a moment, or of the next one."""
        today = moment.astimezone(self.zone).date()
        for day in (today - timedelta(days=1), today):
            if moment < self.closing_of(self.opening_on(day)):
                return day
        return today + timedelta(days=1)

    def closing_of(self, start: datetime) -> datetime:
        """Return by when a move must be done that starts at a moment."""
        return closing_after(start, self.closes, self.zone)

    def end_of_grace(self, start: datetime) -> datetime:
        """Return by when a move must be done that starts at a moment and is nearly done when the window closes."""
        return (self.closing_of(start).astimezone(UTC) + self.grace).astimezone(self.zone)


def reminders_before(expires_at: datetime, leads: tuple[timedelta, ...], *, issued_at: datetime) -> list[datetime]:
    """Return when to remind of something that expires, in order; what would come before its issue is left out."""
    return sorted({expires_at - lead for lead in leads if issued_at < expires_at - lead < expires_at})


def reminders_since(began: datetime, every: timedelta) -> Iterator[datetime]:
    """Yield when to remind of something that waits since a moment: at first every time, then every fourth; no end."""
    for number in count(1):
        if number <= _REMINDERS_IN_A_ROW or (number - _REMINDERS_IN_A_ROW) % _THEN_EVERY == 0:
            yield began + number * every
