"""docker-compose.yml as Compose reads it, and its own services as processes of this machine."""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import yaml

from devstack.binaries import postgres_bin
from devstack.postgres import EmbeddedPostgres
from tests.tools.paths import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = (ROOT / ".env.example").read_text()
# ${NAME}, ${NAME:-default}, ${NAME:?message}
PORTS = {"postgres": 5432, "temporal": 7236, "mail": 1025}
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


def interpolated(value: str, variables: Mapping[str, str]) -> str:
    """Do what Compose does with a value; a variable that must be set and is not is an error."""

    def fill(match: re.Match[str]) -> str:
        given = variables.get(match["name"])
        if not given and match["kind"] != "-":
            raise LookupError(match["rest"])
        return given or match["rest"]

    return VARIABLE.sub(fill, value)


def seconds(duration: str) -> int:
    """Return how long a duration of Compose (or of our settings) is."""
    match = re.fullmatch(r"(\d+)([smh])", duration)
    if match is None:
        raise ValueError(duration)
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def filled_in_example() -> dict[str, str]:
    """Return `.env.example` as an operator fills it in: a value for every empty line, made up."""
    lines = re.findall(r"^([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE)
    return {name: value or secrets.token_hex(24) for name, value in lines}


def made_secrets(folder: Path) -> Path:
    """Make the secrets as an operator does; return the folder that containers see as /run/secrets."""
    subprocess.run([str(ROOT / "deploy" / "make-secrets.sh"), str(folder)], check=True, capture_output=True)
    return folder


def environment_of(name: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return a service's environment."""
    return {variable: interpolated(str(value), variables) for variable, value in SERVICES[name]["environment"].items()}


def secrets_of(name: str, made: Path, folder: Path, **hosts: str) -> Path:
    """Copy the secrets that a service is given; addresses of the compose network become those of servers here."""
    folder.mkdir()
    for secret in SERVICES[name]["secrets"]:
        text = (made / secret).read_text().replace("/run/secrets", str(folder))
        for inside, here in hosts.items():
            text = text.replace(f"{inside}:{PORTS[inside]}", here)
        (folder / secret).write_text(text)
    return folder


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
    await connection.execute("drop role sb_app, sb_api, sb_codec, sb_owner")
    await connection.close()


def run_roles(server: EmbeddedPostgres, made: Path) -> None:
    """Run the file that the image runs, as the image does."""
    command = [str(postgres_bin() / "psql"), "--no-psqlrc", server.dsn("postgres", "postgres")]
    with (ROOT / "deploy" / "roles.sql").open() as statements:
        subprocess.run(
            command,
            stdin=statements,
            env={**os.environ, "SECRETS": str(made), "SUPERUSER_SQL": str(ROOT / "adapters/postgres/superuser.sql")},
            check=True,
            capture_output=True,
        )
