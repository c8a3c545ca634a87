"""The pages in this process, before the API in memory, with the embedded stack's place to log in."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from cryptography.fernet import Fernet
from fastapi import FastAPI
from sb_transfer_client.testing import FakeService

from adapters.settings import Settings, settings_of
from devstack.identity_provider import IdentityProvider, build_identity_provider, people_of
from devstack.issuer import EmbeddedIssuer
from starter.web.application import build_web
from starter.web.main import NEEDS, context_of_settings
from starter.web.pages import WebContext
from tests.tools.form_browser import FormBrowser

PAGES, IDENTITY = "https://pages.example", "http://identity.example"
LICENCES = (
    ("10001", "De Vries & Partners", "firm"),
    ("10002", "Bakker", "firm"),
    ("20001", "Molenaar", "self_managed"),
)


class BehindTokens(httpx.AsyncBaseTransport):
    """The API in memory, which is spoken to with the identity provider's tokens."""

    def __init__(self, fake: FakeService) -> None:
        self._fake = fake
        self.seen: list[httpx.Request] = []
        self.away = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        if self.away:
            raise httpx.ConnectError("nobody listens")
        self.seen.append(request)
        said = request.headers["authorization"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))
        token = self._fake.token(*claims["roles"], licence=claims.get("licence"), name=claims["name"])
        request.headers["authorization"] = f"Bearer {token}"
        return await self._fake.handle_async_request(request)


class Place:
    """The pages, the API behind them, and whoever comes to look."""

    def __init__(self, app: FastAPI, identity: FastAPI, fake: FakeService, api: BehindTokens) -> None:
        self.app = app
        self.fake = fake
        self.api = api
        self._identity = identity
        self._environments: dict[str, UUID] = {}

    def environment(self, licence: str, name: str) -> UUID:
        """Let there be an environment, once."""
        if name not in self._environments:
            self._environments[name] = self.fake.add_environment(licence, name)
        return self._environments[name]

    def somebody(self) -> FormBrowser:
        """Return a browser that has never been here."""
        mounts = {
            PAGES: httpx.ASGITransport(self.app, raise_app_exceptions=False),
            IDENTITY: httpx.ASGITransport(self._identity),
        }
        return FormBrowser(httpx.AsyncClient(base_url=PAGES, mounts=mounts, headers={"Accept-Language": "nl"}))

    async def as_(self, person: str, path: str = "/") -> FormBrowser:
        """Return the browser of somebody who has logged in, on a page."""
        browser = self.somebody()
        await browser.open(path)
        await browser.send("/authorize", person=person)
        return browser


@pytest.fixture(scope="session")
def web_settings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Settings]:
    """Where keys are kept, and the settings of the pages."""
    folder = tmp_path_factory.mktemp("identity")
    variables = {
        **EmbeddedIssuer(folder).settings(),
        "SB_TRANSFER_WEB_URL": PAGES,
        "SB_TRANSFER_WEB_API_URL": "http://api.example",
        "SB_TRANSFER_WEB_SESSION_KEYS": Fernet.generate_key().decode(),
        "SB_TRANSFER_OIDC_METADATA_URL": f"{IDENTITY}/.well-known/openid-configuration",
        "SB_TRANSFER_TEMPORAL_UI_URL": "https://temporal.example",
    }
    return folder, settings_of(variables, NEEDS, database=False)


@pytest.fixture
async def place(web_settings: tuple[Path, Settings]) -> AsyncIterator[Place]:
    """The pages, with three licences and nothing else."""
    folder, settings = web_settings
    fake = FakeService(datetime.now(UTC))
    for number, holder, kind in LICENCES:
        fake.add_licence(number, kind=kind, holder=holder, host=holder.split()[0].lower())
    people = people_of([(number, holder) for number, holder, _ in LICENCES])
    provider = IdentityProvider(folder, url=IDENTITY, client_url=PAGES, people=people)
    identity = build_identity_provider(provider, {number: holder for number, holder, _ in LICENCES})
    api = BehindTokens(fake)
    context = context_of_settings(settings, transport=api, identity_transport=httpx.ASGITransport(identity))

    @asynccontextmanager
    async def opened() -> AsyncIterator[WebContext]:
        yield context

    app = build_web(opened)
    async with app.router.lifespan_context(app):
        yield Place(app, identity, fake, api)
