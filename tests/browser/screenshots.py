"""Takes the pictures of docs/operations.md and docs/pages.md from the real ones: `make screenshots`."""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Page, expect

from devstack.seed import make_books
from devstack.stack import Stack
from domain.vocabulary import TransferState
from starter.client.client import TransferClient
from starter.client.connect import connect, settings_of
from starter.client.polling import snapshots
from tests.browser.pages import TemporalUi, window
from tests.browser.portal import Portal
from tests.tools import debian
from tests.tools.api_generators import generators
from tests.tools.chromium import chromium
from tests.tools.paths import DOCS, TOOLS

RUNBOOK = "https://docs.sb.example/operations"
_UNDER_WAY = "WorkflowType = 'TransferWorkflow'"


async def take() -> None:
    """Bring transfers into different states on a fresh stack, and picture what an operator sees and does."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SB_TRANSFER_", "TEMPORAL_"))}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**clean, "SB_TRANSFER_RUNBOOK_URL": RUNBOOK}
        async with Stack(Path(folder), api=True, codec=True, web=True, environment=environment) as stack:
            variables = stack.process_environment()
            await make_books(settings_of(variables), journal_lines=200_000)
            async with connect(settings_of(variables), environment=variables) as client, window(chromium()) as page:
                workflow_id = await _transfers(client)
                await pages(page, stack.info.web_url or "")
                await _pictures(TemporalUi(page, stack.info.ui_url or ""), page, workflow_id)


async def _transfers(client: TransferClient) -> str:
    """Return the workflow id of a transfer that awaits its release, among others that are elsewhere."""
    first = ""
    ways = (
        ("enyoi", "10002", "Enyoi Advies", TransferState.AWAITING_RELEASE),
        ("Molenaar Bouw", "10001", "Molenaar Bouw", TransferState.SCHEDULED),
        ("Linden Tandartsen", None, "", TransferState.AWAITING_UPLOAD),
        ("Wolters Design", "10003", "Wolters Design", TransferState.RELEASED),
    )
    for environment, licence, name, state in ways:
        ready = await client.prepare(environment, requested_by="old side")
        first = first or ready.workflow_id
        if licence is None:
            continue
        await client.upload(ready.ticket, licence=licence, name=name, uploaded_by="new side")
        if state is TransferState.SCHEDULED:
            continue
        await client.start_now(ready.workflow_id, by="support")
        await _until(client, ready.workflow_id, TransferState.AWAITING_RELEASE)
        if state is TransferState.RELEASED:
            await client.release(ready.workflow_id, by="Anna de Vries")
            await _until(client, ready.workflow_id, state)
    return first


async def _until(client: TransferClient, workflow_id: str, state: TransferState) -> None:
    async for _ in snapshots(client, workflow_id, lambda status: status.state is state):
        continue


async def _pictures(ui: TemporalUi, page: Page, workflow_id: str) -> None:
    await page.set_viewport_size({"width": 1640, "height": 540})
    await ui.search(_UNDER_WAY)
    await ui.choose_columns()
    await ui.search(_UNDER_WAY)
    await expect(ui.row(workflow_id)).to_contain_text("awaiting_release")
    await _picture(page, "console-list")

    await page.set_viewport_size({"width": 1700, "height": 1560})
    await ui.open_details(workflow_id)
    await ui.details("awaiting_release · switch")
    await _picture(page, "console-details")

    await page.set_viewport_size({"width": 1400, "height": 820})
    payload = {"released_by": "Anna de Vries", "note": "compared on Friday"}
    form = await ui.fill_in_signal("release", payload)
    await _picture(page, "console-release")
    await form.get_by_role("button", name="Submit").click()
    await ui.details("released · switch")
    await _picture(page, "console-released")

    await page.get_by_role("tab", name="Timeline").click()
    await page.set_viewport_size({"width": 1400, "height": 1150})
    await _picture(page, "console-timeline")


async def pages(page: Page, url: str) -> None:
    """Picture what an old side reads before it hands an environment over, and a new side when one is ready."""
    portal = Portal(page, url, generators().axe)
    await portal.log_in("firm:10001")
    await portal.press("Omgeving overdragen Hofman Groep")
    await page.set_viewport_size({"width": 1100, "height": 900})
    await _picture(page, "pages-preview")
    await portal.log_in("firm:10002")
    await portal.press("Enyoi Advies")
    await expect(page.get_by_role("link", name="Vrijgeven")).to_be_visible()
    await _picture(page, "pages-ready")
    await page.emulate_media(color_scheme="dark")
    await page.set_viewport_size({"width": 375, "height": 800})
    await _picture(page, "pages-phone")
    await page.emulate_media(color_scheme="light")
    await page.context.clear_cookies()


async def _picture(page: Page, name: str) -> None:
    """Write a picture of the window with 128 colours, which is a quarter of the bytes and looks the same."""
    await page.wait_for_timeout(1_000)  # what fades in must have done so
    file = DOCS / f"{name}.png"
    await page.screenshot(path=file, animations="disabled")
    await asyncio.to_thread(_shrink, file)


def _shrink(file: Path) -> None:
    root = debian.fetch("pngquant", TOOLS / "pngquant", with_dependencies=True)
    command = ["env", f"LD_LIBRARY_PATH={debian.library_path(root)}", str(root / "usr/bin/pngquant")]
    debian.run([*command, "128", "--force", "--strip", "--output", str(file), str(file)], "pngquant does not start.")


if __name__ == "__main__":
    try:
        asyncio.run(take())
    except debian.ToolMissing as error:
        sys.exit(str(error))
