"""How the transfers of the whole service stand, read from the database at intervals and shown as gauges."""

import asyncio
import itertools
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
from temporalio.common import MetricMeter

from adapters.postgres.connection import Pool, translated_errors
from adapters.postgres.statements import load
from domain.errors import Unavailable
from domain.messages import Evening
from domain.violations import ViolationKind
from domain.vocabulary import Scenario, TransferState

_log = logging.getLogger("sb_transfer.vitals")
_SQL = load(__name__)
_EVERY_SECONDS = 5.0
_PATIENCE_SECONDS = 10.0
_READINGS_OF_AN_EVENING = 4
_OF_AN_EVENING = ("planned", "begun", "ready", "postponed", "failed")
# Until the upload nobody knows where an environment goes.
_SCENARIOS = (*Scenario, "unknown")
_WEBHOOKS = ("enabled", "failing", "disabled")
_MAILS = ("sent", "waiting", "failed")


class DatabaseGauges:
    """Gauges of what the database says. Every worker shows the same numbers: whoever adds them up counts them double.

    `deploy/prometheus/rules.yml` therefore takes the maximum over all workers whose last reading is fresh.
    """

    def __init__(self, pool: Pool, meter: MetricMeter, evening: Callable[[], Awaitable[Evening]]) -> None:
        """Make the gauges.

        Args:
            pool: Connected as sb_owner; lends one connection for some milliseconds.
            meter: What makes gauges.
            evening: Counts the evening that goes on or comes next, which takes some milliseconds more.
        """
        self._pool = pool
        self._evening = evening
        self._evening_moves = meter.create_gauge(
            "sb_transfer_evening_moves", "The moves of the evening that goes on or comes next, by what became of them"
        )
        self._evening_beyond = meter.create_gauge_float(
            "sb_transfer_evening_beyond_seconds",
            "How long after the window closes the last move is expected to be ready",
        )
        self._transfers = meter.create_gauge("sb_transfer_transfers", "Transfers by state and scenario")
        self._oldest = meter.create_gauge_float(
            "sb_transfer_oldest_seconds", "How long the transfer that has been longest in a state has been in it"
        )
        self._overdue = meter.create_gauge_float(
            "sb_transfer_overdue_seconds", "How long the planned start of a transfer that has not begun is past"
        )
        self._mails = meter.create_gauge("sb_transfer_mails", "Mails of the last three days, by what became of them")
        self._webhooks = meter.create_gauge(
            "sb_transfer_webhooks", "Endpoints that take events, that fail, and that are told nothing any more for that"
        )
        self._findings = meter.create_gauge(
            "sb_transfer_reconcile_findings", "What the newest inspection by a worker found wrong"
        )
        self._inspected = meter.create_gauge_float(
            "sb_transfer_reconcile_last_success_timestamp_seconds", "When the newest inspection by a worker was done"
        )
        self._read = meter.create_gauge_float(
            "sb_transfer_vitals_read_timestamp_seconds", "When this worker last read these gauges from the database"
        )

    async def keep_reading(self) -> None:
        """Read until cancelled; a database that is away is tried again, and the time of the last reading tells."""
        for reading in itertools.count():
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    if reading % _READINGS_OF_AN_EVENING == 0:
                        await self.read_evening()
                    await self.read()
            except (Unavailable, TimeoutError, asyncpg.PostgresError) as error:
                _log.warning("the vital signs could not be read: %s", type(error).__name__)
            await asyncio.sleep(_EVERY_SECONDS)

    async def read(self) -> None:
        """Read once.

        Raises:
            Unavailable: The database does not answer.
        """
        with translated_errors():
            row = await self._pool.fetchrow(_SQL["vitals"])
        if row is None:
            raise AssertionError("a statement of sub-selects always has a row")
        self._show_transfers(json.loads(row["transfers"]))
        self._overdue.set(row["overdue"])
        mails: dict[str, int] = json.loads(row["mails"])
        for status in _MAILS:
            self._mails.set(mails.get(status, 0), {"status": status})
        webhooks: dict[str, int] = json.loads(row["webhooks"])
        for status in _WEBHOOKS:
            self._webhooks.set(webhooks.get(status, 0), {"status": status})
        findings: dict[str, int] = json.loads(row["findings"])
        for kind in ViolationKind:
            self._findings.set(findings.get(kind, 0), {"kind": kind})
        self._inspected.set(row["inspected_at"])
        self._read.set(row["read_at"])

    async def read_evening(self) -> None:
        """Read how far the evening is.

        Raises:
            Unavailable: The database does not answer.
        """
        evening = await self._evening()
        for what in _OF_AN_EVENING:
            self._evening_moves.set(getattr(evening, what), {"what": what})
        beyond = evening.expected_end - evening.closes_at if evening.expected_end else timedelta(0)
        self._evening_beyond.set(max(beyond.total_seconds(), 0.0))

    def _show_transfers(self, found: list[dict[str, Any]]) -> None:
        counts = {(each["state"], each["scenario"]): each["transfers"] for each in found}
        for state in TransferState:
            for scenario in _SCENARIOS:
                self._transfers.set(counts.get((state, scenario), 0), {"state": state, "scenario": scenario})
            if not state.is_final:
                oldest = max((each["oldest"] for each in found if each["state"] == state), default=0.0)
                self._oldest.set(oldest, {"state": state})
