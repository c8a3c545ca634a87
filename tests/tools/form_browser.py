"""A browser without a screen: it keeps cookies, follows redirects and sends the forms that stand on a page."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import httpx


@dataclass
class PageForm:
    """A form as it stands on a page, with what its fields hold."""

    action: str
    method: str
    values: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[PageForm] = []
        self._area: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(PageForm(given.get("action", ""), given.get("method", "get")))
        if not self.found or "name" not in given:
            return
        form = self.found[-1]
        if tag == "input" and given.get("type") == "file":
            form.files.append(given["name"])
        elif tag == "input" and given.get("type") == "checkbox":
            if "checked" in given:
                form.values[given["name"]] = given.get("value", "on")
        elif tag == "input":
            form.values[given["name"]] = given.get("value", "")
        elif tag == "textarea":
            form.values[given["name"]] = ""
            self._area = given["name"]

    def handle_endtag(self, tag: str) -> None:
        self._area = None if tag == "textarea" else self._area

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self.found[-1].values[self._area] += data


@dataclass
class FormBrowser:
    """Somebody at a screen."""

    http: httpx.AsyncClient
    page: httpx.Response | None = None

    async def open(self, path: str, **headers: str) -> httpx.Response:
        """Open a page, wherever that leads."""
        self.page = await self.http.get(path, headers=headers, follow_redirects=True)
        return self.page

    def forms(self) -> list[PageForm]:
        """Return the forms on the page."""
        assert self.page is not None
        reader = _Forms()
        reader.feed(self.page.text)
        return reader.found

    def form(self, action: str) -> PageForm:
        """Return the form that is sent to a path; `` is the one that is sent to its own page."""
        return next(form for form in self.forms() if urlsplit(form.action).path == action)

    async def send(self, action: str, *, file: bytes | None = None, **typed: str) -> httpx.Response:
        """Fill in the form that is sent to a path, and press its button."""
        assert self.page is not None
        form = self.form(action)
        where = str(self.page.url.join(form.action)) if form.action else str(self.page.url)
        files: Any = dict.fromkeys(form.files, ("ticket.avr", file or b"")) or None
        self.page = await self.http.post(where, data={**form.values, **typed}, files=files, follow_redirects=True)
        return self.page
