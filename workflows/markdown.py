"""Markdown for the Temporal UI, in which no customer's text can be anything but text.

The UI's server renders it (GitHub's Markdown, https://github.github.com/gfm/), and gets it as part of an address.
"""

import unicodedata
from collections.abc import Iterable, Sequence

_LONGEST = 200
# Control and format characters, halves of pairs, private use: they hide text, or turn around what stands after them.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co"})


def fenced(text: str, longest: int = _LONGEST) -> str:
    """Return customers' text as inline code that nothing in it can break out of, on one line and of bounded length.

    Args:
        text: Whatever somebody typed.
        longest: How many characters of it are shown.
    """
    flat = "".join(_shown(character) for character in " ".join(text.split()))
    if len(flat) > longest:
        flat = f"{flat[:longest]}…"
    # Code may not begin where the code before it ends: one backtick more than the longest row of them in the text.
    ticks = "`" * (max((len(row) for row in "".join(c if c == "`" else " " for c in flat).split()), default=0) + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{ticks}{pad}{flat}{pad}{ticks}" if flat else "-"


def _shown(character: str) -> str:
    if character == "|":
        return "¦"  # a table's row is cut at each bar before anything else is looked at
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(character) in _UNPRINTABLE else character


def copyable(json: str) -> str:
    """Return JSON as a block of its own, to be copied as it is."""
    return f"```json\n{json}\n```"


def link(words: str, address: str) -> str:
    """Return a link with our own words to an address that a setting has been checked for."""
    return f"[{words}](<{address}>)"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells hold our own words and fenced text."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
