"""Requests that the API's description allows, and requests that it does not, sent to the served API by Schemathesis.

`make fuzz-api` runs this for ten minutes; `ARGS="--seconds 60 --seed 3"` for other lengths and other requests.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from devstack.issuer import EmbeddedIssuer
from devstack.seed import make_books
from devstack.stack import Stack
from domain.authority import Caller, Role
from starter.client.connect import connect, settings_of

# A stream has no end while its transfer lives; `test_progress` reads one.
_LEFT_OUT = "follow_transfer"
# What refuses a request that the schema allows is a business rule (an unknown licence), so it may be answered 4xx.
_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "missing_required_header",
    "unsupported_method",
    "negative_data_rejection",
    "ignored_auth",
)
# A service under so many requests at once may say that it is busy: that is described, and no error of its own.
_EXPECTED = ["2xx", "3xx", "4xx", "503"]


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """What Schemathesis said: 0 when every answer was in order."""

    code: int
    report: str


async def fuzz(
    url: str,
    token: str,
    environment_id: UUID,
    transfer_id: UUID,
    folder: Path,
    *,
    seed: int,
    seconds: int | None = None,
    examples: int = 3,
) -> Fuzzed:
    """Send requests to the API at a url until the time or the examples are spent; the same seed sends the same ones.

    Args:
        url: Where the API is.
        token: Whose requests they are.
        environment_id: An environment that may be moved, so that links lead on from it.
        transfer_id: A transfer, so that more than refusals is reached.
        folder: For the settings and the cases that were found.
        seed: Of the generator.
        seconds: For how long, with as many examples as fit; None for `examples` of each operation.
        examples: How many of each operation.
    """
    settings = folder / "schemathesis.toml"
    settings.write_text(
        f'[parameters]\n"path.environment_id" = "{environment_id}"\n"path.transfer_id" = "{transfer_id}"\n'
        f"[checks.not_a_server_error]\nexpected-statuses = {_EXPECTED}\n"
    )
    words = [
        *(sys.executable, "-P", "-m", "schemathesis.cli", "--config-file", str(settings), "run"),
        *(f"{url}/openapi.json", "--no-color", "--exclude-operation-id", _LEFT_OUT),
        *("--header", f"Authorization: Bearer {token}"),
        *("--checks", ",".join(_CHECKS), "--seed", str(seed), "--generation-database", "none"),
        *("--suppress-health-check", "all", "--request-timeout", "60", "--continue-on-failure"),
        *(("--max-time", str(seconds)) if seconds else ("--max-examples", str(examples))),
    ]
    process = await asyncio.create_subprocess_exec(
        *words, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return Fuzzed(process.returncode or 0, said.decode())


def caller_of_all() -> tuple[Caller, timedelta]:
    """Return a caller who may do everything without saying why, and how long that lasts."""
    roles = frozenset({Role.BACKEND, Role.SUPPORT})
    return Caller(subject="fuzz", name="Fuzz", roles=roles), timedelta(hours=6)


async def _main(seconds: int, seed: int) -> int:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("SB_TRANSFER_", "TEMPORAL_"))
    }
    for limit in (
        "UPLOADS_PER_MINUTE",
        "CHANGES_PER_MINUTE",
        "RESCHEDULES_PER_DAY",
    ):  # what the limit refuses goes no further
        environment[f"SB_TRANSFER_API_{limit}"] = "100000"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with Stack(folder / "stack", api=True, environment=environment) as stack:
            settings = settings_of(stack.process_environment())
            await make_books(settings, journal_lines=1_000)
            async with connect(settings, environment=stack.process_environment()) as client:
                environment_id = (await client.environment("20003/Wolters Design")).environment_id
                transfer_id = (await client.prepare("10003/Linden Tandartsen", requested_by="fuzz")).transfer_id
            token = EmbeddedIssuer(stack.folder).token(*caller_of_all())
            api_url = stack.info.api_url
            if api_url is None:
                raise AssertionError("the stack was asked for its API")
            found = await fuzz(api_url, token, environment_id, transfer_id, folder, seed=seed, seconds=seconds)
            log = (stack.folder / "api" / "log").read_text()
    sys.stdout.write(found.report)
    if '"level": "error"' in log:
        sys.stdout.write(log)
    return found.code


def main() -> int:
    """Fuzz a stack of its own; return 0 when every answer was in order."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seconds", type=int, default=600, help="for how long")
    words.add_argument("--seed", type=int, default=1, help="which requests")
    given = words.parse_args()
    return asyncio.run(_main(given.seconds, given.seed))


if __name__ == "__main__":
    sys.exit(main())
