"""Makes a definition that the server wrote parse to the tree that it was written from.

`x in ('a', 'b')` on a varchar is kept as an array of varchar that is cast to text[] as a whole, and is written as
`ANY ((ARRAY['a'::character varying, …])::text[])`. Parsed again, the cast goes into each element: the same rule, but
another text from then on. An array that is first cast to what it is keeps the outer cast where it was.
"""

import re

_TEXT = r"E?'(?:[^']|'')*'"
_ELEMENT = rf"(?:{_TEXT}|NULL)::character varying"
# Literals and quoted names come first, so that nothing inside of them is taken for code.
_TOKEN = re.compile(rf"""(?P<array>ARRAY\[{_ELEMENT}(?:, {_ELEMENT})*\])(?=\)?::text\[\])|{_TEXT}|"(?:[^"]|"")*\"""")
# A body in dollars is its author's text, to be carried as it is.
_BODY = re.compile(r"^AS \$", re.MULTILINE)


def reparsable(definition: str) -> str:
    """Return the definition in words that the server parses to what it wrote them from."""
    body = _BODY.search(definition)
    head, rest = (definition[: body.start()], definition[body.start() :]) if body else (definition, "")
    return _TOKEN.sub(lambda found: f"{found[0]}::character varying[]" if found["array"] else found[0], head) + rest
