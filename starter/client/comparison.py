"""Two environments compared on demand: the proof of the clone once more, and the comparisons of the manual."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, date, datetime
from typing import IO
from uuid import UUID

from adapters.postgres.place import Place
from adapters.postgres.shards import Shards
from adapters.transfer.auditfile import booked_years, write_auditfile
from adapters.transfer.comparison import EnvironmentPair, compared_rows, comparison_report
from adapters.transfer.queries import EnvironmentRecord
from adapters.verify.verifier import PostgresVerifier
from domain import messages as m
from domain.certificate import Certificate
from domain.consequences import CHANGED_ON_PURPOSE
from domain.vocabulary import CheckKind, EnvironmentStatus
from starter.client.models import CertificateChecked, Compared, SideChecked

OnComparison = Callable[[m.CloneProgress], None]


class Comparer:
    """Compares environments, wherever they live; changes nothing."""

    def __init__(self, shards: Shards, verifier: PostgresVerifier) -> None:
        """Take pools that are connected as sb_owner, and the verifier."""
        self._shards = shards
        self._verifier = verifier

    async def compare(
        self, old: EnvironmentRecord, new: EnvironmentRecord, on_progress: OnComparison | None = None
    ) -> Compared:
        """Compare every row byte for byte, but for what a move changes on purpose, and make the manual's comparisons.

        Work that was done in the new environment after its release is a difference too.

        Raises:
            EnvironmentUnknown: One of the two has gone meanwhile.
            Unavailable: The database does not answer.
        """
        verification = await self._verifier.compare_schemas(
            _place(old), _place(new), CHANGED_ON_PURPOSE, on_progress or (lambda _: None)
        )
        async with self._pair(old, new) as sides:
            report = await comparison_report(sides, made_at=datetime.now(UTC))
        return Compared(
            old=m.EnvironmentSummary.model_validate(old.model_dump()),
            new=m.EnvironmentSummary.model_validate(new.model_dump()),
            ignored_columns={table: sorted(columns) for table, columns in sorted(CHANGED_ON_PURPOSE.items())},
            verification=verification,
            report=report,
        )

    async def rows(
        self, old: m.EnvironmentSummary, new: m.EnvironmentSummary, check: CheckKind, administration: UUID, as_of: date
    ) -> AsyncGenerator[m.ComparedRow, None]:
        """Give the rows behind one check of one administration as they are now, those that differ first.

        They are read twice for that, and nothing is kept: there may be a million.

        Raises:
            Unavailable: The database does not answer.
        """
        for equal in (False, True):
            async with (
                self._pair(old, new) as sides,
                aclosing(compared_rows(sides, check, administration, as_of=as_of)) as found,
            ):
                async for row in found:
                    if row.equal is equal:
                        yield row

    async def booked_years(self, environment: m.EnvironmentSummary) -> list[m.BookedYear]:
        """Return the years of which there can be an auditfile, by administration."""
        async with self._shards.together(None, environment.cell, environment.cell) as (there, _):
            return await booked_years(there, environment.schema_name)

    async def auditfile(
        self, environment: m.EnvironmentSummary, administration: UUID, year: int, file: IO[bytes]
    ) -> None:
        """Write one administration's year as XAF 3.2 into a file; see `write_auditfile`.

        Raises:
            YearUnknown: There is no such administration, or nothing was booked in that year.
            Unavailable: The database does not answer.
        """
        async with self._shards.together(None, environment.cell, environment.cell) as (there, _):
            today = datetime.now(UTC).date()
            await write_auditfile(file, there, environment.schema_name, administration, year, made_on=today)

    @asynccontextmanager
    async def _pair(self, old: m.EnvironmentSummary, new: m.EnvironmentSummary) -> AsyncIterator[EnvironmentPair]:
        async with self._shards.together(None, old.cell, new.cell) as (here, there):
            # An environment that is held against itself has not moved.
            moved = old.environment_id != new.environment_id
            yield EnvironmentPair(here, old.schema_name, there, new.schema_name, moved=moved)

    async def hold_against(
        self,
        certificate: Certificate,
        old: EnvironmentRecord,
        new: EnvironmentRecord,
        on_progress: OnComparison | None = None,
    ) -> CertificateChecked:
        """Read every row of both environments and compare it with what a certificate says.

        A new environment that has been released is left out: work in it is not a difference.

        Raises:
            EnvironmentUnknown: One of the two has gone meanwhile.
            Unavailable: The database does not answer.
        """
        sides = []
        for name, environment, then in (("old", old, certificate.old_side()), ("new", new, certificate.new_side())):
            if name == "new" and environment.status is not EnvironmentStatus.AWAITING_RELEASE:
                sides.append(SideChecked(side=name, checked=False))
                continue
            now = await self._verifier.hashes(_place(environment), on_progress or (lambda _: None))
            sides.append(SideChecked(side=name, checked=True, changes=then.changes(now)))
        return CertificateChecked(certificate=certificate, sides=sides)


def _place(environment: EnvironmentRecord) -> Place:
    return Place(environment.schema_name, environment.cell)
