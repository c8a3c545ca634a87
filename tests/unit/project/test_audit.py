"""What the audit of the dependencies makes of what a list of vulnerabilities says."""

from tests.tools.audit import Findings

SKIPPED = {"name": "rich", "skip_reason": "Dependency not found on PyPI"}
CLEAN = {"name": "typer", "version": "1.0", "vulns": []}
VULNERABLE = {
    "name": "jinja2",
    "version": "3.1.2",
    "vulns": [{"id": "CVE-2024-1", "fix_versions": ["3.1.3"], "description": ""}],
}


def test_a_known_vulnerability_fails_the_check() -> None:
    """We would ship what everybody knows how to break."""
    code, words = Findings.of({"dependencies": [SKIPPED, CLEAN, VULNERABLE]}).verdict()
    assert code == 1
    assert "jinja2 3.1.2: CVE-2024-1, repaired in 3.1.3" in words


def test_an_audit_that_was_not_made_says_so() -> None:
    """A list that knows none of the packages would look like a clean bill."""
    code, words = Findings.of({"dependencies": [SKIPPED]}).verdict()
    assert (code, "COULD NOT BE MADE" in words) == (0, True)


def test_what_was_left_out_is_named() -> None:
    """Whoever reads the last line would believe that everything was looked at."""
    code, words = Findings.of({"dependencies": [SKIPPED, CLEAN]}).verdict()
    assert code == 0
    assert words.startswith("1 dependencies audited")
    assert "rich" in words
