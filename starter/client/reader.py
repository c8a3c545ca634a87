"""What anybody may ask of transfers and environments; it changes nothing."""

import uuid
from collections.abc import AsyncGenerator, Collection
from datetime import UTC, date, timedelta, tzinfo
from typing import IO

from temporalio.client import Client
from temporalio.common import ActivityIDConflictPolicy, Priority, RetryPolicy

from activities.preview import PreviewActivities
from adapters.transfer.evenings import PostgresEvenings
from adapters.transfer.preview import PostgresPreviewReader
from adapters.transfer.queries import (
    EnvironmentRecord,
    MailRecord,
    PostgresTransferQueries,
    RecordedTransfer,
    TransferEvent,
    TransferResults,
)
from domain import messages as m
from domain.certificate import Certificate
from domain.errors import TransferUnknown
from domain.vocabulary import CheckKind, EnvironmentStatus, LicenceKind, TransferState
from starter.client.comparison import Comparer, OnComparison
from starter.client.errors import domain_errors
from starter.client.lookup import TransferLookup
from starter.client.models import CertificateChecked, Compared, TransferSnapshot
from workflows.task_queues import PREVIEWS

# Others' previews may come first; a queue that nobody serves is not waited for much longer.
_UNTIL_TAKEN = timedelta(seconds=20)
_LONGEST_LOOK = timedelta(minutes=2)
_LONGEST_WRITING = timedelta(minutes=15)
# Of a worker that was killed; the next one looks once more.
_SILENCE = timedelta(seconds=15)


class TransferReader:
    """Reads what the database and the workflows know.

    `which`, where a method takes it, is a workflow id, a transfer id, an environment id or an environment's name. Every
    method raises a `Refused` for a business no, and an `Unavailable` when a server or the worker does not answer.
    """

    def __init__(
        self,
        temporal: Client,
        *,
        register: PostgresTransferQueries,
        previews: PostgresPreviewReader,
        comparer: Comparer,
        evenings: PostgresEvenings,
        zone: tzinfo = UTC,
    ) -> None:
        self._temporal = temporal
        self._register = register
        self._previews = previews
        self._comparer = comparer
        self._evenings = evenings
        self._lookup = TransferLookup(temporal, register, zone)

    async def environment(self, which: str) -> EnvironmentRecord:
        """Return the environment that an id, a name, or `<licence number>/<name>` means.

        Raises:
            EnvironmentUnknown, EnvironmentAmbiguous: None, or more than one, is meant.
        """
        return await self._lookup.environment(which)

    async def environments(
        self, search: str = "", *, statuses: Collection[EnvironmentStatus] = (), limit: int = 100
    ) -> list[EnvironmentRecord]:
        """Return environments by licence and name; see `PostgresTransferQueries.environments`."""
        return await self._register.environments(search, statuses=statuses, limit=limit)

    async def licence_kind(self, licence_number: str) -> LicenceKind | None:
        """Return what a licence is, None when there is none."""
        return await self._register.licence_kind(licence_number)

    async def preview(self, environment: str) -> m.Preview:
        """Tell what a move of this environment will do, without doing anything.

        A worker looks: callers need not be able to read the books. Who asks while somebody's look at the same
        environment is under way gets that one.

        Raises:
            EnvironmentUnknown, EnvironmentAmbiguous: None, or more than one, is meant.
            NoWorker: Nobody took the question; try again later.
        """
        asked = await self.environment(environment)
        with domain_errors():
            return await self._temporal.execute_activity_method(
                PreviewActivities.preview_environment,
                m.PreviewEnvironment(environment_id=asked.environment_id),
                id=f"preview-{asked.environment_id}",
                task_queue=PREVIEWS,
                schedule_to_start_timeout=_UNTIL_TAKEN,
                start_to_close_timeout=_LONGEST_LOOK,
                heartbeat_timeout=_SILENCE,
                retry_policy=RetryPolicy(maximum_attempts=2),
                id_conflict_policy=ActivityIDConflictPolicy.USE_EXISTING,
                priority=Priority(fairness_key=asked.licence_number),
            )

    async def require_movable(self, preview: m.Preview, *, for_licence: str | None = None) -> None:
        """Raise what `prepare` would refuse after this preview, as it does; return when it would begin."""
        await self._previews.refusal(preview, for_licence=for_licence)

    async def status(self, which: str) -> TransferSnapshot:
        """Tell where a transfer stands; also after its end, and without a worker as far as the database knows.

        Raises:
            TransferUnknown, EnvironmentAmbiguous: None, or more than one, is meant.
        """
        return await self._lookup.snapshot(which)

    async def standing(self, transfer_id: uuid.UUID) -> RecordedTransfer:
        """Return all that the database knows of where a transfer stands, in one question.

        Raises:
            TransferUnknown: There is no such transfer, or it has only just begun.
        """
        return await self._register.standing(transfer_id)

    async def snapshot_of(self, standing: RecordedTransfer) -> TransferSnapshot:
        """Tell where a transfer stands by what its steps have written into the database.

        For many who ask often: no worker has to answer. What only the workflow knows is missing: what is being tried
        again, and a last look before a release that is under way.
        """
        return await self._lookup.written(standing)

    async def result(self, which: str) -> m.TransferResult:
        """Wait until a transfer has ended, mails and all, and return how."""
        return await (await self._lookup.live(which))[0].result()

    async def history_events(self, which: str) -> int:
        """Return how many events the workflow's history holds."""
        return await (await self._lookup.live(which))[0].history_events()

    async def transfers(self, *, states: Collection[TransferState] = (), limit: int = 100) -> list[m.TransferRecord]:
        """Return the newest transfers, in these states when any are given."""
        return await self._register.transfers(limit=limit, states=states)

    async def evening(self, day: date | None = None) -> m.Evening:
        """Return how far an evening is, or will be: the one that goes on or comes next when no day is given."""
        return await self._evenings.evening(day)

    async def transfer(self, transfer_id: uuid.UUID) -> m.TransferRecord:
        """Return what the database knows of a transfer.

        Raises:
            TransferUnknown: There is no such transfer.
        """
        found = await self._register.transfer(transfer_id)
        if found is None:
            raise TransferUnknown
        return found

    async def events(self, which: str, *, after: int = 0) -> list[TransferEvent]:
        """Return a transfer's story in order, or what came after an event's id."""
        return await self._register.events((await self._register.find_transfer(which)).transfer_id, after=after)

    async def results(self, which: str) -> TransferResults:
        """Return what the steps of a transfer left behind: figures, banks, consequences, the comparison."""
        return await self._register.results((await self._register.find_transfer(which)).transfer_id)

    async def mails(self, which: str) -> list[MailRecord]:
        """Return the mails of a transfer, in the order in which they were tried."""
        return await self._register.mails((await self._register.find_transfer(which)).transfer_id)

    async def compare(self, old: str, new: str, *, on_progress: OnComparison | None = None) -> Compared:
        """Compare two environments, each an id, a name or `<licence number>/<name>`; see `Comparer.compare`.

        Raises:
            EnvironmentUnknown, EnvironmentAmbiguous: One of them is not there, or more than one is meant.
        """
        return await self._comparer.compare(await self.environment(old), await self.environment(new), on_progress)

    def compared_rows(
        self,
        old: m.EnvironmentSummary,
        new: m.EnvironmentSummary,
        check: CheckKind,
        administration: uuid.UUID,
        as_of: date,
    ) -> AsyncGenerator[m.ComparedRow, None]:
        """Give the rows behind one check of a comparison, those that differ first; see `Comparer.rows`."""
        return self._comparer.rows(old, new, check, administration, as_of)

    async def booked_years(self, environment: m.EnvironmentSummary) -> list[m.BookedYear]:
        """Return the years of which there can be an auditfile, by administration."""
        return await self._comparer.booked_years(environment)

    async def auditfile(
        self, environment: m.EnvironmentSummary, administration: uuid.UUID, year: int, file: IO[bytes]
    ) -> None:
        """Write one administration's year as XAF 3.2 into a file; see `Comparer.auditfile`."""
        await self._comparer.auditfile(environment, administration, year, file)

    async def write_auditfile(self, order: m.WriteAuditfile) -> m.AuditfileWritten:
        """Have one side's books of a year written down in `control`, by a worker: callers may not read the books.

        Raises:
            YearUnknown: There is no such administration, or nothing was booked in that year.
            WrongMoment: Nobody may look at the new environment yet, or any more.
            NoWorker: Nobody took the question; try again later.
        """
        with domain_errors():
            return await self._temporal.execute_activity_method(
                PreviewActivities.write_auditfile,
                order,
                id=f"auditfile-{order.transfer_id}-{order.old_side}-{order.administration_id}-{order.year}",
                task_queue=PREVIEWS,
                schedule_to_start_timeout=_UNTIL_TAKEN,
                start_to_close_timeout=_LONGEST_WRITING,
                retry_policy=RetryPolicy(maximum_attempts=2),
                id_conflict_policy=ActivityIDConflictPolicy.USE_EXISTING,
            )

    async def certificate(self, which: str) -> bytes:
        """Return the signed certificate of a move that awaits its release, or was released: the file, byte for byte.

        Raises:
            CertificateUnknown: It has not been issued yet, or the transfer was undone.
        """
        return await self._register.certificate((await self._register.find_transfer(which)).transfer_id)

    async def hold_against(
        self, certificate: Certificate, *, on_progress: OnComparison | None = None
    ) -> CertificateChecked:
        """Read the environments of a certificate and compare them with it; see `Comparer.hold_against`.

        Raises:
            EnvironmentUnknown: One of them is not there (any more).
        """
        old, new = [await self.environment(str(side.environment_id)) for side in (certificate.old, certificate.new)]
        return await self._comparer.hold_against(certificate, old, new, on_progress)
