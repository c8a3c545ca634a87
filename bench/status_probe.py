"""A platform that asks for a transfer's status again and again, in a program of its own, at a steady pace.

Within a program that does other things as well its waits would be measured, and a question that follows at once upon
another meets everything warm.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx

_PAUSE_SECONDS = 0.05


class StatusProbe:
    """What the program has found, in seconds an answer."""

    def __init__(self) -> None:
        self._durations: list[float] = []

    def take_interval(self) -> list[float]:
        """Return what was found since the last cut."""
        found, self._durations = self._durations, []
        return found

    @classmethod
    @asynccontextmanager
    async def asking(cls, api_url: str, path: str, token: str) -> AsyncIterator["StatusProbe"]:
        """Let the program ask while the block runs."""
        probe = cls()
        pipe = asyncio.subprocess.PIPE
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, api_url, path, stdin=pipe, stdout=pipe
        )
        if program.stdin is None or program.stdout is None:
            raise AssertionError("both are pipes")
        program.stdin.write(f"{token}\n".encode())
        reading = asyncio.create_task(probe._read(program.stdout))
        try:
            yield probe
        finally:
            program.kill()
            await program.wait()
            await reading

    async def _read(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            self._durations.append(float(line))


async def _ask(api_url: str, path: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=api_url, headers=headers, timeout=60) as session:
        while True:
            began = time.perf_counter()
            with suppress(httpx.HTTPError):  # a server is away
                (await session.get(path)).raise_for_status()
                sys.stdout.write(f"{time.perf_counter() - began}\n")
                sys.stdout.flush()
            await asyncio.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    asyncio.run(_ask(*sys.argv[1:], sys.stdin.readline().strip()))
