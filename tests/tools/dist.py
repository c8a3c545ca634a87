"""What is released: `make dist` writes the service's wheel, the client's, the image's context and an SBOM to dist/.

They are built of what is committed, never of what lies about, and carry the version that the tag says: `v1.2.0` is
1.2.0; a commit behind it is 1.2.1.dev and how many commits, and its hash. A tag without its section in CHANGELOG.md is
not built.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from tests.tools.paths import ROOT

_TAG = re.compile(r"v(\d+)\.(\d+)\.(\d+)-(\d+)-g([0-9a-f]+)")
_VERSION_LINE = re.compile(r'^version = "[^"]*"$', re.MULTILINE)
_PIN = re.compile(r"^([a-z0-9.-]+)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}.*\n)+)", re.MULTILINE)
# What .dockerignore lets into the image's build.
_CONTEXT = (
    *(
        ".dockerignore",
        "Dockerfile",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "requirements.lock",
        "setup.py",
        "worker.py",
    ),
    *("activities", "adapters", "client", "domain", "sb_transfer_service", "starter", "workflows"),
)


class CannotRelease(Exception):
    """Nothing is built; the message says what to do."""


def version_of(described: str) -> str:
    """Return the version of a commit by what `git describe --long` says of it; before the first tag it is 0.1.0.dev.

    Raises:
        CannotRelease: The tag is no version.
    """
    if re.fullmatch("[0-9a-f]{7,40}", described):
        return f"0.1.0.dev0+g{described}"
    found = _TAG.fullmatch(described)
    if found is None:
        raise CannotRelease(f"{described} is no version. Tag releases as v<major>.<minor>.<patch>.")
    major, minor, patch, behind, commit = found.groups()
    if behind == "0":
        return f"{major}.{minor}.{patch}"
    return f"{major}.{minor}.{int(patch) + 1}.dev{behind}+g{commit}"


def require_section(changelog: str, version: str) -> None:
    """Make sure that a release has its section in the changelog, dated.

    Raises:
        CannotRelease: It has none.
    """
    if ".dev" not in version and not re.search(
        rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE
    ):
        raise CannotRelease(
            f'CHANGELOG.md has no section "## {version} - <date>". Name "Unreleased" so, and tag again.'
        )


def sbom(lock: str, name: str, version: str) -> dict[str, object]:
    """Return what an environment made of a lock holds, as CycloneDX 1.6: each package with its hashes."""
    components = [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{pin[1]}@{pin[2]}",
            "name": pin[1],
            "version": pin[2],
            "purl": f"pkg:pypi/{pin[1]}@{pin[2]}",
            "properties": [
                {"name": "sha256", "value": digest} for digest in re.findall(r"sha256:([0-9a-f]{64})", pin[3])
            ],
        }
        for pin in _PIN.finditer(lock)
    ]
    serial = uuid5(NAMESPACE_URL, hashlib.sha256(f"{name} {version}\n{lock}".encode()).hexdigest())
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": name, "name": name, "version": version}},
        "components": components,
        "dependencies": [{"ref": name, "dependsOn": [component["bom-ref"] for component in components]}],
    }


def build(repository: Path, into: Path) -> str:
    """Build everything of a repository's commit into a folder; return the version.

    Raises:
        CannotRelease: The tag, or the changelog, is not as it should be.
    """
    describe = ("describe", "--tags", "--long", "--always", "--match", "v[0-9]*")
    version = version_of(_git(repository, *describe).decode().strip())
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name) / f"sb-transfer-{version}"
        archive = Path(name) / "tree.tar"
        archive.write_bytes(_git(repository, "archive", "--format=tar", "HEAD"))
        with tarfile.open(archive) as content:
            content.extractall(tree, filter="data")
        require_section((tree / "CHANGELOG.md").read_text(), version)
        for project in (tree, tree / "client"):
            file = project / "pyproject.toml"
            file.write_text(_VERSION_LINE.sub(f'version = "{version}"', file.read_text(), count=1))
        with tarfile.open(into / f"sb-transfer-{version}-image-context.tar.gz", "w:gz") as context:
            for part in _CONTEXT:
                context.add(tree / part, part)
        lock = (tree / "requirements.lock").read_text()
        document = json.dumps(sbom(lock, "sb-transfer", version), indent=2)
        (into / f"sb-transfer-{version}.cdx.json").write_text(document + "\n")
        for project in (tree, tree / "client"):
            words = ("-m", "build", "--wheel", "--no-isolation", "--outdir", str(into), str(project))
            subprocess.run((sys.executable, *words), check=True, capture_output=True)
    return version


def _git(repository: Path, *words: str) -> bytes:
    return subprocess.run(("git", "-C", str(repository), *words), check=True, capture_output=True).stdout  # noqa: S607


def main() -> int:
    """Build into dist/; return 1 and say why when it cannot be."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--into", type=Path, default=ROOT / "dist", help="the folder")
    given = words.parse_args()
    try:
        version = build(ROOT, given.into)
    except CannotRelease as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{version}\n" + "".join(f"{file}\n" for file in sorted(given.into.glob(f"*{version}*"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
