"""Who may issue certificates, and who can check them: Ed25519 (RFC 8032) under a ring of keys, newest first."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from pydantic import SecretStr

from adapters.crypto.keyring import HOW_TO_MAKE_A_KEY, key_bytes
from domain.certificate import ALGORITHM, Certificate, SignedDocument, canonical
from domain.errors import CertificateAltered, CertificateKeyUnknown, Misconfigured

_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


def key_id_of(key: Ed25519PublicKey) -> str:
    """Return a key's name: the first 16 hexadecimal digits of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


class CertificateReader:
    """Tells genuine certificates from others, by the public keys that its user trusts."""

    def __init__(self, keys: Iterable[Ed25519PublicKey]) -> None:
        """Take the keys that are trusted."""
        self._keys = {key_id_of(key): key for key in keys}

    @classmethod
    def from_file(cls, file: Path) -> Self:
        """Trust the public keys in a PEM file, as `sb-transfer certificate-keys` or `openssl pkey -pubout` writes them.

        Raises:
            Misconfigured: It cannot be read, or holds no Ed25519 public key.
        """
        try:
            loaded = [load_pem_public_key(block) for block in _PEM.findall(file.read_bytes())]
        except OSError as error:
            raise Misconfigured(f"{file}: {error.strerror}. Name the file with the issuer's public keys.") from error
        except (ValueError, UnsupportedAlgorithm):
            loaded = []
        keys = [key for key in loaded if isinstance(key, Ed25519PublicKey)]
        if not keys:
            raise Misconfigured(
                f"{file} holds no Ed25519 public key. `sb-transfer certificate-keys` at the issuer writes such a file."
            )
        return cls(keys)

    @property
    def key_ids(self) -> list[str]:
        """Return the names of the keys that are trusted, in their order."""
        return list(self._keys)

    def pem(self) -> str:
        """Return the public keys in PEM, each under a line with its name."""
        return "".join(
            f"# key {name}\n{key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()}"
            for name, key in self._keys.items()
        )

    def read(self, file: bytes) -> Certificate:
        """Return what a certificate says, once it is sure that the holder of a trusted key has said it.

        Raises:
            CertificateAltered: Not byte for byte as it was issued.
            CertificateKeyUnknown: Signed by somebody else; the message names the key.
            CertificateTooNew: Genuine, and of a format that this version does not know.
        """
        signed = SignedDocument.of(file)
        name = signed.document.get("key_id")
        if signed.document.get("algorithm") != ALGORITHM or not isinstance(name, str):
            raise CertificateAltered
        key = self._keys.get(name)
        if key is None:
            raise CertificateKeyUnknown(
                f"This certificate is signed with key {name[:16]!r}; trusted are: {', '.join(self._keys) or 'none'}. "
                "Get the issuer's public keys in a way that you trust.",
                dutch=CertificateKeyUnknown.dutch,
            )
        try:
            key.verify(signed.signature, canonical(signed.document))
        except InvalidSignature:
            raise CertificateAltered from None
        return signed.certificate()


class CertificateSigner:
    """Issues certificates under the newest key."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        """Take the key ring, newest first: each 32 random bytes in base64.

        Raises:
            Misconfigured: There is no key, or one is unusable. The message shows no key.
        """
        try:
            ring = [Ed25519PrivateKey.from_private_bytes(key_bytes(key.get_secret_value())) for key in keys]
        except ValueError:  # the cause quotes nothing of the key, but nobody needs it either
            ring = []
        if not ring:
            raise Misconfigured(
                "SB_TRANSFER_CERTIFICATE_KEYS holds no key, or one that is not 32 bytes in base64. "
                f"Make one with: {HOW_TO_MAKE_A_KEY}"
            )
        self._key = ring[0]
        self.key_id = key_id_of(self._key.public_key())
        self.reader = CertificateReader(key.public_key() for key in ring)
        """Trusts every key of the ring: what was signed before a rotation stays genuine."""

    def sign(self, certificate: Certificate) -> bytes:
        """Return the certificate's file; the same certificate gives the same bytes."""
        return self.sign_document(certificate.model_dump(mode="json"))

    def sign_document(self, document: dict[str, Any]) -> bytes:
        """Return the file of a statement that is no certificate of a move, such as that of what was removed."""
        return SignedDocument(document, self._key.sign(canonical(document))).file()
