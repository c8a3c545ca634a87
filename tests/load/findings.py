"""`python -m tests.load.findings`: thousands of transfers that are half done, and `sb-transfer reconcile --fix`.

As after thousands of workflows were terminated, or a database was restored that is older than what Temporal knows: some
transfers are under way with nobody at work on them, and of many more that have ended a ticket is still good. All on the
real stack, by the command that an operator gives. The last line says how many were found, and how many are left.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from devstack.stack import Stack

_OTHERS = ("SB_TRANSFER_", "TEMPORAL_")
_STRANDED = """
insert into control.transfer (transfer_id, workflow_id, environment_id, state)
select gen_random_uuid(), 'transfer-' || e.id, e.id, 'preparing'
from (select gen_random_uuid() as id from generate_series(1, $1::integer)) e
"""
_WITH_TICKETS = """
with made as (
    insert into control.transfer (transfer_id, workflow_id, environment_id, state, undo_reason, ended_at)
    select gen_random_uuid(), 'transfer-' || e.id, e.id, 'undone', 'cancelled', now()
    from (select gen_random_uuid() as id from generate_series(1, $1::integer)) e
    returning transfer_id
), told as (
    insert into control.transfer_event (transfer_id, actor, kind)
    select transfer_id, 'test', kind from made cross join unnest(array['undo_begun', 'undo_finished']) kind
)
insert into control.ticket (ticket_id, transfer_id, file_name, issued_at, expires_at)
select gen_random_uuid(), transfer_id, 'x.avr', now(), now() + interval '30 days' from made
"""


@dataclass(frozen=True)
class Outcome:
    """What the command said."""

    code: int
    found: int
    healed: int
    left: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.found:,} findings, {self.healed:,} put right, {self.left:,} left after {self.seconds:.0f} s"


async def put_thousands_right(folder: Path, *, stranded: int, tickets: int) -> Outcome:
    """Leave so many transfers half done, and let the command put them right, on a stack of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
    async with Stack(folder, environment=environment) as stack:
        owner = await asyncpg.connect(stack.info.database_url)
        await owner.execute(_STRANDED, stranded)
        await owner.execute(_WITH_TICKETS, tickets)
        await owner.close()
        began = time.monotonic()
        command = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name("sb-transfer")), "reconcile", "--fix", "--json"),
            env=stack.process_environment(),
            stdout=asyncio.subprocess.PIPE,
        )
        said = json.loads((await command.communicate())[0])
        return Outcome(
            code=command.returncode or 0,
            found=said["found"]["wrong"],
            healed=said["found"]["wrong"] - said["left"]["wrong"],
            left=said["left"]["wrong"],
            seconds=time.monotonic() - began,
        )


def main() -> int:
    """Run it as the command line says."""
    words = argparse.ArgumentParser(prog="python -m tests.load.findings", description=__doc__)
    words.add_argument("--stranded", type=int, default=300)
    words.add_argument("--tickets", type=int, default=8_700)
    given = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = asyncio.run(put_thousands_right(Path(folder), stranded=given.stranded, tickets=given.tickets))
    sys.stdout.write(f"{outcome}\n")
    return int(outcome.left > 0)


if __name__ == "__main__":
    sys.exit(main())
