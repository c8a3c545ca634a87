"""What `make dist` builds: wheels that install into empty environments, an image's context and an SBOM."""

import json
import re
import subprocess
import tarfile
import venv
from pathlib import Path

import pytest

from tests.tools.dist import CannotRelease, build, require_section, version_of
from tests.tools.paths import ROOT


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


@pytest.mark.timeout(900)  # it installs everything that the service needs
@pytest.mark.parametrize(
    ("wheel", "program"),
    [
        (
            "sb_transfer_client",
            "import sb_transfer_client.testing as t; print(t.FakeService().client('backend').get_liveness().status)",
        ),
        (
            "sb_transfer",
            "from starter.cli.main import main; import worker, starter.api.write_openapi as w; w.text(); print('ok')",
        ),
    ],
)
def test_a_wheel_works_in_an_empty_environment(
    built: tuple[str, Path], tmp_path: Path, wheel: str, program: str
) -> None:
    """What lies beside the code here, and is not in the wheel, would be missed by the first who installs it."""
    version, folder = built
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    pins = tmp_path / "pins.txt"
    pins.write_text("\n".join(re.findall(r"^\S+==\S+", (ROOT / "requirements.lock").read_text(), re.MULTILINE)))
    file = f"{next(folder.glob(f'{wheel}-*.whl'))}{'[api]' if wheel == 'sb_transfer' else ''}"
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", str(pins), file)
    subprocess.run((python, *pip), check=True, capture_output=True)
    done = subprocess.run((python, "-c", program), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "ok", done.stderr
    said = "from importlib.metadata import version; import sys; print(version(sys.argv[1]))"
    told = subprocess.run((python, "-c", said, wheel), cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert told.strip() == version


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
