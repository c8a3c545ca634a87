"""The pages as people use them: by what stands on the screen, judged by axe-core wherever somebody stops to look."""

from pathlib import Path
from typing import Any

from playwright.async_api import Locator, Page, expect

_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_JUDGE = """rules => axe.run(document, {runOnly: rules}).then(found => found.violations.map(
    one => one.id + ": " + one.nodes.map(node => node.html).join(" ")))"""
_TOO_WIDE = "document.documentElement.scrollWidth - innerWidth"
_DESK = {"width": 1200, "height": 900}
_PHONE = {"width": 375, "height": 800}
_MOST_TABS = 60


class Portal:
    """One window on the pages."""

    def __init__(self, page: Page, url: str, axe: Path) -> None:
        self.page = page
        self.url = url
        self._axe = axe.read_text()

    async def log_in(self, person: str, path: str = "/", *, language: str = "nl") -> None:
        """Come as somebody, on a page."""
        await self.page.context.clear_cookies()
        await self.page.context.set_extra_http_headers({"Accept-Language": language})
        await self.page.goto(self.url + path)
        await self.page.locator(f'button[value="{person}"]').click()
        await expect(self.page.locator("header .name")).to_be_visible()

    async def open(self, path: str) -> None:
        """Open a page."""
        await self.page.goto(self.url + path)

    async def press(self, name: str) -> None:
        """Press a button or follow a link."""
        button = self.page.get_by_role("main").get_by_role("button", name=name)
        await button.or_(self.page.get_by_role("main").get_by_role("link", name=name)).first.click()

    async def reads(self, *words: str) -> None:
        """Make sure that these stand on the page."""
        for text in words:
            await expect(self.page.get_by_role("main")).to_contain_text(text)

    async def look(self, name: str) -> None:
        """Judge the page at a desk in the light, and on a phone in the dark."""
        for scheme, size in (("light", _DESK), ("dark", _PHONE)):
            await self.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            await self.page.set_viewport_size({"width": size["width"], "height": size["height"]})
            await self.judge(f"{name}, {scheme}")
        await self.page.emulate_media(color_scheme="light")
        await self.page.set_viewport_size({"width": _DESK["width"], "height": _DESK["height"]})

    async def judge(self, name: str) -> None:
        """Make sure that axe-core finds nothing, and that nobody has to scroll sideways."""
        await self.page.evaluate(self._axe)
        found: Any = await self.page.evaluate(_JUDGE, _RULES)
        assert found == [], f"{name}: {found}"
        assert await self.page.evaluate(_TOO_WIDE) <= 0, f"{name}: wider than the window"

    async def tab_to(self, wanted: Locator) -> None:
        """Go to a part of the page by the keyboard alone."""
        for _ in range(_MOST_TABS):
            await self.page.keyboard.press("Tab")
            if await wanted.evaluate("one => one === document.activeElement"):
                return
        raise AssertionError(f"the keyboard does not reach {wanted}")
