"""One transfer from the start to its end through all that is done to it, driven as stubbornly as people would."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import asyncpg
from temporalio.client import Client, WorkflowFailureError
from temporalio.service import RPCError

from domain.errors import TransferError
from domain.messages import EnvironmentSummary, Reject, Release, Reschedule, StartNow, TransferStatus
from domain.naming import mailbox_workflow_id_of, workflow_id_of
from domain.steps import ActivityName
from domain.vocabulary import TransferState
from starter.client.client import TransferClient
from starter.client.workflow_handle import RemoteTransfer
from tests.chaos.blows import Ring
from tests.chaos.faults import PASSING, Boundary, Ending, Fault
from tests.chaos.hooks import Hooks, Plan
from tests.chaos.reckoning import Reckoner, Score
from tests.chaos.supplier import Supplier

# Everything that goes wrong while a server is away; the next try is the answer to each.
AWAY = (TransferError, RPCError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, WorkflowFailureError)
_PATIENCE_SECONDS = 420.0
_LOOK_SECONDS = 0.1
_FAR = timedelta(minutes=30)
_CHOSEN = timedelta(days=3)
# Mail comes in all the while: it is counted by itself.
_MAILBOX = "mailbox_message"


class TurnedBack(Exception):
    """The transfer was undone, and nobody asked for that: no fault here lasts long enough to be a reason."""


class Journey:
    """Moves one environment once."""

    def __init__(
        self,
        *,
        client: TransferClient,
        temporal: Client,
        hooks: Hooks,
        ring: Ring,
        reckoner: Reckoner,
        score: Score,
        label: str,
    ) -> None:
        self._client = client
        self._temporal = temporal
        self._hooks = hooks
        self._ring = ring
        self._reckoner = reckoner
        self._score = score
        self._label = label
        self._units: dict[str, str] = {}
        self._workflow_id = ""
        self._transfer_id: UUID | None = None
        self._rejected = False

    async def run(self, environment_id: UUID, licence: str, name: str, ending: Ending, faults: list[Fault]) -> UUID:
        """Move an environment to a licence, or have it rejected; return where its books are now.

        Raises:
            TimeoutError: It did not end.
        """
        await self._ring.calm()
        record = await self._client.environment(str(environment_id))
        before = await self._reckoner.rows(record.schema_name, but=_MAILBOX)
        supplier = Supplier(self._reckoner.pool, environment_id)
        await supplier.start()
        clone, half_way = ActivityName.CLONE_ADMINISTRATIONS, Boundary.HALF_WAY
        await self._reckoner.brake(on=any((one.activity, one.boundary) == (clone, half_way) for one in faults))
        self._workflow_id = workflow_id_of(environment_id)
        plan = Plan(
            {self._workflow_id}, faults, late=ending is Ending.LATE, state=self._state, half_way=self._is_half_way
        )
        self._hooks.plan = plan
        order = await self._client.start(str(environment_id), requested_by="old side")
        assert order.transfer_id is not None
        self._transfer_id = order.transfer_id
        mailbox_id = mailbox_workflow_id_of(order.transfer_id)
        plan.workflow_ids.add(mailbox_id)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                new = await self._drive(plan, order.transfer_id, licence, name, ending)
                await self._ring.calm()
                await self._insist(self._nothing, self._closed(self._workflow_id))
                if ending is not Ending.REJECTED:
                    await self._insist(self._nothing, self._closed(mailbox_id))
                await self._hooks.settled()
                await self._ring.calm()
        finally:
            await supplier.stop()
            self._hooks.plan = None
            self._score.faults += [str(fault) for fault in plan.done]
            for fault, seen in plan.done.items():
                print(f"{self._label} {fault} ({seen})", flush=True)  # noqa: T201
        old_rows = await self._reckoner.rows(record.schema_name, but=_MAILBOX)
        if ending is Ending.REJECTED:
            self._score.compare_counts(before, old_rows)
            for table in before:
                if before[table] != old_rows.get(table):
                    self._score.violations.append(f"{self._label}: {table} is not as it was before the undone transfer")
        else:
            self._score.compare_counts(before, await self._reckoner.rows(new.schema_name, but=_MAILBOX))
        books = record.schema_name if ending is Ending.REJECTED else new.schema_name
        self._score.violations += [f"{self._label}: {one}" for one in await supplier.wrong(books)]
        await self._reckoner.mail(order.transfer_id, plan, self._label)
        await self._reckoner.invariant(self._label)
        return environment_id if ending is Ending.REJECTED else new.environment_id

    async def _drive(
        self, plan: Plan, transfer_id: UUID, licence: str, name: str, ending: Ending
    ) -> EnvironmentSummary:
        await self._reach(TransferState.AWAITING_UPLOAD)
        tickets: list[bytes] = []

        async def download() -> None:
            tickets.append((await self._client.download_ticket(str(transfer_id)))[1])

        async def has_ticket() -> bool:
            return bool(tickets)

        async def upload() -> None:
            await self._client.upload(tickets[-1], licence=licence, name=name, uploaded_by="new side")

        await self._insist(download, has_ticket)
        await self._insist(upload, self._past(TransferState.AWAITING_UPLOAD))
        if ending is Ending.LATE:
            await self._insist(self._nothing, self._planned_again(plan))
        else:
            await self._reach(TransferState.SCHEDULED)
        remote = RemoteTransfer(self._temporal, self._workflow_id)
        # Another evening is chosen, and nobody waits for it.
        evening = datetime.now(UTC).date() + _CHOSEN
        await self._insist(
            lambda: remote.reschedule(Reschedule(evening=evening, requested_by="new side")), self._planned_on(evening)
        )
        await self._insist(
            lambda: remote.start_now(StartNow(requested_by="support")), self._past(TransferState.SCHEDULED)
        )
        await self._reach(TransferState.AWAITING_RELEASE)
        await self._hooks.settled()
        await self._ring.calm()
        await self._reckoner.invariant(self._label)
        new = await self._client.environment(str(await self._new_environment(transfer_id)))
        await self._look_at_units(new.schema_name)
        if ending is Ending.REJECTED:
            self._rejected = True
            rejected = Reject(rejected_by="new side", reason="chaos")
            await self._insist(lambda: remote.reject(rejected), self._past(TransferState.AWAITING_RELEASE))
            await self._reach(TransferState.UNDONE)
        else:
            released = Release(released_by="new side", note="")
            await self._insist(lambda: remote.release(released), self._past(TransferState.AWAITING_RELEASE))
            await self._reach(TransferState.RELEASED)
        return new

    async def _reach(self, state: TransferState) -> None:
        """Wait for a state, then inject what is due in it."""
        await self._insist(self._nothing, self._is(state))
        for fault in [fault for fault in (self._hooks.plan.due if self._hooks.plan else ()) if fault.state is state]:
            if state not in PASSING and await self._state() is state:
                await self._hooks.strike(fault)
                await self._ring.calm()

    async def _insist(self, act: Callable[[], Awaitable[object]], until: Callable[[], Awaitable[bool]]) -> None:
        while True:
            try:
                if await until():
                    return
                await act()
                if await until():
                    return
            except AWAY:
                pass
            await self._ring.mind_the_worker()
            await asyncio.sleep(_LOOK_SECONDS)

    async def _nothing(self) -> None:
        """Wait only."""

    async def _status(self) -> TransferStatus | None:
        try:
            status = await RemoteTransfer(self._temporal, self._workflow_id).status()
        except AWAY:
            return None
        if status.transfer_id != self._transfer_id:
            return None  # the one before
        if status.state in (TransferState.UNDOING, TransferState.UNDONE) and not self._rejected:
            raise TurnedBack(f"{status.undo_reason}: {status.undo_detail}")
        return status

    async def _state(self) -> TransferState | None:
        status = await self._status()
        return status.state if status else None

    def _is(self, state: TransferState) -> Callable[[], Awaitable[bool]]:
        async def asked() -> bool:
            return await self._state() is state

        return asked

    def _past(self, state: TransferState) -> Callable[[], Awaitable[bool]]:
        async def asked() -> bool:
            return await self._state() not in (None, TransferState.PREPARING, state)

        return asked

    def _planned_again(self, plan: Plan) -> Callable[[], Awaitable[bool]]:
        async def asked() -> bool:
            status = await self._status()
            if status is None or status.state is not TransferState.SCHEDULED or status.starts_at is None:
                return False
            return bool(plan.met[ActivityName.POSTPONE_START]) and status.starts_at > datetime.now(UTC) + _FAR

        return asked

    def _planned_on(self, evening: date) -> Callable[[], Awaitable[bool]]:
        async def asked() -> bool:
            status = await self._status()
            return status is not None and status.starts_at is not None and status.starts_at.date() == evening

        return asked

    def _closed(self, workflow_id: str) -> Callable[[], Awaitable[bool]]:
        async def asked() -> bool:
            return (await self._temporal.get_workflow_handle(workflow_id).describe()).close_time is not None

        return asked

    async def _new_environment(self, transfer_id: UUID) -> UUID | None:
        record = await self._client.transfer(transfer_id)
        return record.new_environment_id

    async def _is_half_way(self) -> bool:
        status = await self._status()
        if status is None or status.new is None:
            return False
        try:
            self._units = await self._reckoner.lasting_units(status.new.schema_name)
        except AWAY:
            return False
        return bool(self._units)

    async def _look_at_units(self, schema: str) -> None:
        """What was done when the clone was hit must not have been done again."""
        now = await self._reckoner.lasting_units(schema, settled=False)
        again = [unit for unit, by in self._units.items() if now.get(unit) != by]
        self._score.units_kept += len(self._units) - len(again)
        self._score.violations += [f"{self._label}: {unit} was copied twice" for unit in again]
        self._units = {}
