"""Look the pinned dependencies up in the lists of known vulnerabilities: `make audit`, part of `make check`.

A known vulnerability fails it, with exit code 1; an audit that reached no list fails with 2, for nothing was looked at.
`make check` goes on after the latter, having said so: a build must be possible without a network (`--if-possible`).
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.tools.paths import ROOT

LOCK = ROOT / "requirements.lock"
# The package index's own list, and the one of OSV.
_SERVICES = ("pypi", "osv")
_PATIENCE_SECONDS = 120
NOT_MADE = 2


@dataclass
class Findings:
    """What a list said of the dependencies."""

    asked: int = 0
    unknown: list[str] = field(default_factory=list)
    vulnerable: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, report: dict[str, Any]) -> "Findings":
        """Read pip-audit's report; a dependency that the list does not know was not audited."""
        found = cls()
        for one in report["dependencies"]:
            if "skip_reason" in one:
                found.unknown.append(one["name"])
                continue
            found.asked += 1
            for vulnerability in one["vulns"]:
                repaired = ", ".join(vulnerability["fix_versions"]) or "nothing yet"
                found.vulnerable.append(
                    f"{one['name']} {one['version']}: {vulnerability['id']}, repaired in {repaired}"
                )
        return found

    def verdict(self) -> tuple[int, str]:
        """Return the exit code, and what people read."""
        if self.vulnerable:
            return 1, "Known vulnerabilities. Raise these in requirements.lock:\n  " + "\n  ".join(self.vulnerable)
        if not self.asked:
            return NOT_MADE, (
                "THE AUDIT COULD NOT BE MADE: no list of vulnerabilities answers here, so nothing was looked at. "
                "Run `make audit` where one can be reached."
            )
        rest = f"; NOT audited, for the list does not know them: {', '.join(self.unknown)}" if self.unknown else ""
        return 0, f"{self.asked} dependencies audited, no known vulnerabilities{rest}."


def ask(service: str) -> Findings:
    """Ask one list about everything in the lock; an answer that cannot be had is no finding."""
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    command += ["-s", service, "-f", "json", "-r", str(LOCK)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False)
        return Findings.of(json.loads(done.stdout))
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return Findings()


def main(words: Sequence[str] | None = None) -> int:
    """Ask until a list answers; return the exit code."""
    arguments = argparse.ArgumentParser(prog="python -m tests.tools.audit", description="Audit the dependencies.")
    arguments.add_argument("--if-possible", action="store_true", help="end well when no list answers")
    given = arguments.parse_args(words)
    found = Findings()
    for service in _SERVICES:
        found = ask(service)
        if found.asked:
            break
    code, said = found.verdict()
    sys.stdout.write(f"{said}\n")
    return 0 if given.if_possible and code == NOT_MADE else code


if __name__ == "__main__":
    sys.exit(main())
