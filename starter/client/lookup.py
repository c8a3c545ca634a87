"""Which transfer somebody means, and where it stands: the workflow tells, or the database when no worker answers."""

from dataclasses import dataclass
from datetime import tzinfo
from uuid import UUID

from temporalio.client import Client

from adapters.transfer.queries import EnvironmentRecord, PostgresTransferQueries, RecordedTransfer
from domain import messages as m
from domain.errors import EnvironmentUnknown, TransferUnknown, WrongMoment
from domain.naming import workflow_id_of
from domain.steps import StepName, StepState
from domain.story import steps_from_log, waits_for
from domain.vocabulary import TransferState
from starter.client.errors import NoAnswer
from starter.client.models import Source, TransferSnapshot
from starter.client.workflow_handle import RemoteTransfer

_WORKFLOW_PREFIX = workflow_id_of(UUID(int=0)).removesuffix(str(UUID(int=0)))


@dataclass(frozen=True)
class _Located:
    """The transfer that is meant; one that has only just begun has no row yet."""

    workflow_id: str
    record: m.TransferRecord | None = None
    by_transfer_id: bool = False

    def is_another(self, status: m.TransferStatus) -> bool:
        """Tell whether a run is a later one than was meant: an environment may move more than once."""
        return self.by_transfer_id and self.record is not None and status.transfer_id != self.record.transfer_id


@dataclass(frozen=True)
class TransferRun:
    """The run of a transfer that somebody speaks to, and the state in which it was found."""

    remote: RemoteTransfer
    transfer_id: UUID
    state: TransferState


class TransferLookup:
    """Finds what a workflow id, a transfer id, an environment id or an environment's name means."""

    def __init__(self, temporal: Client, register: PostgresTransferQueries, zone: tzinfo) -> None:
        """Take Temporal, the read side of the database, and the zone in which moments are written out."""
        self._temporal = temporal
        self._register = register
        self._zone = zone

    async def environment(self, which: str) -> EnvironmentRecord:
        """Return the environment that an id, a name, or `<licence number>/<name>` means.

        Raises:
            EnvironmentUnknown, EnvironmentAmbiguous: None, or more than one, is meant.
        """
        try:
            return await self._register.find_environment(which)
        except EnvironmentUnknown:
            licence, _, name = which.partition("/")
            for found in await self._register.environments_named(name.strip()):
                if found.licence_number == licence.strip():
                    return found
            raise

    async def live(self, which: str) -> tuple[RemoteTransfer, m.TransferStatus]:
        """Return exactly the run that is meant, and what it says of itself.

        Raises:
            TransferUnknown, EnvironmentAmbiguous: None, or more than one, is meant.
            WrongMoment: The one that is meant has ended, and its environment is in another transfer now.
            NoWorker: Nobody is there to answer for the workflow.
        """
        located = await self._locate(which)
        remote = await RemoteTransfer.newest(self._temporal, located.workflow_id)
        status = await remote.status()
        if located.is_another(status):
            raise WrongMoment
        return remote, status

    async def addressed(self, which: str) -> TransferRun:
        """Return exactly the run that is meant, for a signal; raises as `live` does.

        While the database has it as moving, no other transfer can be under its workflow's id; else its run is asked
        which transfer it is.
        """
        record = (await self._locate(which)).record
        if record is None or record.state.is_final:
            remote, status = await self.live(which)
            return TransferRun(remote, status.transfer_id, status.state)
        remote = await RemoteTransfer.newest(self._temporal, record.workflow_id)
        return TransferRun(remote, record.transfer_id, record.state)

    async def snapshot(self, which: str) -> TransferSnapshot:
        """Return where a transfer stands; from the database when no worker answers or Temporal has forgotten it.

        Raises:
            TransferUnknown, EnvironmentAmbiguous: None, or more than one, is meant.
            NoWorker: It has just begun, and nobody is there to go on with it.
        """
        located = await self._locate(which)
        try:
            remote = await RemoteTransfer.newest(self._temporal, located.workflow_id)
            status = await remote.status()
        except (NoAnswer, TransferUnknown) as error:
            if located.record is None:
                raise
            stored = self._as_written(await self._register.standing(located.record.transfer_id))
            return stored.model_copy(update={"unanswered": error.code() if isinstance(error, NoAnswer) else ""})
        if located.record is not None and (located.is_another(status) or _was_reset(located.record, status)):
            return self._as_written(await self._register.standing(located.record.transfer_id))
        clone, troubles = (None, []) if status.state.is_final else await remote.work_in_hand()
        return TransferSnapshot(status=status, clone=clone, troubles=troubles)

    async def _locate(self, which: str) -> _Located:
        try:
            record = await self._register.find_transfer(which)
        except TransferUnknown:
            # The row comes with the freeze; until then Temporal alone knows the transfer.
            return _Located(await self._workflow_id(which.strip()))
        return _Located(record.workflow_id, record, by_transfer_id=str(record.transfer_id) == which.strip().lower())

    async def _workflow_id(self, which: str) -> str:
        if which.startswith(_WORKFLOW_PREFIX):
            return which
        try:
            return workflow_id_of((await self.environment(which)).environment_id)
        except EnvironmentUnknown:
            raise TransferUnknown from None

    async def written(self, standing: RecordedTransfer) -> TransferSnapshot:
        """Return where a transfer stands by what its steps have written down: at once, whatever the workers are at.

        While it is being undone the workflow is asked if it answers: only it knows which step waits for an operator.
        Otherwise the database may be a moment ahead: a workflow looks there before it refuses who comes too early.
        """
        if standing.state is TransferState.UNDOING:
            return await self.snapshot(str(standing.transfer_id))
        return self._as_written(standing)

    def _as_written(self, standing: RecordedTransfer) -> TransferSnapshot:
        steps = steps_from_log(
            standing.happenings,
            state=standing.state,
            began_at=standing.created_at,
            ready_told_at=standing.ready_told_at,
        )
        state = _state_of(standing, steps)
        status = m.TransferStatus(
            transfer_id=standing.transfer_id,
            workflow_id=standing.workflow_id,
            state=state,
            scenario=standing.scenario,
            old=standing.old,
            new=standing.new,
            steps=steps,
            waiting_for=waits_for(
                steps,
                state,
                zone=self._zone,
                ticket_expires_at=standing.ticket_expires_at,
                starts_at=standing.starts_at,
            ),
            ticket_expires_at=standing.ticket_expires_at,
            starts_at=standing.starts_at,
            comparison=standing.comparison,
            mail_problems=standing.mail_problems,
            undo_reason=standing.undo_reason,
            undo_detail=standing.undo_detail,
        )
        return TransferSnapshot(status=status, clone=_progress_of(standing, steps), told_by=Source.DATABASE)


def _state_of(standing: RecordedTransfer, steps: list[m.StepStatus]) -> TransferState:
    """Return the state as people are told: what is opened awaits its release only when it is certified."""
    certified = any(step.step is StepName.CERTIFY and step.state is StepState.DONE for step in steps)
    if standing.state is TransferState.AWAITING_RELEASE and not certified:
        return TransferState.CLONING
    return standing.state


def _progress_of(standing: RecordedTransfer, steps: list[m.StepStatus]) -> m.CloneProgress | None:
    """Return how far the work of a step is, if that step has not ended or begun again since it told so."""
    if standing.seen is None or standing.seen_at is None:
        return None
    running = {
        step.step: step.started_at for step in steps if step.state is StepState.RUNNING and step.started_at is not None
    }
    began = running.get(standing.seen_step) if standing.seen_step else None
    return standing.seen if began is not None and standing.seen_at >= began else None


def _was_reset(record: m.TransferRecord, status: m.TransferStatus) -> bool:
    """Tell whether a workflow does not know that its transfer is released: an operator reset it to before that."""
    return record.state is TransferState.RELEASED and status.state is TransferState.AWAITING_RELEASE
