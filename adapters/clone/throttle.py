"""Pausing a clone between two units while the server has others to serve, or a standby cannot keep up."""

import asyncio
import time
from dataclasses import dataclass

from adapters.postgres.connection import Connection, Pool, translated_errors
from adapters.postgres.statements import load
from domain.errors import Misconfigured, Unavailable
from domain.ports import MustStop

_SQL = load(__name__)
# A limit that was passed is passed again at once if the clone goes on right below it: it waits for this share of the
# limit, and for so many looks in a row.
_CALM_SHARE = 0.75
_CALM_LOOKS = 3
_RIGHT = (
    "SB_TRANSFER_CLONE_MAX_LAG and SB_TRANSFER_CLONE_MAX_ACTIVE need a right that the role {role} does not have. "
    "As a superuser: grant pg_read_all_stats to {role}; or leave both settings out."
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a clone leaves to others: None is no limit.

    `lag_bytes` is how much of the log a standby or another receiver that is connected has not applied. In time it would
    stand still with a standby that hangs. `active_sessions` counts other roles' sessions that are at work, in any
    database of the server; those that wait for a lock or for their client need nothing that a clone takes. The server
    is looked at every `look_seconds` at most.
    """

    lag_bytes: int | None = None
    active_sessions: int | None = None
    look_seconds: float = 1.0

    @property
    def any(self) -> bool:
        """Tell whether there is a limit at all."""
        return self.lag_bytes is not None or self.active_sessions is not None


async def require_sight(pool: Pool, limits: Limits) -> None:
    """Make sure that this role sees what the limits are about.

    Raises:
        Misconfigured: A limit is set, and the role may not see other roles' sessions.
        Unavailable: The server is away; try again.
    """
    if not limits.any:
        return
    with translated_errors():
        seen = await pool.fetchrow(_SQL["neighbours"])
    if seen and not seen["may_see"]:
        raise Misconfigured(_RIGHT.format(role=seen["role"]))


class Throttle:
    """One attempt's patience. `paused` says why nothing new begins now; it is None while work goes on."""

    def __init__(self, limits: Limits, must_stop: MustStop) -> None:
        self._limits = limits
        self.must_stop = must_stop
        self._turn = asyncio.Lock()
        self._calm_until = 0.0
        self.paused: str | None = None

    async def let_pass(self, connection: Connection) -> None:
        """Return when no limit is passed, or nothing new is to begin at all.

        The connection, which must not be in a transaction, is only looked through.

        Raises:
            Unavailable: The role may no longer see what the limits are about.
        """
        if not self._limits.any:
            return
        async with self._turn:  # the other connections wait here, and take over what this one has seen
            if time.monotonic() < self._calm_until:
                return
            try:
                if (crowded := await self._look(connection, 1.0)) is not None:
                    await self._wait(connection, crowded)
            finally:
                self.paused = None
            self._calm_until = time.monotonic() + self._limits.look_seconds

    async def _wait(self, connection: Connection, crowded: str) -> None:
        calm = 0
        while calm < _CALM_LOOKS and not self.must_stop():
            self.paused = f"paused: {crowded}"
            await asyncio.sleep(self._limits.look_seconds)
            found = await self._look(connection, _CALM_SHARE)
            calm, crowded = (calm + 1, crowded) if found is None else (0, found)

    async def _look(self, connection: Connection, share: float) -> str | None:
        """Say what is above a share of its limit."""
        seen = await connection.fetchrow(_SQL["neighbours"])
        if seen is None or not seen["may_see"]:
            # Not `Misconfigured`: a right that somebody takes away in the evening must not undo a transfer.
            raise Unavailable(_RIGHT.format(role=seen["role"] if seen else "of this service"))
        sessions, lag = self._limits.active_sessions, self._limits.lag_bytes
        if sessions is not None and seen["active"] > sessions * share:
            return f"sessions at work {seen['active']} (limit {sessions})"
        if lag is not None and seen["lag"] is not None and seen["lag"] > lag * share:
            return f"{seen['receiver']} is {seen['lag'] / 1e6:,.1f} MB behind (limit {lag / 1e6:,.1f} MB)"
        return None
