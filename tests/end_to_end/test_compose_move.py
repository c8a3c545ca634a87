"""An environment moves through the services of docker-compose.yml, each run as the file says, without Docker."""

import asyncio
import json
import signal
import ssl
import subprocess
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import json_format
from jwt.algorithms import ECAlgorithm

from adapters.temporal.client import connect_temporal
from devstack import processes
from devstack.certificates import make_certificates
from devstack.mail import MailCatcher
from devstack.ports import free_port
from devstack.postgres import EmbeddedPostgres
from devstack.seed import SHOW_MOVES, make_books
from devstack.temporal import EmbeddedTemporal
from domain.authority import Role
from starter.client.connect import settings_of
from tests.end_to_end.compose import SERVICES, bare, environment_of, filled_in_example, native, run_roles, seconds

SWITCH = next(move for move in SHOW_MOVES if move.scenario == "switch")
ISSUER = "https://login.sb.example"
METRICS = "SB_TRANSFER_METRICS_BIND"
LONG_RUNNING = ("worker", "api", "codec")
# The setting that says on which port each of them listens.
PORT_OF = {"worker": "SB_TRANSFER_HEALTH", "api": "SB_TRANSFER_API", "codec": "SB_TRANSFER_CODEC"}


class IdentityProvider:
    """The platform's: a key of its own, published over https by a server with a certificate of a test authority."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificates = make_certificates(folder)
        self.authority = self._certificates.authority
        self.asked = 0
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        context: ssl.SSLContext = self._certificates.server_context()
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=context)
        self.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks.json"
        async with server:
            yield

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        public = {
            **ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True),
            "kid": "one",
            "use": "sig",
            "alg": "ES256",
        }
        body = json.dumps({"keys": [public]}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    def session(self, url: str, role: Role, licence: str | None = None) -> httpx.AsyncClient:
        """Return a client with the token of somebody."""
        now = datetime.now(UTC)
        claims: dict[str, Any] = {"iss": ISSUER, "aud": "sb-transfer", "sub": f"{role}-1", "roles": [role]}
        claims |= {"iat": now, "exp": now + timedelta(minutes=10)}
        if licence:
            claims["licence"] = licence
        token = jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": "one"})
        return httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60)


class Services:
    """The project's own services of the file, as processes."""

    def __init__(self, folder: Path, variables: Mapping[str, str], authority: Path, hosts: Mapping[str, str]) -> None:
        self._folder = folder
        self._variables = variables
        self._hosts = hosts
        # An image gets the authorities that it trusts from its operating system.
        self._trust = {"SSL_CERT_FILE": str(authority)}
        self.ports = {name: free_port() for name in LONG_RUNNING}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def environment(self, name: str) -> dict[str, str]:
        """Return exactly what the file gives a service; only addresses are those of this machine."""
        given = {**environment_of(name, self._variables, **self._hosts), **self._trust}
        if name in PORT_OF:
            given |= {f"{PORT_OF[name]}_HOST": "127.0.0.1", f"{PORT_OF[name]}_PORT": str(self.ports[name])}
        if METRICS in given:
            given[METRICS] = f"127.0.0.1:{free_port()}"
        return given

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def log(self, name: str) -> str:
        return (self._folder / name / "log").read_text()

    async def run(self, *command: str) -> str:
        """Run a command in a container of the image, as `docker compose run setup` does."""
        process = await asyncio.create_subprocess_exec(
            *native([*command]),
            cwd=self._folder,
            env=self.environment("setup"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, output.decode()
        return output.decode()

    async def start(self) -> None:
        """Start the servers at once, and wait until each one's own health check is content."""
        for name in LONG_RUNNING:
            (self._folder / name).mkdir()
            self._running[name] = processes.launch(
                native(SERVICES[name]["command"]), folder=self._folder / name, environment=self.environment(name)
            )
        await asyncio.gather(*map(self._healthy, LONG_RUNNING))

    async def _healthy(self, name: str) -> None:
        inside = environment_of(name, self._variables)[f"{PORT_OF[name]}_PORT"]
        test = native(SERVICES[name]["healthcheck"]["test"][1:])
        command = [word.replace(f":{inside}/", f":{self.ports[name]}/") for word in test]
        assert command != test
        async with asyncio.timeout(90):
            while True:
                assert self._running[name].poll() is None, self.log(name)
                check = await asyncio.create_subprocess_exec(
                    *command, cwd=self._folder, env=self.environment(name), stderr=asyncio.subprocess.DEVNULL
                )
                if await check.wait() == 0:
                    return
                await asyncio.sleep(0.2)

    async def stop(self) -> None:
        """Stop them as Docker does: each ends by itself, in its time, and well."""
        for name, process in self._running.items():
            process.send_signal(signal.SIGTERM)
            grace = seconds(SERVICES[name]["stop_grace_period"])
            assert await asyncio.wait_for(processes.ended(process), grace) == 0, self.log(name)

    def kill(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()


async def until(session: httpx.AsyncClient, path: str, state: str) -> None:
    async with asyncio.timeout(60):
        while (answer := (await session.get(path)).json())["state"] != state:
            assert answer["state"] not in {"undoing", "undone"}, answer
            await asyncio.sleep(0.1)


async def move(services: Services, provider: IdentityProvider) -> str:
    """Move an environment as the platform does: over HTTP, each side with its own token. Return the workflow's id."""
    url = services.url("api")
    owner = await asyncpg.connect(services.environment("setup")["SB_TRANSFER_DATABASE_URL"])
    environment_id = await owner.fetchval(
        "select environment_id from control.environment where licence_number = $1 and name = $2",
        SWITCH.old_licence,
        SWITCH.environment,
    )
    await owner.close()
    async with httpx.AsyncClient(base_url=url) as nobody:
        assert (await nobody.get("/v1/transfers")).status_code == HTTPStatus.UNAUTHORIZED

    def once() -> dict[str, str]:
        return {"Idempotency-Key": str(uuid.uuid4())}

    async with (
        provider.session(url, Role.FIRM, SWITCH.old_licence) as old,
        provider.session(url, Role.FIRM, SWITCH.new_licence) as new,
        provider.session(url, Role.SUPPORT) as support,
    ):
        begun = await old.post("/v1/transfers", json={"environment_id": str(environment_id)}, headers=once())
        assert begun.status_code == HTTPStatus.ACCEPTED, begun.text
        path = f"/v1/transfers/{begun.json()['transfer_id']}"
        await until(old, path, "awaiting_upload")
        ticket = await old.get(f"{path}/ticket")
        form = {"name": "Overgenomen", "url_part": "overgenomen"}
        taken = await new.post("/v1/uploads", data=form, files={"ticket": ("t.avr", ticket.content)}, headers=once())
        assert taken.status_code == HTTPStatus.ACCEPTED, taken.text
        await until(new, path, "scheduled")
        await support.post(f"{path}/start-now", json={"reason": "incident 4711"}, headers=once())
        await until(new, path, "awaiting_release")
        checks = (await new.get(f"{path}/comparison")).json()["checks"]
        assert checks
        assert all(check["equal"] for check in checks), checks
        released = await new.post(f"{path}/release", json={"note": "checked"}, headers=once())
        assert released.status_code in {HTTPStatus.OK, HTTPStatus.ACCEPTED}, released.text
        await until(new, path, "released")
    return f"transfer-{environment_id}"


async def reads_history(services: Services, provider: IdentityProvider, workflow_id: str) -> None:
    """See in the history what nobody can read, and have the codec server show it to somebody who may."""
    client = await connect_temporal(environment=services.environment("setup"))
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    (sealed,) = history.events[0].workflow_execution_started_event_attributes.input.payloads
    assert b"environment_id" not in sealed.data
    body = {"payloads": [json_format.MessageToDict(sealed)]}
    async with httpx.AsyncClient(base_url=services.url("codec")) as nobody:
        assert (await nobody.post("/decode", json=body)).status_code == HTTPStatus.UNAUTHORIZED
    async with provider.session(services.url("codec"), Role.OPERATOR) as operator:
        answer = await operator.post("/decode", json=body)
        assert answer.status_code == HTTPStatus.OK, answer.text
    plain = json_format.ParseDict(answer.json()["payloads"][0], type(sealed)())
    assert b"environment_id" in plain.data


async def test_an_environment_moves_through_the_services_as_described(tmp_path: Path) -> None:
    """With exactly these roles, settings and commands tables are made, a customer is moved, and all stop in order."""
    provider = IdentityProvider(tmp_path / "identity")
    postgres, temporal = EmbeddedPostgres(tmp_path / "postgres"), EmbeddedTemporal(tmp_path / "temporal")
    async with MailCatcher(tmp_path / "mail") as mail, provider.serving():
        variables = {
            **filled_in_example(),
            "SB_TRANSFER_OIDC_ISSUER": ISSUER,
            "SB_TRANSFER_OIDC_JWKS_URL": provider.url,
        }
        hosts = {"mail": f"127.0.0.1:{mail.port}"}
        services = Services(tmp_path, variables, provider.authority, hosts)
        try:
            await asyncio.gather(postgres.start(), temporal.start())
            hosts |= {"postgres": f"127.0.0.1:{postgres.port}", "temporal": temporal.address}
            await bare(postgres)
            await asyncio.to_thread(run_roles, postgres, environment_of("postgres", variables))
            for _ in range(2):  # every deployment does
                await services.run(*SERVICES["setup"]["command"])
            await make_books(settings_of(services.environment("setup")), journal_lines=1_000)
            await services.start()
            workflow_id = await move(services, provider)
            await reads_history(services, provider, workflow_id)
            assert "nothing is half-moved" in await services.run("sb-transfer", "reconcile")
            assert provider.asked >= len({"api", "codec"})
            assert mail.box.mails()
            await services.stop()
            await the_application_gets_in(variables["SB_APP_PASSWORD"], hosts["postgres"])
        finally:
            services.kill()
            await asyncio.gather(postgres.stop(), temporal.stop())


async def the_application_gets_in(password: str, host: str) -> None:
    connection = await asyncpg.connect(f"postgresql://sb_app:{password}@{host}/sb")
    assert await connection.fetchval("select current_user") == "sb_app"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("create schema mine")
    await connection.close()
