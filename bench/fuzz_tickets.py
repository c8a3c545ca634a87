"""Offers the ticket reader damaged and random files, and counts those that it takes or that crash it.

    python bench/fuzz_tickets.py --count 100000 --seed 1

Each input is a genuine ticket damaged in one to three places, two genuine tickets spliced, a ticket of another key, a
transport seal, or random bytes. An input that is a genuine ticket after all is not offered.
"""

import argparse
import random
import string
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cryptography.fernet import Fernet
from pydantic import SecretStr

from adapters.crypto.ticket_seal import MAX_TICKET_BYTES, TicketClaims, TicketSeal
from domain.errors import TicketNotGenuine

_BASE64 = (string.ascii_letters + string.digits + "-_=+/").encode()


def _seal() -> TicketSeal:
    return TicketSeal([SecretStr(Fernet.generate_key().decode())])


def _claims(number: int) -> TicketClaims:
    at = datetime(2026, 5, 12, 9, 0, tzinfo=UTC) + timedelta(minutes=number)
    return TicketClaims(
        ticket_id=UUID(int=number + 1),
        transfer_id=UUID(int=number + 2),
        environment_id=UUID(int=number + 3),
        workflow_id=f"transfer-{UUID(int=number + 3)}",
        issued_at=at,
        expires_at=at + timedelta(days=30),
    )


def _damaged(chance: random.Random, file: bytes) -> bytes:
    at = chance.randrange(len(file) + 1)
    some = chance.randbytes(chance.randint(1, 8))
    letters = bytes(chance.choices(_BASE64, k=chance.randint(1, 8)))
    return chance.choice(
        [
            file[:at],
            file[at:],
            file[:at] + some + file[at:],
            file[:at] + letters + file[at:],
            file[:at] + letters + file[at + len(letters) :],
            file[:at] + file[at + len(some) :],
            file[:at] + chance.choice([b"\n", b" ", b"=", b"\0", b"!"]) + file[at:],
        ]
    )


def _flipped(chance: random.Random, file: bytes) -> bytes:
    token = bytearray(urlsafe_b64decode(file))
    token[chance.randrange(len(token))] ^= 1 << chance.randrange(8)
    return urlsafe_b64encode(bytes(token))


def _input(chance: random.Random, genuine: list[bytes], foreign: list[bytes]) -> bytes:
    file = chance.choice(genuine)
    match chance.randrange(6):
        case 0:
            return chance.randbytes(chance.randint(0, MAX_TICKET_BYTES + 8))
        case 1:
            return chance.choice(foreign)
        case 2:
            other = chance.choice(genuine)
            at = chance.randrange(len(file))
            return file[:at] + other[at:]
        case 3:
            return _flipped(chance, file)
        case _:
            for _ in range(chance.randint(1, 3)):
                file = _damaged(chance, file)
            return file


def main() -> int:
    """Run the inputs and return 1 when one was taken or crashed the reader."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--count", type=int, default=100_000)
    arguments.add_argument("--seed", type=int, default=1)
    asked = arguments.parse_args()
    chance = random.Random(asked.seed)  # noqa: S311 - not for secrets; repeats the kinds of damage, not the keys
    seal, other = _seal(), _seal()
    genuine = [seal.seal(_claims(number)) for number in range(20)]
    foreign = [other.seal(_claims(number)) for number in range(20)] + [seal.wrap(file).encode() for file in genuine]
    told: Counter[str] = Counter()
    offered = 0
    while offered < asked.count:
        file = _input(chance, genuine, foreign)
        if file in genuine:
            continue
        offered += 1
        try:
            seal.open(file)
        except TicketNotGenuine:
            continue
        except Exception as crash:  # noqa: BLE001 - whatever else comes out is what this looks for
            told["crashes"] += 1
            print(f"crash: {type(crash).__name__} on {file!r}")
        else:
            told["accepted"] += 1
            print(f"accepted: {file!r}")
    print(f"inputs {offered}, accepted {told['accepted']}, crashes {told['crashes']}")
    return int(told["accepted"] + told["crashes"] > 0)


if __name__ == "__main__":
    sys.exit(main())
