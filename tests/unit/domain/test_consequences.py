"""What becomes of a bank connection: "De Rabobank koppelingen worden meeverhuisd" (manual, Bankkoppelingen)."""

import pytest

from domain.consequences import bank_status_after_move
from domain.vocabulary import Bank


def test_rabobank_stays_active_by_its_consent() -> None:
    """Leaves Rabobank active when it was, and has a consent."""
    assert bank_status_after_move(bank="rabobank", old_status="active", consent_reference="c") == "active"


@pytest.mark.parametrize(
    ("old", "consent"), [("needs_reactivation", "c"), ("active", None), ("active", ""), ("active", "  ")]
)
def test_rabobank_has_nothing_to_be_active_by(old: str, consent: str | None) -> None:
    """Makes no connection active that was not, or that has no consent."""
    after = bank_status_after_move(bank="rabobank", old_status=old, consent_reference=consent)
    assert after == "needs_reactivation"


@pytest.mark.parametrize("bank", [bank for bank in Bank if bank is not Bank.RABOBANK] + ["bunq", "Rabobank", ""])
def test_every_other_bank_is_to_be_activated_again(bank: str) -> None:
    """Flags every other bank, known or not."""
    assert bank_status_after_move(bank=bank, old_status="active", consent_reference="c") == "needs_reactivation"
