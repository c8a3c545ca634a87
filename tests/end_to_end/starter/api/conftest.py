"""The API in this process, on a real stack: requests go through every layer but the socket."""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from devstack.issuer import EmbeddedIssuer
from devstack.seed import make_books
from devstack.stack import Stack
from domain.authority import Caller, Role
from domain.errors import WrongMoment
from starter.api.application import build_app
from starter.api.dependencies import ApiContext
from starter.api.main import NEEDS, open_context
from starter.client.client import TransferClient
from starter.client.connect import settings_of
from starter.client.polling import snapshots
from tests.conftest import ONE_STACK

OTHERS = ("SB_TRANSFER_", "TEMPORAL_")
OLD, NEW, OTHER = "10001", "10002", "10003"


class Callers:
    """Requests in the name of somebody."""

    def __init__(self, app: FastAPI, issuer: EmbeddedIssuer) -> None:
        self._app = app
        self._issuer = issuer

    def token(self, *roles: Role, licence: str | None = None, name: str = "Anna", subject: str | None = None) -> str:
        subject = subject or f"{'+'.join(sorted(roles))}:{licence}:{name}"
        caller = Caller(subject=subject, name=name, roles=frozenset(roles), licence_number=licence)
        return self._issuer.token(caller, timedelta(minutes=10))

    def session(self, *roles: Role, licence: str | None = None, name: str = "Anna") -> httpx.AsyncClient:
        """Return a client that sends somebody's token, and a new Idempotency-Key with each request."""

        async def give_key(request: httpx.Request) -> None:
            request.headers.setdefault("Idempotency-Key", str(uuid.uuid4()))

        headers = {"Authorization": f"Bearer {self.token(*roles, licence=licence, name=name)}"} if roles else {}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self._app, raise_app_exceptions=False),
            base_url="http://api",
            headers=headers,
            event_hooks={"request": [give_key]},
            timeout=60,
        )


@asynccontextmanager
async def stack_with_books(folder: Path) -> AsyncIterator[Stack]:
    """Run a stack with books and a worker. The API runs in this process, and in one of its own at `api_url`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
    # Fifty at once, and whatever Schemathesis thinks of, are wanted here; `test_limits` has a limit of its own.
    for limit in ("UPLOADS_PER_MINUTE", "CHANGES_PER_MINUTE", "RESCHEDULES_PER_DAY"):
        environment[f"SB_TRANSFER_API_{limit}"] = "100000"
    async with Stack(folder, api=True, environment=environment) as running:
        await make_books(settings_of(running.process_environment()), journal_lines=1_000)
        yield running


@pytest.fixture(scope="package")
async def common_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """The stack of the files that share one: those undo what they begin, or move what no other moves."""
    async with stack_with_books(tmp_path_factory.mktemp("common")) as running:
        yield running


@pytest.fixture(scope="module")
async def own_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack for one file of tests, which moves what it likes."""
    async with stack_with_books(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Stack:
    """The stack of a file of tests."""
    shares = str(request.path).endswith(ONE_STACK)
    found: Stack = request.getfixturevalue("common_stack" if shares else "own_stack")
    return found


@pytest.fixture(scope="module")
async def context(stack: Stack) -> AsyncIterator[ApiContext]:
    """What the API works with."""
    variables = stack.api_environment()
    async with open_context(settings_of(variables, NEEDS), variables) as opened:
        yield opened


@pytest.fixture(autouse=True)
def leaves_nothing(request: pytest.FixtureRequest) -> None:
    """Have what a test of the common stack begins undone after it: one that fails half-way is in nobody's way."""
    if str(request.path).endswith(ONE_STACK) and "stack" in request.fixturenames:
        request.getfixturevalue("undone_after")


@pytest.fixture
async def undone_after(client: TransferClient) -> AsyncIterator[None]:
    """Undo every transfer that has begun since, and wait until its environment may be moved again."""
    before = {record.transfer_id for record in await client.transfers(limit=500)}
    yield
    for record in await client.transfers(limit=500):
        if record.transfer_id in before or record.state.is_final:
            continue
        which = str(record.transfer_id)
        with suppress(WrongMoment):  # it is being undone
            await client.cancel(which, by="test")
        async for _ in snapshots(client, which, lambda sight: sight.state.is_final):
            continue


@pytest.fixture(scope="module")
def client(context: ApiContext) -> TransferClient:
    """The same client as the API's, for what happens beside it."""
    return context.client


@pytest.fixture(scope="module")
async def app(context: ApiContext) -> AsyncIterator[FastAPI]:
    """The application, started."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[ApiContext]:
        yield context

    built = build_app(opened)
    async with built.router.lifespan_context(built):
        yield built


@pytest.fixture(scope="module")
def callers(app: FastAPI, stack: Stack) -> Callers:
    """Whoever a test needs."""
    return Callers(app, EmbeddedIssuer(stack.folder))
