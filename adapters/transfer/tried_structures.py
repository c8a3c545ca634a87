"""Structures of which a copy was made a moment ago: environments of one platform are alike, and one try tells of all.

Only what definitions say is remembered. Rows are asked of each environment anew.
"""

import hashlib
import json
import time
from datetime import timedelta

from adapters.verify.schema_snapshot import POSITION, SchemaSnapshot

# What else may change in a database, a role or an extension, makes itself felt as soon as this has passed.
_LASTS = timedelta(minutes=5)
_MOST = 64


class TriedStructures:
    """What this process has made a copy of, and found equal, by a digest of everything that the server says of it."""

    def __init__(self, lasts: timedelta = _LASTS) -> None:
        """Take how long a try tells of others."""
        self._lasts = lasts.total_seconds()
        self._tried_at: dict[str, float] = {}

    def know(self, structure: str) -> bool:
        """Tell whether a copy of this structure was made lately."""
        return time.monotonic() < self._tried_at.get(structure, -self._lasts) + self._lasts

    def remember(self, structure: str) -> None:
        """Take note that a copy was made of it, and was equal."""
        self._tried_at.pop(structure, None)
        self._tried_at[structure] = time.monotonic()
        while len(self._tried_at) > _MOST:
            del self._tried_at[next(iter(self._tried_at))]


def structure_of(side: SchemaSnapshot) -> str:
    """Return the SHA-256 of where a schema is and what it is made of, who may use it included, but not of its rows."""
    said = [
        side.cell,
        side.server,
        sorted((name, sorted(_lasting(facts))) for name, facts in side.definitions.items()),
        sorted(side.calls.items()),
    ]
    return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode(errors="surrogatepass")).hexdigest()


def _lasting(facts: dict[str, str]) -> list[tuple[str, str]]:
    return [(fact, text) for fact, text in facts.items() if fact != POSITION]
