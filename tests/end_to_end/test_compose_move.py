"""An environment moves through the services of docker-compose.yml, each run as the file says, without Docker."""

import asyncio
import json
import re
import signal
import ssl
import subprocess
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
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

from adapters.settings import Settings, settings_of
from adapters.temporal.client import connect_temporal
from devstack import processes
from devstack.certificates import make_certificates
from devstack.mail import MailCatcher
from devstack.ports import Ports
from devstack.postgres import EmbeddedPostgres
from devstack.seed import SHOW_MOVES, make_books
from devstack.temporal import EmbeddedTemporal
from domain.authority import Role
from domain.errors import Unavailable
from tests.end_to_end.compose import (
    SERVICES,
    bare,
    environment_of,
    filled_in_example,
    made_secrets,
    native,
    run_roles,
    seconds,
    secrets_of,
)

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

    def __init__(
        self, folder: Path, variables: Mapping[str, str], made: Path, authority: Path, hosts: Mapping[str, str]
    ) -> None:
        self._folder = folder
        self._variables = variables
        self._made = made
        self._hosts = hosts
        # An image gets the authorities that it trusts from its operating system.
        self._trust = {"SSL_CERT_FILE": str(authority)}
        self.ports = Ports(folder / "ports.json", *LONG_RUNNING, *(f"{name} metrics" for name in SERVICES))
        self.ports.choose()
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def environment(self, name: str) -> dict[str, str]:
        """Return exactly what the file gives a service; only addresses and places are those of this machine."""
        held = self._folder / "given" / name
        if not held.exists():
            held.parent.mkdir(exist_ok=True)
            secrets_of(name, self._made, held, **self._hosts)
        given = {**self._trust, **environment_of(name, self._variables)}
        given = {variable: value.replace("/run/secrets", str(held)) for variable, value in given.items()}
        if "TEMPORAL_ADDRESS" in given:
            given["TEMPORAL_ADDRESS"] = self._hosts["temporal"]
        if name in PORT_OF:
            given |= {f"{PORT_OF[name]}_HOST": "127.0.0.1", f"{PORT_OF[name]}_PORT": str(self.ports[name])}
        if METRICS in given:
            given[METRICS] = f"127.0.0.1:{self.ports[f'{name} metrics']}"
        return given

    def settings(self, name: str) -> Settings:
        return settings_of(self.environment(name), ())

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def log(self, name: str) -> str:
        return (self._folder / name / "log").read_text()

    async def run(self, name: str, *command: str) -> str:
        """Run a command in a service's container, as `docker compose exec` does."""
        process = await asyncio.create_subprocess_exec(
            *native([*command]),
            cwd=self._folder,
            env=self.environment(name),
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
        self.ports.let_go()


async def until(session: httpx.AsyncClient, path: str, state: str) -> None:
    async with asyncio.timeout(120):
        while (answer := (await session.get(path)).json()).get("state") != state:  # nor has a service that is busy one
            assert answer.get("state") not in {"undoing", "undone"}, answer
            await asyncio.sleep(0.1)


async def move(services: Services, provider: IdentityProvider) -> str:
    """Move an environment as the platform does: over HTTP, each side with its own token. Return the workflow's id."""
    url = services.url("api")
    owner = await asyncpg.connect(services.settings("setup").database_url.get_secret_value())
    environment_id = await owner.fetchval(
        "select environment_id from control.environment where licence_number = $1 and name = $2",
        SWITCH.old_licence,
        SWITCH.environment,
    )
    await owner.close()
    async with httpx.AsyncClient(base_url=url, timeout=60) as nobody:
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
        ticket = await old.post(f"{path}/ticket", json={}, headers=once())
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
    async with httpx.AsyncClient(base_url=services.url("codec"), timeout=60) as nobody:
        assert (await nobody.post("/decode", json=body)).status_code == HTTPStatus.UNAUTHORIZED
    async with provider.session(services.url("codec"), Role.OPERATOR) as operator:
        answer = await operator.post("/decode", json=body)
        assert answer.status_code == HTTPStatus.OK, answer.text
    plain = json_format.ParseDict(answer.json()["payloads"][0], type(sealed)())
    assert b"environment_id" in plain.data


class TlsFront:
    """Stands before a server of this machine that speaks no TLS, with the certificate of a part of the file."""

    def __init__(self, part: str, made: Path, address: str) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(made / f"{part}-cert", made / f"{part}-key")
        self._asks_first = part == "postgres"
        if part == "temporal":  # as its frontend for the parts: no certificate, no word
            self._context.load_verify_locations(made / "authority")
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.set_alpn_protocols(["h2"])
        self._host, _, self._port = address.partition(":")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Listen; return where."""
        server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, ssl=None if self._asks_first else self._context
        )
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if self._asks_first:
                # PostgreSQL's SSLRequest; whatever else comes is somebody who would speak in the clear.
                assert (await reader.readexactly(8))[4:] == (80877103).to_bytes(4, "big")
                writer.write(b"S")
                await writer.start_tls(self._context)
            inner_reader, inner_writer = await asyncio.open_connection(self._host, int(self._port))
            await asyncio.gather(_carry(reader, inner_writer), _carry(inner_reader, writer))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def everybody_has_their_own_name(postgres: EmbeddedPostgres) -> None:
    """Look who is connected, while all services run."""
    superuser = await asyncpg.connect(postgres.dsn("postgres", "sb"))
    rows = await superuser.fetch(
        "select distinct usename, application_name from pg_stat_activity where application_name like 'sb-transfer%'"
    )
    await superuser.close()
    seen = {(row["usename"], row["application_name"]) for row in rows}
    assert seen >= {("sb_owner", "sb-transfer worker"), ("sb_api", "sb-transfer client")}
    assert not {role for role, name in seen if name == "sb-transfer client"} - {"sb_api", "sb_codec"}


async def nobody_else_comes_in(services: Services, made: Path) -> None:
    """A certificate for people opens nothing here, and a database of another authority is not believed."""
    given = services.environment("setup")
    for own in (made / "operator", None):
        others = {name: value for name, value in given.items() if "CLIENT" not in name}
        if own is not None:
            others |= {"TEMPORAL_TLS_CLIENT_CERT_PATH": f"{own}-cert", "TEMPORAL_TLS_CLIENT_KEY_PATH": f"{own}-key"}
        with pytest.raises(Unavailable):
            await connect_temporal(environment=others, timeout_seconds=2)
    url = services.settings("setup").database_url.get_secret_value()
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncpg.connect(re.sub(r"sslrootcert=\S+", f"sslrootcert={made / 'operators'}", url))


async def test_an_environment_moves_through_the_services_as_described(tmp_path: Path) -> None:
    """With exactly these roles, secrets, certificates and commands a customer is moved, and all stop in order."""
    provider = IdentityProvider(tmp_path / "identity")
    made = made_secrets(tmp_path / "secrets")
    certificate = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.load_cert_chain(made / "mail-cert", made / "mail-key")
    temporal = EmbeddedTemporal(tmp_path / "temporal")
    postgres = EmbeddedPostgres(tmp_path / "postgres")
    await asyncio.gather(postgres.start(), temporal.start())
    variables = {**filled_in_example(), "SB_TRANSFER_OIDC_ISSUER": ISSUER}
    async with (
        MailCatcher(tmp_path / "mail", security="starttls", tls=certificate) as mail,
        provider.serving(),
        TlsFront("temporal", made, temporal.address).serving() as frontend,
        TlsFront("postgres", made, f"127.0.0.1:{postgres.port}").serving() as database,
    ):
        variables["SB_TRANSFER_OIDC_JWKS_URL"] = provider.url
        hosts = {
            "mail": f"127.0.0.1:{mail.port}",
            "postgres": database,
            "temporal": frontend,
        }
        services = Services(tmp_path, variables, made, provider.authority, hosts)
        try:
            await bare(postgres)
            await asyncio.to_thread(run_roles, postgres, made)
            for _ in range(2):  # every deployment does
                await services.run("setup", *SERVICES["setup"]["command"])
            await nobody_else_comes_in(services, made)
            await make_books(services.settings("setup"), journal_lines=1_000)
            await services.start()
            workflow_id = await move(services, provider)
            await reads_history(services, provider, workflow_id)
            await everybody_has_their_own_name(postgres)
            assert "nothing is half-moved" in await services.run("worker", "sb-transfer", "reconcile")
            assert provider.asked >= len({"api", "codec"})
            assert mail.box.mails()
            await services.stop()
            await the_application_gets_in((made / "app-password").read_text().strip(), f"127.0.0.1:{postgres.port}")
        finally:
            services.kill()
            await asyncio.gather(postgres.stop(), temporal.stop())


async def the_application_gets_in(password: str, host: str) -> None:
    connection = await asyncpg.connect(f"postgresql://sb_app:{password}@{host}/sb")
    assert await connection.fetchval("select current_user") == "sb_app"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("create schema mine")
    await connection.close()
