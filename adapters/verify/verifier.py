"""Proves two environments equal: every row by its bytes, everything else by what the server says its definition is.

It shares no code and no statement with the clone engine, so that a mistake in one shows in the other.
"""

import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from uuid import uuid5

import asyncpg

from adapters.postgres.connection import Pool, transaction
from adapters.postgres.lock_waits import named_waits
from adapters.postgres.place import Place
from adapters.postgres.shards import Shards
from adapters.postgres.statements import load
from adapters.postgres.transfer_rows import lock_for_step, record_event
from adapters.task_group import task_group
from adapters.verify.chunks import Batch, TablePair, cut, read
from adapters.verify.dependencies import ties_to_others
from adapters.verify.fingerprint_store import keep_proof
from adapters.verify.prefetch import PrefetchedHashes, discard_prefetched, prefetched_hashes
from adapters.verify.progress import Progress
from adapters.verify.row_diff import RowDiff
from adapters.verify.schema_diff import NEW, OLD, schema_differences
from adapters.verify.schema_snapshot import SchemaSnapshot, read_snapshot, reading
from domain.errors import CloneDiffers, EnvironmentUnknown
from domain.events import EventKind
from domain.fingerprint import Fingerprint
from domain.messages import CloneProgress, TableDifference, Verification, VerifyClone
from domain.ports import ReportProgress

EVENT_KIND = EventKind.CLONE_VERIFIED
MAX_KEYS = 20
MAX_DIFFERENCES = 100
_NOTHING: Mapping[str, frozenset[str]] = MappingProxyType({})
_SQL = load(__name__)


@dataclass(frozen=True, slots=True)
class _Compared:
    """What a comparison found, and the fingerprints of both sides, which are whole where nothing differs."""

    verification: Verification
    old: Fingerprint
    new: Fingerprint


def _silence(_: CloneProgress) -> None:
    """Take a report that nobody asked for."""


class PostgresVerifier:
    """Plays `domain.ports.Verifier`."""

    def __init__(self, pool: Pool, *, parallelism: int, shards: Shards | None = None) -> None:
        """Take a pool that is connected as sb_owner, the number of its connections to keep busy, and other cells'."""
        self._pool = pool
        self._parallelism = parallelism
        self._shards = shards or Shards(pool)

    async def verify(self, order: VerifyClone, report: ReportProgress) -> Verification:
        """Compare a clone with its source, keep the result with the transfer and tell it once.

        Differences are returned, not raised: at most 100, and of each table the first 20 keys.

        Raises:
            Superseded: The transfer is being undone.
            Unavailable: The server is away; try again.
        """
        async with transaction(self._pool) as connection:
            await lock_for_step(connection, order.transfer_id, evening=order.evening)
            kept = await connection.fetchval(_SQL["kept"], order.transfer_id)
            if kept is not None:  # the workflow was reset, and banks of the copy are other ones by now
                return Verification.model_validate_json(kept)
            ahead = await prefetched_hashes(connection, order)
        try:
            compared = await self._compare(
                Place(order.source_schema, order.source_cell),
                Place(order.target_schema, order.target_cell),
                _NOTHING,
                report,
                ahead=ahead,
            )
        except (EnvironmentUnknown, asyncpg.PostgresError):
            await self._hold(order)  # an undo that began meanwhile drops the clone from under us
            raise
        verification = compared.verification
        if verification.equal:
            async with transaction(self._pool) as connection:
                await lock_for_step(connection, order.transfer_id, evening=order.evening)
                changed = await keep_proof(connection, order.transfer_id, compared.old, compared.new)
            verification = verification.model_copy(update={"differences": _limited(changed)})
        found = verification.model_dump()
        summary = {**verification.model_dump(exclude={"differences"}), "mismatches": len(verification.differences)}
        async with transaction(self._pool) as connection:
            await lock_for_step(connection, order.transfer_id, evening=order.evening)
            await connection.execute(_SQL["keep"], order.transfer_id, json.dumps(summary | found))
            await discard_prefetched(connection, order.transfer_id)
            await record_event(
                connection,
                order.transfer_id,
                EVENT_KIND,
                detail=summary,
                event_key=uuid5(order.transfer_id, f"{EVENT_KIND} {order.evening}"),
            )
        return verification

    async def compare_schemas(
        self,
        old: Place | str,
        new: Place | str,
        ignored_columns: Mapping[str, frozenset[str]] = _NOTHING,
        report: ReportProgress = _silence,
    ) -> Verification:
        """Compare two schemas on demand, leaving out the values of `ignored_columns` (table → columns).

        They are at home, unless their place is given. Rights that a fence around the old schema holds back may be
        there or not.

        Raises:
            EnvironmentUnknown: There is no such schema.
            Unavailable: The server is away; try again.
        """
        return (await self._compare(_place(old), _place(new), ignored_columns, report, fenced=True)).verification

    async def hashes(self, place: Place | str, report: ReportProgress = _silence) -> Fingerprint:
        """Read every row of a schema once and return what it is; see `domain.fingerprint`.

        Args:
            place: The schema; at home, when its place is not given.
            report: Told of progress.

        Raises:
            EnvironmentUnknown: There is no such schema.
            CloneDiffers: A table cannot be read.
            Unavailable: The server is away; try again.
        """
        progress = Progress(report, "hash")
        async with named_waits(self._shards, _place(place)), progress.telling():
            return await self._fingerprint(await self._side(_place(place)), progress)

    async def hashes_of_copy(
        self, old: Place, new: Place, purposeful: Mapping[str, frozenset[str]], report: ReportProgress
    ) -> tuple[Fingerprint, list[TableDifference]]:
        """Do as `hashes` for a copy, and hold some of its tables against the original's, whose structure is as proved.

        Args:
            old: The original.
            new: The copy.
            purposeful: The columns in which they may differ, by table.
            report: Told of progress.

        Returns:
            What the copy is, and those tables whose other columns differ.
        """
        progress = Progress(report, "hash")
        async with named_waits(self._shards, old, new), progress.telling():
            copy = await self._side(new)
            fingerprint = await self._fingerprint(copy, progress)
            before, after = [
                await self._fingerprint(side, Progress(_silence), without=purposeful)
                for side in (await self._side(old, of_rows=True), copy.of_rows())
            ]
        return fingerprint, before.changes(after, definitions=False)

    async def _fingerprint(
        self, side: SchemaSnapshot, progress: Progress, *, without: Mapping[str, frozenset[str]] | None = None
    ) -> Fingerprint:
        """Read all rows, or only those of tables of which some columns are left out."""
        left_out = without or _NOTHING
        pairs = [
            TablePair(name, tuple(sorted(table.columns.keys() - left_out.get(name, frozenset()))), None)
            for name, table in side.readable.items()
            if without is None or name in without or table.hashed in without
        ]
        batches = cut(pairs, (side,))
        progress.measure(pairs, batches, side)
        await self._in_parallel(self._hash_batches, progress, iter(batches))
        for pair in pairs:
            if pair.unreadable:
                raise CloneDiffers(f"{side.tables[pair.name].object}: its rows could not be read: {pair.unreadable}")
        return side.fingerprint({pair.name: pair.sums[0] for pair in pairs})

    async def _hold(self, order: VerifyClone) -> None:
        async with transaction(self._pool) as connection:
            await lock_for_step(connection, order.transfer_id, evening=order.evening)

    async def _compare(
        self,
        old_place: Place,
        new_place: Place,
        ignored_columns: Mapping[str, frozenset[str]],
        report: ReportProgress,
        *,
        fenced: bool = False,
        ahead: PrefetchedHashes | None = None,
    ) -> _Compared:
        progress = Progress(report)
        async with named_waits(self._shards, old_place, new_place), progress.telling():
            old, new = await self._sides(old_place, new_place)
            if fenced:
                await self._forget_taken_grants(old, new)
            pairs = _pairs(old, new, ignored_columns)
            batches = cut(pairs, (old, new))
            progress.measure(pairs, batches, old, new)
            left = progress.take_over(batches, old, ahead) if ahead else batches
            await self._in_parallel(self._hash_batches, progress, iter(left))
            if len(left) < len(batches):
                await self._recheck_prefetched(progress, pairs, old)
            unequal = _unequal(pairs, old)
            structure = await self._structure(old, new)
            found: dict[str, TableDifference] = {}
            await self._in_parallel(self._explain, iter(unequal), found, old, new)
        verification = Verification(
            tables=len(old.tables),
            rows=sum(pair.sums[0][0] for pair in pairs),
            seconds=round(progress.seconds, 3),
            differences=_limited([*structure, *(found[pair.name] for pair in unequal)]),
        )
        fingerprints = [
            side.fingerprint({pair.name: pair.sums[place] for pair in pairs}, since)
            for place, (side, since) in enumerate(((old, ahead.begun_at if ahead else None), (new, None)))
        ]
        return _Compared(verification, *fingerprints)

    async def _structure(self, old: SchemaSnapshot, new: SchemaSnapshot) -> list[TableDifference]:
        """Find what is defined otherwise, or depends on another environment though it reads the same."""
        async with reading(self._shards.pool(new.cell), readonly=False) as connection:
            ties = await ties_to_others(connection, [new.schema])
            differences = await schema_differences(connection, old, new)
        told = [
            TableDifference(table=tie.what, problem=f"it depends on another environment: {tie.needs}") for tie in ties
        ]
        return told + differences

    async def _recheck_prefetched(self, progress: Progress, pairs: list[TablePair], old: SchemaSnapshot) -> None:
        """Read the old side of unequal tables again: somebody may have got past the fence since it was read ahead."""
        doubtful = _unequal(pairs, old)
        for pair in doubtful:
            pair.sums[0][:] = [0, 0, 0]
        batches = cut(doubtful, (old,))
        progress.again(doubtful, batches)
        await self._in_parallel(self._hash_batches, progress, iter(batches))

    async def _sides(self, *places: Place) -> list[SchemaSnapshot]:
        """Read what the server says of some schemas, side by side where there are connections for it."""
        if self._parallelism == 1:
            return [await self._side(place) for place in places]
        async with task_group() as readers:
            reading = [readers.create_task(self._side(place)) for place in places]
        return [task.result() for task in reading]

    async def _side(self, place: Place, *, of_rows: bool = False) -> SchemaSnapshot:
        async with reading(self._shards.pool(place.shard)) as connection:
            return await read_snapshot(connection, place.schema, place.shard, of_rows=of_rows)

    async def _forget_taken_grants(self, old: SchemaSnapshot, new: SchemaSnapshot) -> None:
        async with reading(self._shards.pool(old.cell)) as connection:
            for taken in await connection.fetch(_SQL["taken_grants"], old.schema):
                for side in (old, new):
                    side.definitions.get(taken["object"], {}).pop(taken["fact"], None)

    async def _in_parallel(self, work: Callable[..., Coroutine[None, None, None]], *shared: object) -> None:
        """Do one work on `parallelism` connections; the workers take from what they share until nothing is left."""
        async with task_group() as workers:
            for _ in range(self._parallelism):
                workers.create_task(work(*shared))

    async def _hash_batches(self, progress: Progress, batches: Iterator[Batch]) -> None:
        for batch in batches:
            try:
                await self._hash(progress, batch)
            except asyncpg.InsufficientPrivilegeError as error:
                if len(batch.chunks) == 1:
                    batch.chunks[0].pair.unreadable = str(error)
                    progress.read(batch.chunks[0], 0)
                else:
                    await self._hash_batches(progress, iter([Batch(batch.side, (chunk,)) for chunk in batch.chunks]))

    async def _hash(self, progress: Progress, batch: Batch) -> None:
        async with reading(self._shards.pool(batch.side.cell), readonly=False) as connection:
            found = await read(connection, batch)
        for chunk, sums in found:
            progress.take(chunk, sums)

    async def _explain(
        self, pairs: Iterator[TablePair], found: dict[str, TableDifference], old: SchemaSnapshot, new: SchemaSnapshot
    ) -> None:
        for pair in pairs:
            found[pair.name] = await self._explained(pair, old, new)

    async def _explained(self, pair: TablePair, old: SchemaSnapshot, new: SchemaSnapshot) -> TableDifference:
        table = old.tables[pair.name].object
        if pair.unreadable:
            return TableDifference(table=table, problem=f"its rows could not be read: {pair.unreadable}")
        counts = [sums[0] for sums in pair.sums]
        problem = f"rows differ: {counts[0]} in {OLD}, {counts[1]} in {NEW}"
        row_diff = RowDiff(self._shards, pair.name, pair.columns, pair.key, MAX_KEYS)
        keys = await row_diff.keys(old, new) if pair.key else []
        keys = keys or await row_diff.rows(old, new)
        if len(keys) > MAX_KEYS:
            problem += f"; the first {MAX_KEYS} are named"
        return TableDifference(table=table, problem=problem, keys=keys[:MAX_KEYS])


def _place(given: Place | str) -> Place:
    return given if isinstance(given, Place) else Place(given)


def _limited(differences: list[TableDifference]) -> list[TableDifference]:
    """Keep a message within bounds; what it leaves out it counts."""
    if len(differences) <= MAX_DIFFERENCES:
        return differences
    left_out = len(differences) - MAX_DIFFERENCES + 1
    return [*differences[: MAX_DIFFERENCES - 1], TableDifference(table="*", problem=f"{left_out} more differences")]


def _pairs(old: SchemaSnapshot, new: SchemaSnapshot, ignored_columns: Mapping[str, frozenset[str]]) -> list[TablePair]:
    """Return the tables that can be read on both sides."""
    names = sorted(old.tables.keys() & new.tables.keys())
    return [
        _pair(old, new, name, ignored_columns)
        for name in names
        if old.tables[name].readable and new.tables[name].readable
    ]


def _unequal(pairs: list[TablePair], old: SchemaSnapshot) -> list[TablePair]:
    """Return the tables whose rows differ; those over which a hash deals rows out are equal when all of them are."""
    families: dict[str, list[TablePair]] = {}
    for pair in pairs:
        families.setdefault(old.tables[pair.name].hashed or pair.name, []).append(pair)
    return [
        pair
        for family in families.values()
        if any(pair.unreadable for pair in family) or _total(family, 0) != _total(family, 1)
        for pair in family
        if not pair.equal
    ]


def _total(family: list[TablePair], side: int) -> list[int]:
    return [sum(part) for part in zip(*(pair.sums[side] for pair in family), strict=True)]


def _pair(
    old: SchemaSnapshot, new: SchemaSnapshot, name: str, ignored_columns: Mapping[str, frozenset[str]]
) -> TablePair:
    """Choose the columns to compare: those of one type on both sides. Others are a difference of structure already.

    By name: where parents decide, columns may stand in another order in the clone.
    """
    before, after = old.definitions[old.tables[name].object], new.definitions[new.tables[name].object]
    ignored = ignored_columns.get(name, frozenset())
    columns = tuple(
        column
        for column, (quoted, _) in sorted(old.tables[name].columns.items())
        if column not in ignored
        and column in new.tables[name].columns
        and before[f"column {quoted}"] == after[f"column {quoted}"]
    )
    key = old.tables[name].key
    usable = bool(key) and key == new.tables[name].key and set(key) <= set(columns)
    return TablePair(name, columns, key if usable else None)
