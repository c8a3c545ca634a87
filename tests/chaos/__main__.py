"""`make chaos`: every fault, on real processes; the last line says what came of it.

`make chaos ARGS="--only 'postgres killed' --seed 7"` injects those faults whose names hold the words.
"""

import argparse
import asyncio
import random
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

from tests.chaos.faults import every_fault
from tests.chaos.lane import Work, lane
from tests.chaos.reckoning import Score


async def _run(given: argparse.Namespace) -> int:
    folder = given.folder or Path(mkdtemp(prefix="sb-transfer-chaos-"))
    faults = [fault for fault in every_fault() if given.only in str(fault)]
    planned = len(faults)
    print(f"seed {given.seed}, {planned} faults, {given.lanes} stacks, data and logs in {folder}", flush=True)  # noqa: T201
    work = Work(faults, random.Random(given.seed), given.at_once)  # noqa: S311 - a draw that can be repeated
    score = Score()
    began = time.monotonic()

    async def run(number: int) -> None:
        async with lane(number, folder / str(number), score, journal_lines=given.journal_lines) as one:
            await one.work_off(work)

    await asyncio.gather(*(run(number) for number in range(1, given.lanes + 1)))
    for fault in [*work.given_up, *work.open]:
        print(f"NOT INJECTED {fault}", flush=True)  # noqa: T201
    print(  # noqa: T201
        f"{work.transfers} transfers in {time.monotonic() - began:.0f} s; {score.mails} mails, of which "
        f"{score.mails_doubled} came twice, with one Message-ID, because a blow fell while they were being sent; "
        f"{score.units_kept} units of work were done when a clone was hit half-way, and stayed",
        flush=True,
    )
    print(score, flush=True)  # noqa: T201
    return 0 if score.clean and len(set(score.faults)) == planned else 1


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--only", default="", help="inject those faults only whose names hold these words")
    parser.add_argument("--seed", type=int, default=1, help="of the order in which faults are drawn")
    parser.add_argument("--lanes", type=int, default=3, help="stacks side by side")
    parser.add_argument("--at-once", type=int, default=12, help="faults in one transfer, one after the other")
    parser.add_argument("--journal-lines", type=int, default=30_000, help="the size of the books that are moved")
    parser.add_argument("--folder", type=Path, help="where data and logs stay; a new one when it is left out")
    return asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
