"""The pages that lead to other pages."""

import re
from pathlib import Path

import pytest

from tests.tools.paths import DOCS


def test_every_decision_is_in_the_index() -> None:
    """A decision that nobody finds is taken again, the other way."""
    listed = re.findall(r"\]\(decisions/(\d{4}-[\w-]+\.md)\) \|", (DOCS / "architecture.md").read_text())
    assert listed == sorted(page.name for page in (DOCS / "decisions").glob("*.md"))


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.relative_to(DOCS).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """At night a link that leads nowhere costs the minutes that the page was written to save."""
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([\w-]+))?\)", page.read_text()):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            titles = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in anchors, f"{target}#{anchor}"
