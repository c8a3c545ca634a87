"""The picture of a transfer in the docs, drawn from the table of steps: `python -m tests.tools.transfer_picture`."""

from html import escape
from pathlib import Path
from textwrap import wrap

from domain.steps import STEPS, Step

PICTURE = Path(__file__).parents[2] / "docs" / "transfer.svg"
_A_ROW, _WIDTH, _WIDE, _HIGH, _TOP, _APART = 5, 1000, 184, 60, 96, 116
_HEAD = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {{height}}" font-family="system-ui, sans-serif" font-size="12">
<title>A transfer from freeze to release</title>
<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" fill="#456"/></marker></defs>
<rect width="{_WIDTH}" height="{{height}}" fill="#fff"/>
<text x="12" y="34" font-size="18" font-weight="600" fill="#123">One durable workflow moves one environment</text>
<text x="12" y="54" fill="#567">in each box what undoes it, above it the state that operators filter by from its end on; green: no way back</text>
"""  # noqa: E501 - one element of the picture


def picture() -> str:
    """Return the picture as SVG: a box for each step, in the order of the table."""
    rows = -(-len(STEPS) // _A_ROW)
    parts = [_HEAD.format(height=_TOP + rows * _APART - 24)]
    parts += [_box(step, number) for number, step in enumerate(STEPS)]
    return "".join(parts) + "</svg>\n"


def _box(step: Step, number: int) -> str:
    row, place = divmod(number, _A_ROW)
    x, y = 12 + place * (_WIDE + 14), _TOP + row * _APART
    middle, last = x + _WIDE / 2, number == len(STEPS) - 1
    undone = f"undo: {step.compensation.summary}" if step.compensation else ""
    fill, stroke = ("#e6f4e7", "#2e7d32") if last else ("#eaf1fb", "#3b6ea8")
    box = f'<rect x="{x}" y="{y}" width="{_WIDE}" height="{_HIGH}" rx="8" fill="{fill}" stroke="{stroke}"/>\n'
    for below, words in enumerate(wrap(step.title, 27)):
        at = f'x="{middle}" y="{y + 20 + 15 * below}"'
        box += f'<text {at} text-anchor="middle" font-weight="600" fill="#123">{escape(words)}</text>\n'
    if undone:
        box += f'<text x="{middle}" y="{y + 52}" text-anchor="middle" fill="#b5532d">{escape(undone)}</text>\n'
    if step.enters:
        box += f'<text x="{middle}" y="{y - 8}" text-anchor="middle" fill="#678">{step.enters.value}</text>\n'
    if place < _A_ROW - 1 and not last:
        line = f'x1="{x + _WIDE}" y1="{y + _HIGH / 2}" x2="{x + _WIDE + 12}" y2="{y + _HIGH / 2}"'
        box += f'<line {line} stroke="#456" stroke-width="2" marker-end="url(#a)"/>\n'
    return box


if __name__ == "__main__":
    PICTURE.write_text(picture())
