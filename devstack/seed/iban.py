"""Dutch bank account numbers that pass every check a bank makes."""

import re
from dataclasses import dataclass

_COUNTRY = "NL"
_ACCOUNT_DIGITS = 10
_MAX_START = 9_999_999_000
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")


@dataclass(frozen=True, slots=True)
class BankCode:
    """A bank as an IBAN names it."""

    bank: str
    code: str
    bic: str
    title: str


# The four banks that the manual names, and one that it does not.
BANK_CODES = (
    BankCode("rabobank", "RABO", "RABONL2U", "Rabobank"),
    BankCode("knab", "KNAB", "KNABNL2H", "Knab"),
    BankCode("abn_amro", "ABNA", "ABNANL2A", "ABN AMRO"),
    BankCode("ing", "INGB", "INGBNL2A", "ING"),
    BankCode("bunq", "BUNQ", "BUNQNL2A", "bunq"),
)


def dutch_iban(code: str, number: int) -> str:
    """Return the IBAN of the first account at or after `number` that passes the Dutch eleven test.

    Args:
        code: The bank's four letters, e.g. `RABO`.
        number: 0 to 9,999,999,000.

    Raises:
        ValueError: `number` is outside that range.
    """
    if not 0 <= number <= _MAX_START:
        raise ValueError(f"An account number has at most {_ACCOUNT_DIGITS} digits: start at {_MAX_START} or before.")
    while not _passes_eleven_test(number):
        number += 1
    account = f"{number:0{_ACCOUNT_DIGITS}d}"
    check = 98 - _as_number(f"{code}{account}{_COUNTRY}00") % 97
    return f"{_COUNTRY}{check:02d}{code}{account}"


def is_valid_iban(iban: str) -> bool:
    """Tell whether an IBAN's check digits are right (ISO 13616: the rearranged number leaves 1 when divided by 97)."""
    return bool(_IBAN.fullmatch(iban)) and _as_number(iban[4:] + iban[:4]) % 97 == 1


def _passes_eleven_test(number: int) -> bool:
    digits = f"{number:0{_ACCOUNT_DIGITS}d}"
    return (
        sum(int(digit) * weight for digit, weight in zip(digits, range(_ACCOUNT_DIGITS, 0, -1), strict=True)) % 11 == 0
    )


def _as_number(text: str) -> int:
    """Read letters as 10 to 35, as ISO 7064 has it."""
    return int("".join(str(int(character, 36)) for character in text))
