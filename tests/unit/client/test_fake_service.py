"""The fake's clock: what a backend's own tests turn, and what then happens by itself."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sb_transfer_client import TransferState, UndoReason, errors
from sb_transfer_client.testing import FakeService

S = TransferState
AMSTERDAM = ZoneInfo("Europe/Amsterdam")


@pytest.fixture
def service() -> FakeService:
    """Two firms, on the day before the clock is put back."""
    made = FakeService(datetime(2026, 10, 24, 12, tzinfo=AMSTERDAM))
    made.add_licence("1")
    made.add_licence("2", holder="De Wit")
    return made


def test_at_ten_in_the_evening_it_moves(service: FakeService) -> None:
    """A backend's test could not see what happens at night."""
    environment = service.add_environment("1", "Van Dam")
    with service.client("firm", licence="1") as old, service.client("firm", licence="2") as new:
        transfer_id = old.start_transfer(environment).transfer_id
        old.wait_until(transfer_id, S.AWAITING_UPLOAD)
        assert service.status_of(environment) == "read_only"
        accepted = new.upload_ticket(old.make_ticket(transfer_id), name="Van Dam")
        assert accepted.starts_at == datetime(2026, 10, 24, 20, tzinfo=UTC)
        service.clock.turn_to("21:59")
        assert new.get_transfer(transfer_id).state is S.SCHEDULED
        service.clock.turn_to("22:00")
        new.wait_until(transfer_id, S.AWAITING_RELEASE)
        new.release_transfer(transfer_id)
        assert service.status_of(accepted.new_environment_id) == "active"
        assert service.status_of(environment) == "read_only"
        with pytest.raises(errors.EnvironmentNotActive):
            old.start_transfer(environment)


def test_a_ticket_expires(service: FakeService) -> None:
    """Undoes a move whose ticket nobody uploads, and lets the environment be moved again."""
    environment = service.add_environment("1", "Van Dam")
    with service.client("firm", licence="1") as old, service.client("firm", licence="2") as new:
        transfer_id = old.start_transfer(environment).transfer_id
        old.wait_until(transfer_id, S.AWAITING_UPLOAD)
        ticket = old.make_ticket(transfer_id)
        service.clock.advance(timedelta(days=30))
        with pytest.raises(errors.TicketExpired):
            new.upload_ticket(ticket, name="Van Dam")
        assert old.wait_until(transfer_id, S.UNDONE).undo_reason is UndoReason.EXPIRED
        assert old.start_transfer(environment).state is S.PREPARING


def test_an_evening_is_one_of_the_wall_clock(service: FakeService) -> None:
    """A move planned over the change of the clock begins at ten, not at nine."""
    with service.client("backend") as speaker:
        transfer_id = speaker.start_transfer(service.add_environment("1", "Van Dam")).transfer_id
        speaker.wait_until(transfer_id, S.AWAITING_UPLOAD)
        speaker.upload_ticket(speaker.make_ticket(transfer_id), name="Van Dam", licence="2")
        planned = speaker.reschedule_transfer(transfer_id, evening=datetime(2026, 10, 26, tzinfo=UTC).date())
        assert planned.starts_at == datetime(2026, 10, 26, 21, tzinfo=UTC)
