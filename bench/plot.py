"""Draws the clone's times beside those of other ways, as plain SVG."""

from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _LEFT, _RIGHT = 760, 250, 120
_BAR, _GAP, _TITLE = 18, 6, 34
_OURS, _OTHERS = "#1f6f54", "#a9b4c2"


def draw(cases: Sequence[tuple[str, Mapping[str, float]]], ours: str) -> str:
    """Return one group of bars for each case, each on a scale of its own.

    Args:
        cases: A title, and seconds by name.
        ours: The name whose bar stands out.
    """
    parts: list[str] = []
    y = 10
    for title, seconds in cases:
        y += _TITLE
        parts.append(f'<text x="10" y="{y - 10}" font-weight="bold">{escape(title)}</text>')
        longest = max(seconds.values())
        for name, took in seconds.items():
            width = (_WIDTH - _LEFT - _RIGHT) * took / longest
            middle = y + _BAR - 5
            parts.append(f'<text x="{_LEFT - 8}" y="{middle}" text-anchor="end">{escape(name)}</text>')
            colour = _OURS if name == ours else _OTHERS
            parts.append(f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>')
            parts.append(f'<text x="{_LEFT + width + 6:.1f}" y="{middle}">{took:.2f} s</text>')
            y += _BAR + _GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 10}" role="img" '
        'font-family="sans-serif" font-size="13">'
    )
    return "\n".join([head, '<rect width="100%" height="100%" fill="#ffffff"/>', *parts, "</svg>", ""])
