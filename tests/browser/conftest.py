"""The stack as `up` runs it, codec server and pages included, and one browser for all that is looked at."""

import os
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page

from devstack.seed import make_books
from devstack.stack import Stack
from starter.client.client import TransferClient
from starter.client.connect import connect, settings_of
from tests.browser.pages import TemporalUi, window
from tests.tools.chromium import chromium

CANCEL = "https://www.sb.example/opzeggen?licentie={licence}"
RUNBOOK = "https://docs.sb.example/operations"


@pytest.fixture(scope="package")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SB_TRANSFER_", "TEMPORAL_"))}
    environment = {**clean, "SB_TRANSFER_RUNBOOK_URL": RUNBOOK, "SB_TRANSFER_CANCEL_LICENCE_URL": CANCEL}
    folder = tmp_path_factory.mktemp("stack")
    async with Stack(folder, api=True, codec=True, web=True, environment=environment) as stack:
        await make_books(settings_of(stack.process_environment()), journal_lines=1_000)
        yield stack


@pytest.fixture(scope="package")
async def client(stack: Stack) -> AsyncIterator[TransferClient]:
    variables = stack.process_environment()
    async with connect(settings_of(variables), environment=variables) as client:
        yield client


@pytest.fixture(scope="package")
async def page() -> AsyncIterator[Page]:
    async with window(chromium()) as page:
        yield page


@pytest.fixture
def ui(stack: Stack, page: Page) -> TemporalUi:
    assert stack.info.ui_url
    return TemporalUi(page, stack.info.ui_url)
