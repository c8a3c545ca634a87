"""The Temporal Schedule that looks every night whether anything is half-moved."""

from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError

from domain.errors import Unavailable
from domain.reconciliation import RECONCILE_SCHEDULE, RECONCILE_WORKFLOW, Reconcile

# After the window has closed (06:00), and before people come to work and could be told.
_AT = "0 7 * * *"
_RPC_TIMEOUT = timedelta(seconds=10)
# A night that was missed because the server was away is looked at when it is back, the same day.
_CATCH_UP = timedelta(hours=12)


async def ensure_nightly(client: Client, *, task_queue: str, timezone: str, heals: bool) -> bool:
    """Make the schedule, or make it what it should be; return whether it was new.

    An operator's pause is kept, and so is the note that says why.

    Args:
        client: A client of the namespace that the transfers run in.
        task_queue: Where the workers are.
        timezone: The IANA name of the zone on whose clock it is seven in the morning.
        heals: Whether the nightly run heals, or only reports.

    Raises:
        Unavailable: The server does not answer.
    """
    schedule = _schedule(task_queue, timezone, ScheduleState(note=_note(heals=heals)), heals=heals)
    try:
        try:
            await client.create_schedule(RECONCILE_SCHEDULE, schedule, rpc_timeout=_RPC_TIMEOUT)
        except ScheduleAlreadyRunningError:
            await client.get_schedule_handle(RECONCILE_SCHEDULE).update(
                lambda known: _updated(known, task_queue, timezone, heals=heals), rpc_timeout=_RPC_TIMEOUT
            )
            return False
    except RPCError as error:
        raise Unavailable(f"Temporal does not keep the schedule {RECONCILE_SCHEDULE}: {error.message}") from error
    return True


def _updated(known: ScheduleUpdateInput, task_queue: str, timezone: str, *, heals: bool) -> ScheduleUpdate:
    state = known.description.schedule.state
    if not state.paused:
        state = ScheduleState(note=_note(heals=heals))
    return ScheduleUpdate(_schedule(task_queue, timezone, state, heals=heals))


def _schedule(task_queue: str, timezone: str, state: ScheduleState, *, heals: bool) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            RECONCILE_WORKFLOW, Reconcile(heal=heals, unattended=True), id=RECONCILE_SCHEDULE, task_queue=task_queue
        ),
        spec=ScheduleSpec(cron_expressions=[_AT], time_zone_name=timezone),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=_CATCH_UP),
        state=state,
    )


def _note(*, heals: bool) -> str:
    return "looks whether anything is half-moved, " + ("and heals it" if heals else "and reports it by failing")
