"""SQL lives in `.sql` files; this module finds a statement by its name.

A file holds statements, each headed by `-- name: <identifier>` and described by the comment lines under that.
"""

import re
from functools import cache
from importlib.resources import files

_HEAD = re.compile(r"^-- name: (?P<name>[a-z_][a-z0-9_]*)\s*$", re.MULTILINE)


@cache
def load(module: str) -> dict[str, str]:
    """Return by name the statements of the `.sql` file that stands where a module of this dotted name would.

    A module whose statements stand beside it under its own name loads them by `load(__name__)`.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A name occurs twice.
    """
    package, _, name = module.rpartition(".")
    return parse(files(package).joinpath(f"{name}.sql").read_text(encoding="utf-8"))


def parse(text: str) -> dict[str, str]:
    """Return by name the statements of a file's text.

    Raises:
        ValueError: A name occurs twice.
    """
    pieces = _HEAD.split(text)[1:]
    statements: dict[str, str] = {}
    for name, body in zip(pieces[::2], pieces[1::2], strict=True):
        if name in statements:
            raise ValueError(f"The statement {name} is named twice.")
        statements[name] = body.strip()
    return statements


def within(statement: str, schema_name: str) -> str:
    """Return a statement about the tables of an environment, with its schema where `{env}` stands.

    Names that stand without a schema would be looked for on a path, and on a path with an environment's schema the
    application's functions are preferred to the server's where they match better; then they would run as this service.
    """
    quoted = schema_name.replace('"', '""')
    return statement.replace("{env}", f'"{quoted}"')
