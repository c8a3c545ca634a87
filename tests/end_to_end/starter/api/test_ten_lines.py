"""client/README.md, run as it stands: in an empty environment that has the client's wheel, httpx and pydantic."""

import asyncio
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from devstack.stack import Stack
from domain.authority import Role
from domain.vocabulary import TransferState
from starter.client.client import TransferClient
from starter.client.polling import snapshots
from tests.end_to_end.starter.api.conftest import Callers
from tests.tools.paths import ROOT

PROGRAMS = re.findall(r"^```python\n(.*?)^```", (ROOT / "client" / "README.md").read_text(), re.DOTALL | re.MULTILINE)
ALLOWED = {"sb-transfer-client", "httpx", "pydantic"}


def pip_for(python: Path) -> tuple[str, ...]:
    """Return the command that is pip for another interpreter than this."""
    return (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python))


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment in which nothing is but the client's wheel and what it needs."""
    folder = tmp_path_factory.mktemp("empty")
    shutil.copytree(ROOT / "client", folder / "source")  # a build leaves files beside what it builds
    words = ("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(folder / "source"))
    subprocess.run((sys.executable, *words), check=True, capture_output=True)
    venv.create(folder / "venv")
    found = folder / "venv" / "bin" / "python"
    wheel = next(folder.glob("sb_transfer_client-*.whl"))
    # At the versions that the project is locked to.
    pins = folder / "pins.txt"
    pins.write_text("\n".join(re.findall(r"^\S+==\S+", (ROOT / "requirements.lock").read_text(), re.MULTILINE)))
    # By the pip that is here, and nothing compiled but what runs: either costs more than the client does.
    install = ("install", "--quiet", "--no-compile", "-c", str(pins), str(wheel))
    subprocess.run((*pip_for(found), *install), check=True, capture_output=True)
    return found


def test_it_needs_httpx_and_pydantic_alone(python: Path) -> None:
    """A backend would get a web framework, a database driver or a workflow engine along with a client."""
    words = ("list", "--not-required", "--format", "freeze")
    listed = subprocess.run((*pip_for(python), *words), check=True, capture_output=True, text=True).stdout
    assert listed
    assert {line.partition("==")[0].replace("_", "-") for line in listed.split()} <= ALLOWED


def test_the_other_programs_of_the_page_work(python: Path, tmp_path: Path) -> None:
    """Whoever copies from the page would find out that it describes another client."""
    assert len(PROGRAMS) == 3
    for program in PROGRAMS[1:]:
        done = subprocess.run(
            (str(python), "-W", "error", "-c", program), cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


async def test_the_ten_lines_move_an_environment(
    python: Path, stack: Stack, client: TransferClient, callers: Callers, tmp_path: Path
) -> None:
    """The backend's whole integration, told by webhooks of a running stack; somebody starts the evening early."""
    body = PROGRAMS[0].partition("sys.argv[1:]\n")[2]
    assert len(body.splitlines()) <= 10
    which = str((await client.environment("10002/Van Dam Horeca")).environment_id)
    process = await asyncio.create_subprocess_exec(
        *(str(python), "-c", PROGRAMS[0], str(stack.info.api_url), callers.token(Role.BACKEND), which),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    saying = asyncio.create_task(process.communicate())
    transfer_id = ""
    while not transfer_id and not saying.done():
        await asyncio.sleep(0.2)
        found = [one for one in await client.transfers() if one.state is TransferState.SCHEDULED]
        transfer_id = str(found[0].transfer_id) if found else ""
    if transfer_id:
        await client.start_now(transfer_id, by="test")
    said, wrong = await saying
    assert process.returncode == 0, wrong.decode()
    first, last = said.decode().splitlines()
    assert first.startswith("It moves at ")
    assert first.endswith("/van-dam.")
    assert last in ("It is ready: awaiting_release", "It is ready: released")
    async for seen in snapshots(client, transfer_id):
        assert seen.status.undo_reason is None
