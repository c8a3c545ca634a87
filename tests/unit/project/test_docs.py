"""The pages that lead to other pages."""

import re
from pathlib import Path

import pytest

from tests.tools.paths import DOCS, ROOT


def test_every_decision_is_in_the_index() -> None:
    """Lists every decision in the index."""
    listed = re.findall(r"\]\(decisions/(\d{4}-[\w-]+\.md)\) \|", (DOCS / "architecture.md").read_text())
    assert listed == sorted(page.name for page in (DOCS / "decisions").glob("*.md"))


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.relative_to(DOCS).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """Finds the target of every link."""
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([\w-]+))?\)", page.read_text()):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            titles = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in anchors, f"{target}#{anchor}"


PAGES = sorted([*DOCS.rglob("*.md"), *(ROOT / name for name in ("README.md", "model/README.md", ".env.example"))])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_a_page_names_are_there(page: Path) -> None:
    """Finds every file that a page names."""
    folders = "|".join(sorted(entry.name for entry in ROOT.iterdir() if entry.is_dir() and entry.name[0] != "."))
    named = re.findall(rf"(?<![\w./-])((?:{folders})/(?:[\w./,-]|\{{[\w,]*\}})*\w)", page.read_text())
    paths = {path for name in named for path in spread(name)}
    assert sorted(path for path in paths if not (ROOT / path).exists() and not (page.parent / path).exists()) == []


def spread(name: str) -> list[str]:
    """Return the paths that `a/{b,c}/d` stands for."""
    match = re.search(r"\{([^}]*)\}", name)
    if match is None:
        return [name]
    return [path for one in match[1].split(",") for path in spread(name.replace(match[0], one, 1))]
