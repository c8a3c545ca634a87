"""Certificates: one sequence of bytes, signed; whatever is altered is refused."""

import base64
import json
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters.crypto.certificate_signer import CertificateReader, CertificateSigner
from domain.certificate import (
    Certificate,
    CertifiedEnvironment,
    Issuer,
    Moments,
    PurposefulChange,
    SignedDocument,
    Totals,
    canonical,
    certified_objects,
    certified_tables,
)
from domain.errors import (
    CertificateAltered,
    CertificateKeyUnknown,
    CertificateRefused,
    CertificateTooNew,
    Misconfigured,
)
from domain.fingerprint import METHOD, Fingerprint, ObjectHash, TableHash
from domain.messages import BankOutcome, ComparisonSummary, Consequence
from domain.vocabulary import ConsequenceKind, Scenario

AT = datetime(2026, 3, 29, 0, 59, 59, 123456, tzinfo=UTC)
A, B, C = ("a" * 64, "b" * 64, "c" * 64)


def new_key() -> SecretStr:
    return SecretStr(base64.b64encode(os.urandom(32)).decode())


def fingerprint(content: str = A, *, position: str = "7", server: str = "18.6") -> Fingerprint:
    return Fingerprint(
        taken_at=AT,
        server=server,
        tables=[
            TableHash(table="journal_line", rows=3, content=A, definition=B),
            TableHash(table='Vreemde "naam" \u2028 é', rows=1, content=content, definition=B),
        ],
        others=[
            ObjectHash(object="sequence invoice_number", definition=C, position=position),
            ObjectHash(object="view totals", definition=C),
        ],
    )


def certificate(key_id: str, name: str = "Enyoi “Advies” <b>") -> Certificate:
    frozen, opened = fingerprint(), fingerprint(C, position="8")
    side = CertifiedEnvironment(
        environment_id=UUID(int=1), name=name, url="https://noord.sb.example/enyoi", licence_number="10001"
    )
    return Certificate(
        key_id=key_id,
        issued_at=AT,
        issuer=Issuer(package="sb-transfer 0.1.0", postgresql="18.6"),
        transfer_id=UUID(int=2),
        scenario=Scenario.SWITCH,
        old=side,
        new=side,
        moments=Moments(
            frozen_at=AT,
            hashed_when_frozen_at=AT,
            verified_at=AT,
            compared_at=AT,
            opened_at=AT,
            # An hour twice in one night: the clock of Amsterdam must not be in it.
            hashed_when_opened_at=AT.astimezone(timezone(timedelta(hours=2))),
        ),
        method=METHOD,
        totals=Totals(tables=2, rows=4),
        tables=certified_tables(frozen, opened),
        others=certified_objects(frozen, opened),
        comparison=ComparisonSummary(checks=27, unequal=0, administrations=3),
        changed_on_purpose=[PurposefulChange(table="quote", columns=["portal_token", "status"])],
        banks=[BankOutcome(bank="rabobank", old="active", new="active", count=2)],
        consequences=[Consequence(kind=ConsequenceKind.QUOTES_EXPIRED, count=1)],
    )


SIGNER = CertificateSigner([new_key()])
FILE = SIGNER.sign(certificate(SIGNER.key_id))


def test_a_certificate_comes_back_as_it_was_signed() -> None:
    """Reads back what was signed."""
    read = SIGNER.reader.read(FILE)
    assert read == certificate(SIGNER.key_id)
    assert read.old_side().changes(fingerprint()) == []
    assert read.new_side().changes(fingerprint(C, position="8")) == []
    assert len(read.old_side().changes(read.new_side())) == 2
    assert b"+02:00" not in FILE
    assert SIGNER.sign(certificate(SIGNER.key_id)) == FILE


@given(position=st.integers(0, len(FILE) - 1), byte=st.integers(1, 255))
def test_no_byte_can_be_altered(position: int, byte: int) -> None:
    """Refuses a certificate with any altered byte."""
    altered = bytearray(FILE)
    altered[position] ^= byte
    with pytest.raises(CertificateRefused):
        SIGNER.reader.read(bytes(altered))


@given(cut=st.integers(0, len(FILE)), inserted=st.binary(min_size=1, max_size=3))
def test_nothing_can_be_added_or_left_out(cut: int, inserted: bytes) -> None:
    """Refuses added and missing bytes."""
    with pytest.raises(CertificateRefused):
        SIGNER.reader.read(FILE[:cut] + inserted + FILE[cut:])
    if cut < len(FILE):
        with pytest.raises(CertificateRefused):
            SIGNER.reader.read(FILE[:cut])


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_rubbish_is_refused_in_words(rubbish: bytes) -> None:
    """Refuses rubbish with a sentence."""
    with pytest.raises(CertificateAltered):
        SIGNER.reader.read(rubbish)


@pytest.mark.parametrize(
    "rubbish",
    [
        b'{"certificate": {}, "signature": "' + b"0" * 128 + b'"}',
        b'{"certificate": {"a": NaN}, "signature": "' + b"0" * 128 + b'"}',
        b'{"certificate": {"a": 1.5}, "signature": "' + b"0" * 128 + b'"}',
        b'{"certificate": {"a": "\\ud800"}, "signature": "' + b"0" * 128 + b'"}',
        b"[" * 100_000,
        b'{"certificate": {"a": ' + b"9" * 10_000 + b'}, "signature": "' + b"0" * 128 + b'"}',
    ],
    ids=["empty", "nan", "float", "half a character", "deep", "long number"],
)
def test_hostile_documents_are_refused_in_words(rubbish: bytes) -> None:
    """Refuses hostile documents with a sentence."""
    with pytest.raises(CertificateAltered):
        SIGNER.reader.read(rubbish)


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=40)
@given(st.dictionaries(_TEXT, _VALUES, max_size=3))
def test_the_canonical_form_is_one_form(document: dict[str, object]) -> None:
    """Writes one document in one canonical form."""
    once = canonical(document)
    assert json.loads(once) == document
    assert canonical(json.loads(once)) == once
    assert canonical(dict(reversed(document.items()))) == once
    assert SignedDocument.of(SignedDocument(document, b"s" * 64).file()).document == document


def test_a_canonical_form_that_others_can_make() -> None:
    """Writes the canonical form of RFC 8785."""
    document = {"b": "\u20ac$\u000f\u000aA'\u0042\"\\/", "a": [1, -2, None, True, {"z": 0, "y": ""}], "é": 3}
    assert canonical(document).decode() == (
        '{"a":[1,-2,null,true,{"y":"","z":0}],"b":"\u20ac$\\u000f\\nA\'B\\"\\\\/","é":3}'
    )


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_name_can_be_certified(name: str) -> None:
    """Certifies any name."""
    assert SIGNER.reader.read(SIGNER.sign(certificate(SIGNER.key_id, name))).old.name == name


def test_a_rotated_key_still_vouches_and_a_strange_one_does_not() -> None:
    """Accepts a rotated key's signature and names a strange key."""
    old, new = new_key(), new_key()
    issued = CertificateSigner([old])
    file = issued.sign(certificate(issued.key_id))
    ring = CertificateSigner([new, old])
    assert ring.key_id != issued.key_id
    assert ring.reader.read(file).key_id == issued.key_id
    with pytest.raises(CertificateKeyUnknown, match=issued.key_id):
        CertificateSigner([new]).reader.read(file)


def test_naming_a_trusted_key_is_not_enough() -> None:
    """Refuses a strange signature under a trusted key's name."""
    forger = CertificateSigner([new_key()])
    forged = forger.sign(certificate(SIGNER.key_id))
    with pytest.raises(CertificateAltered):
        SIGNER.reader.read(forged)


def test_a_newer_format_is_called_newer() -> None:
    """Calls a newer format newer."""
    signer = CertificateSigner([key := new_key()])
    document = {**certificate(signer.key_id).model_dump(mode="json"), "format": "sb-transfer certificate 2"}
    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(key.get_secret_value()))
    file = SignedDocument(document, private.sign(canonical(document))).file()
    with pytest.raises(CertificateTooNew):
        signer.reader.read(file)


def test_public_keys_go_through_a_file(tmp_path: Path) -> None:
    """Reads public keys from a PEM file of several."""
    ring = CertificateSigner([new_key(), new_key()])
    file = tmp_path / "keys.pem"
    file.write_text(ring.reader.pem())
    reader = CertificateReader.from_file(file)
    assert reader.key_ids == ring.reader.key_ids
    assert reader.read(ring.sign(certificate(ring.key_id))).key_id == ring.key_id


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nMTIz\n-----END PUBLIC KEY-----\n"])
def test_a_file_without_keys_says_so(tmp_path: Path, content: bytes) -> None:
    """Says that a file holds no keys."""
    file = tmp_path / "keys.pem"
    file.write_bytes(content)
    with pytest.raises(Misconfigured, match="holds no Ed25519 public key"):
        CertificateReader.from_file(file)
    with pytest.raises(Misconfigured, match="No such file"):
        CertificateReader.from_file(tmp_path / "missing.pem")


@pytest.mark.parametrize("keys", [[], [""], ["c2hvcnQ="], ["not base64 at all, but it is 44 characters long!"]])
def test_unusable_keys_are_named_without_being_shown(keys: list[str]) -> None:
    """Names unusable keys without showing them."""
    with pytest.raises(Misconfigured) as refused:
        CertificateSigner([SecretStr(key) for key in keys])
    assert "SB_TRANSFER_CERTIFICATE_KEYS" in str(refused.value)
    assert all(key not in str(refused.value) for key in keys if key)


def test_both_alphabets_of_base64_are_the_same_key() -> None:
    """Reads one key from both alphabets of base64."""
    raw = b"\xfb\xff\xfe" * 10 + b"\xff\xff"
    standard, urlsafe = (SecretStr(encode(raw).decode()) for encode in (base64.b64encode, base64.urlsafe_b64encode))
    assert standard != urlsafe
    assert CertificateSigner([standard]).key_id == CertificateSigner([urlsafe]).key_id
    public = Ed25519PrivateKey.from_private_bytes(raw).public_key()
    assert len(public.public_bytes(Encoding.Raw, PublicFormat.Raw)) == 32
