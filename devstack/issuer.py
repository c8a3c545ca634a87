"""The embedded stack's own identity provider: a key in its folder, and tokens made with it.

Settings in earnest refuse its issuer (`adapters.settings`): whoever can read the folder can be anybody.
"""

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import OKPAlgorithm

from adapters.private_files import make_private_folder, write_private
from adapters.settings import EMBEDDED_ISSUER
from domain.authority import Caller

AUDIENCE = "sb-transfer"
_KEY_FILE = "issuer.pem"
_JWKS_FILE = "jwks.json"


class EmbeddedIssuer:
    """Makes tokens that the API of the same folder's stack takes."""

    def __init__(self, folder: Path) -> None:
        """Take the stack's folder; the key is made at the first use and then kept."""
        self._key_file = folder.absolute() / _KEY_FILE
        self._jwks_file = folder.absolute() / _JWKS_FILE

    def settings(self) -> dict[str, str]:
        """Return the environment variables with which the API takes these tokens; publishes the key."""
        write_private(self._jwks_file, json.dumps(self.keys(), indent=2) + "\n")
        return {
            "SB_TRANSFER_EMBEDDED": "true",
            "SB_TRANSFER_OIDC_ISSUER": EMBEDDED_ISSUER,
            "SB_TRANSFER_OIDC_AUDIENCE": AUDIENCE,
            "SB_TRANSFER_OIDC_JWKS_URL": self._jwks_file.as_uri(),
        }

    def token(self, caller: Caller, life: timedelta) -> str:
        """Return a bearer token for somebody, good for so long."""
        claims: dict[str, Any] = {"aud": AUDIENCE, "name": caller.name, "roles": sorted(caller.roles)}
        if caller.licence_number is not None:
            claims["licence"] = caller.licence_number
        return self._sign({**claims, "jti": str(uuid.uuid4())}, caller, life)

    def id_token(self, caller: Caller, life: timedelta, *, client_id: str, nonce: str | None) -> str:
        """Return what tells a client who logged in (OpenID Connect Core, 2)."""
        said = {"aud": client_id, "name": caller.name, **({"nonce": nonce} if nonce else {})}
        return self._sign(said, caller, life)

    def keys(self) -> dict[str, Any]:
        """Return the key that others check tokens with (RFC 7517)."""
        public = json.loads(OKPAlgorithm.to_jwk(self._key().public_key()))
        return {"keys": [{**public, "kid": self._kid(public["x"]), "use": "sig", "alg": "EdDSA"}]}

    def _sign(self, said: dict[str, Any], caller: Caller, life: timedelta) -> str:
        now = datetime.now(UTC)
        key = self._key()
        public = json.loads(OKPAlgorithm.to_jwk(key.public_key()))
        claims = {"iss": EMBEDDED_ISSUER, "sub": caller.subject, "iat": now, "exp": now + life, **said}
        return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": self._kid(public["x"])})

    def _key(self) -> Ed25519PrivateKey:
        if not self._key_file.exists():
            make_private_folder(self._key_file.parent)
            made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            write_private(self._key_file, made.decode())
        key = load_pem_private_key(self._key_file.read_bytes(), None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError(f"{self._key_file} holds another kind of key; remove it and start again")
        return key

    @staticmethod
    def _kid(public: str) -> str:
        return f"embedded-{public[:8]}"
