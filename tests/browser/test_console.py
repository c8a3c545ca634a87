"""The Temporal UI as the console: found by its state, read, released through the form, in a real browser."""

import json
import re
from urllib.parse import urlsplit

import asyncpg
import pytest
from playwright.async_api import Page, Request, expect

from devstack.stack import Stack
from domain.vocabulary import TransferState
from starter.client.client import TransferClient
from starter.client.models import PreparedTransfer
from starter.client.polling import snapshots
from tests.browser.conftest import RUNBOOK
from tests.browser.pages import COLUMNS, TemporalUi
from tests.tools.paths import DOCS

OPERATIONS = (DOCS / "operations.md").read_text()
VIEWS = re.findall(r"`(/namespaces/default/workflows\?query=\S+)`", OPERATIONS)
HOSTILE = "![x](https://evil.example/x.png) | `<img src=https://evil.example/y.png onerror=alert(1)>"
RELEASED_BY = "Anna | **de Vries** [x](https://evil.example)"


@pytest.fixture(scope="module")
async def ready(client: TransferClient, stack: Stack) -> PreparedTransfer:
    """A transfer of a customer who means harm, which awaits its release."""
    owner = await asyncpg.connect(stack.info.database_url)
    await owner.execute("update control.environment set name = $1 where name = 'enyoi'", HOSTILE)
    environment_id = await owner.fetchval("select environment_id from control.environment where name = $1", HOSTILE)
    await owner.close()
    ready = await client.prepare(str(environment_id), requested_by=HOSTILE)
    await client.upload(
        ready.ticket, licence="10002", name=f"{HOSTILE} 2", url_part="enyoi-advies", uploaded_by=HOSTILE
    )
    await client.start_now(ready.workflow_id, by=HOSTILE)
    async for _ in snapshots(client, ready.workflow_id, lambda status: status.state is TransferState.AWAITING_RELEASE):
        continue
    return ready


async def test_an_operator_releases_in_the_ui(
    ui: TemporalUi, ready: PreparedTransfer, stack: Stack, client: TransferClient
) -> None:
    """Lets an operator find what waits, read what to do, release, and see it released, in the UI alone."""
    await ui.find("TransferState = 'awaiting_release' AND ExecutionStatus = 'Running'", ready.workflow_id)
    await ui.choose_columns()
    row = ui.row(ready.workflow_id)
    for text in ("awaiting_release", "switch", "10001", "10002"):
        await expect(row).to_contain_text(text)
    await ui.open_details(ready.workflow_id)

    details = await ui.details("awaiting_release · switch")
    await expect(details.locator("body")).to_contain_text("Waits for: the new side")
    await expect(details.locator("body")).to_contain_text("36 checks over 3 administrations, all equal")
    await expect(details.get_by_role("row", name=re.compile("Verify every row"))).to_contain_text("rows equal on both")
    payload = json.loads(await details.locator("pre").first.inner_text())
    assert payload == {"released_by": "", "note": ""}

    form = await ui.fill_in_signal("release", {**payload, "released_by": RELEASED_BY, "note": "compared"})
    await form.get_by_role("button", name="Submit").click()
    await expect(form).to_be_hidden()
    await ui.details("released · switch")
    await ui.find("TransferState = 'released'", ready.workflow_id)
    await expect(ui.row(ready.workflow_id)).to_contain_text("released")

    assert (await client.status(ready.workflow_id)).status.state is TransferState.RELEASED
    owner = await asyncpg.connect(stack.info.database_url)
    row_of = "select state, released_by from control.transfer where transfer_id = $1"
    stands = await owner.fetchrow(row_of, ready.transfer_id)
    await owner.close()
    assert stands is not None
    assert tuple(stands) == ("released", RELEASED_BY)


async def test_nothing_a_customer_typed_renders(ui: TemporalUi, page: Page, ready: PreparedTransfer) -> None:
    """Shows images, links and HTML in names as text."""
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(urlsplit(request.url).hostname or "")

    page.on("request", note)
    await ui.find("TransferState IN ('awaiting_release', 'released')", ready.workflow_id)
    await ui.open_details(ready.workflow_id)
    details = await ui.details(re.compile(r"^(awaiting_release|released) · switch"))
    pages = page.locator("iframe")
    await expect(pages).to_have_count(3)  # summary, details and current details
    for index in range(3):
        active = pages.nth(index).content_frame.locator("img, script[src], iframe, a[href*=evil]")
        await expect(active).to_have_count(0)
    await expect(pages.first.content_frame.locator("code")).to_contain_text(HOSTILE[:20])
    await expect(details.locator("body")).to_contain_text("<img src=https://evil.example/y.png onerror=alert(1)>")
    assert [len(await row.get_by_role("cell").all()) for row in await details.get_by_role("row").all()][1:] == [5] * 15
    links = [await link.get_attribute("href") for link in await details.get_by_role("link").all()]
    assert links
    assert all(link and link.startswith(f"{RUNBOOK}#") for link in links)
    page.remove_listener("request", note)
    assert set(asked) <= {"127.0.0.1"}


@pytest.mark.parametrize("address", VIEWS)
async def test_every_documented_view_opens(ui: TemporalUi, address: str) -> None:
    """Opens each documented list view without an error of the server."""
    await ui.open_view(address)


async def test_a_view_that_the_server_refuses_is_seen(ui: TemporalUi) -> None:
    """Recognises a refused view, so that the test above can fail."""
    with pytest.raises(AssertionError, match="TransferStatus"):
        await ui.search("TransferStatus = 'released'")


def test_the_documented_columns_are_the_attributes() -> None:
    """Offers each documented column in the UI."""
    assert len(VIEWS) == 13
    assert [column for column in COLUMNS if f"`{column}`" not in OPERATIONS] == []
