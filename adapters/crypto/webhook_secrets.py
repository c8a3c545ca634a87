"""The secrets that webhooks are signed with: made here, kept sealed under the payload keys, and used to sign.

A sealed secret is 8 bytes that name its key, a nonce of 12, and AES-256-GCM under a key derived from that payload key
for this purpose alone. The endpoint's id is authenticated with it: put beside another endpoint, a secret is none.
"""

import base64
import os
from collections.abc import Iterable, Sequence
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from adapters.crypto.keyring import key_bytes
from adapters.crypto.payload_codec import payload_key_id
from domain.errors import Misconfigured, PayloadDamaged, PayloadKeyUnknown

PREFIX = "whsec_"
KEY_ID_BYTES = 8
_SECRET_BYTES = 32  # Standard Webhooks asks for 24 to 64
_NONCE_BYTES = 12
_PURPOSE = b"sb-transfer webhook secrets"
_SETTING = "SB_TRANSFER_PAYLOAD_KEYS"


def new_secret() -> bytes:
    """Return a secret that nobody knows yet."""
    return os.urandom(_SECRET_BYTES)


def shown(secret: bytes) -> str:
    """Return a secret as its receiver keeps it: `whsec_` and base64."""
    return PREFIX + base64.b64encode(secret).decode()


def signatures(secrets: Iterable[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature` of Standard Webhooks 1.0: one signature for each secret."""
    return " ".join(f"v1,{_signature(secret, message_id, timestamp, body)}" for secret in secrets)


def _signature(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    mac = HMAC(secret, SHA256())
    mac.update(f"{message_id}.{timestamp}.".encode() + body)
    return base64.b64encode(mac.finalize()).decode()


class WebhookSecrets:
    """Seals with the newest payload key, opens with any on the ring."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        """Take the ring of payload keys, newest first.

        Raises:
            Misconfigured: There is no key, or one is unusable.
        """
        try:
            ring = [key_bytes(key.get_secret_value()) for key in keys]
        except ValueError:  # the cause may quote the key
            ring = []
        if not ring:
            raise Misconfigured(f"{_SETTING} holds no key, or one that is not 32 bytes in base64.")
        self._ring = {bytes.fromhex(payload_key_id(key)): AESGCM(_derived(key)) for key in ring}

    @property
    def newest(self) -> bytes:
        """Return the name of the key that seals, the first bytes of what it has sealed."""
        return next(iter(self._ring))

    def seal(self, webhook_id: UUID, secret: bytes) -> bytes:
        """Return a secret fit to be kept."""
        nonce = os.urandom(_NONCE_BYTES)
        return self.newest + nonce + self._ring[self.newest].encrypt(nonce, secret, webhook_id.bytes)

    def open(self, webhook_id: UUID, sealed: bytes) -> bytes:
        """Return a secret that was sealed for this endpoint.

        Raises:
            PayloadKeyUnknown: Its key is not on the ring.
            PayloadDamaged: It is not what was sealed for this endpoint.
        """
        name, nonce = sealed[:KEY_ID_BYTES], sealed[KEY_ID_BYTES : KEY_ID_BYTES + _NONCE_BYTES]
        key = self._ring.get(name)
        if key is None:
            raise PayloadKeyUnknown(f"A webhook's secret is sealed with the key {name.hex()}. Add it to {_SETTING}.")
        try:
            return key.decrypt(nonce, sealed[KEY_ID_BYTES + _NONCE_BYTES :], webhook_id.bytes)
        except (InvalidTag, ValueError):
            raise PayloadDamaged(
                f"The secret of webhook {webhook_id} is not what was sealed. Let its owner make another."
            ) from None


def _derived(key: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(key)
