"""`python -m tests.load.resets`: transfers that operators reset, singly and by batch, at any event, on the real stack.

Afterwards `reconcile --fix` looks at everything, and everybody goes on as if nothing had happened. The last line says
how many healthy transfers were undone, stuck or told twice; anything but zeros is a fault.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from google.protobuf.empty_pb2 import Empty
from temporalio.api.batch.v1 import BatchOperationReset
from temporalio.api.common.v1 import ResetOptions, WorkflowExecution
from temporalio.api.enums.v1 import BatchOperationState
from temporalio.api.workflowservice.v1 import (
    DescribeBatchOperationRequest,
    ResetWorkflowExecutionRequest,
    StartBatchOperationRequest,
)
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from adapters.crypto.payload_codec import encrypting
from adapters.temporal.client import connect_temporal
from devstack.stack import Stack
from domain import messages as m
from domain.reconciliation import Reconcile, Reconciled
from domain.vocabulary import TransferState
from starter.client.client import TransferClient
from starter.client.connect import connect, settings_of
from starter.client.models import PreparedTransfer
from tests.integration.services import NEW_FIRM, Services
from workflows.reconcile import ReconcileWorkflow
from workflows.task_queues import TRANSFERS

_AT_ONCE = 4
_PATIENCE = timedelta(minutes=10)
_RPC_TIMEOUT = timedelta(minutes=1)
_AGAIN_AFTER_SECONDS = 8.0
_OTHERS = ("SB_TRANSFER_", "TEMPORAL_")
S = TransferState
# How far a transfer is when somebody resets it; one that clones is met at any event of its evening.
_REACHED = (S.AWAITING_UPLOAD, S.SCHEDULED, S.CLONING, S.AWAITING_RELEASE, S.AWAITING_RELEASE, S.RELEASED)


@dataclass(frozen=True)
class Score:
    """What became of transfers that nobody wanted undone."""

    transfers: int
    released: int
    undone: int
    stuck: int
    told_twice: int
    left: int
    """What `reconcile --fix` left to people."""

    @property
    def faults(self) -> int:
        return self.undone + self.stuck + self.told_twice + self.left

    def __str__(self) -> str:
        return (
            f"{self.transfers} transfers reset: {self.released} released, {self.undone} undone, {self.stuck} stuck, "
            f"{self.told_twice} mails sent twice, {self.left} findings left"
        )


class Reset:
    """One stack, on which transfers are reset."""

    def __init__(self, services: Services, client: TransferClient, temporal: Client, dice: random.Random) -> None:
        self._services = services
        self._client = client
        self._temporal = temporal
        self._dice = dice
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._prepared: list[PreparedTransfer] = []
        self._reached: list[TransferState] = []

    async def run(self, count: int) -> Score:
        """Begin transfers, reset them, heal, and bring them to their end."""
        self._reached = [_REACHED[number % len(_REACHED)] for number in range(count)]
        self._prepared = await asyncio.gather(*map(self._begin, range(count)))
        singly = [one for number, one in enumerate(self._prepared) if number % 2]
        await asyncio.gather(*map(self._reset, singly))
        by_batch = [one for number, one in enumerate(self._prepared) if not number % 2]
        for first in (True, False):
            await self._reset_batch(by_batch[first::2], first=first)
        healed: Reconciled = await self._temporal.execute_workflow(
            ReconcileWorkflow.run, Reconcile(heal=True, requested_by="operator"), id="heal", task_queue=TRANSFERS
        )
        ended = Counter(await asyncio.gather(*map(self._to_its_end, range(count))))
        twice = await self._services.pool.fetchval(
            "select count(*) from (select from control.sent_mail where status = 'sent' and kind not like '%reminder' "
            "group by transfer_id, kind, recipient having count(*) > 1) twice"
        )
        return Score(count, ended[S.RELEASED], ended[S.UNDONE], ended[None], twice, healed.left.wrong)

    async def _begin(self, number: int) -> PreparedTransfer:
        async with self._turn:
            environment_id = await self._services.environment(f"Klant {number}")
            ready = await self._client.prepare(str(environment_id), requested_by="old side")
            state = self._reached[number]
            if state is not S.AWAITING_UPLOAD:
                await self._upload(ready, number)
            if state is S.CLONING:
                await self._signal(ready, "start_now")
            elif state is S.AWAITING_RELEASE:
                await self._walk(ready, until=S.AWAITING_RELEASE)
            elif state is S.RELEASED:
                await self._walk(ready)
            return ready

    async def _upload(self, ready: PreparedTransfer, number: int) -> None:
        await self._client.upload(ready.ticket, licence=NEW_FIRM, name=f"Nieuw {number}", uploaded_by="new side")

    async def _signal(self, ready: PreparedTransfer, name: str) -> None:
        by = {"start_now": m.StartNow(requested_by="support"), "release": m.Release(released_by="new side")}
        try:
            await self._temporal.get_workflow_handle(ready.workflow_id).signal(name, by[name])
        except RPCError:
            return  # it has ended

    async def _reset(self, ready: PreparedTransfer) -> None:
        """Reset to a workflow task of any kind, as the page does: signals and updates that came later come again."""
        handle = self._temporal.get_workflow_handle(ready.workflow_id)
        tasks = [
            event.event_id
            async for event in handle.fetch_history_events()
            if event.HasField("workflow_task_completed_event_attributes")
        ]
        request = ResetWorkflowExecutionRequest(
            namespace=self._temporal.namespace,
            workflow_execution=WorkflowExecution(workflow_id=ready.workflow_id),
            reason="a bad deploy",
            workflow_task_finish_event_id=self._dice.choice(tasks),
            request_id=str(uuid.uuid4()),
        )
        async with self._turn:
            await self._temporal.workflow_service.reset_workflow_execution(request, retry=True, timeout=_RPC_TIMEOUT)

    async def _reset_batch(self, some: Sequence[PreparedTransfer], *, first: bool) -> None:
        """Reset all at once, to their first workflow task or to their last, which is the cure of a bad deploy."""
        if not some:
            return
        options = ResetOptions(first_workflow_task=Empty()) if first else ResetOptions(last_workflow_task=Empty())
        job_id = str(uuid.uuid4())
        await self._temporal.workflow_service.start_batch_operation(
            StartBatchOperationRequest(
                namespace=self._temporal.namespace,
                job_id=job_id,
                reason="a bad deploy",
                executions=[WorkflowExecution(workflow_id=one.workflow_id) for one in some],
                reset_operation=BatchOperationReset(identity="operator", options=options),
            )
        )
        request = DescribeBatchOperationRequest(namespace=self._temporal.namespace, job_id=job_id)
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            while True:
                batch = await self._temporal.workflow_service.describe_batch_operation(request)
                if batch.state == BatchOperationState.BATCH_OPERATION_STATE_COMPLETED:
                    break
                await asyncio.sleep(0.2)
        if batch.failure_operation_count:
            raise AssertionError(f"{batch.failure_operation_count} of {len(some)} were not reset")

    async def _to_its_end(self, number: int) -> TransferState | None:
        """Go on as people do who know of no reset; return how it ended, None when it does not."""
        ready = self._prepared[number]
        try:
            await self._walk(ready, number)
        except TimeoutError:
            return None
        found = await self._services.pool.fetchval(
            "select state from control.transfer where transfer_id = $1", ready.transfer_id
        )
        return TransferState(found)

    async def _walk(
        self, ready: PreparedTransfer, number: int | None = None, *, until: TransferState = S.UNDONE
    ) -> None:
        handle = self._temporal.get_workflow_handle(ready.workflow_id)
        uploaded = number is None or self._reached[number] is not S.AWAITING_UPLOAD
        said, said_at = "", 0.0
        clock = asyncio.get_running_loop().time
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            while (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
                try:
                    state = (await handle.query("status", result_type=m.TransferStatus)).state
                except RPCError:
                    continue
                if state is until:
                    return
                word = {S.SCHEDULED: "start_now", S.AWAITING_RELEASE: "release"}.get(state, "")
                if state is S.AWAITING_UPLOAD and not uploaded and number is not None:
                    uploaded = True
                    await self._upload(ready, number)
                elif word and (word != said or clock() - said_at > _AGAIN_AFTER_SECONDS):
                    said, said_at = word, clock()
                    await self._signal(ready, word)
                await asyncio.sleep(0.3)


async def reset_at_random(folder: Path, count: int, seed: int) -> Score:
    """Run it on a stack of its own, in a folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
    async with Stack(folder, environment=environment) as stack:
        variables = stack.process_environment()
        settings = settings_of(variables)
        temporal = await connect_temporal(environment=variables, data_converter=encrypting(settings.payload_keys))
        async with (
            Services(settings.database_url.get_secret_value()) as services,
            connect(settings, environment=variables) as client,
        ):
            dice = random.Random(seed)  # noqa: S311 - it draws events, no secrets
            return await Reset(services, client, temporal, dice).run(count)


def main() -> int:
    """Run it as the command line says."""
    words = argparse.ArgumentParser(prog="python -m tests.load.resets", description=__doc__)
    words.add_argument("--count", type=int, default=100, help="how many transfers")
    words.add_argument("--seed", type=int, default=1, help="draws other events")
    given = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        score = asyncio.run(reset_at_random(Path(folder), given.count, given.seed))
    sys.stdout.write(f"{score}\n")
    return int(score.faults > 0)


if __name__ == "__main__":
    sys.exit(main())
