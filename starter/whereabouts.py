"""Which transfer somebody means, and where it stands: the workflow tells, or the database when no worker answers."""

from dataclasses import dataclass
from uuid import UUID

from temporalio.client import Client

from adapters.register import EnvironmentRecord, PostgresRegister, TransferResults
from domain import messages as m
from domain.errors import EnvironmentUnknown, TransferUnknown, WrongMoment
from domain.naming import workflow_id_of
from starter.answers import Sight, Source
from starter.remote import NoWorker, RemoteTransfer

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


class Whereabouts:
    """Finds what a workflow id, a transfer id, an environment id or an environment's name means."""

    def __init__(self, temporal: Client, register: PostgresRegister) -> None:
        self._temporal = temporal
        self._register = register

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

    async def sight(self, which: str) -> Sight:
        """Return where a transfer stands; from the database when no worker answers or Temporal has forgotten it.

        Raises:
            TransferUnknown, EnvironmentAmbiguous: None, or more than one, is meant.
            NoWorker: It has just begun, and nobody is there to go on with it.
        """
        located = await self._locate(which)
        try:
            remote = await RemoteTransfer.newest(self._temporal, located.workflow_id)
            status = await remote.status()
        except (NoWorker, TransferUnknown):
            if located.record is None:
                raise
            return await self._as_the_database_knows(located.record)
        if located.record is not None and located.is_another(status):
            return await self._as_the_database_knows(located.record)
        clone, troubles = (None, []) if status.state.is_final else await remote.work_in_hand()
        return Sight(status=status, clone=clone, troubles=troubles)

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

    async def _as_the_database_knows(self, record: m.TransferRecord) -> Sight:
        results = await self._register.results(record.transfer_id)
        new = await self._register.environment(record.new_environment_id) if record.new_environment_id else None
        status = m.TransferStatus(
            transfer_id=record.transfer_id,
            workflow_id=record.workflow_id,
            state=record.state,
            scenario=record.scenario,
            old=_summary(await self._register.environment(record.environment_id)),
            new=_summary(new) or results.new_environment,
            ticket_expires_at=results.ticket_expires_at,
            starts_at=record.starts_at,
            comparison=_comparison(results),
            mail_problems=[
                m.MailProblem(kind=mail.kind, recipient=mail.recipient, problem=mail.problem or "not delivered")
                for mail in await self._register.mails(record.transfer_id)
                if mail.status == "failed"
            ],
            undo_reason=record.undo_reason,
            undo_detail=results.undo_detail or "",
        )
        return Sight(status=status, told_by=Source.DATABASE)


def _summary(environment: EnvironmentRecord | None) -> m.EnvironmentSummary | None:
    """Return an environment as a transfer speaks of it, without the rest of its row."""
    return m.EnvironmentSummary.model_validate(environment.model_dump()) if environment else None


def _comparison(results: TransferResults) -> m.ComparisonSummary | None:
    if results.report is None:
        return None
    checks = results.report.checks
    return m.ComparisonSummary(
        checks=len(checks),
        unequal=sum(not check.equal for check in checks),
        administrations=len({check.administration_id for check in checks}),
    )
