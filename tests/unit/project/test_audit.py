"""What the audit of the dependencies makes of what a list of vulnerabilities says."""

import pytest

from tests.tools import audit
from tests.tools.audit import Findings

SKIPPED = {"name": "rich", "skip_reason": "Dependency not found on PyPI"}
CLEAN = {"name": "typer", "version": "1.0", "vulns": []}
VULNERABLE = {
    "name": "jinja2",
    "version": "3.1.2",
    "vulns": [{"id": "CVE-2024-1", "fix_versions": ["3.1.3"], "description": ""}],
}


def test_a_known_vulnerability_fails_the_check() -> None:
    """Fails on a known vulnerability."""
    code, words = Findings.of({"dependencies": [SKIPPED, CLEAN, VULNERABLE]}).verdict()
    assert code == 1
    assert "jinja2 3.1.2: CVE-2024-1, repaired in 3.1.3" in words


@pytest.mark.parametrize("found", [Findings(), Findings.of({"dependencies": [SKIPPED]})])
def test_an_audit_that_reached_no_list_fails_and_says_so(found: Findings) -> None:
    """Fails when no list answered, or one that knows none of the packages."""
    code, words = found.verdict()
    assert code == 2
    assert "COULD NOT BE MADE" in words
    assert "nothing was looked at" in words


def test_the_program_fails_when_no_list_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends with an exit code that stops a build, after every list was asked."""
    asked: list[str] = []

    def ask_nobody(service: str) -> Findings:
        asked.append(service)
        return Findings()

    monkeypatch.setattr(audit, "ask", ask_nobody)
    assert audit.main([]) == 2
    assert asked == [*audit._SERVICES]
    assert audit.main(["--if-possible"]) == 0


def test_a_known_vulnerability_fails_wherever_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stops a build also where the audit may be left out."""
    monkeypatch.setattr(audit, "ask", lambda _: Findings.of({"dependencies": [VULNERABLE]}))
    assert audit.main(["--if-possible"]) == 1


def test_what_was_left_out_is_named() -> None:
    """Names what was left out in the last line."""
    code, words = Findings.of({"dependencies": [SKIPPED, CLEAN]}).verdict()
    assert code == 0
    assert words.startswith("1 dependencies audited")
    assert "rich" in words
