"""SQL lives in `.sql` files; this module finds a statement by its name.

A file holds statements, each headed by `-- name: <identifier>` and described by the comment lines under that.
"""

import re
from functools import cache
from importlib.resources import files

_HEAD = re.compile(r"^-- name: (?P<name>[a-z_][a-z0-9_]*)\s*$", re.MULTILINE)


@cache
def load(file: str) -> dict[str, str]:
    """Return the statements of `adapters/sql/<file>.sql` by name.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A name occurs twice.
    """
    text = files("adapters").joinpath("sql", f"{file}.sql").read_text(encoding="utf-8")
    pieces = _HEAD.split(text)[1:]
    statements: dict[str, str] = {}
    for name, body in zip(pieces[::2], pieces[1::2], strict=True):
        if name in statements:
            raise ValueError(f"{file}.sql names the statement {name} twice.")
        statements[name] = body.strip()
    return statements
