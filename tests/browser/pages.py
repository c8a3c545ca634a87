"""The Temporal UI as an operator uses it: by what stands on the screen, never by a request of our own."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, quote_plus, urlsplit

from playwright.async_api import FrameLocator, Locator, Page, async_playwright, expect

from tests.tools.chromium import Chromium

# No call to anybody but the UI, and nothing that a machine without a screen or a user of its own has not.
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Above what a busy machine needs for one page.
_PATIENCE_MS = 30_000
# For how long something is searched for, and how long one list is looked at before it is asked for again.
_FOUND_SECONDS = 120
_LOOK_MS = 5_000
COLUMNS = ("TransferState", "TransferScenario", "SourceLicence", "TargetLicence", "StartsAt")


@asynccontextmanager
async def window(browser: Chromium, *, width: int = 1400, height: int = 900) -> AsyncIterator[Page]:
    """Open an empty window of a browser that remembers nothing, and close it."""
    expect.set_options(timeout=_PATIENCE_MS)
    with TemporaryDirectory(prefix="sb-transfer-chromium-") as folder:
        async with async_playwright() as playwright:
            context = await playwright.chromium.launch_persistent_context(
                folder,
                executable_path=browser.program,
                env={"HOME": folder, **browser.environment},
                args=_OPTIONS,
                viewport={"width": width, "height": height},
                timezone_id="UTC",
            )
            context.set_default_timeout(_PATIENCE_MS)
            try:
                yield context.pages[0]
            finally:
                await context.close()


class TemporalUi:
    """One window on the UI."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    async def open_view(self, address: str) -> None:
        """Open a view by its address, as docs/operations.md lists it; the server must take its query."""
        wanted = parse_qs(urlsplit(address).query)["query"]
        async with self.page.expect_response(
            lambda answer: "/api/v1/" in answer.url and parse_qs(urlsplit(answer.url).query).get("query") == wanted
        ) as hears:
            await self.page.goto(self.url + address)
        answer = await hears.value
        assert answer.ok, f"{address}: {await answer.text()}"
        await expect(self.page.get_by_test_id("add-filter-button")).to_be_visible()

    async def search(self, query: str) -> None:
        """Open the list of what a query finds."""
        await self.open_view(f"/namespaces/default/workflows?query={quote_plus(query)}")

    async def find(self, query: str, workflow_id: str) -> None:
        """Search again and again until a workflow is found, as people do: the server lists it a moment later."""
        async with asyncio.timeout(_FOUND_SECONDS):
            while True:
                await self.search(query)
                with suppress(AssertionError):
                    await expect(self.row(workflow_id)).to_be_visible(timeout=_LOOK_MS)
                    return

    def row(self, workflow_id: str) -> Locator:
        """Return a workflow's row in the list."""
        return self.page.get_by_role("row").filter(has=self.page.get_by_role("link", name=workflow_id))

    async def choose_columns(self) -> None:
        """Make the list show what a transfer is and where it stands, as docs/operations.md says."""
        await self.page.get_by_role("button", name="Configure Columns").click()
        for column in COLUMNS:
            await self.page.get_by_role("button", name=f"Add {column} column").click()
        for column in ("Run ID", "Type", "Start", "End"):
            await self.page.get_by_role("button", name=f"Remove {column} column").click()
        await self.page.get_by_role("button", name="Close").last.click()

    async def open_details(self, workflow_id: str) -> None:
        """Click on a row of the list, then on what its page says of it."""
        await self.row(workflow_id).get_by_role("link", name=workflow_id).click()
        await self.page.get_by_role("tab", name="User Metadata").click()

    async def details(self, heading: str | re.Pattern[str]) -> FrameLocator:
        """Return the page of current details, drawn anew until it has this heading."""
        frame = self.page.locator("iframe").last.content_frame
        for _ in range(60):
            try:
                await expect(frame.get_by_role("heading", name=heading)).to_be_visible(timeout=2_000)
            except AssertionError:  # it says what was true before
                await self.page.keyboard.press("r")
            else:
                return frame
        raise AssertionError(f"the details never said {heading!r}: {[frame.url for frame in self.page.frames]}")

    async def fill_in_signal(self, name: str, payload: dict[str, str]) -> Locator:
        """Open the form, choose a signal, paste its JSON; return the form."""
        await self.page.get_by_role("button", name="More Actions").click()
        await self.page.get_by_role("menuitem", name="Send a Signal").click()
        form = self.page.get_by_role("dialog").filter(has_text="Signal name")
        await form.get_by_test_id("signal-select-button").click()
        await self.page.get_by_role("option", name=re.compile(rf"^\s*{name}\b")).click()
        await form.get_by_role("textbox", name="Data").click()
        await self.page.keyboard.insert_text(json.dumps(payload))
        # Whoever leaves the field has it laid out over lines; the buttons move away from a click that does both.
        await form.get_by_role("radio", name="json/plain").focus()
        await expect(form.get_by_role("textbox", name="Data").locator(".cm-line")).to_have_count(len(payload) + 2)
        return form
