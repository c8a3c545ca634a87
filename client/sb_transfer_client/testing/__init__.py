"""A service in memory for a backend's own tests: it keeps the rules, and its clock is turned by hand.

    service = FakeService()
    service.add_licence("10001", kind="firm")
    service.add_licence("10002", kind="firm")
    environment_id = service.add_environment("10001", "Van Dam")
    with service.client("firm", licence="10001") as old:
        transfer_id = old.start_transfer(environment_id).transfer_id
    ...
    service.clock.turn_to("22:00")

It knows states, refusals, roles and halves, and passes the service's contract tests. It copies nothing, sends no mail,
limits no rates, and its comparison is always equal.
"""

import base64
import json
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx

from sb_transfer_client._async import AsyncClient
from sb_transfer_client._sync import Client
from sb_transfer_client.models import LicenceKind
from sb_transfer_client.testing._hooks import Delivery
from sb_transfer_client.testing._http import FakeHttp
from sb_transfer_client.testing._rules import Role, checked_url_part
from sb_transfer_client.testing._world import Clock, Environment, Licence, World

__all__ = ["Clock", "Delivery", "FakeService", "Role"]
_URL = "http://sb-transfer.fake"


class FakeService(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A service that answers whoever travels by it: it is a transport of httpx, sync and async."""

    def __init__(self, now: datetime | None = None) -> None:
        """Take what the clock shows at first: noon on a Monday, if left out."""
        self.clock = Clock(now)
        self._world = World(self.clock)
        self._http = FakeHttp(self._world)

    def add_licence(self, number: str, *, kind: str = "firm", holder: str = "", host: str = "") -> None:
        """Let there be a licence, of a `firm` or `self_managed`."""
        self._world.licences[number] = Licence(number, holder or number, LicenceKind(kind), host or f"l{number}")

    def add_environment(self, licence: str, name: str, *, url_part: str | None = None) -> UUID:
        """Let there be an environment under a licence, and return its id."""
        url = f"https://{self._world.licences[licence].host}.sb.example/{checked_url_part(url_part, name)}"
        environment = Environment(uuid4(), licence, name, url)
        self._world.environments[environment.environment_id] = environment
        return environment.environment_id

    def status_of(self, environment_id: UUID) -> str:
        """Return `active`, `read_only`, `building`, `awaiting_release`, or `gone` for a copy that was undone."""
        return self._world.environments[environment_id].status

    def deliveries(self) -> list[Delivery]:
        """Return what the service would send to webhooks now, signed, for a test to hand to its own receiver."""
        self._world.turn()
        return self._http.hooks.deliveries()

    def token(self, *roles: str, licence: str | None = None, name: str = "Anna") -> str:
        """Return a token that this service, and no other, believes."""
        said = {"roles": [Role(role) for role in roles], "licence": licence, "name": name}
        return base64.urlsafe_b64encode(json.dumps(said).encode()).decode()

    def client(self, *roles: str, licence: str | None = None, name: str = "Anna", **options: Any) -> Client:
        """Return a client in somebody's name; `options` are those of `Client`."""
        return Client(_URL, self.token(*roles, licence=licence, name=name), transport=self, **options)

    def async_client(self, *roles: str, licence: str | None = None, name: str = "Anna", **options: Any) -> AsyncClient:
        """Return the same for an event loop."""
        return AsyncClient(_URL, self.token(*roles, licence=licence, name=name), transport=self, **options)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        request.read()
        return self._http.answer(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        await request.aread()
        return self._http.answer(request)
