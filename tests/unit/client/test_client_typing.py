"""What mypy says of a program that uses the client, in strict mode and without the project around it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.tools.paths import ROOT

GOOD = """
import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

from sb_transfer_client import AsyncClient, Client, TransferState, TransferView, UploadRefused, errors
from sb_transfer_client.models import Check, TicketFile, TransferLine, UploadView
from sb_transfer_client.testing import FakeService
from sb_transfer_client.webhooks import verify


def move(service: Client, environment_id: UUID) -> TransferView:
    transfer_id: UUID = service.start_transfer(environment_id, for_licence="10001").transfer_id
    ticket: TicketFile = service.make_ticket(transfer_id)
    try:
        accepted: UploadView = service.upload_ticket(Path("a.avr"), name="Van Dam")
    except UploadRefused as refused:
        print(refused.detail, [one.where for one in refused.errors])
        accepted = service.upload_ticket(ticket, name="Van Dam 2")
    lines: Iterator[TransferLine] = service.list_transfers(state=[TransferState.SCHEDULED])
    print([line.starts_at for line in lines], accepted.starts_at.isoformat())
    return service.wait_until(transfer_id, TransferState.RELEASED, timeout_seconds=60)


async def follow(service: AsyncClient, transfer_id: UUID) -> list[bool]:
    seen: TransferView = await service.get_transfer(transfer_id)
    task: asyncio.Task[TransferView] = asyncio.create_task(service.cancel_transfer(transfer_id, reason=""))
    async for seen in service.follow_transfer(transfer_id):
        print(seen.state.is_final, (await task).state)
    checks: AsyncIterator[Check] = service.get_comparison(transfer_id)
    return [check.equal async for check in checks]


fake = FakeService()
with fake.client("backend") as client:
    move(client, fake.add_environment("1", "x"))
print(verify({}, b"", "whsec_"), errors.NameTaken.type_uri)
"""
# Each line is a mistake that a caller makes, and what mypy has to say about it.
BAD = {
    "client.start_transfer()": "Too few arguments|Missing positional argument",
    "client.get_transfer(1)": "incompatible type",
    'client.release_transfer("x", nota="y")': "Unexpected keyword argument",
    "client.list_events('x').transfer_id": "has no attribute",
    "client.get_transfer('x').stat": "has no attribute",
    "client.upload_ticket(1, name='x')": "incompatible type",
}


def test_a_strict_caller_is_understood(tmp_path: Path) -> None:
    """A backend with a strict mypy would have to cast what the client answers, or would not hear of its mistakes."""
    shutil.copytree(ROOT / "client" / "sb_transfer_client", tmp_path / "lib" / "sb_transfer_client")
    mistakes = "".join(f"    {line}\n" for line in BAD)
    (tmp_path / "good.py").write_text(GOOD)
    bad = f"from sb_transfer_client import Client\n\n\ndef wrong(client: Client) -> None:\n{mistakes}"
    (tmp_path / "bad.py").write_text(bad)
    done = subprocess.run(
        (sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=cache", "good.py", "bad.py"),
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(tmp_path / "lib")},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout
    assert [line for line in said.splitlines() if "error" in line and not line.startswith("bad.py")] == [
        f"Found {len(BAD)} errors in 1 file (checked 2 source files)"
    ], said + done.stderr
    for number, (line, wanted) in enumerate(BAD.items(), 5):
        told = [words for words in said.splitlines() if words.startswith(f"bad.py:{number}: error")]
        assert any(part in words for words in told for part in wanted.split("|")), (line, said)
