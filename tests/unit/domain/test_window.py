"""The evening window: "Dit proces starten wij 's avonds om 22:00"."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.window import Window, closing_after, next_opening, reminders_before, reminders_since

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
OPENS = time(22, 0)


def amsterdam(text: str) -> datetime:
    """Return a wall-clock moment in Amsterdam."""
    return datetime.fromisoformat(text).replace(tzinfo=AMSTERDAM)


@pytest.mark.parametrize(
    ("accepted", "starts"),
    [
        ("2026-05-12T09:00", "2026-05-12T22:00"),
        ("2026-05-12T21:59:59.999", "2026-05-12T22:00"),
        ("2026-05-12T21:59:59.999999", "2026-05-12T22:00"),
        ("2026-05-12T22:00:00.000", "2026-05-13T22:00"),
        ("2026-05-12T22:00:00.000001", "2026-05-13T22:00"),
        ("2026-05-12T23:59", "2026-05-13T22:00"),
        ("2026-12-31T22:00", "2027-01-01T22:00"),
        ("2028-02-28T22:30", "2028-02-29T22:00"),
    ],
)
def test_the_next_evening_on_the_clock(accepted: str, starts: str) -> None:
    """Plans the next evening on the clock."""
    assert next_opening(amsterdam(accepted), OPENS, AMSTERDAM) == amsterdam(starts)


@pytest.mark.parametrize(
    ("accepted", "hours"),
    [
        ("2026-03-28T22:00", 23),  # the clock goes forward in the night to Sunday 29 March
        ("2026-10-24T22:00", 25),  # and back in the night to Sunday 25 October
        ("2026-05-12T22:00", 24),
    ],
)
def test_the_wall_clock_rules_when_it_changes(accepted: str, hours: int) -> None:
    """Opens at 22:00 by the wall clock when it changes."""
    begin = amsterdam(accepted)
    opening = next_opening(begin, OPENS, AMSTERDAM)
    assert opening.astimezone(UTC) - begin.astimezone(UTC) == timedelta(hours=hours)
    assert opening.time() == OPENS


@pytest.mark.parametrize(("day", "utc_hour"), [("2026-03-29", 20), ("2026-10-25", 21), ("2026-03-28", 21)])
def test_uploads_on_the_days_of_the_change(day: str, utc_hour: int) -> None:
    """Plans uploads on the days of the change by that evening's clock."""
    for accepted in (f"{day}T00:30", f"{day}T12:00", f"{day}T21:59:59.999"):
        opening = next_opening(amsterdam(accepted), OPENS, AMSTERDAM)
        assert opening.astimezone(UTC) == datetime.fromisoformat(f"{day}T{utc_hour}:00:00+00:00")


def test_an_opening_that_the_clock_skips_is_taken_as_it_jumps() -> None:
    """Opens at the jump when the clock skips the opening."""
    opening = next_opening(amsterdam("2026-03-29T01:00"), time(2, 30), AMSTERDAM)
    assert opening.astimezone(UTC) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_an_opening_that_the_clock_shows_twice_is_taken_the_first_time() -> None:
    """Opens the first time when the clock shows the opening twice."""
    opening = next_opening(amsterdam("2026-10-25T01:00"), time(2, 30), AMSTERDAM)
    assert opening.astimezone(UTC) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu", "Pacific/Auckland", "UTC"])
def test_the_callers_zone_does_not_matter(zone: str) -> None:
    """Plans the same evening in any caller's zone."""
    accepted = amsterdam("2026-05-12T21:30")
    assert next_opening(accepted.astimezone(ZoneInfo(zone)), OPENS, AMSTERDAM) == amsterdam("2026-05-12T22:00")


def test_moments_without_a_zone_are_refused() -> None:
    """Refuses moments without a zone."""
    with pytest.raises(ValueError, match="aware"):
        next_opening(datetime(2026, 5, 12, 9, 0), OPENS, AMSTERDAM)  # noqa: DTZ001 - what is refused
    with pytest.raises(ValueError, match="naive"):
        next_opening(amsterdam("2026-05-12T09:00"), time(22, 0, tzinfo=UTC), AMSTERDAM)


MICROSECONDS_OF_A_YEAR = 366 * 86_400 * 1_000_000
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def since_new_year(moment: datetime) -> int:
    """Return microseconds."""
    return (moment.astimezone(UTC) - NEW_YEAR) // timedelta(microseconds=1)


@given(st.integers(min_value=0, max_value=MICROSECONDS_OF_A_YEAR))
@example(since_new_year(amsterdam("2026-03-28T21:59:59.999")))
@example(since_new_year(amsterdam("2026-03-28T22:00:00.000")))
@example(since_new_year(amsterdam("2026-03-29T21:59:59.999")))
@example(since_new_year(amsterdam("2026-03-29T22:00:00.000")))
@example(since_new_year(amsterdam("2026-10-24T22:00:00.000")))
@example(since_new_year(amsterdam("2026-10-25T21:59:59.999")))
@example(since_new_year(amsterdam("2026-10-25T22:00:00.000")))
def test_every_moment_of_a_year_has_its_evening(offset: int) -> None:
    """Plans an evening for every moment of a year."""
    accepted = NEW_YEAR + timedelta(microseconds=offset)
    opening = next_opening(accepted, OPENS, AMSTERDAM)
    assert opening.time() == OPENS
    assert opening.tzinfo is AMSTERDAM
    wait = opening.astimezone(UTC) - accepted
    assert timedelta(0) < wait <= timedelta(hours=25)
    # No evening lies between: the clock of the day of acceptance is before 22:00, or the opening is on the next day.
    local = accepted.astimezone(AMSTERDAM)
    expected_day = local.date() if local.time() < OPENS else local.date() + timedelta(days=1)
    assert opening.date() == expected_day


def test_every_evening_of_a_year_follows_the_one_before() -> None:
    """Plans each evening of a year once."""
    opening = next_opening(amsterdam("2025-12-31T22:00"), OPENS, AMSTERDAM)
    lengths = []
    for _ in range(365):
        following = next_opening(opening, OPENS, AMSTERDAM)
        assert following.date() - opening.date() == timedelta(days=1)
        lengths.append((following.astimezone(UTC) - opening.astimezone(UTC)) // timedelta(hours=1))
        opening = following
    assert sorted(set(lengths)) == [23, 24, 25]
    assert (lengths.count(23), lengths.count(25)) == (1, 1)


@pytest.mark.parametrize(
    ("opens", "closes", "hours"),
    [
        ("2026-05-12T22:00", "06:00", 8),
        ("2026-03-28T22:00", "06:00", 7),  # the clock goes forward in this night
        ("2026-10-24T22:00", "06:00", 9),  # and back in this one
        ("2026-05-12T01:00", "05:00", 4),
        ("2026-03-29T01:00", "05:00", 3),
        ("2026-10-25T01:00", "05:00", 5),
    ],
)
def test_a_window_closes_by_the_wall_clock(opens: str, closes: str, hours: int) -> None:
    """Closes by the wall clock."""
    start = amsterdam(opens)
    closing = closing_after(start, time.fromisoformat(closes), AMSTERDAM)
    assert closing.astimezone(UTC) - start.astimezone(UTC) == timedelta(hours=hours)
    assert closing.time() == time.fromisoformat(closes)


def test_a_move_that_was_put_off_starts_when_the_window_is_open() -> None:
    """Starts a move that was put off in a window that is open."""
    window = Window(OPENS, time(6, 0), AMSTERDAM)
    assert window.start_again_at(amsterdam("2026-05-13T06:00")) == amsterdam("2026-05-13T22:00")
    assert window.start_again_at(amsterdam("2026-05-13T23:30")) == amsterdam("2026-05-13T23:30")


def test_reminders_that_would_come_before_the_ticket_are_left_out() -> None:
    """Leaves reminders out that would precede the ticket."""
    issued = amsterdam("2026-05-12T09:00")
    leads = (timedelta(days=7), timedelta(days=1))
    day = timedelta(days=1)
    assert reminders_before(issued + 2 * day, leads, issued_at=issued) == [issued + day]
    assert reminders_before(issued + 30 * day, leads, issued_at=issued) == [issued + 23 * day, issued + 29 * day]
    assert reminders_before(issued + day, leads, issued_at=issued) == []


def test_reminders_of_a_release_thin_out_after_a_quarter() -> None:
    """Reminds of a release every week, and less often after a quarter."""
    began = datetime(2026, 5, 12, tzinfo=UTC)
    weeks = [(at - began) // timedelta(weeks=1) for at in islice(reminders_since(began, timedelta(weeks=1)), 16)]
    assert weeks == [*range(1, 14), 17, 21, 25]


@pytest.mark.parametrize(
    ("moment", "day"),
    [("2026-12-01 12:00", 1), ("2026-12-01 23:59", 1), ("2026-12-02 05:59", 1), ("2026-12-02 06:00", 2)],
)
def test_an_evening_lasts_until_its_window_closes(moment: str, day: int) -> None:
    """After midnight it is still the evening of the day before, until its window closes."""
    window = Window(time(22), time(6), AMSTERDAM)
    assert window.evening_at(amsterdam(moment)) == date(2026, 12, day)


def test_the_grace_comes_after_the_closing() -> None:
    """What is nearly done has so much longer, also in the night in which the clock is put back."""
    window = Window(time(22), time(2, 30), AMSTERDAM, timedelta(minutes=45))
    start = datetime(2026, 10, 24, 22, tzinfo=AMSTERDAM)
    assert window.end_of_grace(start).astimezone(UTC) - window.closing_of(start).astimezone(UTC) == window.grace
