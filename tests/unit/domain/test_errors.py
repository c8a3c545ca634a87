"""The error tree: what other systems recognise, and what people read."""

import pytest

from domain.errors import (
    AlreadyReleased,
    EnvironmentBusy,
    Refused,
    Superseded,
    TransferError,
    Unavailable,
    UploadRefused,
    UrlTaken,
    all_errors,
)

ALL = sorted(all_errors().values(), key=lambda error: error.code())


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.code())
def test_every_error_speaks_both_languages(error: type[TransferError]) -> None:
    """Has a whole sentence in both languages."""
    made = error()
    assert str(made) == made.english
    assert made.english.endswith(".")
    assert made.dutch_text.endswith(".")
    assert "\n" not in made.english


@pytest.mark.parametrize(
    "error", [error for error in ALL if issubclass(error, Refused)], ids=lambda error: error.code()
)
def test_a_refusal_has_dutch_of_its_own_and_is_final(error: type[Refused]) -> None:
    """Has Dutch of its own and is not retried."""
    if error is not Refused:
        assert error.dutch != TransferError.dutch
    assert not error.retryable


def test_codes_are_unique_and_lead_back() -> None:
    """Leads from each code back to its class."""
    found = all_errors()
    assert found["UrlTaken"] is UrlTaken
    assert all(code == error.code() for code, error in found.items())


def test_what_is_worth_another_try() -> None:
    """Retries what is unavailable, and nothing that is final."""
    assert Unavailable.retryable
    assert EnvironmentBusy.retryable
    assert not Superseded.retryable
    assert not AlreadyReleased.retryable


def test_a_message_of_ones_own_replaces_the_default_in_both_languages() -> None:
    """Replaces the default sentence in both languages."""
    assert UrlTaken("Taken by nobody.").dutch_text == "Taken by nobody."
    assert UrlTaken("Taken.", dutch="Bezet.").dutch_text == "Bezet."
    assert issubclass(UrlTaken, UploadRefused)
