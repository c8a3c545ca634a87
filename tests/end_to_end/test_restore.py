"""A night that ends in a restore: the database goes back to its backup, and Temporal lives on."""

import asyncio
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from devstack.binaries import postgres_bin
from devstack.seed import make_books
from devstack.stack import Stack
from devstack.worker import WorkerProcess
from domain.vocabulary import TransferState
from starter.client.client import TransferClient
from starter.client.connect import connect, settings_of
from tests.end_to_end.test_kills import clean_environment, reach
from tests.tools.paths import DOCS

PAGE = DOCS / "operations" / "restore.md"
NEW = "10002"
SOMETHING_LEFT = 6


@dataclass
class Page:
    """The commands of the page, one block at a time."""

    stack: Stack
    folder: Path
    blocks: list[str]

    async def run(self) -> str:
        """Run the next block as an operator would, on the stack of this folder; return what it said."""
        code, said = await self._try(self.blocks.pop(0))
        assert code == 0, said
        return said

    async def run_until_it_succeeds(self) -> str:
        """Run the next block, and once more whenever it says that something is left; return what it said at last."""
        block = self.blocks.pop(0)
        async with asyncio.timeout(240):
            while True:
                code, said = await self._try(block)
                if code == 0:
                    return said
                assert code == SOMETHING_LEFT, said

    async def _try(self, block: str) -> tuple[int, str]:
        programs = f"{Path(sys.executable).parent}:{postgres_bin()}:/usr/bin:/bin"
        assert self.stack._postgres is not None
        variables = {
            **self.stack.process_environment(),
            "PATH": programs,
            "SUPERUSER": self.stack._postgres.dsn("postgres", "postgres").removesuffix("/postgres"),
        }
        process = await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", block),
            cwd=self.folder,
            env=variables,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(120):
            said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()


def blocks() -> list[str]:
    """Return the page's commands; those inside a list are indented."""
    found = re.findall(r"^( *)```sh\n(.*?)^\1```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return [block for _, block in found]


async def environments(dsn: str) -> list[str]:
    """Return four environments that can move to the firm."""
    owner = await asyncpg.connect(dsn)
    rows = await owner.fetch(
        "select environment_id::text as id from control.environment where licence_number <> $1 order by name limit 4",
        NEW,
    )
    await owner.close()
    return [row["id"] for row in rows]


async def test_a_restored_database_and_a_living_temporal_come_to_terms(tmp_path: Path) -> None:
    """Leaves each customer one set of books after the database was restored, and says which."""
    async with Stack(tmp_path / ".sb-transfer", environment=clean_environment(), restarts=False) as stack:
        variables = stack.process_environment()
        await make_books(settings_of(variables), journal_lines=1_000)
        dsn = stack.environment["SB_TRANSFER_DATABASE_URL"]
        page = Page(stack, tmp_path, blocks())
        going_on, uploaded, begun, released = await environments(dsn)
        async with connect(settings_of(variables), environment=variables) as client:
            for which in (going_on, released):
                await inspected(client, which)
            waiting = await client.prepare(uploaded, requested_by="old side")
            await page.run()  # the backup
            await client.upload(waiting.ticket, licence=NEW, name=uploaded[:8], uploaded_by="new side")
            late = await client.prepare(begun, requested_by="old side")
            await client.release(f"transfer-{released}", by="new side")
            await client.result(f"transfer-{released}")
        worker = stack.servers["worker"]
        assert isinstance(worker, WorkerProcess)
        await worker.stop()
        await page.run()  # the restore
        said = " ".join((await page.run()).split())
        assert "workflow is scheduled, and the database says awaiting_upload" in said
        assert "workflow is awaiting_upload, and the database says nothing" in said
        assert f"awaiting_release, and transfer-{released} does not run" in said
        assert "3 wrong" in said
        await worker.start()
        # A worker that has only just started may be at work yet when it is looked at again.
        assert "nothing is half-moved" in await page.run_until_it_succeeds()
        assert page.blocks == []
        async with connect(settings_of(variables), environment=variables) as client:
            for which, state in (
                (waiting.workflow_id, TransferState.UNDONE),
                (late.workflow_id, TransferState.UNDONE),
                (f"transfer-{released}", TransferState.UNDONE),
            ):
                await reach(client, which, state)
            await client.release(f"transfer-{going_on}", by="new side")
            assert (await client.result(f"transfer-{going_on}")).state is TransferState.RELEASED
            for which in (uploaded, begun, released):
                assert (await client.environment(which)).status == "active"


async def inspected(client: TransferClient, which: str) -> None:
    """Bring an environment to where its new side compares."""
    ready = await client.prepare(which, requested_by="old side")
    await client.upload(ready.ticket, licence=NEW, name=which[:8], uploaded_by="new side")
    await client.start_now(ready.workflow_id, by="support")
    await reach(client, ready.workflow_id, TransferState.AWAITING_RELEASE)
