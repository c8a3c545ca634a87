"""What a stranger may send to a workflow: every manner of input that is none."""

import json
import os
import random
from collections.abc import Callable

from pydantic import SecretStr
from temporalio.api.common.v1 import Payload, Payloads

from adapters.crypto.payload_codec import ENCODING, EncryptingCodec
from domain.vocabulary import UNREADABLE

# How the SDK marks what is kept in storage outside Temporal, which nobody here has.
_MARKER = "__temporal_external_storage_reference"
_REFERENCE_TYPE = b"temporal.api.sdk.v1.ExternalStorageReference"


def _json(value: object) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(value).encode())


def _raw(data: bytes, **metadata: bytes) -> Payload:
    return Payload(metadata={name.replace("_", "-"): value for name, value in metadata.items()}, data=data)


def _encrypted(dice: random.Random, codec: EncryptingCodec, *, key_id: bytes | None = None) -> Payload:
    [payload] = codec.encode_all([_json({"released_by": ""})])
    if key_id is not None:
        payload.metadata["encryption-key-id"] = key_id
    else:
        payload.data = payload.data[:-1] + bytes([payload.data[-1] ^ dice.randrange(1, 256)])
    return payload


class Malformed:
    """Makes inputs that no handler can use; no one of them is a decision that somebody could mean."""

    def __init__(self, dice: random.Random, keys: list[SecretStr]) -> None:
        self._dice = dice
        self._codec = EncryptingCodec(keys)
        self._makers: dict[str, Callable[[], list[Payload]]] = {
            "nothing": list,
            "two inputs": lambda: [_json({}), _json({})],
            "many inputs": lambda: [_json(number) for number in range(50)],
            "an unknown encoding": lambda: [_raw(b"{}", encoding=b"yaml/plain")],
            "no encoding": lambda: [_raw(b"{}")],
            "an encoding that is no text": lambda: [_raw(b"{}", encoding=b"\xff\xfe")],
            "bytes that are no JSON": lambda: [_raw(b"\xff\x00{", encoding=b"json/plain")],
            "half of an object": lambda: [_raw(b'{"released_by": "', encoding=b"json/plain")],
            "half of a pair": lambda: [_raw(b'{"released_by": "\\ud800"}', encoding=b"json/plain")],
            "no number": lambda: [_raw(b'{"released_by": NaN}', encoding=b"json/plain")],
            "depth": lambda: [_raw(b"[" * 5_000 + b"]" * 5_000, encoding=b"json/plain")],
            "a long name": lambda: [_json({"released_by": "x" * 300_000})],
            "more than may be sent": lambda: [_json({"requested_by": "x" * 1_500_000})],
            "more than any server keeps": lambda: [_json({"requested_by": "x" * 3_000_000})],
            "a storage reference": lambda: [_raw(b"{}", encoding=b"json/external-storage-reference")],
            "a marked storage reference": lambda: [
                Payload(metadata={"encoding": b"json/plain", _MARKER: b"true"}, data=b"{}")
            ],
            "a protobuf that nobody knows": lambda: [
                _raw(b"{}", encoding=b"json/protobuf", messageType=b"sb.Transfer")
            ],
            "a storage reference as protobuf": lambda: [
                Payload(metadata={"encoding": b"json/protobuf", "messageType": _REFERENCE_TYPE}, data=b"{}")
            ],
            "bytes": lambda: [_raw(os.urandom(64), encoding=b"binary/plain")],
            "null": lambda: [_raw(b"", encoding=b"binary/null")],
            "a number": lambda: [_json(1)],
            "a list": lambda: [_json([[]])],
            "a text": lambda: [_json("release")],
            "other fields": lambda: [_json({"who": "me", "what": {"is": [1, 2, None]}})],
            "other types": lambda: [
                _json({name: [1] for name in ("released_by", "requested_by", "rejected_by", "evening", "step", "kind")})
            ],
            "a damaged one": lambda: [_encrypted(dice, self._codec)],
            "an unknown key": lambda: [_encrypted(dice, self._codec, key_id=os.urandom(8).hex().encode())],
            "a key that is none": lambda: [_encrypted(dice, self._codec, key_id=b"\xff; drop table")],
            "encrypted nothing": lambda: [Payload(metadata={"encoding": ENCODING})],
            "a forged note": lambda: [
                Payload(metadata={"encoding": b"json/plain", UNREADABLE: b"PayloadKeyUnknown: x"}, data=b"[]")
            ],
        }

    @property
    def manners(self) -> list[str]:
        """Return the names of all manners."""
        return list(self._makers)

    def make(self, manner: str) -> Payloads:
        """Return an input of a manner."""
        return Payloads(payloads=self._makers[manner]())

    def any(self) -> tuple[str, Payloads]:
        """Return an input of some manner, with its name."""
        manner = self._dice.choice(self.manners)
        return manner, self.make(manner)
