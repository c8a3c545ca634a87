"""What becomes of a bank connection: "De Rabobank koppelingen worden meeverhuisd" (manual, Bankkoppelingen)."""

import pytest

from domain.consequences import bank_status_after_move
from domain.vocabulary import Bank


@pytest.mark.parametrize("old", ["active", "needs_reactivation"])
def test_rabobank_is_active_by_its_consent(old: str) -> None:
    """Activates Rabobank with a consent."""
    assert bank_status_after_move(bank="rabobank", old_status=old, consent_reference="c") == "active"


@pytest.mark.parametrize("old", ["active", "needs_reactivation"])
def test_rabobank_without_consent_stays_what_it_was(old: str) -> None:
    """Leaves Rabobank without a consent as it was."""
    assert bank_status_after_move(bank="rabobank", old_status=old, consent_reference=None) == old


@pytest.mark.parametrize("bank", [bank for bank in Bank if bank is not Bank.RABOBANK] + ["bunq", "Rabobank", ""])
def test_every_other_bank_is_to_be_activated_again(bank: str) -> None:
    """Flags every other bank, known or not."""
    assert bank_status_after_move(bank=bank, old_status="active", consent_reference="c") == "needs_reactivation"
