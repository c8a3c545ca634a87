"""The pages as people use them: by what stands on the screen, judged by axe-core wherever somebody stops to look."""

import asyncio
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Locator, Page, ViewportSize, expect

_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_JUDGE = """runOnly => axe.run(document, {runOnly}).then(found => found.violations.map(
    one => one.id + ": " + one.nodes.map(node => node.html).join(" ")))"""
_TOO_WIDE = "document.documentElement.scrollWidth - innerWidth"
_BESIDE = "Math.max(...[...document.querySelectorAll('.scroll')].map(one => one.scrollWidth - one.clientWidth))"
_DESK: ViewportSize = {"width": 1200, "height": 900}
_PHONE: ViewportSize = {"width": 375, "height": 800}
_EVERYTHING = {"type": "tag", "values": _RULES}
# At a desk, what a width and a scheme of colours can change; the rest is as on the phone.
_SEEN = {"type": "rule", "values": ["color-contrast", "target-size"]}
_VIEWS: tuple[tuple[Literal["light", "dark"], ViewportSize, dict[str, Any]], ...] = (
    ("light", _DESK, _SEEN),
    ("dark", _DESK, _SEEN),
    ("dark", _PHONE, _EVERYTHING),
    ("light", _PHONE, _EVERYTHING),
)
_UNFOLD = "() => [...document.querySelectorAll('details:not([open])')].map(one => one.open = true).length"
_FOLD = "() => document.querySelectorAll('details').forEach(one => one.open = one.querySelector('.error') !== null)"
_MOST_TABS = 60
_PATIENCE_SECONDS = 120
_PAUSE_SECONDS = 0.5


class Portal:
    """One window on the pages."""

    def __init__(self, page: Page, url: str, axe: Path) -> None:
        self.page = page
        self.url = url
        self._axe = axe.read_text()
        self._person = ""
        self.looked: dict[str, str] = {}
        """Every page that was judged, and who looked at it."""

    async def log_in(self, person: str, path: str = "/", *, language: str = "nl") -> None:
        """Come as somebody, on a page."""
        await self.page.context.clear_cookies()
        await self.page.context.set_extra_http_headers({"Accept-Language": language})
        await self.page.goto(self.url + path)
        await self.page.locator(f'button[value="{person}"]').click()
        self._person = person
        await expect(self.page.locator("header .name")).to_be_visible()

    async def open(self, path: str) -> None:
        """Open a page."""
        await self.page.goto(self.url + path)

    async def until(self, wanted: Locator) -> None:
        """Open the page again and again until this is on it, as people do where it does not come by itself."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not await wanted.count():
                await asyncio.sleep(_PAUSE_SECONDS)
                await self.page.reload()

    async def until_gone(self, old: Locator) -> None:
        """Open the page again and again until this is no longer on it."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while await old.count():
                await asyncio.sleep(_PAUSE_SECONDS)
                await self.page.reload()

    async def press(self, name: str) -> None:
        """Press a button or follow a link."""
        button = self.page.get_by_role("main").get_by_role("button", name=name)
        await button.or_(self.page.get_by_role("main").get_by_role("link", name=name)).first.click()

    async def reads(self, *words: str) -> None:
        """Make sure that these stand on the page."""
        for text in words:
            main = self.page.get_by_role("main")
            await expect(main).to_contain_text(text, timeout=_PATIENCE_SECONDS * 1_000)  # a release may be waited for

    async def look(self, name: str) -> None:
        """Judge the page, with everything on it unfolded, at a desk and on a phone, in the light and in the dark."""
        self.looked[self.page.url.removeprefix(self.url)] = self._person
        await self.page.evaluate(self._axe)
        await self.page.evaluate(_UNFOLD)
        for scheme, size, rules in _VIEWS:
            await self.page.emulate_media(color_scheme=scheme)
            await self.page.set_viewport_size(size)
            await self._judge(f"{name}, {scheme}, {size['width']} px", rules)
        await self.page.evaluate(_FOLD)
        await self.page.emulate_media(color_scheme="light")
        await self.page.set_viewport_size(_DESK)

    async def fits_a_phone(self) -> None:
        """Make sure that on a phone nothing of a table lies beside the window."""
        await self.page.set_viewport_size(_PHONE)
        assert await self.page.evaluate(_BESIDE) <= 0, f"{self.page.url}: a table is wider than its place"
        await self.page.set_viewport_size(_DESK)

    async def _judge(self, name: str, rules: dict[str, Any]) -> None:
        """Make sure that axe-core finds nothing, and that nobody has to scroll sideways."""
        found: Any = await self.page.evaluate(_JUDGE, rules)
        assert found == [], f"{name}: {found}"
        assert await self.page.evaluate(_TOO_WIDE) <= 0, f"{name}: wider than the window"

    async def tab_to(self, wanted: Locator) -> None:
        """Go to a part of the page by the keyboard alone."""
        for _ in range(_MOST_TABS):
            await self.page.keyboard.press("Tab")
            if await wanted.evaluate("one => one === document.activeElement"):
                return
        raise AssertionError(f"the keyboard does not reach {wanted}")
