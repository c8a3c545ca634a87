"""The commands of docs/api.md, run as they stand."""

import asyncio
import re
import sys
from pathlib import Path

from devstack.stack import Stack
from starter.client.client import TransferClient
from tests.tools.paths import DOCS

PAGE = DOCS / "api.md"


async def test_every_command_of_the_page_works(stack: Stack, client: TransferClient, tmp_path: Path) -> None:
    """Runs every command of the API's guide as written."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) > 10
    assert stack.info.api_url is not None
    (tmp_path / ".sb-transfer").symlink_to(stack.folder)  # where the commands look for the stack
    script = tmp_path / "page.sh"
    programs = Path(sys.executable).parent
    script.write_text("\n".join(("set -euo pipefail", f'PATH="{programs}:$PATH"', "set -v", *blocks)))
    variables = {
        **stack.process_environment(),
        "API": stack.info.api_url,
        "ENVIRONMENT": str((await client.environment("20001/Molenaar Bouw")).environment_id),
        "CUSTOMER": str((await client.environment("10002/Bloemisterij Smit")).environment_id),
    }
    process = await asyncio.create_subprocess_exec(
        *("bash", str(script)),
        cwd=tmp_path,
        env=variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(300):
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert "Alles is gelijk." in (tmp_path / "comparison.html").read_text()
    assert "event: status" in said.decode()
