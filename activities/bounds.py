"""No answer is larger than a payload may be, however much a customer has.

A larger one fails its activity, again and again; what is cut is counted where the message has room to say so. The limit
is below Temporal's warning, 256 kB, by what encryption and failures add.
"""

from typing import Any, Final

from domain.messages import Message

MOST_BYTES: Final = 200_000
# How long a text and how long a list may be: tried in this order.
_CUTS: Final = ((2_000, 200), (500, 100), (200, 50), (100, 10))
_LEFT_OUT: Final = "left_out"


def bounded(answer: Any) -> Any:
    """Return an activity's answer, cut to what a payload has room for; most are far smaller, and come as they are."""
    if not isinstance(answer, Message):
        return answer
    cut = answer
    for longest_text, longest_list in _CUTS:
        if len(cut.model_dump_json().encode()) <= MOST_BYTES:
            return cut
        cut = _cut(answer, longest_text, longest_list)
    return cut


def _cut(value: Any, longest_text: int, longest_list: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= longest_text else f"{value[: longest_text - 1]}…"
    if isinstance(value, list | tuple):
        return type(value)(_cut(one, longest_text, longest_list) for one in value[:longest_list])
    if isinstance(value, Message):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        changes = {name: _cut(one, longest_text, longest_list) for name, one in fields.items()}
        if _LEFT_OUT in fields:
            lists = [name for name, one in fields.items() if isinstance(one, list | tuple)]
            changes[_LEFT_OUT] += sum(len(fields[name]) - len(changes[name]) for name in lists)
        return value.model_copy(update=changes)
    return value
