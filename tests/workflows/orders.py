"""Any order of events, against the real workflow on skipped time: a Hypothesis state machine over the model.

`python -m tests.workflows.orders` (`make orders`) is the long search: ten thousand steps, or `--steps`, and a closing
line.
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar
from uuid import uuid4

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from temporalio import activity
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from domain import messages as m
from domain.errors import Refused, Unavailable
from domain.invariant import violations
from domain.naming import mailbox_workflow_id_of, workflow_id_of
from domain.steps import ActivityName
from domain.vocabulary import MailKind, TransferState
from tests.tools.temporal_server import temporal_server
from tests.workflows.modelled import Moment
from tests.workflows.stage import Stage
from tests.workflows.story import Transfer, ended
from workflows import policies
from workflows import task_queues as queues
from workflows.transfer import TransferWorkflow

_Answer = TypeVar("_Answer")
S = TransferState
# Where a state may lead to; undoing is open to all before the release.
EDGES = {
    S.PREPARING: {S.AWAITING_UPLOAD, S.UNDOING},
    S.AWAITING_UPLOAD: {S.SCHEDULED, S.UNDOING},
    S.SCHEDULED: {S.CLONING, S.UNDOING, S.SCHEDULED},
    S.CLONING: {S.AWAITING_RELEASE, S.SCHEDULED, S.UNDOING},
    S.AWAITING_RELEASE: {S.RELEASED, S.SCHEDULED, S.UNDOING},
    S.RELEASED: set[TransferState](),
    S.UNDOING: {S.UNDONE},
    S.UNDONE: set[TransferState](),
}
PATIENCE_SECONDS = 300
SIGNALS = ("release", "reject", "start_now")


class Orders(RuleBasedStateMachine):
    """One transfer, and everybody who does the wrong thing at the wrong moment."""

    loop: asyncio.AbstractEventLoop
    stage: Stage
    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.transfer_id = uuid4()
        self.world = self.stage.world
        self.database = self.world.database
        self.environment_id = self.database.open_environment()
        self.sent = dict.fromkeys(SIGNALS, 0)
        self.restarts = 0
        self.was_reset = False
        self.armed: dict[ActivityName, tuple[Moment, bool]] = {}
        self.handle: Transfer = self.stage.skipping.client.get_workflow_handle_for(
            TransferWorkflow.run, workflow_id_of(self.environment_id)
        )
        self.world.seams[self.transfer_id] = self._interfere

    def _do(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_SECONDS)

    def _step(self, work: Coroutine[Any, Any, Any]) -> None:
        type(self).steps += 1
        self._do(work)
        self._do(self._settle())

    async def _settle(self) -> None:
        """Let what was set in motion come to rest, if it does so soon."""
        for _ in range(10):
            await asyncio.sleep(0.01)
            if not self.world.at_work[self.transfer_id]:
                return

    async def _interfere(self, order: Any, moment: Moment) -> None:
        # News of an undo that is refused for good is what `nobody_told` is for: it is found at night, and sent again.
        must_arrive = isinstance(order, m.SendMail) and order.kind is MailKind.UNDONE
        for name, (due, for_good) in list(self.armed.items()):
            if activity.info().activity_type == name and due is moment:
                del self.armed[name]
                raise Refused("the disk is full") if for_good and not must_arrive else Unavailable

    async def _open(self) -> bool:
        return (await self.handle.describe()).status is WorkflowExecutionStatus.RUNNING

    async def _signal(self, name: str, message: m.Message) -> None:
        try:
            await self.handle.signal(name, message)
        except RPCError:  # it has ended
            return
        self.sent[name] += 1

    # One that equals the decision taken is the same sent once more, and is answered by nothing: each is another.
    async def _release(self) -> None:
        await self._signal("release", m.Release(released_by="new side", note=str(self.sent["release"])))

    async def _reject(self) -> None:
        await self._signal("reject", m.Reject(rejected_by="new side", reason=f"looks wrong {self.sent['reject']}"))

    async def _cancel(self) -> None:
        try:
            await self.handle.cancel()
        except RPCError:
            return

    # --- what people and machines do -------------------------------------------------------------------------------

    @initialize()
    def start(self) -> None:
        """Press "Omgeving overdragen"."""

        async def begin() -> None:
            with self.stage.skipping.with_time_skipping_disabled():
                await self.stage.skipping.client.start_workflow(
                    TransferWorkflow.run,
                    m.TransferInput(environment_id=self.environment_id, transfer_id=self.transfer_id),
                    id=self.handle.id,
                    task_queue=queues.TRANSFERS,
                )

        self._step(begin())

    @rule(times=st.sampled_from([1, 1, 1, 2]))
    def upload(self, times: int) -> None:
        """Upload once, or twice at once: at most one gets the environment."""

        async def one() -> bool:
            order = m.Upload(sealed_ticket="sealed", licence_number="10002", name="Enyoi", uploaded_by="new side")
            try:
                await self.handle.execute_update("upload", order)
            except (WorkflowUpdateFailedError, RPCError):
                return False
            return True

        async def several() -> None:
            assert sum(await asyncio.gather(*(one() for _ in range(times)))) <= 1

        self._step(several())

    @rule()
    def start_now(self) -> None:
        """Ask for the clone at once."""
        self._step(self._signal("start_now", m.StartNow(requested_by="support")))

    @rule(days=st.integers(min_value=1, max_value=9))
    def reschedule(self, days: int) -> None:
        """Choose another evening; at the wrong moment it is refused."""

        async def choose() -> None:
            evening = datetime.now(UTC).date() + timedelta(days=days)
            with suppress(WorkflowUpdateFailedError, RPCError):
                await self.handle.execute_update("reschedule", m.Reschedule(evening=evening, requested_by="new side"))

        self._step(choose())

    @rule()
    def release(self) -> None:
        """Release; too early it is refused and not remembered."""
        self._step(self._release())

    @rule()
    def reject(self) -> None:
        """Reject."""
        self._step(self._reject())

    @rule()
    def cancel(self) -> None:
        """Cancel, perhaps not for the first time."""
        self._step(self._cancel())

    @rule(other=st.sampled_from(["reject", "cancel"]))
    def release_and_something_else(self, other: str) -> None:
        """Release, and turn back, at the same moment."""
        rejecting = self._reject()
        if other == "reject":
            against: Awaitable[None] = rejecting
        else:
            rejecting.close()
            against = self._cancel()

        async def together() -> None:
            await asyncio.gather(self._release(), against)

        self._step(together())

    @rule(name=st.sampled_from(ActivityName), moment=st.sampled_from(Moment), for_good=st.booleans())
    def break_something(self, name: ActivityName, moment: Moment, for_good: bool) -> None:  # noqa: FBT001 - drawn
        """Let the next attempt at an activity fail."""

        async def arm() -> None:
            self.armed[name] = (moment, for_good and name is not ActivityName.CLOSE_MAILBOX_FORWARDING)

        self._step(arm())

    @precondition(lambda self: self.restarts < 1)
    @rule()
    def restart_the_workers(self) -> None:
        """Deploy."""
        self.restarts += 1

        async def restart() -> None:
            await self.stage.close()
            await self.stage.open()

        self._step(restart())

    @precondition(lambda self: not self.was_reset)
    @rule(back=st.integers(min_value=0, max_value=30), again=st.booleans())
    def reset(self, back: int, again: bool) -> None:  # noqa: FBT001 - drawn
        """Reset the workflow by so many of its tasks, or as far as it goes; what came since may be given again."""
        self.was_reset = True

        async def reset() -> None:
            history = await self.handle.fetch_history()
            tasks = [one.event_id for one in history.events if one.HasField("workflow_task_completed_event_attributes")]
            if tasks:
                await self.stage.reset(self.handle.id, tasks[max(len(tasks) - 1 - back, 0)], again=again)

        self._step(reset())

    @rule(minutes=st.sampled_from([1, 10, 12 * 60, 24 * 60, 8 * 24 * 60, 31 * 24 * 60]))
    def let_time_pass(self, minutes: int) -> None:
        """Wait: for the evening, for the window to close, for the ticket to expire."""
        self._step(self._skip(timedelta(minutes=minutes)))

    @rule()
    def work(self) -> None:
        """Write as the application does: never in both, and never unseen by the transfer."""

        async def write() -> None:
            move = self.database.moves.get(self.transfer_id)
            old = self.database.write(self.environment_id, f"row {self.steps}")
            if move is not None and move.new_id is not None:
                assert not (self.database.write(move.new_id, f"row {self.steps}") and old)

        self._step(write())

    async def _skip(self, duration: timedelta) -> None:
        try:
            await asyncio.wait_for(self.stage.skipping.fast_forward(self.handle, duration), 5)
        except (TimeoutError, RPCError):  # it ended, or has something to do first
            return

    # --- what is true after each of them ---------------------------------------------------------------------------

    @invariant()
    def nothing_is_half_moved(self) -> None:
        """Let the checker that judges the real database judge this one."""
        if self.transfer_id in self.database.moves:
            self._do(self._judge())

    async def _judge(self) -> None:
        running = set()
        for workflow_id in (self.handle.id, mailbox_workflow_id_of(self.transfer_id)):
            try:
                described = await self.stage.skipping.client.get_workflow_handle(workflow_id).describe()
            except RPCError:
                continue
            if described.status is WorkflowExecutionStatus.RUNNING:
                running.add(workflow_id)
        found = violations(self.database.facts(running, self.transfer_id))
        self.stage.violations += len(found)
        assert not found, [f"{one.kind}: {one.what}" for one in found]
        seen = self.world.states[self.transfer_id]
        for before, after in pairwise(seen):
            assert after in EDGES[before], f"{before} led to {after}"

    def teardown(self) -> None:
        """Bring it to an end, and hold every signal against what the log tells of it."""
        if self.transfer_id in self.world.asked:
            self.armed.clear()
            self._do(self._end())
            self.nothing_is_half_moved()

    async def _end(self) -> None:
        await self._cancel()
        while await self._open():
            await self._settle()
            if await self._open():
                await self._skip(policies.PAUSE_BETWEEN_ROUNDS)
        state = (await ended(self.handle)).state
        told = {kind: len(self.database.told(self.transfer_id, f"{kind}_refused")) for kind in SIGNALS}
        took = {
            "release": int(state is TransferState.RELEASED),
            "reject": int(
                any(event.actor == "new side" for event in self.database.told(self.transfer_id, "undo_begun"))
            ),
            "start_now": len(self.database.told(self.transfer_id, "start_now")),
        }
        if self.was_reset:  # the run forgets what was signalled after the task that it was reset to
            return
        answered = {kind: told[kind] + took[kind] for kind in SIGNALS}
        assert answered == self.sent, f"sent {self.sent}, refused {told}, taken {took}"


async def search(stage: Stage, *, examples: int, steps_each: int, shrink: bool = False) -> int:
    """Search, and return how many steps that took.

    What it finds may take five minutes each time to be found again, so looking for the shortest order that shows
    it can take hours: that is for those who ask for it.
    """
    Orders.loop, Orders.stage, Orders.steps = asyncio.get_running_loop(), stage, 0
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps_each,
        deadline=None,
        database=None,
        phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
        suppress_health_check=list(HealthCheck),
    )
    await asyncio.to_thread(run_state_machine_as_test, Orders, settings=chosen)
    return Orders.steps


async def _long(at_least: int, *, shrink: bool) -> int:
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)  # of the failures that were asked for
    async with temporal_server(data_converter=pydantic_data_converter, skips_time=True) as environment:
        stage = Stage(environment)
        await stage.open()
        steps = 0
        try:
            while steps < at_least:
                steps += await search(stage, examples=20, steps_each=50, shrink=shrink)
                sys.stdout.write(f"{steps} steps so far\n")
                sys.stdout.flush()
        finally:
            await stage.close()
            sys.stdout.write(f"steps {max(steps, Orders.steps)}, violations {stage.violations}\n")
    return int(stage.violations > 0)


STEPS_OF_A_LONG_RUN = 10_000

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make orders", description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS_OF_A_LONG_RUN, help="how many to take at least")
    parser.add_argument("--shrink", action="store_true", help="look for the shortest order that shows what is found")
    given = parser.parse_args()
    sys.exit(asyncio.run(_long(given.steps, shrink=given.shrink)))
