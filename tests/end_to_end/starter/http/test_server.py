"""Clients that keep a connection and do not send, against uvicorn as this service runs it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import uvicorn
from fastapi import FastAPI, Request

from starter.http import server

PATIENCE = 0.5
GOOD = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def patience() -> float:
    """How long a head is waited for."""
    return PATIENCE


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch, patience: float) -> AsyncIterator[int]:
    """Where an application listens that answers, slowly where it is asked to, and refuses a body unread."""
    monkeypatch.setattr(server, "HEAD_SECONDS", patience)
    app = FastAPI()

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(1.5 * patience)
        return "slow"

    @app.get("/quick")
    async def quick() -> str:
        return "quick"

    @app.post("/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    @app.post("/unread")
    async def unread() -> str:
        return "unread"

    running = uvicorn.Server(server.uvicorn_config(app, "127.0.0.1", 0, grace_seconds=1))
    task = asyncio.create_task(running.serve())
    while not running.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield running.servers[0].sockets[0].getsockname()[1]
    running.should_exit = True
    await task


async def seconds_until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, drip: bytes) -> float:
    """Send a byte now and then until the other side closes; return how long that took."""
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(20):
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(drip)
                await writer.drain()
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1000), 0.1)
    writer.close()
    return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize("said", [b"", b"GET /quick HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_head_that_does_not_come_is_not_waited_for(port: int, said: bytes) -> None:
    """Closes a connection that says nothing, and one that sends its head byte by byte for ever."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    assert await seconds_until_closed(reader, writer, b"a" if said else b"") >= PATIENCE / 2


async def test_a_second_head_is_not_waited_for_either(port: int) -> None:
    """Closes a connection that was answered once and then sends byte by byte."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GOOD % b"quick")
    assert b"200" in await reader.readline()
    await seconds_until_closed(reader, writer, b"G")


async def test_a_body_behind_an_answer_is_not_waited_for(port: int) -> None:
    """Closes a connection whose refused body goes on coming byte by byte."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
    assert b"200" in await reader.readline()
    await seconds_until_closed(reader, writer, b"a")


# Longer, for here a head must come in time, also from a test that had to wait for its turn.
@pytest.mark.parametrize("patience", [2.0])
async def test_slow_answers_and_slow_bodies_are_no_slow_heads(port: int, patience: float) -> None:
    """Lets a request at work take its time, and a body come slowly, on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(GOOD % b"slow")
        assert b"200" in await reader.readline()
        while (await reader.readline()).strip():
            pass
        assert await reader.readexactly(6) == b'"slow"'
    writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n")
    for _ in range(6):
        await asyncio.sleep(patience / 4)
        writer.write(b"a")
    assert b"200" in await reader.readline()
    writer.close()
