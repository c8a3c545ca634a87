"""What docker-compose.yml, Dockerfile and .env.example say; `test_compose_move.py` does what they say."""

import os
import re
import shlex
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.settings import Settings
from tests.end_to_end.compose import COMPOSE, EXAMPLE, SERVICES, VARIABLE, environment_of, made_secrets, seconds
from tests.tools.paths import DOCS, ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
HBA = [line for line in (ROOT / "deploy/pg_hba.conf").read_text().splitlines() if not line.startswith("#")]
JOBS = {name for name, service in SERVICES.items() if service["restart"] == "on-failure"}
OURS = sorted(name for name, service in SERVICES.items() if service.get("build"))
# Of what the Compose specification knows, what this file uses, and what each must be.
KEYS: dict[str, type | tuple[type, ...]] = {
    "image": str,
    "build": str,
    "restart": str,
    "depends_on": dict,
    "environment": dict,
    "command": list,
    "entrypoint": list,
    "ports": list,
    "volumes": list,
    "healthcheck": dict,
    "stop_grace_period": str,
    "shm_size": str,
    "read_only": bool,
    "tmpfs": list,
    "cap_drop": list,
    "security_opt": list,
    "user": str,
    "secrets": list,
    "networks": list,
}
# What deploy/make-secrets.sh makes for the platform to keep, and no service gets.
KEPT = {"authority-key", "operators-key", "operator-cert", "operator-key"}
PUBLISHED = re.compile(r"127\.0\.0\.1:\$\{\w+:-\d+\}:\d+")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_compose_understands_every_service(name: str) -> None:
    """Holds nothing but keys and types of the Compose specification."""
    service = SERVICES[name]
    assert {key for key in service if key not in KEYS} == set()
    assert {key for key, value in service.items() if not isinstance(value, KEYS[key])} == set()
    assert re.fullmatch(r"\$\{[A-Z_]+_IMAGE:-[a-z0-9./-]+:[\w.-]+\}", service["image"]), "a digest can be put there"
    for variable, value in service.get("environment", {}).items():
        assert re.fullmatch(r"[A-Z0-9_]+", variable)
        assert isinstance(value, str), f"{variable}: YAML reads {value!r}, which is no text"
    for words in (service.get(key, []) for key in ("command", "entrypoint")):
        assert all(isinstance(word, str) for word in words)
    assert all(PUBLISHED.fullmatch(port) for port in service.get("ports", []))
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert source.startswith("./") or source in COMPOSE["volumes"]
    check = service.get("healthcheck", {})
    assert {*check} <= {"test", "interval", "timeout", "retries", "start_period"}
    assert all(seconds(check[key]) > 0 for key in check if key not in {"test", "retries"})


def test_the_file_is_one_project_in_an_order_that_exists() -> None:
    """Orders the services without a circle, each port once."""
    assert {*COMPOSE} <= {"name", "services", "volumes", "networks", "secrets"} | {
        key for key in COMPOSE if key.startswith("x-")
    }
    waiting = {name: {*service.get("depends_on", {})} for name, service in SERVICES.items()}
    started: set[str] = set()
    while ready := {name for name, needed in waiting.items() if needed <= started and name not in started}:
        started |= ready
    assert started == {*SERVICES}
    published = [port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == len({*published})
    assert "!!" not in (ROOT / "docker-compose.yml").read_text()


def test_a_text_that_yaml_would_read_as_a_number_is_found() -> None:
    """Finds 22:00 without quotes."""
    read: dict[str, Any] = yaml.safe_load("environment: {OPENS: 22:00}")
    assert not isinstance(read["environment"]["OPENS"], str)


def test_each_of_our_services_has_its_time_to_stop() -> None:
    """Gives each service longer to stop than it needs to drain."""
    worker = SERVICES["worker"]
    default = re.search(r":-(.*)\}", worker["environment"]["SB_TRANSFER_DRAIN"])
    assert default
    assert seconds(worker["stop_grace_period"]) > seconds(default[1]) + 10
    for name in OURS:
        assert name in JOBS or "stop_grace_period" in SERVICES[name]


def test_the_image_installs_what_the_lock_pins_and_no_more() -> None:
    """Installs the locked versions alone, without development tools."""
    runs = re.findall(r"^RUN (.*?)(?=^[A-Z]|\Z)", DOCKERFILE.replace("\\\n", " "), re.DOTALL | re.MULTILINE)
    installs = [
        shlex.split(part)
        for run in runs
        for part in run.split("&&")
        if re.search(r"pip\S* .*\b(install|wheel)\b", part)
    ]
    assert installs
    for words in installs:
        assert "--no-index" in words or "--require-hashes" in words or "--no-deps" in words, words
    assert re.search(r"'sb-transfer\[api\]'", DOCKERFILE)
    assert "devstack" not in DOCKERFILE


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - JOBS))
def test_every_server_is_watched_and_comes_back(name: str) -> None:
    """Gives each server a health check and a restart policy."""
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["healthcheck"]["retries"] > 1


def test_services_wait_for_what_they_need() -> None:
    """Starts each service after what it needs is ready."""
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if needed in JOBS else "service_healthy"
            assert how["condition"] == wanted, (name, needed)
    assert "setup" in SERVICES["worker"]["depends_on"]
    assert {"postgres", "temporal-namespace"} <= SERVICES["setup"]["depends_on"].keys()


def test_no_secret_stands_in_an_environment_or_has_a_default() -> None:
    """What `docker inspect` and a crash report show must not be a password; a default is everybody's password."""
    secret = re.compile(r"PASSWORD|PWD|_KEYS?$|_KEYS_|DATABASE_URL|SMTP_URL|CELLS$|CLIENT_SECRET")
    harmless = {"SB_TRANSFER_SERVE_CELLS"}
    found = 0
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if secret.search(variable) and variable not in harmless:
                found += 1
                assert re.fullmatch(r"/run/secrets/[\w-]+", value), f"{name}: {variable} must name a file"
                assert value.removeprefix("/run/secrets/") in service["secrets"], f"{name} has no {value}"
    assert found >= len(OURS) * 2
    with pytest.raises(LookupError, match="set SB_TRANSFER_OIDC_ISSUER in"):
        environment_of("api", {})
    assert re.findall(r"^#?\w*(?:PASSWORD|KEYS|SECRET)\w*=.+$", EXAMPLE, re.MULTILINE) == []


def test_each_service_gets_the_secrets_of_its_trust_and_no_other() -> None:
    """Who takes over the API finds no owner's password, and who takes over the codec server no ticket's key."""
    held = {name: {*service.get("secrets", [])} for name, service in SERVICES.items()}
    holders = {secret: {name for name in held if secret in held[name]} for secret in COMPOSE["secrets"]}
    assert holders["database-url-owner"] == {"setup", "worker"}
    assert holders["certificate-keys"] == {"worker"}
    assert holders["smtp-url"] == {"worker"}
    assert holders["ticket-keys"] == {"worker", "api"}
    assert holders["payload-keys"] == {"setup", "worker", "api", "codec"}
    assert holders["session-keys"] == holders["web-client-secret"] == {"web"}
    assert held["web"] == {"session-keys", "web-client-secret"}
    assert holders["postgres-password"] == {"postgres"}
    for key in (name for name in holders if name.endswith("-key")):
        assert len(holders[key]) == 1 or key == "setup-key", f"{key} is somebody's own"


def test_the_secrets_are_those_that_are_made(tmp_path: Path) -> None:
    """A file that is missing is made by Docker as an empty folder, and one that nobody mounts is one too many."""
    made = made_secrets(tmp_path / "secrets")
    before = {file.name: file.read_bytes() for file in made.iterdir()}
    assert COMPOSE["secrets"] == {name: {"file": f"./secrets/{name}"} for name in COMPOSE["secrets"]}
    passwords = {f"{role}-password" for role in ("owner", "app", "api", "codec")}
    assert before.keys() - KEPT == COMPOSE["secrets"].keys() | passwords
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    (made / "ticket-keys").chmod(0o600)  # as a rotation leaves it, and a container's user could not read it
    made_secrets(made)
    closed = {file.name for file in made.iterdir() if stat.S_IMODE(file.stat().st_mode) != 0o644}
    assert closed == {"authority-key", "operators-key", "operator-key"}
    assert {file.name: file.read_bytes() for file in made.iterdir()} == before


def test_every_command_of_the_security_page_works(tmp_path: Path) -> None:
    """Who renews certificates at night types what stands there."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (DOCS / "security.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", *blocks],
        cwd=ROOT,
        env={**os.environ, "SECRETS": str(tmp_path / "secrets")},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "worker-cert: OK" in done.stdout
    assert "notAfter=" in done.stdout


def test_networks_follow_trust() -> None:
    """Who is called from outside meets only what it needs, and nothing of the inner networks is published."""
    meets = {name: {*service["networks"]} for name, service in SERVICES.items()}
    inner = {name for name, network in COMPOSE["networks"].items() if (network or {}).get("internal")}
    assert inner == {"data", "core", "watch"}
    assert {name for name in meets if "core" in meets[name]} == {
        "temporal",
        "temporal-namespace",
        "setup",
        "worker",
        "api",
    }
    assert meets["temporal-ui"] == {"people"}
    assert meets["codec"] == {"data", "front"}
    assert meets["mail"] == {"mail"}
    for name, service in SERVICES.items():
        assert not service.get("ports") or meets[name] - inner, f"{name} publishes on an inner network"


def test_parts_speak_tls_and_prove_who_they_are() -> None:
    """Who listens between two parts hears nothing, and who has no certificate starts no workflow."""
    temporal = SERVICES["temporal"]["environment"]
    assert (temporal["TEMPORAL_TLS_REQUIRE_CLIENT_AUTH"], temporal["SQL_HOST_VERIFICATION"]) == ("true", "true")
    assert temporal["TEMPORAL_AUTH_AUTHORIZER"] == temporal["TEMPORAL_AUTH_CLAIM_MAPPER"] == "default"
    assert temporal["TEMPORAL_TLS_CLIENT1_CA_CERT"] != temporal["TEMPORAL_TLS_SERVER_CA_CERT"]
    for name in ("temporal-namespace", "setup", "worker", "api"):
        given = SERVICES[name]["environment"]
        assert given["TEMPORAL_ADDRESS"].endswith(":7236")
        assert given["TEMPORAL_TLS_CLIENT_KEY_PATH"].removeprefix("/run/secrets/") in SERVICES[name]["secrets"]
    assert all(line.startswith(("hostssl ", "local ")) or "127.0.0.1" in line or "::1" in line for line in HBA)


def test_every_variable_is_in_the_example() -> None:
    """Has each variable of the file in `.env.example`."""
    listed = re.findall(r"^#?([A-Z_]+)=", EXAMPLE, re.MULTILINE)
    assert len(listed) == len(set(listed))
    used = {match["name"] for match in VARIABLE.finditer((ROOT / "docker-compose.yml").read_text())}
    settings = {f"SB_TRANSFER_{name.upper()}" for name in Settings.model_fields}
    assert used | settings <= set(listed)
    assert {name for name in listed if name.startswith("SB_TRANSFER_")} <= used | settings


def test_ports_are_open_to_this_machine_only() -> None:
    """Publishes every port on the loopback address only."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) >= 4
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_mounted_and_copied_files_are_there() -> None:
    """Finds every mounted and copied file in the project."""
    mounted = [
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    ]
    assert len(mounted) == 12
    copied = [
        word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE) for word in line.split()
    ]
    assert [name for name in (*mounted, *copied) if not (ROOT / name).exists()] == []
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(copied) == sorted(allowed)


def test_the_image_runs_as_nobody_special() -> None:
    """Runs as a user without rights."""
    last_stage = DOCKERFILE.split("\nFROM ")[-1]
    assert re.findall(r"^USER (\d+)$", last_stage, re.MULTILINE) == ["10001"]
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
