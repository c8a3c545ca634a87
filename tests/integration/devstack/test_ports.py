"""No server of a stack loses its port: neither to a client, nor to another stack, nor to who was there before."""

import asyncio
import json
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest
from temporalio.converter import DataConverter

from devstack import ports, processes
from devstack.mail_process import MailProcess
from devstack.ports import Ports, client_range, free_port, is_free
from devstack.postgres import EmbeddedPostgres
from devstack.program import Program
from devstack.server_process import ServerProcess
from devstack.temporal import EmbeddedTemporal
from domain.errors import Unavailable
from tests.tools.temporal_server import temporal_server

KINDS: dict[str, Callable[[Path], ServerProcess]] = {
    "postgres": lambda folder: EmbeddedPostgres(folder, settings={"fsync": "off", "shared_buffers": "16MB"}),
    "temporal": EmbeddedTemporal,
    "mail": MailProcess,
}


@asynccontextmanager
async def running(*servers: ServerProcess) -> AsyncIterator[None]:
    """Run servers, all started at once."""
    try:
        await asyncio.gather(*(server.start() for server in servers))
        yield
    finally:
        await asyncio.gather(*(server.stop() for server in servers))


@contextmanager
def clients(count: int) -> Iterator[None]:
    """Let connections come and go meanwhile, so that the kernel gives ports to clients all the time."""
    stopping = threading.Event()
    with closing(socket.create_server(("127.0.0.1", 0), backlog=count)) as peer:

        def keep_connecting() -> None:
            while not stopping.wait(0.01):
                with ExitStack() as held:
                    for _ in range(count):
                        held.enter_context(closing(socket.create_connection(peer.getsockname(), timeout=5)))
                        held.enter_context(closing(peer.accept()[0]))

        thread = threading.Thread(target=keep_connecting)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()


async def test_many_servers_start_at_once_while_clients_take_ports(tmp_path: Path) -> None:
    """Every server of many stacks gets ports of its own, none of which the kernel gives to a client."""
    servers = [kind(tmp_path / f"{name}-{number}") for number in range(3) for name, kind in KINDS.items()]
    async with AsyncExitStack() as stack:
        stack.enter_context(clients(50))
        await stack.enter_async_context(running(*servers))
        chosen = [port for server in servers for port in server.ports]
        assert len(chosen) == len(set(chosen)) == 3 * 6
        first, last = client_range()
        assert [port for port in chosen if first <= port <= last] == []
        for server in servers:
            assert processes.listening(server.pid) >= set(server.ports)
            assert (server.folder / "log").read_text(errors="replace").count("already in use") == 0


async def test_a_server_of_the_sdk_gets_ports_that_no_client_gets() -> None:
    """Starts Temporal for tests on ports from outside the clients' range, and keeps them."""
    async with temporal_server(data_converter=DataConverter.default) as environment:
        port = int(environment.client.service_client.config.target_host.rpartition(":")[2])
        first, last = client_range()
        assert not first <= port <= last
        assert not is_free(port)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_port_that_was_taken_meanwhile_is_left_alone(tmp_path: Path, kind: str) -> None:
    """Starts on another port and does not disturb the program that got ours while we were down."""
    server = KINDS[kind](tmp_path)
    async with running(server):
        taken = next(iter(server.ports))
    other = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", taken)
    async with other, running(server):
        assert taken not in set(server.ports)
        assert await processes.accepts_connections("127.0.0.1", taken)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_port_lost_at_the_last_moment_costs_one_more_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Tries again although the port looked free a moment ago, however much the server wrote about it."""
    honest = ports._bound
    (tmp_path / "log").write_text("x" * 100_000 + "\n")
    with closing(socket.create_server(("127.0.0.1", free_port()))) as taker:
        port = taker.getsockname()[1]
        names = ("port", "ui-port") if kind == "temporal" else ("port",)
        (tmp_path / "ports.json").write_text(json.dumps(dict.fromkeys(names[-1:], port)))
        looks = iter([True])  # as it was a moment before

        def looked_free(wanted: int, *, shared: bool) -> socket.socket | None:
            if wanted == port and next(looks, False):
                stand_in = socket.socket(socket.AF_UNIX)
                monkeypatch.setattr(ports, "_number", lambda bound: port if bound is stand_in else number(bound))
                return stand_in
            return honest(wanted, shared=shared)

        number = ports._number
        monkeypatch.setattr(ports, "_bound", looked_free)
        server = KINDS[kind](tmp_path)
        async with running(server):
            assert next(looks, None) is None
            assert port not in set(server.ports)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_died_comes_back_on_its_ports(tmp_path: Path, kind: str) -> None:
    """Others have its address: nobody may get its ports between its end and its next start."""
    server = KINDS[kind](tmp_path)
    async with running(server):
        before = list(server.ports)
        await processes.stop(server._started(), signal.SIGKILL)
        assert [port for port in before if ports._bound(port, shared=False)] == []
        with clients(20):
            await server.start()
        assert list(server.ports) == before


async def test_a_server_that_died_does_not_move_to_other_ports(tmp_path: Path) -> None:
    """Fails, to be started again by its supervision, while a program listens on the port that others know."""
    server = MailProcess(tmp_path)
    async with running(server):
        (port,) = server.ports
        await processes.stop(server._started(), signal.SIGKILL)
        async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port):
            with pytest.raises(Unavailable, match="The mail catcher did not start"):
                await server.start()
        await server.start()
        assert list(server.ports) == [port]


async def test_a_program_that_needs_a_lost_port_for_metrics_gets_another(tmp_path: Path) -> None:
    """A worker's metrics and an API's address are ports like any other."""
    listens = "import os, socket, time; a = socket.create_server(('127.0.0.1', int(os.environ['%s'].split(':')[1])))"
    variable = "SB_TRANSFER_METRICS_BIND"
    command = [sys.executable, "-c", f"{listens % variable}; time.sleep(60)"]
    with closing(socket.create_server(("127.0.0.1", free_port()))) as taker:
        taken = taker.getsockname()[1]
        (tmp_path / "ports.json").write_text(json.dumps({"metrics": taken}))
        program = Program("program", command, tmp_path, metrics=True)
        program.configure({})
        async with running(program):
            assert program.metrics_url is not None
            assert str(taken) not in program.metrics_url


def test_a_failure_of_another_kind_is_not_tried_again(tmp_path: Path) -> None:
    """A wrong setting fails once, with the log in the message, and not five times."""
    program = Program("program", [sys.executable, "-c", "raise SystemExit(3)"], tmp_path, metrics=True)
    program.configure({})
    with pytest.raises(Unavailable, match="The program did not start"):
        asyncio.run(program.start())
    assert processes.log_size(tmp_path) == 0
    program.ports.let_go()


def test_a_range_that_leaves_nothing_still_gives_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where clients may get every port there is, a server's is any that the kernel has, and is kept all the same."""
    monkeypatch.setattr(ports, "client_range", lambda: (1024, 65535))
    chosen = Ports(tmp_path / "ports.json", "one", "two")
    chosen.choose()
    assert len(set(chosen)) == 2
    assert all(is_free(port) and ports._bound(port, shared=False) is None for port in chosen)
    chosen.let_go()


def test_ports_remembered_from_the_clients_range_are_given_up(tmp_path: Path) -> None:
    """A folder that an older version made holds ports that a client may get."""
    (tmp_path / "ports.json").write_text(json.dumps({"port": client_range()[0] + 5}))
    chosen = Ports(tmp_path / "ports.json", "port")
    chosen.choose()
    assert chosen["port"] != client_range()[0] + 5
    assert json.loads((tmp_path / "ports.json").read_text()) == {"port": chosen["port"]}
    chosen.let_go()
