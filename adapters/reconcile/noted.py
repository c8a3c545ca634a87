"""The worker's inspections leave a note, so that a night on which nobody looked is noticed."""

import json
from collections import Counter

from adapters.postgres.connection import Pool, translated_errors
from adapters.postgres.statements import load
from adapters.reconcile.inspection import PostgresInspector
from domain.reconciliation import Findings, Inspect

_SQL = load("adapters.observability.database_gauges")


class NotedInspector:
    """Plays `domain.ports.Inspector`: inspects, and keeps when that was and how many findings of each kind."""

    def __init__(self, inspector: PostgresInspector, pool: Pool) -> None:
        """Take the inspector, which itself changes nothing, and a pool that is connected as sb_owner."""
        self._inspector = inspector
        self._pool = pool

    async def inspect(self, order: Inspect) -> Findings:
        """Look at everything, and note the outcome.

        Raises:
            Unavailable: The database or Temporal does not answer.
        """
        findings = await self._inspector.inspect(order)
        counted = Counter(violation.kind.value for violation in findings.violations)
        with translated_errors():
            await self._pool.execute(_SQL["note_inspection"], findings.at, json.dumps(counted))
        return findings
