"""What `make dist` builds: wheels that install into empty environments, an image's context and an SBOM."""

import json
import os
import re
import subprocess
import sys
import tarfile
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools.dist import CannotRelease, build, require_section, version_of
from tests.tools.paths import ROOT

OURS = ("activities", "adapters", "devstack", "domain", "starter", "workflows", "worker")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Everything, of this checkout's commit, under a tag of its own; and the version."""
    folder = tmp_path_factory.mktemp("release")
    copy = folder / "copy"
    subprocess.run(("git", "clone", "--quiet", str(ROOT), str(copy)), check=True)  # noqa: S607
    changelog = copy / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("## Unreleased", "## 7.8.9 - 2026-11-29", 1))
    who = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    subprocess.run(("git", "-C", str(copy), *who, "commit", "--quiet", "-am", "Release"), check=True)  # noqa: S607
    subprocess.run(("git", "-C", str(copy), *who, "tag", "v7.8.9"), check=True)  # noqa: S607
    return build(copy, folder / "dist"), folder / "dist"


def test_the_version_is_the_tags_and_everything_is_there(built: tuple[str, Path]) -> None:
    """Whoever reports a mistake could not say of which version."""
    version, folder = built
    assert version == "7.8.9"
    assert sorted(file.name for file in folder.iterdir()) == [
        "sb-transfer-7.8.9-image-context.tar.gz",
        "sb-transfer-7.8.9.cdx.json",
        "sb_transfer-7.8.9-py3-none-any.whl",
        "sb_transfer_client-7.8.9-py3-none-any.whl",
    ]


@pytest.fixture
def install(built: tuple[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """Installs a wheel and what it needs, at the locked versions, into an empty environment; returns its programs."""
    _, folder = built

    def into_an_empty_environment(wheel: str, extras: str = "") -> Path:
        venv.create(tmp_path / "venv")
        pins = tmp_path / "pins.txt"
        pins.write_text("\n".join(re.findall(r"^\S+==\S+", (ROOT / "requirements.lock").read_text(), re.MULTILINE)))
        file = f"{next(folder.glob(f'{wheel}-*.whl'))}{extras}"
        # By the pip that is here, and nothing compiled but what runs: either costs more than all that is asked then.
        pip = (sys.executable, "-m", "pip", "--python", str(tmp_path / "venv" / "bin" / "python"))
        words = ("install", "--quiet", "--no-compile", "--disable-pip-version-check", "-c", str(pins), file)
        subprocess.run((*pip, *words), check=True, capture_output=True)
        return tmp_path / "venv" / "bin"

    return into_an_empty_environment


def test_the_client_works_in_an_empty_environment(built: tuple[str, Path], install: Callable[[str], Path]) -> None:
    """What lies beside the code here, and is not in the wheel, would be missed by the first who installs it."""
    version, _ = built
    program = (
        "import sb_transfer_client.testing as t; print(t.FakeService().client('backend').get_liveness().status);"
        "from importlib.metadata import version; print(version('sb-transfer-client'))"
    )
    done = _run(install("sb_transfer_client") / "python", "-c", program)
    assert done.stdout.split() == ["ok", version], done.stderr


@pytest.mark.timeout(900)  # it installs everything that the service needs
def test_the_service_is_an_application_beside_a_platforms_own_packages(
    built: tuple[str, Path], install: Callable[..., Path]
) -> None:
    """A platform with a `domain` of its own would lose it to ours, or we ours to it."""
    version, _ = built
    programs = install("sb_transfer", "[api]")
    [site] = (programs.parent / "lib").glob("python3.*/site-packages")
    assert not [name for name in OURS if (site / name).exists() or (site / f"{name}.py").exists()]
    for name in OURS:
        (site / f"{name}.py").write_text("whose = 'the platform'")
    brought = "import domain, worker, starter; print({domain.whose, worker.whose, starter.whose})"
    assert _run(programs / "python", "-c", brought).stdout.strip() == "{'the platform'}"
    assert _run(programs / "sb-transfer", "--version").stdout.split()[-1] == version
    assert "sb-transfer demo" in _run(programs / "python", "-m", "sb_transfer_service", "demo", "--help").stdout
    # A program that it becomes finds the same packages.
    servers = {"SB_TRANSFER_DATABASE_URL": "postgresql://127.0.0.1:1/x", "SB_TRANSFER_SMTP_URL": "smtp://127.0.0.1:1"}
    done = _run(programs / "sb-transfer", "worker", **servers)
    assert "SB_TRANSFER_TICKET_KEYS" in done.stderr
    application = site / "sb_transfer_service" / "application"
    everything = "import worker, starter.api.write_openapi as w; w.text(); print('ok')"
    assert _run(programs / "python", "-c", everything, PYTHONPATH=str(application)).stdout.strip() == "ok"
    listing = ("git", "-C", str(ROOT), "ls-files", *OURS[:-1])
    listed = subprocess.run(listing, check=True, capture_output=True, text=True).stdout
    assert [name for name in listed.split() if not (application / name).is_file()] == []


def _run(*words: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a program in a folder that has nothing of ours."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SB_TRANSFER_", "PYTHON"))}
    place = Path(words[0]).parent
    return subprocess.run(
        words, cwd=place, env={**clean, **environment}, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_image_is_built_of_what_its_dockerfile_copies(built: tuple[str, Path]) -> None:
    """An image built elsewhere would lack a folder, or hold what is nobody's business."""
    version, folder = built
    with tarfile.open(folder / f"sb-transfer-{version}-image-context.tar.gz") as context:
        names = {name.partition("/")[0] for name in context.getnames()}
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert names == {"Dockerfile", ".dockerignore", *(word for line in copied for word in line.split())}


def test_the_sbom_names_every_pinned_package(built: tuple[str, Path]) -> None:
    """Nobody could tell next year whether a vulnerable package was in it."""
    version, folder = built
    document = json.loads((folder / f"sb-transfer-{version}.cdx.json").read_text())
    pinned = set(re.findall(r"^([a-z0-9.-]+==\S+) \\$", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert {f"{one['name']}=={one['version']}" for one in document["components"]} == pinned
    assert all(one["properties"] for one in document["components"])
    assert document["metadata"]["component"]["version"] == version


@pytest.mark.parametrize(
    ("described", "version"),
    [
        ("v1.2.0-0-gabc1234", "1.2.0"),
        ("v1.2.0-14-gabc1234", "1.2.1.dev14+gabc1234"),
        ("abc1234", "0.1.0.dev0+gabc1234"),
    ],
)
def test_a_version_follows_from_the_tag(described: str, version: str) -> None:
    """A build between two releases would pass for the one before."""
    assert version_of(described) == version


def test_what_is_no_release_is_not_built() -> None:
    """A tag in another manner, or one whose changes nobody wrote down, would reach customers."""
    with pytest.raises(CannotRelease, match=r"v<major>"):
        version_of("v1.2-0-gabc1234")
    with pytest.raises(CannotRelease, match="Unreleased"):
        require_section("# Changelog\n\n## Unreleased\n", "1.2.0")
    require_section("## Unreleased\n\n## 1.2.0 - 2026-11-29\n", "1.2.0")
    require_section("## Unreleased\n", "1.2.1.dev3+gabc1234")
