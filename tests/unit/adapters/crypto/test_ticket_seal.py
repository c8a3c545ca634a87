"""The seal of a ticket: what nobody else can make, change or read."""

import json
import pickle
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters.crypto.ticket_seal import MAX_TICKET_BYTES, TicketClaims, TicketSeal
from adapters.transfer.tickets import digest_of
from domain.errors import Misconfigured, TicketNotGenuine

KEY = SecretStr(Fernet.generate_key().decode())
OTHER_KEY = SecretStr(Fernet.generate_key().decode())
AT = datetime(2026, 5, 12, 9, 0, tzinfo=UTC)
CLAIMS = TicketClaims(
    ticket_id=UUID(int=1),
    transfer_id=UUID(int=2),
    environment_id=UUID(int=3),
    workflow_id=f"transfer-{UUID(int=3)}",
    issued_at=AT,
    expires_at=AT + timedelta(days=30),
)
SEAL = TicketSeal([KEY])


def test_a_ticket_comes_back_as_it_was_sealed() -> None:
    """Opens what it sealed."""
    file = SEAL.seal(CLAIMS)
    assert SEAL.open(file) == CLAIMS
    assert len(file) < MAX_TICKET_BYTES / 2


def test_two_files_of_one_ticket_differ() -> None:
    """Seals one ticket into two different files."""
    assert digest_of(SEAL.seal(CLAIMS)) != digest_of(SEAL.seal(CLAIMS))
    assert len(digest_of(b"")) == 32


def test_a_ticket_can_be_read_by_nobody_else() -> None:
    """Shows nothing of a ticket without the key."""
    file = SEAL.seal(CLAIMS)
    for form in (file, urlsafe_b64decode(file)):
        assert str(CLAIMS.environment_id).encode() not in form
        assert b"transfer" not in form


def test_older_keys_on_the_ring_still_open() -> None:
    """Opens tickets of older keys on the ring."""
    file = TicketSeal([OTHER_KEY]).seal(CLAIMS)
    rotated = TicketSeal([KEY, OTHER_KEY])
    assert rotated.open(file) == CLAIMS
    assert SEAL.open(rotated.seal(CLAIMS)) == CLAIMS
    with pytest.raises(TicketNotGenuine):
        SEAL.open(file)


@given(st.binary(max_size=300))
def test_what_is_no_ticket_is_refused(file: bytes) -> None:
    """Refuses whatever is no ticket."""
    with pytest.raises(TicketNotGenuine):
        SEAL.open(file)
    with pytest.raises(TicketNotGenuine):
        SEAL.unwrap(file.decode("latin-1"))


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_one_changed_byte_is_noticed(position: int, change: int) -> None:
    """Refuses a ticket with one changed byte."""
    token = bytearray(urlsafe_b64decode(SEAL.seal(CLAIMS)))
    token[position % len(token)] ^= change
    with pytest.raises(TicketNotGenuine):
        SEAL.open(urlsafe_b64encode(bytes(token)))


@given(st.integers(min_value=0), st.binary(min_size=1, max_size=8), st.integers(min_value=0, max_value=8))
def test_a_damaged_file_is_refused_even_where_base64_would_overlook_it(at: int, put: bytes, cut: int) -> None:
    """Refuses damage that a lenient decoder overlooks."""
    file = SEAL.seal(CLAIMS)
    at %= len(file) + 1
    damaged = file[:at] + put + file[at + cut :]
    if damaged == file:
        return
    with pytest.raises(TicketNotGenuine):
        SEAL.open(damaged)


@pytest.mark.parametrize("more", [b"\n", b"=", b"AAAA", b"!", b" "])
def test_nothing_may_follow_a_ticket(more: bytes) -> None:
    """Refuses bytes behind a ticket."""
    with pytest.raises(TicketNotGenuine):
        SEAL.open(SEAL.seal(CLAIMS) + more)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"not json",
        pickle.dumps({}),
        json.dumps(CLAIMS.model_dump(mode="json") | {"format": 2}).encode(),
        json.dumps(CLAIMS.model_dump(mode="json") | {"more": 1}).encode(),
        json.dumps(
            {key: value for key, value in CLAIMS.model_dump(mode="json").items() if key != "ticket_id"}
        ).encode(),
    ],
    ids=["empty", "no fields", "list", "text", "pickle", "newer format", "a field more", "a field less"],
)
def test_other_things_under_the_same_key_are_no_tickets(content: bytes) -> None:
    """Refuses what was sealed for another purpose."""
    with pytest.raises(TicketNotGenuine) as refused:
        SEAL.open(Fernet(KEY.get_secret_value()).encrypt(content))
    assert refused.value.__cause__ is None


def test_the_transport_seal_is_no_ticket_and_a_ticket_is_no_transport_seal() -> None:
    """Tells ticket and transport seal apart."""
    file = SEAL.seal(CLAIMS)
    wrapped = SEAL.wrap(file)
    assert SEAL.unwrap(wrapped) == file
    assert file.decode() not in wrapped
    with pytest.raises(TicketNotGenuine):
        SEAL.open(wrapped.encode())
    with pytest.raises(TicketNotGenuine):
        SEAL.open(SEAL.unwrap(file.decode()))


def test_a_long_file_is_refused_before_it_is_decrypted() -> None:
    """Refuses a long file before it decrypts anything."""
    long = Fernet(KEY.get_secret_value()).encrypt(CLAIMS.model_dump_json().encode() + b" " * MAX_TICKET_BYTES)
    with pytest.raises(TicketNotGenuine):
        SEAL.open(long)
    with pytest.raises(TicketNotGenuine):
        SEAL.wrap(b"x" * (MAX_TICKET_BYTES + 1))
    with pytest.raises(TicketNotGenuine):
        SEAL.unwrap("x" * 4 * MAX_TICKET_BYTES)
    longest = b"x" * MAX_TICKET_BYTES
    assert SEAL.unwrap(SEAL.wrap(longest)) == longest


@pytest.mark.parametrize("text", ["\ud800", "é", "\x00"])
def test_text_that_is_no_transport_seal_is_refused(text: str) -> None:
    """Refuses text that is no transport seal."""
    with pytest.raises(TicketNotGenuine):
        SEAL.unwrap(text)


@pytest.mark.parametrize(
    "key",
    ["", "geheim", "geheim" * 9, KEY.get_secret_value()[:-2], "é" * 44],
    ids=["empty", "short", "long", "cut off", "not ASCII"],
)
def test_an_unusable_key_is_told_without_showing_it(key: str) -> None:
    """Refuses an unusable key without showing it."""
    with pytest.raises(Misconfigured) as told:
        TicketSeal([KEY, SecretStr(key)])
    assert "Fernet.generate_key()" in str(told.value)
    assert told.value.__cause__ is None
    if key:
        assert key not in repr(told.value)
    with pytest.raises(Misconfigured):
        TicketSeal([])


def test_a_seal_does_not_show_its_keys() -> None:
    """Shows no key in its representation."""
    assert KEY.get_secret_value() not in repr(SEAL)
    assert KEY.get_secret_value() not in repr(vars(SEAL))
