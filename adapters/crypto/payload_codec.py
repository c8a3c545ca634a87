"""How histories are encrypted: every payload under AES-256-GCM (NIST SP 800-38D) and a ring of keys, newest first.

What a payload looks like, what stays readable all the same, and why nothing is compressed:
docs/decisions/0010-encrypted-histories.md.
"""

import base64
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from google.protobuf.message import DecodeError
from pydantic import SecretStr
from pydantic_core import to_json
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.common import RawValue
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
    PayloadConverter,
)
from temporalio.exceptions import ApplicationError

from adapters.crypto.keyring import HOW_TO_MAKE_A_KEY, key_bytes
from domain import messages as m
from domain.errors import InputMalformed, Misconfigured, PayloadDamaged, PayloadKeyAwaited, PayloadKeyUnknown
from domain.vocabulary import UNREADABLE

ENCODING = b"binary/encrypted"
KEY_ID = "encryption-key-id"
_CIPHER_FIELD = "encryption-cipher"
_CIPHER = b"AES-256-GCM"
# What SP 800-38D asks for. Random ones are good for 2^32 payloads per key: some 20 million transfers.
_NONCE_BYTES = 12
_SETTING = "SB_TRANSFER_PAYLOAD_KEYS"
_UNREADABLE_FAILURE = "What went wrong is encrypted with the key {key_id}, which is not on the ring of who reads it."


def payload_key_id(key: bytes) -> str:
    """Return a key's name, 16 hexadecimal digits that tell nothing of the key: HKDF (RFC 5869) of its 32 bytes."""
    return HKDF(algorithm=SHA256(), length=8, salt=None, info=b"sb-transfer payload key id").derive(key).hex()


class EncryptingCodec(PayloadCodec):
    """Encrypts with the newest key; decrypts what any key on the ring encrypted, and passes on what nobody did."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        """Take the key ring, newest first: 32 bytes each, in base64 of either alphabet.

        Raises:
            Misconfigured: There is no key, or one is unusable. The message shows no key.
        """
        try:
            ring = [key_bytes(key.get_secret_value()) for key in keys]
        except ValueError:  # the cause may quote the key
            ring = []
        if not ring:
            raise Misconfigured(
                f"{_SETTING} holds no key, or one that is not 32 bytes in base64. Make one with: {HOW_TO_MAKE_A_KEY}"
            )
        self._ring = {payload_key_id(key): AESGCM(key) for key in ring}
        self._newest = payload_key_id(ring[0])

    @property
    def key_ids(self) -> list[str]:
        """Return the names of the keys on the ring, newest first."""
        return list(self._ring)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return each payload, its own metadata included, encrypted under a nonce of its own."""
        return self.encode_all(payloads)

    def encode_all(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Do what `encode` does, for those who have a thread for it."""
        return [self._encrypted(payload) for payload in payloads]

    def decode_known(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt what a key on the ring encrypted and pass on everything else as it is.

        Raises:
            PayloadDamaged: It is not what was encrypted, or its metadata is not.
        """
        return [
            self._decrypted(payload) if is_encrypted(payload) and key_id_of(payload) in self._ring else payload
            for payload in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return what was encrypted; a payload from before encryption is returned as it is.

        Raises:
            PayloadKeyUnknown: The key is not on the ring; the message says which.
            PayloadDamaged: It is not what was encrypted, or its metadata is not.
        """
        return [self._decrypted(payload) if is_encrypted(payload) else payload for payload in payloads]

    def _encrypted(self, payload: Payload) -> Payload:
        metadata = {"encoding": ENCODING, _CIPHER_FIELD: _CIPHER, KEY_ID: self._newest.encode()}
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ring[self._newest].encrypt(nonce, payload.SerializeToString(), _authenticated(metadata))
        return Payload(metadata=metadata, data=nonce + sealed)

    def _decrypted(self, payload: Payload) -> Payload:
        key_id = key_id_of(payload)
        key = self._ring.get(key_id)
        if key is None:
            raise PayloadKeyUnknown(
                f"This history is encrypted with the key {key_id or '(none named)'}, and the ring has "
                f"{', '.join(self._ring)}. Add that key at the end of {_SETTING} and start again; nothing is lost."
            )
        metadata = {name: payload.metadata.get(name, b"") for name in ("encoding", _CIPHER_FIELD, KEY_ID)}
        try:
            opened = key.decrypt(payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:], _authenticated(metadata))
            return Payload.FromString(opened)
        except (InvalidTag, ValueError, DecodeError):
            raise PayloadDamaged(
                f"A payload that names the key {key_id} is not what was encrypted with it. "
                "Somebody has changed Temporal's database; restore it from a backup."
            ) from None


class KeyringPayloadOpener:
    """Plays `domain.ports.PayloadOpener`."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        self._codec = EncryptingCodec(keys)

    async def open(self, order: m.OpenPayload) -> m.PayloadOpened:
        """Decrypt a payload.

        Raises:
            PayloadKeyAwaited: Its key is not on the ring; a ring with it may come.
            InputMalformed: It is no message.
        """
        try:
            payload = Payload(
                metadata={name: value.encode() for name, value in order.metadata.items()},
                data=base64.b64decode(order.data, validate=True),
            )
            [opened] = await self._codec.decode([payload])
            return m.PayloadOpened(
                text=to_json(pydantic_data_converter.payload_converter.from_payload(opened)).decode()
            )
        except PayloadKeyUnknown as error:
            raise PayloadKeyAwaited(error.english) from None
        except (PayloadDamaged, ValueError, TypeError, KeyError, RuntimeError):
            raise InputMalformed from None


class TolerantCodec(PayloadCodec):
    """Decrypts what it can, and passes on everything else with a note that says why it could not be read.

    What a codec raises in the middle of a workflow task fails the whole task, again and again, whoever sent it.
    """

    def __init__(self, codec: EncryptingCodec) -> None:
        self._codec = codec

    @property
    def key_ids(self) -> list[str]:
        """Return the names of the keys on the ring, newest first."""
        return self._codec.key_ids

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return each payload encrypted."""
        return await self._codec.encode(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return what was encrypted, or what could not be read, noted as such."""
        return [await self._opened(payload) for payload in payloads]

    async def _opened(self, payload: Payload) -> Payload:
        try:
            [opened] = await self._codec.decode([payload])
        except (PayloadKeyUnknown, PayloadDamaged) as error:
            opened = Payload()
            opened.CopyFrom(payload)
            # One that names no key in our manner is nobody's: no key that is added would ever open it.
            code = error.code() if key_id_of(payload) else PayloadDamaged.code()
            opened.metadata[UNREADABLE] = f"{code}: {error.english}".encode()
        else:
            opened.metadata.pop(UNREADABLE, None)  # nobody outside writes such a note
        return opened


class TolerantPayloadConverter(PydanticPayloadConverter):
    """Converts as pydantic does; what has no type that is asked for, and cannot be converted, stays as it came.

    The inputs of signals, updates, queries and workflows are such: `workflows.inbox` judges them. What is asked for
    with its type, a result above all, is still an error when it cannot be read.
    """

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """Return the values.

        Raises:
            PayloadKeyUnknown, PayloadDamaged: What is asked for with its type cannot be decrypted.
        """
        if type_hints is None:
            return [self._value_or_raw(payload) for payload in payloads]
        for payload, hint in zip(payloads, type_hints, strict=False):
            if hint is not RawValue:
                _require_readable(payload)
        return super().from_payloads(payloads, type_hints)

    def _value_or_raw(self, payload: Payload) -> Any:
        try:
            [value] = super().from_payloads([payload])
        except Exception:  # noqa: BLE001 - whatever it is, it came from outside
            return RawValue(payload)
        return value


class OneSentenceFailureConverter(DefaultFailureConverter):
    """Says of an expected failure one sentence, without a stack trace; what cannot be decrypted is said to be so.

    A pending failure above 4 kB is cut by the server, and what is cut cannot be decrypted any more.
    """

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        """Write an exception down."""
        if isinstance(exception, ApplicationError):
            exception = exception.with_traceback(None)
        super().to_failure(exception, payload_converter, failure)

    def from_failure(self, failure: Failure, payload_converter: PayloadConverter) -> BaseException:
        """Read a failure; under an unknown key it is a failure all the same, of which the message is a placeholder."""
        readable = Failure()
        readable.CopyFrom(failure)
        one = readable
        while True:
            if one.HasField("encoded_attributes") and is_encrypted(one.encoded_attributes):
                one.message = _UNREADABLE_FAILURE.format(key_id=key_id_of(one.encoded_attributes) or "(none named)")
                one.ClearField("encoded_attributes")
            if not one.HasField("cause"):
                break
            one = one.cause
        return super().from_failure(readable, payload_converter)


class EncodedFailureConverter(OneSentenceFailureConverter, DefaultFailureConverterWithEncodedAttributes):
    """Keeps the message and the stack trace of a failure from being readable beside its encrypted details."""


@dataclass(frozen=True)
class TolerantDataConverter(DataConverter):
    """Passes on references to storage outside Temporal: we use none, so what refers to it came from outside."""

    async def _decode_reference_payload_sequence(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)

    async def _external_retrieve_payload_sequence(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)


plain = TolerantDataConverter(
    payload_converter_class=TolerantPayloadConverter, failure_converter_class=OneSentenceFailureConverter
)
"""How this service turns messages into payloads, before any key."""


def encrypting(keys: Sequence[SecretStr]) -> DataConverter:
    """Return how this service turns messages into payloads: pydantic, failures included, all of it encrypted.

    Raises:
        Misconfigured: There is no key, or one is unusable.
    """
    codec = TolerantCodec(EncryptingCodec(keys))
    return replace(plain, payload_codec=codec, failure_converter_class=EncodedFailureConverter)


def _require_readable(payload: Payload) -> None:
    if note := payload.metadata.get(UNREADABLE, b"").decode():
        code, _, english = note.partition(": ")
        raise {kind.code(): kind for kind in (PayloadKeyUnknown, PayloadDamaged)}[code](english)


def is_encrypted(payload: Payload) -> bool:
    """Tell whether a payload is one of ours, by what it says of itself."""
    return payload.metadata.get("encoding") == ENCODING


def key_id_of(payload: Payload) -> str:
    """Return the name of the key that a payload is encrypted with, nothing when it names none in our manner."""
    named = payload.metadata.get(KEY_ID, b"").decode("ascii", "replace")
    return named if re.fullmatch(r"[0-9a-f]{16}", named) else ""


def _authenticated(metadata: dict[str, bytes]) -> bytes:
    """Return the readable metadata as additional data: nobody can exchange it for other metadata unseen."""
    return b"".join(b"%d:%s=%d:%s;" % (len(n), n.encode(), len(v), v) for n, v in sorted(metadata.items()))
