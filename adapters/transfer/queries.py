"""The read side of `control`: which transfer or environment somebody means, and all that is known about it.

Long, for whoever may see a thing is decided here for every way of asking for it.
"""

from collections.abc import AsyncGenerator, Collection
from datetime import datetime
from itertools import count
from typing import Any, Literal
from uuid import UUID
from zlib import decompress

import asyncpg
from pydantic import AwareDatetime, Json, TypeAdapter

from adapters.postgres.connection import Pool, translated_errors
from adapters.postgres.statements import load
from domain import messages as m
from domain.errors import (
    CertificateUnknown,
    EnvironmentAmbiguous,
    EnvironmentUnknown,
    TransferUnknown,
    WrongMoment,
)
from domain.steps import StepName
from domain.story import LogLine, kinds_read
from domain.vocabulary import CheckKind, EnvironmentStatus, LicenceKind, MailKind, Scenario, TransferState

_SQL = load(__name__)
_ROWS = TypeAdapter(list[m.ComparedRow])


class EnvironmentRecord(m.EnvironmentSummary):
    """A row of `control.environment`."""

    url_part: str
    status: EnvironmentStatus
    login_email: str | None
    schema_version: int
    created_at: AwareDatetime


class EnvironmentLine(m.Message):
    """An environment in a list, with whose it is."""

    environment_id: UUID
    licence_number: str
    name: str
    url: str
    status: EnvironmentStatus
    holder_name: str


class LicenceRecord(m.Message):
    """Who holds a licence."""

    licence_number: str
    holder_name: str
    kind: LicenceKind
    in_use: bool
    cancelled_at: AwareDatetime | None


class NameState(m.Message):
    """Whether a name and a url part are free under a licence, whose host is this."""

    host: str
    name_taken: bool
    url_taken: bool


class Tick(m.Message):
    """The newest line about a point of a check list."""

    item: str
    kind: str
    actor: str
    at: AwareDatetime


class TransferEvent(m.Message):
    """One line of a transfer's story."""

    event_id: int
    at: AwareDatetime
    actor: str
    kind: str
    reason: str
    detail: Json[dict[str, Any]]


class TicketRecord(m.Message):
    """What is known of a ticket: no file of it is kept."""

    file_name: str
    issued_at: AwareDatetime
    expires_at: AwareDatetime
    for_licence: str | None
    made_at: AwareDatetime | None
    used_at: AwareDatetime | None
    revoked_at: AwareDatetime | None


class MailRecord(m.Message):
    """A mail that was sent, or could not be."""

    kind: MailKind
    recipient: str
    message_id: str
    language: str
    subject: str
    status: str
    attempts: int
    problem: str | None
    attempted_at: AwareDatetime | None
    sent_at: AwareDatetime | None


class HeldItem(m.Message):
    """A mail or a scan that waits for the end of a transfer; beside it, how many there are."""

    item_id: int
    kind: Literal["mail", "scan"]
    address: str
    sender: str
    subject: str
    received_at: AwareDatetime
    bytes: int
    set_aside: bool
    mails: int
    scans: int


class HeldAnywhere(HeldItem):
    """The same among those of all transfers: whom it came for, and the newest transfer of that environment."""

    environment_id: UUID | None
    environment_name: str | None
    licence_number: str | None
    transfer_id: UUID | None


class TransferResults(m.Message):
    """What the steps of a transfer left behind; None for what has not been done (yet)."""

    requested_by: str
    uploaded_by: str | None
    released_by: str | None
    undo_detail: str | None
    frozen_at: datetime | None
    accepted_at: datetime | None
    released_at: datetime | None
    ended_at: datetime | None
    ticket_file_name: str | None
    ticket_expires_at: datetime | None
    new_environment: Json[m.EnvironmentSummary] | None
    clone_result: Json[m.CloneFinished] | None
    verification: Json[m.Verification] | None
    banks: Json[m.BanksReconnected] | None
    consequences: Json[m.ConsequencesApplied] | None
    report: Json[m.ComparisonReport] | None


class ComparisonPage(m.Message):
    """A part of a comparison: thousands of administrations make tens of thousands of checks."""

    made_at: AwareDatetime
    total: int
    unequal: int
    inbox: Json[m.InboxCounts | None]
    checks: Json[list[m.Check]]


class RecordedTransfer(m.TransferRecord):
    """All that says where a transfer stands."""

    undo_detail: str
    ticket_expires_at: AwareDatetime | None
    old: Json[m.EnvironmentSummary] | None
    new: Json[m.EnvironmentSummary] | None
    happenings: Json[list[LogLine]]
    comparison: Json[m.ComparisonSummary] | None
    mail_problems: Json[list[m.MailProblem]]
    ready_told_at: AwareDatetime | None
    seen_step: StepName | None
    seen: Json[m.CloneProgress] | None
    seen_at: AwareDatetime | None


class PostgresTransferQueries:
    """Answers questions; changes nothing."""

    def __init__(self, pool: Pool) -> None:
        """Take a pool that is connected as sb_owner."""
        self._pool = pool

    # --- environments ------------------------------------------------------------------------------------------

    async def environment(self, environment_id: UUID) -> EnvironmentRecord | None:
        """Return an environment by id, None when there is none."""
        rows = await self._rows("environment", environment_id)
        return EnvironmentRecord.model_validate(dict(rows[0])) if rows else None

    async def environments(
        self, search: str = "", *, statuses: Collection[EnvironmentStatus] = (), limit: int = 100
    ) -> list[EnvironmentRecord]:
        """Return environments by licence and name, so many at most.

        Args:
            search: Only those in whose name, url, licence number or holder's name it stands, or whose id begins so.
            statuses: Only those in one of these, when any are given.
            limit: How many at most.
        """
        rows = await self._rows("environments", search.strip(), list(statuses), limit)
        return [EnvironmentRecord.model_validate(dict(row)) for row in rows]

    async def environments_named(self, name: str) -> list[EnvironmentRecord]:
        """Return the environments of a name, whatever its capitals; a name is unique per licence only."""
        return [EnvironmentRecord.model_validate(dict(row)) for row in await self._rows("environments_named", name)]

    async def find_environment(self, which: str) -> EnvironmentRecord:
        """Return the environment that an id or a name means; of several with one name, the only active one.

        Raises:
            EnvironmentUnknown: None has this id or name.
            EnvironmentAmbiguous: Several have this name.
        """
        environment_id = _uuid(which)
        if environment_id is not None and (found := await self.environment(environment_id)) is not None:
            return found
        named = await self.environments_named(which.strip())
        if not named:
            raise EnvironmentUnknown
        active = [environment for environment in named if environment.status is EnvironmentStatus.ACTIVE]
        candidates = active or named
        if len(candidates) > 1:
            raise EnvironmentAmbiguous
        return candidates[0]

    async def environments_page(
        self,
        *,
        limit: int,
        search: str = "",
        licence_number: str | None = None,
        statuses: Collection[EnvironmentStatus] = (),
        after: tuple[str, str, UUID] | None = None,
    ) -> list[EnvironmentLine]:
        """Return at most `limit` environments by licence, name and id, those behind `after` when it is given.

        Args:
            limit: How many at most.
            search: As for `environments`.
            licence_number: Only those under this licence.
            statuses: Only those in one of these.
            after: Licence, name in small letters and id of the last one of the page before.
        """
        place = after or (None, None, None)
        rows = await self._rows("environments_page", licence_number, search.strip(), list(statuses), *place, limit)
        return [EnvironmentLine.model_validate(dict(row)) for row in rows]

    async def licences(self, search: str, *, only: str | None = None, limit: int = 20) -> list[LicenceRecord]:
        """Return licences of a number, or in whose holder's name it stands, the number's own first; `only` that one."""
        rows = await self._rows("licences", search.strip(), only, limit)
        return [LicenceRecord.model_validate(dict(row)) for row in rows]

    async def name_state(
        self, licence_number: str, *, name: str, url_part: str, base_domain: str, transfer_id: UUID | None = None
    ) -> NameState | None:
        """Tell whether a name and a url part are free under a licence for a transfer; None for no such licence."""
        rows = await self._rows("name_state", licence_number, name, url_part, base_domain, transfer_id)
        return NameState.model_validate(dict(rows[0])) if rows else None

    async def ticks(self, transfer_id: UUID) -> list[Tick]:
        """Return the newest line about each point of a transfer's check lists."""
        return [Tick.model_validate(dict(row)) for row in await self._rows("ticks", transfer_id)]

    async def licence_kind(self, licence_number: str) -> LicenceKind | None:
        """Return what a licence is, None when there is none."""
        rows = await self._rows("licence_kind", licence_number)
        return LicenceKind(rows[0]["kind"]) if rows else None

    # --- transfers ---------------------------------------------------------------------------------------------

    async def transfer(self, transfer_id: UUID) -> m.TransferRecord | None:
        """Return a transfer by id, None when there is none."""
        found = await self._transfers("transfer", transfer_id)
        return found[0] if found else None

    async def find_transfer(self, which: str) -> m.TransferRecord:
        """Return the transfer that a workflow id, transfer id, environment id or environment name means.

        Where several fit, the live one, else the newest. A name, or `<licence number>/<name>`, counts for the old
        environment and for the new one.

        Raises:
            TransferUnknown: Nothing fits.
            EnvironmentAmbiguous: A name fits live transfers, or only ended ones, of several environments.
        """
        which = which.strip()
        identifier = _uuid(which)
        if identifier is not None:
            for statement in ("transfer", "transfers_of_environment"):
                if found := await self._transfers(statement, identifier):
                    return found[0]
        if found := await self._transfers("transfers_of_workflow", which):
            return found[0]
        found = await self._transfers("transfers_named", which)
        candidates = [transfer for transfer in found if not transfer.state.is_final] or found
        if not candidates:
            raise TransferUnknown
        if len({transfer.environment_id for transfer in candidates}) > 1:
            raise EnvironmentAmbiguous
        return candidates[0]

    async def transfers_of_environment(self, environment_id: UUID) -> list[m.TransferRecord]:
        """Return the transfers from or to an environment: live ones first, then from new to old."""
        return await self._transfers("transfers_of_environment", environment_id)

    async def transfers(self, *, limit: int = 100, states: Collection[TransferState] = ()) -> list[m.TransferRecord]:
        """Return the newest transfers, in these states when any are given."""
        return await self._transfers("transfers", limit, list(states))

    async def transfers_page(
        self,
        *,
        limit: int,
        states: Collection[TransferState] = (),
        scenario: Scenario | None = None,
        licence_number: str | None = None,
        environment_id: UUID | None = None,
        outcome: str | None = None,
        after: m.TransferRecord | tuple[datetime, UUID] | None = None,
        search: str | None = None,
    ) -> list[m.TransferRecord]:
        """Return at most `limit` transfers from new to old, those behind `after` when it is given.

        Args:
            limit: How many at most.
            states: Only those in one of these states, when any are given.
            scenario: Only those of this scenario.
            licence_number: Only those from or to this licence.
            environment_id: Only those from or to this environment; where a licence is given, its own half of them.
            outcome: Only those that have ended so: `released`, or the reason of an undo.
            after: The last one of the page before, or its time of creation and its id.
            search: Only those in whose names, urls or licences it stands, of the half of `licence_number` if that is
                given, or whose id begins so.
        """
        place = (after.created_at, after.transfer_id) if isinstance(after, m.TransferRecord) else after or (None, None)
        return await self._transfers(
            "transfers_page", limit, list(states), scenario, licence_number, *place, environment_id, outcome, search
        )

    async def events(self, transfer_id: UUID, *, after: int = 0, limit: int | None = None) -> list[TransferEvent]:
        """Return a transfer's story in order, or what came after an event's id, so many events at most."""
        rows = await self._rows("events", transfer_id, after, limit)
        return [TransferEvent.model_validate(dict(row)) for row in rows]

    async def results(self, transfer_id: UUID) -> TransferResults:
        """Return what a transfer's steps left behind.

        Raises:
            TransferUnknown: There is no such transfer.
        """
        rows = await self._rows("results", transfer_id)
        if not rows:
            raise TransferUnknown
        return TransferResults.model_validate(dict(rows[0]))

    async def comparison_page(self, transfer_id: UUID, *, after: int, limit: int) -> ComparisonPage | None:
        """Return so many checks of a comparison, those behind the first `after`; None before it is made."""
        rows = await self._rows("comparison_page", transfer_id, after, limit)
        return ComparisonPage.model_validate(dict(rows[0])) if rows else None

    async def compared_rows(
        self, transfer_id: UUID, check: CheckKind, administration: UUID
    ) -> AsyncGenerator[m.ComparedRow, None]:
        """Give the rows behind one check as both sides had them when they were compared, those that differ first."""
        for part in count():
            rows = await self._rows("compared_rows", transfer_id, administration, check, part)
            if not rows:
                return
            for row in _ROWS.validate_json(rows[0]["rows"]):
                yield row

    async def auditfile(self, order: m.WriteAuditfile) -> AsyncGenerator[bytes, None]:
        """Give an auditfile that was written, a megabyte at a time."""
        key = order.transfer_id, order.old_side, order.administration_id, order.year
        for part in count():
            rows = await self._rows("auditfile", *key, part)
            if not rows:
                return
            yield decompress(rows[0]["content"])

    async def standing(self, transfer_id: UUID) -> RecordedTransfer:
        """Return where a transfer stands, in one question.

        Raises:
            TransferUnknown: There is no such transfer.
        """
        rows = await self._rows("standing", transfer_id, kinds_read())
        if not rows:
            raise TransferUnknown
        return RecordedTransfer.model_validate(dict(rows[0]))

    async def ticket(self, transfer_id: UUID) -> TicketRecord:
        """Return what is known of a transfer's ticket.

        Raises:
            WrongMoment: It has not been issued yet.
        """
        rows = await self._rows("ticket", transfer_id)
        if not rows:
            raise WrongMoment
        return TicketRecord(**dict(rows[0]))

    async def certificate(self, transfer_id: UUID) -> bytes:
        """Return the signed certificate, byte for byte.

        Raises:
            CertificateUnknown: There is none (any more).
        """
        rows = await self._rows("certificate", transfer_id)
        if not rows:
            raise CertificateUnknown
        return str(rows[0]["document"]).encode()

    async def report(self, transfer_id: UUID) -> m.ComparisonReport | None:
        """Return the comparison that was made, None before."""
        return (await self.results(transfer_id)).report

    async def verification(self, transfer_id: UUID) -> m.Verification | None:
        """Return the proof of equality, None before."""
        return (await self.results(transfer_id)).verification

    async def mails(self, transfer_id: UUID) -> list[MailRecord]:
        """Return the mails of a transfer, in the order in which they were tried."""
        return [MailRecord.model_validate(dict(row)) for row in await self._rows("mails", transfer_id)]

    async def retirement(self, environment_id: UUID) -> m.RetirementStanding:
        """Return how far the end of an old environment is."""
        rows = await self._rows("retirement", environment_id)
        if not rows:
            return m.RetirementStanding(state=m.RetirementState.NONE)
        return m.RetirementStanding.model_validate(dict(rows[0]))

    async def held_items(self, transfer_id: UUID, *, after: int, limit: int) -> list[HeldItem]:
        """Return so many mails and scans that wait for the end of a transfer, in their order, behind item `after`."""
        rows = await self._rows("held_items", transfer_id, after, limit)
        return [HeldItem.model_validate(dict(row)) for row in rows]

    async def all_held_items(self, *, after: int, limit: int) -> list[HeldAnywhere]:
        """Return so many mails and scans that wait for the end of any transfer, in their order, behind item `after`."""
        return [HeldAnywhere.model_validate(dict(row)) for row in await self._rows("all_held_items", after, limit)]

    async def _transfers(self, statement: str, *arguments: object) -> list[m.TransferRecord]:
        return [m.TransferRecord.model_validate(dict(row)) for row in await self._rows(statement, *arguments)]

    async def _rows(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        clean = [argument.replace("\x00", "") if isinstance(argument, str) else argument for argument in arguments]
        # One statement is a transaction by itself; BEGIN and COMMIT would be two more round trips for each answer.
        with translated_errors():
            return list(await self._pool.fetch(_SQL[statement], *clean))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None
