"""What the keys of more than one ring have in common: 32 random bytes, written in base64."""

import base64

HOW_TO_MAKE_A_KEY = "openssl rand -base64 32"
_KEY_BYTES = 32


def key_bytes(key: str) -> bytes:
    """Return a key's bytes; both alphabets of base64 will do.

    Raises:
        ValueError: It is not base64, or not of 32 bytes.
    """
    found = base64.b64decode(key.translate(str.maketrans("-_", "+/")), validate=True)
    if len(found) != _KEY_BYTES:
        raise ValueError
    return found
