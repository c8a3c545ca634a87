"""Why something cannot be carried, and what to do: in English and in Dutch. `obstacles.toml` has the words."""

import re
import tomllib
from importlib.resources import files

from domain.messages import Finding, Obstacle

_WORDS = tomllib.loads(files("adapters.schema").joinpath("obstacles.toml").read_text(encoding="utf-8"))
_NAMES: dict[str, str] = _WORDS["names"]
_NAME = re.compile(rf"^({'|'.join(_NAMES)})\b")


def obstacle(code: str, what: str, *said: str) -> Obstacle:
    """Return an obstacle in both languages.

    Args:
        code: Which of the reasons.
        what: The object, with its kind in front, e.g. `check positive of line`.
        said: What fills the reason.
    """
    naam = _NAME.sub(lambda kind: _NAMES[kind[1]], what).replace(" of domain ", " van domein ").replace(" of ", " van ")
    en, nl = (
        {"what": name, "why": why.format(*said), "remedy": remedy.format(*said)}
        for name, (why, remedy) in ((what, _WORDS["reasons"][code]["en"]), (naam, _WORDS["reasons"][code]["nl"]))
    )
    return Obstacle(**en, nl=Finding(**nl))
