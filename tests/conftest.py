"""Servers for the tests: one of each per session, real ones; a fresh database is a copy of a migrated template."""

import asyncio
import functools
import gc
import inspect
import os
import shutil
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from adapters.postgres.migrations import migrate_control
from devstack.postgres import EmbeddedPostgres
from tests.tools.older_postgres import POSTGRES_MAJOR, postgres_of
from tests.tools.paths import TOOLS

# The longest test takes a minute alone, on a slow machine beside others some four. pytest-timeout, a minute later
# (pyproject.toml), is for what no cancel reaches; this one shows which line was waiting, and lets the test clean up.
_LONGEST_TEST_SECONDS = 480

# A database is some hundred files. To make, force to disk and remove them costs more than what most tests do with it;
# in memory it costs nearly nothing. A whole run keeps up to 5 GB there until it ends.
_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - pytest makes a folder of its own in it, for nobody else
_ENOUGH_BYTES = 8 * 1024**3
_ROOT = "PYTEST_DEBUG_TEMPROOT"

# For servers that nobody kills: what they have written need not outlive them, nor take room for long. An automatic
# vacuum would come upon some test's table now and then, with a lock that the test counts or that a freeze waits for.
# A freeze gives in before the server looks for a deadlock and ends a writer, but on a busy machine not within a second:
# four are still less than the lock_timeout of this service's connections.
QUICK = {
    "autovacuum": "off",
    "deadlock_timeout": "4s",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "min_wal_size": "80MB",
    "max_wal_size": "512MB",
}


# Nothing is judged by the clock of a busy machine, and what fails once fails again: `make orders` and the fuzzers draw
# anew each time.
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")


def pytest_configure() -> None:
    """Keep bytecode, and the tests' folders in memory unless this machine has little or another place is chosen."""
    if _has_room_in_memory():
        os.environ.setdefault(_ROOT, str(_IN_MEMORY))
    # A run starts some hundred processes: where bytecode is not to be written, each compiles all of the code once more,
    # and each start of a workflow what its sandbox loads.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # What is imported from here on stays for ever: looking through it for garbage is half of what collecting costs.
    gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage among what tests make, and no more among the hundreds of thousands of objects before them."""
    gc.collect()
    gc.freeze()
    gc.enable()


def _has_room_in_memory() -> bool:
    try:
        may_run_programs = not os.statvfs(_IN_MEMORY).f_flag & os.ST_NOEXEC
        free = min(shutil.disk_usage(_IN_MEMORY).free, psutil.virtual_memory().available)
    except (OSError, AttributeError):  # a system without either
        return False
    return may_run_programs and free > _ENOUGH_BYTES and os.access(_IN_MEMORY, os.W_OK)


# These share one stack, and so a worker, one after the other: none leaves anything in the way of those behind it.
ONE_STACK = tuple(
    f"end_to_end/starter/api/test_{name}.py"
    for name in ("races", "requests", "main", "generated_clients", "halves", "authority")
)
# Folders of which all files do.
_FOLDERS_OF_ONE_STACK = ("tests/browser/", "tests/observability/")
# Any other file is one worker's. Those that take a minute or more begin first, the longest in front, and the thousands
# of tests that take a moment come last, so that no worker is left alone with a long one at the end.
LONGEST = (
    *ONE_STACK,
    "browser/test_console.py",
    "browser/test_pages.py",
    "end_to_end/test_applications.py",
    "end_to_end/test_stack.py",
    "integration/schemas/test_kinds.py",
    "integration/schemas/test_reported.py",
    "end_to_end/test_cli_journey.py",
    "chaos/test_quick.py",
    "load/test_large_customer.py",
    "load/test_resets.py",
    "end_to_end/test_kills.py",
    "workflows/test_saga_matrix.py",
    "workflows/test_waiting.py",
    "end_to_end/test_dist.py",
)
_HERE = Path(__file__).parent
_RANKS = {_HERE / name: rank for rank, name in enumerate(LONGEST)}


def _scope(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    if file.endswith(ONE_STACK):
        return "one stack"
    return next((folder for folder in _FOLDERS_OF_ONE_STACK if folder in file), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give a worker whole files, and those that share a stack as if they were one."""
    scheduler = LoadFileScheduling(config, log)
    scheduler._split_scope = _scope
    return scheduler


def _rank(item: pytest.Item) -> int:
    return _RANKS.get(item.path, len(_RANKS) + item.path.is_relative_to(_HERE / "unit"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes long in front; let a test that would wait for ever fail instead, with the place where it waits."""
    items.sort(key=_rank)
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = _bounded(item.obj)


def _bounded(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def run(*args: Any, **kwargs: Any) -> None:
        async with asyncio.timeout(_LONGEST_TEST_SECONDS):
            await test(*args, **kwargs)

    return run


@pytest.fixture(scope="session", autouse=True)
def hear_interrupts() -> Iterator[None]:
    """Make Ctrl-C reach the programs that tests start: what a shell runs in the background inherits deafness to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    """A PostgreSQL server whose database `sb` is migrated; tests use copies of it (`dsn`)."""
    folder: Path = tmp_path_factory.mktemp("postgres")
    server = EmbeddedPostgres(folder, settings=QUICK, programs=postgres_of(POSTGRES_MAJOR, TOOLS))
    await server.start()
    try:
        await migrate_control(server.dsn())
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def temporary_database(postgres: EmbeddedPostgres, template: str = "sb") -> AsyncIterator[str]:
    """Make a copy of a database, and return its name; it is dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    # As a superuser: an automatic vacuum, which only one may end, must not keep the database from being dropped.
    connection = await asyncpg.connect(postgres.dsn("postgres", "postgres"))
    try:
        await connection.execute(f"create database {name} template {template} owner sb_owner")
        yield name
        await connection.execute(f"drop database {name} with (force)")
    finally:
        await connection.close()


@pytest.fixture
async def database_name(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The name of a database of the test's own, dropped afterwards."""
    async with temporary_database(postgres) as name:
        yield name


@pytest.fixture
def dsn(postgres: EmbeddedPostgres, database_name: str) -> str:
    """The address of the test's own database, as sb_owner."""
    return postgres.dsn("sb_owner", database_name)


@pytest.fixture
def app_dsn(postgres: EmbeddedPostgres, database_name: str) -> str:
    """The same database as the bookkeeping application sees it."""
    return postgres.dsn("sb_app", database_name)
