"""How fast the API tells where a transfer stands, at rest and while others clone.

`python -m bench.api --moves 200 [--json]` moves that many environments at once on a stack of its own. Small books: what
is measured is whether the status waits for the clones, not how long those take.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import httpx

from bench.environments import build
from devstack.issuer import EmbeddedIssuer
from devstack.seed import make_books
from devstack.stack import Stack
from domain.authority import Caller, Role
from domain.vocabulary import TransferState
from starter.client.client import TransferClient
from starter.client.connect import connect, settings_of

_NEW = "10003"
_REQUESTS_AT_REST = 300
_AT_ONCE = 4
_BUSY = {TransferState.CLONING, TransferState.SCHEDULED}


def figures(seconds: list[float]) -> dict[str, float]:
    """Return the median and the 99th percentile in milliseconds, and of how many."""
    cuts = statistics.quantiles(seconds, n=100)
    return {"requests": len(seconds), "p50_ms": round(1000 * cuts[49], 1), "p99_ms": round(1000 * cuts[98], 1)}


async def ask(session: httpx.AsyncClient, path: str) -> float:
    """Return how long one status took, in seconds."""
    began = time.perf_counter()
    (await session.get(path)).raise_for_status()
    return time.perf_counter() - began


async def scheduled(client: TransferClient, environment_id: str, number: int) -> str:
    """Bring an environment to where only its start is missing, and return its transfer's id."""
    ready = await client.prepare(environment_id, requested_by="bench")
    await client.upload(ready.ticket, licence=_NEW, name=f"Bench {number}", uploaded_by="bench")
    return str(ready.transfer_id)


async def measure(moves: int, lines: int) -> dict[str, object]:
    """Measure on a stack of its own."""
    given = {name: value for name, value in os.environ.items() if not name.startswith(("SB_TRANSFER_", "TEMPORAL_"))}
    with tempfile.TemporaryDirectory() as name:
        async with Stack(Path(name), api=True, environment=given) as stack:
            settings = settings_of(stack.process_environment())
            await make_books(settings, journal_lines=200)
            chosen = await build(stack.info.database_url, [lines] * moves)
            who = Caller(subject="bench", name="bench", roles=frozenset({Role.BACKEND}))
            headers = {"Authorization": f"Bearer {EmbeddedIssuer(stack.folder).token(who, timedelta(hours=6))}"}
            async with (
                connect(settings, environment=stack.process_environment()) as client,
                httpx.AsyncClient(base_url=str(stack.info.api_url), headers=headers, timeout=60) as session,
            ):
                turn = asyncio.Semaphore(_AT_ONCE)

                async def prepared(number: int) -> str:
                    async with turn:
                        return await scheduled(client, chosen[number], number)

                ids = await asyncio.gather(*(prepared(number) for number in range(len(chosen))))
                await ask(session, f"/v1/transfers/{ids[0]}")
                rest = [await ask(session, f"/v1/transfers/{ids[0]}") for _ in range(_REQUESTS_AT_REST)]
                await asyncio.gather(*(client.start_now(one, by="bench") for one in ids))
                load: list[float] = []
                while {record.state for record in await client.transfers(limit=500)} & _BUSY:
                    load += [await ask(session, f"/v1/transfers/{one}") for one in ids]
            at_rest, under_load = figures(rest), figures(load)
            return {
                "moves": len(ids),
                "at_rest": at_rest,
                "under_load": under_load,
                "p99_under_load_by_p50_at_rest": round(under_load["p99_ms"] / at_rest["p50_ms"], 1),
            }


def main() -> None:
    """Print what was measured."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--moves", type=int, default=200)
    words.add_argument("--lines", type=int, default=20_000, help="rows in each environment")
    words.add_argument("--json", action="store_true")
    given = words.parse_args()
    found = asyncio.run(measure(given.moves, given.lines))
    if given.json:
        print(json.dumps(found))
        return
    for what, told in found.items():
        print(f"{what.replace('_', ' ')}: {told}")


if __name__ == "__main__":
    main()
