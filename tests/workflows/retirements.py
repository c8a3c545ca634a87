"""Old environments in memory: what the end of one asks of the database, and the mails that tell of it."""

import asyncio
import uuid
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.boundary import ErrorBoundary
from activities.mail import MailActivities
from activities.retirement import RetirementActivities
from domain import messages as m
from domain.errors import TransferError
from domain.naming import retirement_workflow_id_of
from tests.workflows.world import Gate
from workflows import task_queues as queues
from workflows.retirement import RetirementWorkflow
from workflows.sandbox import sandbox

WAIT = timedelta(days=14)
Retirement = WorkflowHandle[RetirementWorkflow, m.RetirementResult]


@dataclass
class Cemetery:
    """Plays the ports; `refusals` come one after the other when it is to be removed."""

    refusal: TransferError | None = None
    refusals: list[TransferError] = field(default_factory=list)
    environment_id: uuid.UUID = field(default_factory=uuid.uuid4)
    done: list[str] = field(default_factory=list)
    told: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when both sides have been told of something."""

    async def plan(self, order: m.RetirementInput) -> m.RetirementPlanned:
        if self.refusal is not None:
            raise self.refusal
        self.done.append("planned")
        due_at = activity.info().scheduled_time + WAIT
        return m.RetirementPlanned(
            environment_id=order.environment_id, transfer_id=uuid.uuid4(), name="Enyoi", due_at=due_at
        )

    async def call_back(self, order: m.EndRetirement) -> bool:
        self.done.append(f"called back by {order.requested_by}")
        return True

    async def retire(self, order: m.EndRetirement) -> m.RetirementResult:
        if self.refusals:
            raise self.refusals.pop(0)
        self.done.append("removed")
        outcome = m.RetirementOutcome.RETIRED
        return m.RetirementResult(environment_id=order.environment_id, outcome=outcome, tables=19, rows=11)

    async def send(self, order: m.SendMail) -> m.MailSent:
        self.done.append(f"mail {order.kind.value}")
        self.told.set()
        return m.MailSent(sent=2)


def staff(client: Client, cemetery: Cemetery) -> tuple[Worker, Worker]:
    """Return the workers for transfers and for mail."""
    mine, mail = RetirementActivities(cemetery), MailActivities(cemetery)
    boundary = ErrorBoundary(Gate())
    transfers = Worker(
        client,
        task_queue=queues.TRANSFERS,
        workflows=[RetirementWorkflow],
        activities=[mine.plan_retirement, mine.call_back_retirement, mine.retire_environment],
        workflow_runner=sandbox(),
        interceptors=[boundary],
    )
    return transfers, Worker(client, task_queue=queues.MAIL, activities=[mail.send_mail], interceptors=[boundary])


async def begun(environment: WorkflowEnvironment, cemetery: Cemetery) -> Retirement:
    """Start the end of an environment."""
    with environment.with_time_skipping_disabled():
        return await environment.client.start_workflow(
            RetirementWorkflow.run,
            m.RetirementInput(environment_id=cemetery.environment_id, requested_by="old side"),
            id=retirement_workflow_id_of(cemetery.environment_id),
            task_queue=queues.TRANSFERS,
        )


async def retired(environment: WorkflowEnvironment, cemetery: Cemetery) -> str:
    """Play the end of an environment, with something in the way once, and return its history as JSON."""
    transfers, mail = staff(environment.client, cemetery)
    async with transfers, mail:
        handle = await begun(environment, cemetery)
        await environment.fast_forward(handle, WAIT + timedelta(hours=1))
        await handle.result()
        return (await handle.fetch_history()).to_json()
