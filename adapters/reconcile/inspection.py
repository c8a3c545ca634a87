"""Reads the facts that the invariant is judged by: the database in one snapshot, then what Temporal runs."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID, uuid4

import asyncpg

from adapters.postgres.connection import Connection, Pool, transaction, translated_errors
from adapters.postgres.guards import is_guarded
from adapters.postgres.place import Place
from adapters.postgres.shards import Shards
from adapters.postgres.statements import load
from adapters.verify.dependencies import ties_to_others
from adapters.verify.purposeful_changes import changed_on_purpose
from adapters.verify.verifier import PostgresVerifier
from domain.errors import EnvironmentUnknown
from domain.invariant import (
    EnvironmentFacts,
    HeldFacts,
    Inequality,
    Observations,
    RetirementFacts,
    RouteFacts,
    TransferFacts,
    ViolationKind,
    WorkflowFacts,
    mail_told,
    violations,
)
from domain.naming import mailbox_workflow_id_of, retirement_workflow_id_of
from domain.reconciliation import LISTED, Findings, FindingsPage, Inspect, ReadFindings
from domain.violations import ENDED, RECOVERED, REMEDY, Violation
from domain.vocabulary import HOME, EnvironmentStatus, MailKind

# A workflow closes a moment after its last transaction: what is seen in between is gone some seconds later.
LOOK_AGAIN_AFTER = timedelta(seconds=2)
# Every table that a transaction reads costs the server a few locks until it ends, and it has room for some thousands.
_SCHEMAS_AT_ONCE = 200
_DROPPED_UNDER_US = (EnvironmentUnknown, asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)

_SQL = load(__name__)
_GAUGES = load("adapters.observability.database_gauges")


class RunningWorkflows(Protocol):
    """Knows which workflows run."""

    async def running(self, workflow_ids: Collection[str]) -> set[str]:
        """Return those of these ids whose newest run is running."""
        ...

    async def open(self) -> tuple[WorkflowFacts, ...]:
        """Return what is open under the ids of transfers and mailboxes, how it fares, and what it says of itself."""
        ...


class PostgresInspector:
    """Plays `domain.ports.Inspector`. Changes nothing, and takes no lock that anybody waits for."""

    def __init__(
        self,
        pool: Pool,
        workflows: RunningWorkflows,
        verifier: PostgresVerifier,
        *,
        look_again_after: timedelta = LOOK_AGAIN_AFTER,
        shards: Shards | None = None,
    ) -> None:
        """Take the collaborators.

        Args:
            pool: Connected as sb_owner; an inspection keeps two connections busy.
            workflows: Whom to ask what runs.
            verifier: Compares clones when an inspection is to be deep.
            look_again_after: How long to wait before a finding is looked at again.
            shards: Where environments live that are not in the pool's database.
        """
        self._shards = shards or Shards(pool)
        self._workflows = workflows
        self._verifier = verifier
        self._pause_seconds = look_again_after.total_seconds()

    async def inspect(self, order: Inspect) -> Findings:
        """Look at everything, and again at what seems wrong: only what both looks saw is reported.

        Raises:
            Unavailable: The database or Temporal does not answer.
        """
        findings, _ = await self.look(order)
        return findings

    async def look(self, order: Inspect) -> tuple[Findings, list[Violation]]:
        """Do what `inspect` does, and return every violation too: worst first."""
        facts = await self.facts()
        found = violations(facts)
        if found:
            await asyncio.sleep(self._pause_seconds)
            facts = await self.facts()
            seen = {(violation.kind, violation.subject) for violation in found}
            found = [one for one in violations(facts) if (one.kind, one.subject) in seen]
        compared = 0
        if order.deep:
            compared, unequal = await self._compare_unreleased()
            judged = violations(facts.model_copy(update={"unequal": unequal}))
            found += [one for one in judged if one.kind is ViolationKind.UNEQUAL]
        findings = Findings(
            at=facts.at,
            environments=len(facts.environments),
            transfers=len(facts.transfers),
            compared=compared,
            wrong=len(found),
            by_kind=Counter(one.kind for one in found),
            violations=tuple(found[:LISTED]),
        )
        return findings, found

    async def facts(self) -> Observations:
        """Return what is so now, without comparing rows.

        Raises:
            Unavailable: The database or Temporal does not answer.
        """
        # Asked first: what a workflow says of itself is in the database by then.
        workflows = await self._workflows.open()
        facts = (await self._facts()).model_copy(update={"workflows": workflows})
        running = await self._workflows.running(_to_ask_for(facts))
        return facts.model_copy(
            update={
                "environments": tuple(
                    one.model_copy(update={"half_done": one.changed_by in running}) for one in facts.environments
                ),
                "retirements": tuple(
                    one.model_copy(update={"live": retirement_workflow_id_of(one.environment_id) in running})
                    for one in facts.retirements
                ),
                "transfers": tuple(
                    move.model_copy(
                        update={
                            "live": move.workflow_id in running,
                            "forwarding_live": mailbox_workflow_id_of(move.transfer_id) in running,
                        }
                    )
                    for move in facts.transfers
                ),
            }
        )

    async def _facts(self) -> Observations:
        async with self._snapshot() as connection:
            instant = await connection.fetchrow(_SQL["export_snapshot"])
            if instant is None:
                raise AssertionError("a snapshot can always be exported")
            known = await connection.fetch(_SQL["environments"])
            transfers = tuple(_transfer(row) for row in await connection.fetch(_SQL["transfers"]))
            held = tuple(HeldFacts(**dict(row)) for row in await connection.fetch(_SQL["held"]))
            retirements = tuple(RetirementFacts(**dict(row)) for row in await connection.fetch(_SQL["retirements"]))
            routes = tuple(RouteFacts(**dict(row)) for row in await connection.fetch(_SQL["routes"]))
            openings = await connection.fetch(_SQL["openings"])
            enter = await connection.fetchval(_SQL["import_snapshot"], instant["snapshot"])
            seen = await self._seen(connection, HOME, known, openings, enter)
        # A cell is looked into a moment later: what only that moment made is not there at the second look.
        for cell in sorted({row["cell"] for row in known} | self._shards.others.keys()):
            if cell != HOME:
                there = [row for row in known if row["cell"] == cell]
                async with self._snapshot(cell=cell) as connection:
                    active = [row["environment_id"] for row in there if row["status"] == EnvironmentStatus.ACTIVE]
                    openings = await connection.fetch(_SQL["openings_of_guests"], active)
                    seen = seen.with_more(await self._seen(connection, cell, known, openings, None))
        return Observations(
            at=instant["at"],
            environments=seen.environments,
            transfers=transfers,
            routes=routes,
            orphan_schemas=seen.orphans,
            unguarded=seen.unguarded,
            held=held,
            retirements=retirements,
        )

    async def _seen(
        self,
        connection: Connection,
        cell: str,
        known: list[asyncpg.Record],
        openings: list[asyncpg.Record],
        enter: str | None,
    ) -> "_Contents":
        """Look at what lives in one database."""
        mine = {row["schema_name"]: row for row in known if row["cell"] == cell}
        grants = {row["environment_id"]: row["grants_withheld"] for row in openings}
        flags = await self._flags_left(cell, enter, openings)
        schemas = await connection.fetch(_SQL["schemas"], list(mine))
        ties: dict[str, list[str]] = defaultdict(list)
        for tie in await ties_to_others(connection, list(mine)):
            ties[tie.schema].append(f"{tie.what} needs {tie.needs}")
        orphans = await connection.fetch(_SQL["orphan_schemas"], list(mine))
        return _Contents(
            tuple(
                _environment(mine[row["schema_name"]], row, flags, grants, tuple(ties[row["schema_name"]]))
                for row in schemas
            ),
            tuple(row["nspname"] for row in orphans),
            () if await is_guarded(connection) else (cell,),
        )

    async def _flags_left(
        self, cell: str, enter_snapshot: str | None, openings: list[asyncpg.Record]
    ) -> dict[UUID, int]:
        """Look into the schemas that were opened, some at a time: each time in a short transaction of its own."""
        found: dict[UUID, int] = {}
        columns = ("environment_id", "schema_name", "administrations", "opened")
        for first in range(0, len(openings), _SCHEMAS_AT_ONCE):
            some = openings[first : first + _SCHEMAS_AT_ONCE]
            async with self._snapshot(enter_snapshot, cell=cell) as connection:
                rows = await connection.fetch(_SQL["flags_left"], *([row[name] for row in some] for name in columns))
            found |= {row["environment_id"]: row["flags_left"] for row in rows}
        return found

    @asynccontextmanager
    async def _snapshot(self, enter: str | None = None, *, cell: str = HOME) -> AsyncIterator[Connection]:
        pool = self._shards.pool(cell)
        with translated_errors():
            async with (
                pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                if enter is not None:
                    await connection.execute(enter)  # a transaction that has asked anything has its own snapshot
                yield connection

    async def _compare_unreleased(self) -> tuple[int, tuple[Inequality, ...]]:
        compared: list[Inequality] = []
        for row in await self._unreleased():
            try:
                places = Place(row["old_schema"], row["old_cell"]), Place(row["new_schema"], row["new_cell"])
                async with self._snapshot(cell=row["new_cell"]) as connection:
                    purposeful = await changed_on_purpose(connection, row["new_schema"])
                made = await self._verifier.compare_schemas(*places, purposeful)
            except _DROPPED_UNDER_US:
                continue  # by an undo; what is missing for no reason is another rule's to find
            differences = tuple(f"{difference.table}: {difference.problem}" for difference in made.differences)
            compared.append(Inequality(transfer_id=row["transfer_id"], differences=differences))
        # What was released meanwhile may differ, and rightly so.
        still = {row["transfer_id"] for row in await self._unreleased()}
        return len(compared), tuple(one for one in compared if one.differences and one.transfer_id in still)

    async def _unreleased(self) -> list[asyncpg.Record]:
        async with self._snapshot() as connection:
            return await connection.fetch(_SQL["unreleased_clones"])


class NotedInspector:
    """Plays `domain.ports.Inspector`: inspects, and keeps when that was and what was found."""

    def __init__(self, inspector: PostgresInspector, pool: Pool) -> None:
        """Take the inspector, which itself changes nothing, and a pool that is connected as sb_owner."""
        self._inspector = inspector
        self._pool = pool

    async def inspect(self, order: Inspect) -> Findings:
        """Look at everything, and note the outcome.

        Raises:
            Unavailable: The database or Temporal does not answer.
        """
        findings, found = await self._inspector.look(order)
        inspection_id = uuid4()
        found.sort(key=_place_in_repair)
        columns = [[str(getattr(one, name)) for one in found] for name in ("kind", "subject", "what", "run_id")]
        counted = {kind.value: number for kind, number in findings.by_kind.items()}
        async with transaction(self._pool) as connection:
            await connection.execute(_SQL["forget_old_findings"])
            await connection.execute(_SQL["forget_old_deliveries"])
            await connection.execute(_SQL["keep_findings"], inspection_id, *columns)
            await connection.execute(_GAUGES["note_inspection"], findings.at, json.dumps(counted))
        return findings.model_copy(update={"inspection_id": inspection_id})

    async def findings(self, order: ReadFindings) -> FindingsPage:
        """Return the next findings of an inspection.

        Raises:
            Unavailable: The database does not answer.
        """
        with translated_errors():
            rows = await self._pool.fetch(_SQL["findings"], order.inspection_id, order.after, LISTED)
        found = tuple(
            Violation(
                kind=ViolationKind(row["kind"]),
                subject=row["subject"],
                what=row["what"],
                remedy=REMEDY[ViolationKind(row["kind"])],
                run_id=row["run_id"],
            )
            for row in rows
        )
        return FindingsPage(violations=found, last=rows[-1]["number"] if rows else order.after)


def _place_in_repair(violation: Violation) -> int:
    """Order what is put right: much goes away with a transfer's recovery, and that needs its workflow's id."""
    if violation.kind in ENDED:
        return 0
    return 1 if violation.kind in RECOVERED else 2


@dataclass(frozen=True, slots=True)
class _Contents:
    """What was seen in databases."""

    environments: tuple[EnvironmentFacts, ...]
    orphans: tuple[str, ...]
    unguarded: tuple[str, ...]

    def with_more(self, other: "_Contents") -> "_Contents":
        return _Contents(
            (*self.environments, *other.environments),
            (*self.orphans, *other.orphans),
            (*self.unguarded, *other.unguarded),
        )


def _environment(
    row: asyncpg.Record,
    schema: asyncpg.Record,
    flags: dict[UUID, int],
    grants: dict[UUID, int],
    ties: tuple[str, ...],
) -> EnvironmentFacts:
    found = dict(schema)
    there = found.pop("status_there")
    changed_by = found.pop("changed_by")
    return EnvironmentFacts(
        environment_id=row["environment_id"],
        label=row["label"],
        status=row["status"],
        changed_by=changed_by if there is not None and there != row["status"] else None,
        flags_left=flags.get(row["environment_id"], 0),
        grants_withheld=grants.get(row["environment_id"], 0),
        ties=ties,
        **found,
    )


def _transfer(row: asyncpg.Record) -> TransferFacts:
    """Return a transfer as the database knows it; whether anybody works on it is asked later."""
    facts = dict(row)
    answered = [mail_told(MailKind(kind)) for kind in facts.pop("mails")]
    return TransferFacts(**{**facts, "told": (*sorted(facts["told"]), *sorted(answered)), "live": False})


def _to_ask_for(facts: Observations) -> set[str]:
    """Return the ids of the workflows that matter: of moves under way, and of whatever would be wrong without one."""
    asked = {move.workflow_id for move in facts.transfers if not move.state.is_final}
    asked |= {one.changed_by for one in facts.environments if one.changed_by}
    asked |= {retirement_workflow_id_of(one.environment_id) for one in facts.retirements}
    wrong = {violation.subject for violation in violations(facts)}
    for move in facts.transfers:
        ends = (move.environment_id, move.new_environment_id)
        if f"transfer {move.transfer_id}" in wrong or any(f"environment {one}" in wrong for one in ends):
            asked |= {move.workflow_id, mailbox_workflow_id_of(move.transfer_id)}
    return asked
