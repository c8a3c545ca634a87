"""What is looked at after the blows: every row, every mail, and the invariant."""

from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

from adapters.postgres.connection import Pool
from adapters.reconcile.inspection import PostgresInspector
from devstack.mail import MailFolder
from domain.reconciliation import Inspect
from domain.violations import Violation
from domain.vocabulary import MailKind
from tests.chaos.hooks import Plan

Rows = dict[str, tuple[int, str]]
"""By table: how many rows, and a sum over the hashes of all of them."""

# In the database of this run only: a clone of small books is over before a blow has fallen. It is long enough for the
# first units to have reached the disk while others are still to come.
_UNIT_SECONDS = 1.0
_NO_BRAKE = "drop function if exists control.brake cascade"
_BRAKE = f"""
{_NO_BRAKE};
create function control.brake() returns trigger language plpgsql as
'begin perform pg_sleep({_UNIT_SECONDS}); new.done_at := clock_timestamp(); return new; end';
create trigger brake before insert on control.clone_unit for each row execute function control.brake();
"""


@dataclass(slots=True)
class Score:
    """What came of the faults so far."""

    faults: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    rows_lost: int = 0
    rows_doubled: int = 0
    mails: int = 0
    mails_doubled: int = 0
    """Of which SMTP cannot promise more: a blow fell while they were under way, and they bear one Message-ID."""
    units_kept: int = 0
    """Units of work that were done when a clone was hit, and were not done again."""

    @property
    def clean(self) -> bool:
        return not (self.violations or self.rows_lost or self.rows_doubled)

    def __str__(self) -> str:
        return (
            f"faults {len(self.faults)}, violations {len(self.violations)}, "
            f"rows lost {self.rows_lost}, rows doubled {self.rows_doubled}"
        )

    def compare_counts(self, before: Rows, after: Rows) -> None:
        """Count what is missing and what is there too often."""
        for table in before.keys() | after.keys():
            was, now = before.get(table, (0, ""))[0], after.get(table, (0, ""))[0]
            self.rows_lost += max(was - now, 0)
            self.rows_doubled += max(now - was, 0)


class Reckoner:
    """Looks at one stack; keeps in mind what it has told already."""

    def __init__(self, pool: Pool, inspector: PostgresInspector, mails: MailFolder, score: Score) -> None:
        self._pool = pool
        self._inspector = inspector
        self._mails = mails
        self._score = score
        self._told: set[tuple[str, str]] = set()
        self._read: set[str] = set()

    @property
    def pool(self) -> Pool:
        """Return the connections to the home database."""
        return self._pool

    async def rows(self, schema: str, *, but: str = "") -> Rows:
        """Return the rows of a schema, but for one table; no table when there is no such schema."""
        found: Rows = {}
        for (table,) in await self._pool.fetch(
            "select tablename from pg_tables where schemaname = $1 and tablename <> $2", schema, but
        ):
            row = await self._pool.fetchrow(
                f'select count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text from "{schema}"."{table}" t'
            )
            assert row is not None
            found[table] = (row[0], row[1])
        return found

    async def brake(self, *, on: bool) -> None:
        """Let every unit of a clone take a moment longer, so that there is a half-way, however fast the machine is."""
        await self._pool.execute(_BRAKE if on else _NO_BRAKE)

    async def lasting_units(self, schema: str, *, settled: bool = True) -> dict[str, str]:
        """Return a clone's finished units of work, each with the transaction that finished it.

        Settled ones only: a unit does not wait for the disk, and a database that crashes may forget what it committed
        within three times `wal_writer_delay` (0.6 s), the work together with its line.
        """
        rows = await self._pool.fetch(
            "select unit, xmin::text from control.clone_unit "
            "where target_schema = $1 and (not $2 or done_at < clock_timestamp() - interval '1 second')",
            schema,
            settled,
        )
        return {row["unit"]: row["xmin"] for row in rows}

    async def invariant(self, where: str) -> None:
        """Judge everything that there is by the shared checker, with every row of what is not released."""
        findings = await self._inspector.inspect(Inspect(deep=True))
        for one in findings.violations:
            self.tell(one, where)

    def tell(self, one: Violation, where: str) -> None:
        """Note a violation, once."""
        if (one.kind, one.subject) not in self._told:
            self._told.add((one.kind, one.subject))
            self._score.violations.append(f"{where}: {one.kind}: {one.subject}: {one.what}")

    async def mail(self, transfer_id: UUID, plan: Plan, where: str) -> None:
        """Make sure that nobody got the same mail twice, but where SMTP cannot promise it."""
        ids: dict[str, MailKind] = {
            row["message_id"]: MailKind(row["kind"])
            for row in await self._pool.fetch(
                "select message_id, kind from control.sent_mail where transfer_id = $1", transfer_id
            )
        }
        got: Counter[tuple[str, str]] = Counter()
        for mail in self._mails.mails():
            if (message_id := str(mail["Message-ID"])) in ids:
                got[message_id, str(mail["Delivered-To"])] += 1
        self._score.mails += got.total()
        for (message_id, to), times in got.items():
            kind = ids[message_id]
            self._score.mails_doubled += times - 1
            if times - 1 > plan.mail_at_risk[kind]:
                self._score.violations.append(f"{where}: {to} got {kind} {times} times")
