"""The bank account numbers of the seed pass what banks check."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.seed.iban import BANK_CODES, dutch_iban, is_valid_iban


@pytest.mark.parametrize(
    "iban",
    ["NL91ABNA0417164300", "NL20INGB0001234567", "NL02ABNA0123456789", "BE68539007547034", "DE89370400440532013000"],
)
def test_published_examples_are_valid(iban: str) -> None:
    """Accepts published IBANs."""
    assert is_valid_iban(iban)


@pytest.mark.parametrize("iban", ["NL92ABNA0417164300", "NL91ABNA0417164301", "NL91 ABNA 0417 1643 00", "", "NL91"])
def test_a_wrong_digit_or_form_is_seen(iban: str) -> None:
    """Refuses an IBAN with a wrong digit or form."""
    assert not is_valid_iban(iban)


@given(code=st.sampled_from([bank.code for bank in BANK_CODES]), number=st.integers(0, 9_999_999_000))
def test_every_made_iban_is_valid_and_passes_the_eleven_test(code: str, number: int) -> None:
    """Makes IBANs that are valid and pass the eleven test."""
    iban = dutch_iban(code, number)
    assert is_valid_iban(iban)
    assert len(iban) == 18
    assert iban[4:8] == code
    account = iban[8:]
    assert number <= int(account) < number + 100
    assert sum(int(digit) * (10 - place) for place, digit in enumerate(account)) % 11 == 0


def test_a_number_that_does_not_fit_is_refused() -> None:
    """Refuses a number of more than ten digits."""
    with pytest.raises(ValueError, match="10 digits"):
        dutch_iban("RABO", 10**10)
