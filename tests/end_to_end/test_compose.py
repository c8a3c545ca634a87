"""docker-compose.yml describes a stack that works: its own services are run here as it says, without Docker."""

import asyncio
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import yaml
from cryptography.fernet import Fernet

from adapters.settings import Settings
from adapters.temporal import connect_temporal
from devstack import processes
from devstack.binaries import postgres_bin
from devstack.health import is_at_work
from devstack.mail import MailCatcher
from devstack.postgres import EmbeddedPostgres
from devstack.temporal import EmbeddedTemporal

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = (ROOT / ".env.example").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
# ${NAME}, ${NAME:-default}, ${NAME:?message}
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")
JOBS = {name for name, service in SERVICES.items() if service["restart"] == "on-failure"}


def interpolated(value: str, variables: Mapping[str, str]) -> str:
    """Do what Compose does with a value; a variable that must be set and is not is an error."""

    def fill(match: re.Match[str]) -> str:
        given = variables.get(match["name"])
        if not given and match["kind"] != "-":
            raise LookupError(match["rest"])
        return given or match["rest"]

    return VARIABLE.sub(fill, value)


def filled_in_example() -> dict[str, str]:
    """Return `.env.example` as an operator fills it in: a value for every empty line."""
    lines = re.findall(r"^([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE)
    values = {name: value or secrets.token_hex(24) for name, value in lines}
    for ring in ("SB_TRANSFER_TICKET_KEYS", "SB_TRANSFER_CERTIFICATE_KEYS", "SB_TRANSFER_PAYLOAD_KEYS"):
        values[ring] = Fernet.generate_key().decode()  # 32 random bytes, which is what each is
    values["SB_TRANSFER_OIDC_JWKS_URL"] = "https://identity.invalid/jwks.json"  # nobody logs in here
    return values


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - JOBS))
def test_every_server_is_watched_and_comes_back(name: str) -> None:
    """A server that died must be back before 22:00, and `docker compose up --wait` must know when all is well."""
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["healthcheck"]["retries"] > 1


def test_services_wait_for_what_they_need() -> None:
    """A worker that starts before the tables are there would fail until somebody looks."""
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if needed in JOBS else "service_healthy"
            assert how["condition"] == wanted, (name, needed)
    assert "setup" in SERVICES["worker"]["depends_on"]
    assert {"postgres", "temporal-namespace"} <= SERVICES["setup"]["depends_on"].keys()


def test_no_secret_has_a_value_or_a_default() -> None:
    """A default password is everybody's password; without a value Compose must refuse to start."""
    secret = re.compile(r"PASSWORD|PWD|_KEYS|DATABASE_URL")
    found = 0
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if secret.search(variable):
                found += 1
                kinds = [match["kind"] for match in VARIABLE.finditer(value)]
                assert kinds == ["?"], f"{name}: {variable} must come from outside, without a default"
                assert re.fullmatch(r"(postgresql://sb_owner:)?\$\{.*\}(@postgres:5432/sb)?", value)
    assert found >= len(SERVICES) - 3
    with pytest.raises(LookupError, match="set SB_OWNER_PASSWORD in"):
        environment_of("worker", {})
    assert re.findall(r"^\w*(?:PASSWORD|KEYS)\w*=.+$", EXAMPLE, re.MULTILINE) == []


def test_every_variable_is_in_the_example() -> None:
    """An operator fills in `.env.example`; a variable that is missing there is found out at night."""
    listed = re.findall(r"^#?([A-Z_]+)=", EXAMPLE, re.MULTILINE)
    assert len(listed) == len(set(listed))
    used = {match["name"] for match in VARIABLE.finditer((ROOT / "docker-compose.yml").read_text())}
    settings = {f"SB_TRANSFER_{name.upper()}" for name in Settings.model_fields}
    assert used | settings <= set(listed)
    assert {name for name in listed if name.startswith("SB_TRANSFER_")} <= used | settings


def test_ports_are_open_to_this_machine_only() -> None:
    """Neither Temporal nor its UI asks who somebody is; on a public address anybody could release an environment."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) >= 4
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_mounted_and_copied_files_are_there() -> None:
    """Docker makes an empty folder of a mounted file that is missing, and the error comes from somewhere else."""
    mounted = [
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    ]
    assert len(mounted) == 4
    copied = [
        word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE) for word in line.split()
    ]
    assert [name for name in (*mounted, *copied) if not (ROOT / name).exists()] == []
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(copied) == sorted(allowed)


def test_the_image_runs_as_nobody_special() -> None:
    """A flaw in a library must not become root in the container."""
    last_stage = DOCKERFILE.split("\nFROM ")[-1]
    assert re.findall(r"^USER (\d+)$", last_stage, re.MULTILINE) == ["10001"]
    for name in ("setup", "worker", "api", "codec"):
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["read_only"] is True


def environment_of(name: str, variables: Mapping[str, str], **hosts: str) -> dict[str, str]:
    """Return a service's environment, with addresses inside the compose network replaced by those of servers here."""
    given = {variable: interpolated(str(value), variables) for variable, value in SERVICES[name]["environment"].items()}
    for inside, here in hosts.items():
        port = {"postgres": 5432, "temporal": 7233, "mail": 1025}[inside]
        given = {variable: value.replace(f"{inside}:{port}", here) for variable, value in given.items()}
    return given


def native(command: list[str]) -> list[str]:
    """Return a service's command with the programs of this virtual environment."""
    program = {"python": sys.executable, "sb-transfer": str(Path(sys.executable).with_name("sb-transfer"))}
    return [program[command[0]], *command[1:]]


async def bare(server: EmbeddedPostgres) -> None:
    """Make the cluster what the image's is before its first start: a superuser and nothing of ours."""
    connection = await asyncpg.connect(server.dsn("postgres", "postgres"))
    await connection.execute("drop database sb")
    await connection.execute("drop owned by sb_owner cascade")
    await connection.execute("drop owned by sb_app cascade")
    await connection.execute("drop role sb_app, sb_owner")
    await connection.close()


def run_roles(server: EmbeddedPostgres, environment: Mapping[str, str]) -> None:
    """Run the file that the image runs, as the image does."""
    command = [str(postgres_bin() / "psql"), "--no-psqlrc", server.dsn("postgres", "postgres")]
    with (ROOT / "deploy" / "roles.sql").open() as statements:
        subprocess.run(command, stdin=statements, env=dict(environment), check=True, capture_output=True)


async def test_setup_and_worker_run_as_described(tmp_path: Path) -> None:
    """With exactly these roles, settings and commands the tables are made, and the worker works and stops in order."""
    variables = filled_in_example()
    postgres, temporal = EmbeddedPostgres(tmp_path / "postgres"), EmbeddedTemporal(tmp_path / "temporal")
    async with MailCatcher(tmp_path / "mail") as mail:
        try:
            await asyncio.gather(postgres.start(), temporal.start())
            await bare(postgres)
            await asyncio.to_thread(run_roles, postgres, environment_of("postgres", variables))
            hosts = {
                "postgres": f"127.0.0.1:{postgres.port}",
                "temporal": temporal.address,
                "mail": f"127.0.0.1:{mail.port}",
            }
            await run_setup(tmp_path, environment_of("setup", variables, **hosts))
            await run_worker(tmp_path, environment_of("worker", variables, **hosts))
            await run_http(tmp_path, "api", "/v1/transfers", environment_of("api", variables, **hosts))
            await run_http(tmp_path, "codec", "/decode", environment_of("codec", variables, **hosts))
            await the_application_gets_in(variables["SB_APP_PASSWORD"], hosts["postgres"])
        finally:
            await asyncio.gather(postgres.stop(), temporal.stop())


async def run_setup(folder: Path, environment: dict[str, str]) -> None:
    """Run it twice: every deployment does."""
    for _ in range(2):
        setup = await asyncio.create_subprocess_exec(
            *native(SERVICES["setup"]["command"]),
            cwd=folder,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _nothing = await asyncio.wait_for(setup.communicate(), 60)
        assert setup.returncode == 0, output.decode()


async def run_worker(folder: Path, environment: dict[str, str]) -> None:
    """Wait until its own health check is content, then stop it as Docker does."""
    client = await connect_temporal(environment=environment)
    host = os.uname().nodename
    assert not await is_at_work(client, host)
    assert await health(folder, environment) == 1
    (folder / "worker").mkdir()
    worker = processes.launch(native(SERVICES["worker"]["command"]), folder=folder / "worker", environment=environment)
    try:
        async with asyncio.timeout(60):
            while not await is_at_work(client, host):
                assert worker.poll() is None, log_of(folder)
                await asyncio.sleep(0.2)
        assert await health(folder, environment) == 0
        worker.send_signal(signal.SIGTERM)
        grace = int(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))
        assert await asyncio.wait_for(processes.ended(worker), grace) == 0, log_of(folder)
    finally:
        worker.kill()
        worker.wait()


async def health(folder: Path, environment: dict[str, str]) -> int:
    return await succeeds(native(SERVICES["worker"]["healthcheck"]["test"][1:]), folder, environment)


async def succeeds(command: list[str], folder: Path, environment: dict[str, str]) -> int:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    return await asyncio.wait_for(process.wait(), 30)


async def run_http(folder: Path, name: str, path: str, environment: dict[str, str]) -> None:
    """Wait until its own health check is content, ask without a token, then stop it as Docker does."""
    service = SERVICES[name]
    port = processes.free_port()
    prefix = f"SB_TRANSFER_{name.upper()}"
    inside = environment[f"{prefix}_PORT"]
    environment = {**environment, f"{prefix}_HOST": "127.0.0.1", f"{prefix}_PORT": str(port)}
    check = [word.replace(f":{inside}/", f":{port}/") for word in native(service["healthcheck"]["test"][1:])]
    (folder / name).mkdir()
    server = processes.launch(native(service["command"]), folder=folder / name, environment=environment)
    try:
        async with asyncio.timeout(60):
            while await succeeds(check, folder, environment) != 0:
                assert server.poll() is None, log_of(folder, name)
                await asyncio.sleep(0.2)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as anybody:
            assert (await anybody.request("GET" if name == "api" else "POST", path)).status_code == 401
        server.send_signal(signal.SIGTERM)
        grace = int(service["stop_grace_period"].removesuffix("s"))
        assert await asyncio.wait_for(processes.ended(server), grace) == 0, log_of(folder, name)
    finally:
        server.kill()
        server.wait()


def log_of(folder: Path, name: str = "worker") -> str:
    return (folder / name / "log").read_text()


async def the_application_gets_in(password: str, host: str) -> None:
    connection = await asyncpg.connect(f"postgresql://sb_app:{password}@{host}/sb")
    assert await connection.fetchval("select current_user") == "sb_app"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("create schema mine")
    await connection.close()
