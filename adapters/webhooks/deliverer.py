"""Delivers events: to many endpoints side by side, of several transfers to each, of a transfer one after the other."""

import asyncio
import logging
import random
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import httpx

from adapters.crypto.webhook_secrets import WebhookSecrets
from adapters.observability.metrics import UNMEASURED, Metrics
from adapters.postgres.connection import Pool
from adapters.task_group import task_group
from adapters.webhooks.addresses import AddressRules
from adapters.webhooks.deliveries import LEASE, WINDOW, Claim, Deliveries, Due
from adapters.webhooks.sender import TIMEOUT_SECONDS, Line
from domain.errors import TransferError
from domain.ports import MustStop
from domain.webhooks import GIVE_UP_AFTER, DisabledBecause, WebhooksDelivered, pause_after, told

_log = logging.getLogger("sb_transfer.webhooks")
_LOOK_AGAIN_SECONDS = 1.0
_ENDPOINTS_AT_ONCE = 16
_TRANSFERS_AT_ONCE = 8
_TRANSFERS_IN_HAND = 64
# One endpoint is looked after for so long, then whoever waits has its turn.
_TURN_SECONDS = 15.0
# After so many failures in a row the whole endpoint is left alone for a while, and then tried with one event.
_TRUST = 5
_GONE = f"status_{HTTPStatus.GONE.value}"


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient the deliverer is."""

    pause: Callable[[int], timedelta] = pause_after
    give_up_after: timedelta = GIVE_UP_AFTER
    timeout_seconds: float = TIMEOUT_SECONDS
    lease: timedelta = LEASE
    window: int = WINDOW
    """How many events wait for one endpoint at most; the rest stands in the log."""


@dataclass(slots=True)
class _Turn:
    """What came of looking after one endpoint."""

    claim: Claim
    line: Line
    secrets: Sequence[bytes]
    until: float
    failures: int
    delivered: int = 0
    failed: int = 0
    problem: str | None = None
    lost: bool = False
    """The endpoint is somebody else's by now, disabled, or was failing too often: nothing more is sent."""


@dataclass(slots=True)
class _Tally:
    delivered: int = 0
    failed: int = 0
    turns: set[asyncio.Task[None]] = field(default_factory=set)


class WebhookDeliverer:
    """Plays `domain.ports.WebhookDeliverer`. Any number of them, in any number of processes, share the work."""

    def __init__(
        self,
        pool: Pool,
        secrets: WebhookSecrets,
        rules: AddressRules,
        *,
        pace: Pace | None = None,
        tls: ssl.SSLContext | None = None,
        metrics: Metrics = UNMEASURED,
    ) -> None:
        """Take what it needs.

        Args:
            pool: Connected as sb_owner.
            secrets: Opens those of the endpoints.
            rules: Where endpoints may be.
            pace: How patient it is.
            tls: Whose certificates are believed; those that everybody believes, if left out.
            metrics: Count deliveries.
        """
        self._metrics = metrics
        self._secrets = secrets
        self._rules = rules
        self._pace = pace or Pace()
        self._deliveries = Deliveries(pool, self._pace.window, self._pace.lease)
        self._tls = tls or httpx.create_ssl_context()

    async def deliver(self, shift: timedelta, must_stop: MustStop) -> WebhooksDelivered:
        """Deliver until the shift is over, this process is to stop, or there is no endpoint that is told anything.

        Raises:
            Unavailable: The database does not answer.
        """
        await self._reseal()
        tally = _Tally()
        over = asyncio.get_running_loop().time() + shift.total_seconds()
        endpoints = await self._deliveries.endpoints()
        async with task_group() as group:
            while endpoints and not must_stop() and asyncio.get_running_loop().time() < over:
                while len(tally.turns) < _ENDPOINTS_AT_ONCE and (claim := await self._deliveries.claim()):
                    turn = group.create_task(self._look_after(claim, tally, must_stop))
                    tally.turns.add(turn)
                    turn.add_done_callback(tally.turns.discard)
                if tally.turns:
                    await asyncio.wait(tally.turns, timeout=_LOOK_AGAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                else:
                    await asyncio.sleep(_LOOK_AGAIN_SECONDS)
                endpoints = await self._deliveries.endpoints()
        return WebhooksDelivered(endpoints=endpoints, delivered=tally.delivered, failed=tally.failed)

    async def _reseal(self) -> None:
        try:
            await self._deliveries.reseal(self._secrets)
        except TransferError as error:  # one that cannot be opened must not keep the others from being told
            _log.error("secrets of webhooks could not be sealed anew: %s", error)

    async def _look_after(self, claim: Claim, tally: _Tally, must_stop: MustStop) -> None:
        try:
            secrets = [
                self._secrets.open(claim.webhook_id, sealed) for sealed in claim.sealed_secrets(datetime.now(UTC))
            ]
        except TransferError as error:
            _log.error("nothing is sent to webhook %s: %s", claim.webhook_id, error)
            pause = self._pace.pause(claim.failures + 1)
            await self._deliveries.release(
                claim, failures=claim.failures + 1, pause=pause, problem=error.code(), delivered=False
            )
            return
        until = asyncio.get_running_loop().time() + _TURN_SECONDS
        line = Line(self._rules, claim.url, tls=self._tls, timeout_seconds=self._pace.timeout_seconds)
        async with line:
            turn = _Turn(claim, line, secrets, until, claim.failures)
            renewing = asyncio.create_task(self._keep(turn))
            try:
                await self._work(turn, must_stop)
            finally:
                renewing.cancel()
                with suppress(asyncio.CancelledError):
                    await renewing
        tally.delivered += turn.delivered
        tally.failed += turn.failed
        pause = self._pause(turn.failures - _TRUST + 1) if turn.failures >= _TRUST else timedelta(0)
        await self._deliveries.release(
            claim, failures=turn.failures, pause=pause, problem=turn.problem, delivered=turn.delivered > 0
        )
        if turn.failed:
            _log.warning(
                "webhook %s: %d delivered, %d not: %s", claim.webhook_id, turn.delivered, turn.failed, turn.problem
            )

    async def _keep(self, turn: _Turn) -> None:
        """Keep the endpoint for as long as its turn lasts."""
        while True:
            await asyncio.sleep(self._pace.lease.total_seconds() / 3)
            if not await self._deliveries.renew(turn.claim):
                turn.lost = True
                return

    async def _work(self, turn: _Turn, must_stop: MustStop) -> None:
        loop = asyncio.get_running_loop()
        while not must_stop() and not turn.lost and loop.time() < turn.until:
            if not await self._deliveries.take_in(turn.claim):
                return
            due = await self._deliveries.due(turn.claim, 1 if turn.failures >= _TRUST else _TRANSFERS_IN_HAND)
            if not due:
                return
            places = asyncio.Semaphore(_TRANSFERS_AT_ONCE)
            async with task_group() as group:
                for events in due:
                    group.create_task(self._tell(turn, events, must_stop, places))

    async def _tell(self, turn: _Turn, events: Sequence[Due], must_stop: MustStop, places: asyncio.Semaphore) -> None:
        """Send the events of one transfer in order, up to the first that is not taken, once there is a place for it."""
        async with places:
            await self._send(turn, events, must_stop)

    async def _send(self, turn: _Turn, events: Sequence[Due], must_stop: MustStop) -> None:
        loop = asyncio.get_running_loop()
        for due in events:
            if must_stop() or turn.lost or loop.time() > turn.until:
                return
            problem = await turn.line.send(told(due.event, turn.claim.licence_number), turn.secrets)
            if problem:
                await self._not_taken(turn, due, problem)
                return
            if not await self._deliveries.taken(turn.claim, due.event.position):
                turn.lost = True
                return
            turn.delivered += 1
            self._metrics.webhook_deliveries.add(1, {"outcome": "delivered"})
            turn.failures = 0

    async def _not_taken(self, turn: _Turn, due: Due, problem: str) -> None:
        turn.failed += 1
        self._metrics.webhook_deliveries.add(1, {"outcome": "failed"})
        turn.failures += 1
        turn.problem = problem
        given_up = await self._deliveries.not_taken(
            turn.claim,
            due.event.position,
            pause=self._pause(due.attempts + 1),
            patience=self._pace.give_up_after,
        )
        if problem == _GONE or given_up:
            self._metrics.webhook_deliveries.add(1, {"outcome": "disabled"})
            await self._deliveries.disable(turn.claim, DisabledBecause.GAVE_UP if given_up else DisabledBecause.GONE)
        if given_up is None or given_up or problem == _GONE or turn.failures >= _TRUST:
            turn.lost = True

    def _pause(self, failures: int) -> timedelta:
        """Return a pause, none quite like another: endpoints of one server do not come back all at once."""
        return self._pace.pause(failures) * random.uniform(0.8, 1.2)  # noqa: S311 - nothing secret
