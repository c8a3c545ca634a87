"""`make fuzz-signals`: malformed signals, updates, queries and starts; the last line says how many workflows are stuck.

`make fuzz-signals ARGS="--count 500 --seed 7"` sends as many as that, drawn in another order.
"""

import argparse
import asyncio
import base64
import gc
import os
import random
import sys
import uuid
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr
from temporalio.api.common.v1 import WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import EventType, UpdateWorkflowExecutionLifecycleStage, WorkflowTaskFailedCause
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Input, Meta, Request, WaitPolicy
from temporalio.api.workflowservice.v1 import (
    QueryWorkflowRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest,
)
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.converter import DataConverter
from temporalio.service import RPCError

from adapters.crypto.payload_codec import encrypting
from domain import messages as m
from domain.naming import mailbox_workflow_id_of, workflow_id_of
from domain.vocabulary import TransferState
from tests.tools.temporal_server import temporal_server
from tests.workflows.malformed import Malformed
from tests.workflows.story import Transfer, to_inspection, upload
from tests.workflows.world import Ward, workers
from workflows import task_queues as queues
from workflows.mailbox import MailboxForwardingWorkflow
from workflows.transfer import TransferWorkflow

_SIGNALS = (
    *("release", "reject", "start_now", "explain_cancel", "make_way", "step_seen"),
    *("no_such_signal", "upload", "x" * 900),
)
_UPDATES = ("upload", "correct_upload", "reschedule", "resend_mail", "no_such_update")
_QUERIES = ("status", "no_such_query", "__stack_trace", "__temporal_workflow_metadata")
_TYPES = ("TransferWorkflow", "RecoveryWorkflow", "MailboxForwardingWorkflow", "ReconcileWorkflow")
_AT_ONCE = 16
_PATIENCE = timedelta(seconds=20)
_OPENED = "open_payload"
CAME_MEANWHILE = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND


@dataclass
class Report:
    """What came of it."""

    sent: Counter[str] = field(default_factory=Counter)
    stuck: list[str] = field(default_factory=list)
    """Workflows that do not answer or do not come to their end, or whose tasks have failed."""

    def __str__(self) -> str:
        sent = ", ".join(f"{count} {kind}" for kind, count in sorted(self.sent.items()))
        return f"{sum(self.sent.values())} sent ({sent}), {len(self.stuck)} workflows stuck"


class Fuzz:
    """Sends what is malformed to workflows in every state, past every client."""

    def __init__(self, client: Client, keys: list[SecretStr], seed: int) -> None:
        self._client = client
        self._dice = random.Random(seed)  # noqa: S311 - a draw that can be repeated
        self._malformed = Malformed(self._dice, keys)
        self._targets: list[str] = []
        self._started: list[tuple[str, str]] = []
        self.report = Report()

    async def run(self, count: int) -> Report:
        """Send so many, then see whether everybody comes to an end."""
        transfers = [await self._started_transfer() for _ in range(3)]
        await upload(transfers[1])
        await to_inspection(transfers[2])
        mailbox = await self._started_mailbox()
        self._targets = [*(transfer.id for transfer in transfers), mailbox.id]
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one() -> None:
            async with limit:
                await self._send()

        await asyncio.gather(*(one() for _ in range(count)))
        await asyncio.gather(*(self._judge_start(*started) for started in self._started))
        await self._judge(transfers, mailbox)
        return self.report

    async def _started_transfer(self) -> Transfer:
        environment_id = uuid.uuid4()
        return await self._client.start_workflow(
            TransferWorkflow.run,
            m.TransferInput(environment_id=environment_id, requested_by="old side"),
            id=workflow_id_of(environment_id),
            task_queue=queues.TRANSFERS,
        )

    async def _started_mailbox(self) -> WorkflowHandle[MailboxForwardingWorkflow, None]:
        order = m.MailboxForwardingInput(
            transfer_id=uuid.uuid4(),
            old_mailbox_address="enyoi@10001.mailbox.sb.example",
            forward_until=datetime.now(UTC) + timedelta(days=30),
        )
        return await self._client.start_workflow(
            MailboxForwardingWorkflow.run,
            order,
            id=mailbox_workflow_id_of(order.transfer_id),
            task_queue=queues.TRANSFERS,
        )

    async def _send(self) -> None:
        kind = self._dice.choices(("signal", "update", "query", "start"), (60, 20, 15, 5))[0]
        manner, payloads = self._malformed.any()
        execution = WorkflowExecution(workflow_id=self._dice.choice(self._targets))
        service, namespace = self._client.workflow_service, self._client.namespace
        with suppress(RPCError):  # refused: by the server for its size, by the workflow, or because it has gone on
            if kind == "signal":
                await service.signal_workflow_execution(
                    SignalWorkflowExecutionRequest(
                        namespace=namespace,
                        workflow_execution=execution,
                        signal_name=self._dice.choice(_SIGNALS),
                        input=payloads,
                    ),
                    timeout=_PATIENCE,
                )
            elif kind == "update":
                await service.update_workflow_execution(
                    UpdateWorkflowExecutionRequest(
                        namespace=namespace,
                        workflow_execution=execution,
                        wait_policy=WaitPolicy(
                            lifecycle_stage=UpdateWorkflowExecutionLifecycleStage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
                        ),
                        request=Request(
                            meta=Meta(update_id=str(uuid.uuid4())),
                            input=Input(name=self._dice.choice(_UPDATES), args=payloads),
                        ),
                    ),
                    timeout=_PATIENCE,
                )
            elif kind == "query":
                await service.query_workflow(
                    QueryWorkflowRequest(
                        namespace=namespace,
                        execution=execution,
                        query=WorkflowQuery(query_type=self._dice.choice(_QUERIES), query_args=payloads),
                    ),
                    timeout=_PATIENCE,
                )
            else:
                workflow_id = workflow_id_of(uuid.uuid4())
                await service.start_workflow_execution(
                    StartWorkflowExecutionRequest(
                        namespace=namespace,
                        workflow_id=workflow_id,
                        workflow_type=WorkflowType(name=self._dice.choice(_TYPES)),
                        task_queue=TaskQueue(name=queues.TRANSFERS),
                        input=payloads,
                        request_id=str(uuid.uuid4()),
                    ),
                    timeout=_PATIENCE,
                )
                self._started.append((workflow_id, manner))
        self.report.sent[kind] += 1

    async def _judge_start(self, workflow_id: str, manner: str) -> None:
        """A start that is none ends at once; one whose key is unknown waits for it, and ends when it is cancelled."""
        handle = self._client.get_workflow_handle(workflow_id)
        async with asyncio.timeout(_PATIENCE.total_seconds() * 3):
            while (description := await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
                pending = description.raw_description.pending_activities
                if any(activity.activity_type.name == _OPENED for activity in pending):
                    await handle.cancel()
                await asyncio.sleep(0.1)
        await self._require_no_failed_task(f"a start with {manner}", handle)

    async def _judge(self, transfers: list[Transfer], mailbox: WorkflowHandle[MailboxForwardingWorkflow, None]) -> None:
        await self._require_no_failed_task("the mailbox's workflow", mailbox)
        await mailbox.terminate()
        for transfer in transfers:
            handle = self._client.get_workflow_handle_for(TransferWorkflow.run, transfer.id)
            try:
                await handle.query(TransferWorkflow.status, rpc_timeout=_PATIENCE)
                await handle.cancel()
                async with asyncio.timeout(60):
                    assert (await handle.result()).state is TransferState.UNDONE
            except (RPCError, TimeoutError) as error:
                self.report.stuck.append(f"{transfer.id}: {error!r}")
            await self._require_no_failed_task(transfer.id, transfer)

    async def _require_no_failed_task(self, what: str, handle: WorkflowHandle[Any, Any]) -> None:
        failed = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
        async for event in handle.fetch_history_events():
            if event.event_type == failed:
                attributes = event.workflow_task_failed_event_attributes
                if attributes.cause != CAME_MEANWHILE:  # a new signal came while it was ending: tried again at once
                    failure = await self._client.data_converter.decode_failure(attributes.failure)
                    cause = WorkflowTaskFailedCause.Name(attributes.cause)
                    self.report.stuck.append(f"{what}: {cause}, {failure!r}")
                    return


async def fuzz(client: Client, count: int, seed: int) -> Report:
    """Run workers whose key is their own, and send them so many malformed inputs."""
    keys = [SecretStr(base64.b64encode(os.urandom(32)).decode())]
    ours = Client(client.service_client, namespace=client.namespace, data_converter=encrypting(keys))
    async with AsyncExitStack() as staff:
        for worker in workers(ours, Ward(), keys=keys):
            await staff.enter_async_context(worker)
        return await Fuzz(ours, keys, seed).run(count)


async def _main(given: argparse.Namespace) -> int:
    async with temporal_server(data_converter=DataConverter.default) as environment:
        report = await fuzz(environment.client, given.count, given.seed)
    for line in report.stuck:
        sys.stdout.write(f"STUCK {line}\n")
    sys.stdout.write(f"{report}\n")
    return 1 if report.stuck else 0


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="make fuzz-signals", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="how many are sent")
    parser.add_argument("--seed", type=int, default=1, help="of the order in which they are drawn")
    code = asyncio.run(_main(parser.parse_args()))
    gc.collect()
    return code


if __name__ == "__main__":
    sys.exit(main())
