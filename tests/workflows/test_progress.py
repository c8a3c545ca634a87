"""What long work tells the page in the Temporal UI: in time, for this step, and never too much."""

import asyncio
import dataclasses
import uuid

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities import heartbeat
from activities.heartbeat import ProgressSignals
from domain import messages as m
from domain.ports import ReportProgress
from domain.steps import StepName
from domain.vocabulary import TransferState
from tests.workflows.story import Transfer, reach, upload
from tests.workflows.world import Gate
from workflows.transfer import TransferWorkflow

FAR = m.CloneProgress(phase="load", rows_done=10, rows_total=40, bytes_done=10**6, bytes_total=4 * 10**6)


async def detail_of(transfer: Transfer, name: StepName) -> str:
    status = await transfer.query(TransferWorkflow.status)
    return next(step.detail for step in status.steps if step.step is name)


async def test_a_long_clone_is_followed_on_the_page(
    transfer: Transfer, world: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shows a running clone's progress on the page."""
    monkeypatch.setattr(heartbeat, "_BEAT_SECONDS", 0.05)
    monkeypatch.setattr(heartbeat, "_SECONDS_BETWEEN_TELLINGS", 0.1)
    go_on = asyncio.Event()

    async def clone(_: m.CloneAdministrations, report: ReportProgress, *__: object) -> m.CloneFinished:
        report(FAR)
        await go_on.wait()
        return m.CloneFinished(tables=19, rows=40, bytes=4 * 10**6, seconds=60)

    monkeypatch.setattr(world, "clone", clone)
    await upload(transfer)
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
    for _ in range(1_200):
        if "10 of 40 rows" in (seen := await detail_of(transfer, StepName.CLONE)):
            break
        await asyncio.sleep(0.05)
    assert "10 of 40 rows, 1.0 MB of 4.0 MB" in seen
    go_on.set()
    await reach(transfer, TransferState.AWAITING_RELEASE)
    await transfer.signal(TransferWorkflow.step_seen, m.StepSeen(step=StepName.CLONE, progress=FAR))
    assert await detail_of(transfer, StepName.CLONE) == "19 tables, 40 rows, 4.0 MB in 60.0 s"


async def tell_all(client: Client, attempt: int) -> None:
    """Tell a thousand different things in one attempt of an activity that belongs to no workflow."""
    environment = ActivityEnvironment(client=client)
    environment.info = dataclasses.replace(
        environment.info, attempt=attempt, workflow_id=f"transfer-{uuid.uuid4()}", workflow_run_id=str(uuid.uuid4())
    )

    async def work() -> None:
        tellings = ProgressSignals(StepName.CLONE)
        for row in range(1000):
            await tellings.tell(FAR.model_copy(update={"rows_done": row}))
            await tellings.tell(FAR.model_copy(update={"rows_done": row}))

    await environment.run(work)


@pytest.mark.parametrize(("attempt", "most"), [(1, 40), (2, 20), (41, 0)])
async def test_telling_is_bounded_and_disturbs_nothing(
    attempt: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounds how often progress is told, and survives a failure of it."""
    monkeypatch.setattr(heartbeat, "_SECONDS_BETWEEN_TELLINGS", 0)
    told: list[m.StepSeen] = []

    class Handle:
        async def signal(self, name: str, seen: m.StepSeen, **_: object) -> None:
            assert name == heartbeat._SIGNAL
            told.append(seen)
            raise RPCError("gone", RPCStatusCode.NOT_FOUND, b"")

    class Server:
        def get_workflow_handle(self, *_: object, run_id: str) -> Handle:
            assert run_id, "whatever has taken over the workflow's id must not hear of it"
            return Handle()

    await tell_all(Server(), attempt)  # type: ignore[arg-type] # all that is called of a client
    assert len(told) == most
    assert len({seen.progress.rows_done for seen in told}) == most
