"""The codec of histories: what only those with the keys can read, and how keys come and go."""

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError

from adapters.crypto.payload_codec import EncryptingCodec, encrypting, is_encrypted, key_id_of
from domain import messages as m
from domain.errors import Misconfigured, PayloadDamaged, PayloadKeyUnknown

WORDS = "Bakkerij De Gouden Aar"


def new_key() -> SecretStr:
    return SecretStr(base64.b64encode(os.urandom(32)).decode())


OLD, NEW = new_key(), new_key()
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=f'"{WORDS}"'.encode())


async def encrypted(*keys: SecretStr, payload: Payload = PLAIN) -> Payload:
    [made] = await EncryptingCodec(keys).encode([payload])
    return made


async def decrypted(payload: Payload, *keys: SecretStr) -> Payload:
    [found] = await EncryptingCodec(keys).decode([payload])
    return found


@given(data=st.binary(max_size=5_000), metadata=st.dictionaries(st.text(max_size=20), st.binary(max_size=20)))
async def test_whatever_goes_in_comes_out(data: bytes, metadata: dict[str, bytes]) -> None:
    """Decodes whatever it encoded."""
    payload = Payload(metadata=metadata, data=data)
    made = await encrypted(NEW, payload=payload)
    assert is_encrypted(made)
    assert await decrypted(made, NEW) == payload


async def test_nothing_of_it_can_be_read_and_no_two_are_alike() -> None:
    """Encrypts equal messages to different bytes."""
    first, second = await encrypted(NEW), await encrypted(NEW)
    assert first.data != second.data
    assert first.data[:12] != second.data[:12]
    for made in (first, second):
        assert WORDS.encode() not in made.SerializeToString()
        assert b"json/plain" not in made.SerializeToString()
        assert set(made.metadata) == {"encoding", "encryption-cipher", "encryption-key-id"}


async def test_old_histories_are_read_during_and_after_a_rotation() -> None:
    """Decodes what an older key on the ring encrypted."""
    before, after = await encrypted(OLD), await encrypted(NEW, OLD)
    assert key_id_of(before) != key_id_of(after)
    for ring in ((OLD, NEW), (NEW, OLD)):
        assert await decrypted(before, *ring) == await decrypted(after, *ring) == PLAIN


async def test_histories_from_before_encryption_are_read() -> None:
    """Passes payloads from before encryption through."""
    assert await decrypted(PLAIN, NEW) == PLAIN


async def test_a_missing_key_is_named() -> None:
    """Names the missing key."""
    made = await encrypted(OLD)
    with pytest.raises(PayloadKeyUnknown) as raised:
        await decrypted(made, NEW)
    told = str(raised.value)
    assert f"the key {key_id_of(made)}, and the ring has {EncryptingCodec([NEW]).key_ids[0]}" in told
    assert "SB_TRANSFER_PAYLOAD_KEYS" in told
    assert OLD.get_secret_value() not in told


@pytest.mark.parametrize("name", ["data", "nonce", "encryption-cipher", "short"])
async def test_what_was_changed_is_refused(name: str) -> None:
    """Refuses altered ciphertext."""
    made = await encrypted(NEW)
    if name == "short":
        made.data = made.data[:10]
    elif name in made.metadata:
        made.metadata[name] = b"AES-128-CBC"
    else:
        place = 0 if name == "nonce" else -1
        changed = bytearray(made.data)
        changed[place] ^= 1
        made.data = bytes(changed)
    with pytest.raises(PayloadDamaged):
        await decrypted(made, NEW)


async def test_a_payload_under_another_keys_name_is_refused() -> None:
    """Refuses a payload under the name of another key."""
    made, other = await encrypted(OLD), await encrypted(NEW)
    made.metadata["encryption-key-id"] = other.metadata["encryption-key-id"]
    with pytest.raises(PayloadDamaged):
        await decrypted(made, NEW, OLD)


async def test_failures_are_encrypted_with_their_words_and_traces() -> None:
    """Encrypts a failure's message and trace."""
    converter = encrypting([NEW])
    failure = Failure()
    try:
        int(WORDS)
    except ValueError as cause:
        error = ApplicationError(f"{WORDS} is taken", WORDS, type="NameTaken")
        error.__cause__ = cause
    await converter.encode_failure(error, failure)
    stored = failure.SerializeToString()
    assert WORDS.encode() not in stored
    assert b"test_payloads" not in stored
    read = await converter.decode_failure(failure)
    assert isinstance(read, ApplicationError)
    assert (read.message, read.details, read.type) == (f"{WORDS} is taken", (WORDS,), "NameTaken")
    assert WORDS in str(read.__cause__)


async def test_messages_are_still_what_pydantic_makes_of_them() -> None:
    """Keeps pydantic's types through the codec."""
    order = m.Release(released_by=WORDS, note="1.10")
    [payload] = await encrypting([NEW]).encode([order])
    assert (await encrypting([NEW]).decode([payload], [m.Release])) == [order]
    [inner] = await EncryptingCodec([NEW]).decode([payload])
    assert [inner] == await pydantic_data_converter.encode([order])


@pytest.mark.parametrize("ring", [[], ["short"], [base64.b64encode(bytes(16)).decode()], ["§" * 44]])
def test_an_unusable_ring_is_refused_without_being_shown(ring: list[str]) -> None:
    """Refuses an unusable ring without showing it."""
    with pytest.raises(Misconfigured, match="SB_TRANSFER_PAYLOAD_KEYS holds no key") as refused:
        EncryptingCodec([SecretStr(key) for key in ring])
    assert not any(key in str(refused.value) for key in ring if key)


def test_a_keys_name_says_nothing_and_never_changes() -> None:
    """Derives a key's id as it always was."""
    zeros = base64.b64encode(bytes(32)).decode()
    assert EncryptingCodec([SecretStr(zeros)]).key_ids == ["6c7da7115d700a88"]
    assert EncryptingCodec([SecretStr(zeros.replace("+", "-").replace("/", "_"))]).key_ids == ["6c7da7115d700a88"]
