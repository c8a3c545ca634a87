"""How histories are encrypted: every payload under AES-256-GCM (NIST SP 800-38D) and a ring of keys, newest first.

What a payload looks like, what stays readable all the same, and why nothing is compressed:
docs/decisions/0010-encrypted-histories.md.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from google.protobuf.message import DecodeError
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec

from adapters.crypto.keyring import HOW_TO_MAKE_A_KEY, key_bytes
from domain.errors import Misconfigured, PayloadDamaged, PayloadKeyUnknown

ENCODING = b"binary/encrypted"
KEY_ID = "encryption-key-id"
_CIPHER_FIELD = "encryption-cipher"
_CIPHER = b"AES-256-GCM"
# What SP 800-38D asks for. Random ones are good for 2^32 payloads per key: some 20 million transfers.
_NONCE_BYTES = 12
_SETTING = "SB_TRANSFER_PAYLOAD_KEYS"


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


def encrypting(keys: Sequence[SecretStr]) -> DataConverter:
    """Return how this service turns messages into payloads: pydantic, failures included, all of it encrypted.

    Raises:
        Misconfigured: There is no key, or one is unusable.
    """
    return replace(
        pydantic_data_converter,
        payload_codec=EncryptingCodec(keys),
        # Otherwise the message and the stack trace of a failure stay readable beside its encrypted details.
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


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
