"""The typed client that the platform's backend imports: every button of the manual, as one method each.

Long, for every button has its method here.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, date, timedelta, tzinfo

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy

from adapters.temporal.deliverer import ensure_deliverer
from adapters.transfer.evenings import PostgresEvenings
from adapters.transfer.event_log import PostgresTransferEventLog
from adapters.transfer.preview import PostgresPreviewReader
from adapters.transfer.queries import PostgresTransferQueries
from adapters.transfer.tickets import PostgresTicketIssuer, TicketSeal
from domain import messages as m
from domain.errors import (
    AlreadyInTransfer,
    TicketExpired,
    TicketRevoked,
    TicketUsed,
    TransferUnknown,
    UploadRefused,
    WrongMoment,
)
from domain.events import EventKind
from domain.naming import workflow_id_of
from domain.portfolio import PORTFOLIO_WORKFLOW, MovePortfolio, PortfolioDecision, portfolio_workflow_id
from domain.vocabulary import MailKind, TransferState, UndoReason
from starter.client.comparison import Comparer
from starter.client.decisions import Decision, decide
from starter.client.errors import domain_errors
from starter.client.models import PreparedTransfer, TransferSnapshot
from starter.client.preparing import OnProgress, order_for, until_ticket
from starter.client.reader import TransferReader
from starter.client.retirement import call_back_retirement, plan_retirement
from starter.client.workflow_handle import RemoteTransfer
from workflows.search_attributes import PORTFOLIO
from workflows.task_queues import TRANSFERS

_PAUSE_SECONDS = 0.05
_UNTIL_KNOWN_SECONDS = 15.0
# An undone transfer has at most a mail in hand; giving that up takes a moment.
_MAKE_WAY_PATIENCE_SECONDS = 10.0


class TransferClient(TransferReader):
    """Moves environments. One instance serves a whole process; `starter.client.connect.connect` opens it.

    What `which` means and what is raised, `TransferReader` tells.
    """

    def __init__(
        self,
        temporal: Client,
        *,
        register: PostgresTransferQueries,
        previews: PostgresPreviewReader,
        tickets: PostgresTicketIssuer,
        seal: TicketSeal,
        comparer: Comparer,
        evenings: PostgresEvenings,
        log: PostgresTransferEventLog,
        zone: tzinfo = UTC,
        runbook_url: str = "",
    ) -> None:
        super().__init__(
            temporal, register=register, previews=previews, comparer=comparer, evenings=evenings, zone=zone
        )
        self._tickets = tickets
        self._seal = seal
        self._log = log
        self._runbook_url = runbook_url
        self.zone = zone
        """On whose clock evenings are."""

    # --- the old side --------------------------------------------------------------------------------------------

    async def prepare(
        self,
        environment: str,
        *,
        requested_by: str,
        for_licence: str | None = None,
        preview: m.Preview | None = None,
        on_progress: OnProgress | None = None,
    ) -> PreparedTransfer:
        """Freeze an environment and make its ticket: "Omgeving overdragen" (manual, Overdragen voorbereiden).

        Returns when the ticket is there. When the caller gives up earlier the transfer goes on, and `download_ticket`
        gets the ticket later.

        Args:
            environment: The environment's id or name.
            requested_by: Who asks, for the event log.
            for_licence: The only licence that may upload the ticket; any, if left out.
            preview: What the caller has just been told, so that it is not found out once more.
            on_progress: Called with each status that is seen meanwhile.

        Raises:
            EnvironmentUnknown, EnvironmentAmbiguous, EnvironmentNotActive, AlreadyInTransfer: Nothing has changed.
            CannotBeCarried: The message lists what and why; nothing has changed.
            LicenceUnknown, SameLicence, ScenarioNotOffered: `for_licence` could never upload it; nothing has changed.
            EnvironmentBusy: Somebody writes in it all the time; the freeze goes on trying.
        """
        preview = preview or await self.preview(environment)
        order = order_for(preview, requested_by, uuid.uuid4(), for_licence)
        remote = await self._start(preview, order)

        async def written() -> TransferState | None:
            record = await self._register.transfer(order.transfer_id) if order.transfer_id else None
            return record.state if record else None

        status = await until_ticket(remote, on_progress, written)
        file_name, ticket = await self._tickets.download(status.transfer_id, actor=requested_by)
        return PreparedTransfer(
            transfer_id=status.transfer_id,
            workflow_id=remote.workflow_id,
            ticket_file_name=file_name,
            ticket=ticket,
            preview=preview,
        )

    async def start(
        self,
        environment: str,
        *,
        requested_by: str,
        for_licence: str | None = None,
        transfer_id: uuid.UUID | None = None,
        portfolio: uuid.UUID | None = None,
    ) -> m.TransferInput:
        """Start a transfer and return at once; its status shows when the ticket can be downloaded.

        Args:
            environment: The environment's id or name.
            requested_by: Who asks, for the event log.
            for_licence: The only licence that may upload the ticket; any, if left out.
            transfer_id: The id to give it. Whoever did not hear the answer asks again with the same one, and gets the
                transfer that was started then.
            portfolio: Of which it is, for operators' lists.

        Returns:
            The order, with the transfer's id in it.

        Raises:
            EnvironmentUnknown, EnvironmentAmbiguous, EnvironmentNotActive, AlreadyInTransfer, CannotBeCarried: Nothing
                has changed.
            LicenceUnknown, SameLicence, ScenarioNotOffered: `for_licence` could never upload it; nothing has changed.
        """
        preview = await self.preview(environment)
        wanted = transfer_id or uuid.uuid4()
        order = order_for(preview, requested_by, wanted, for_licence)
        if transfer_id is not None and await self._register.transfer(transfer_id) is not None:
            return order
        try:
            await self._start(preview, order, portfolio)
        except AlreadyInTransfer:
            # Perhaps by a request that was not answered, and that is not in the database yet.
            remote = await RemoteTransfer.newest(self._temporal, workflow_id_of(order.environment_id))
            if (await remote.status()).transfer_id != wanted:
                raise
        if transfer_id is not None:
            await self._until_known(wanted)
        return order

    async def _until_known(self, transfer_id: uuid.UUID) -> None:
        """Wait until the database knows a transfer that was started; without a worker not for ever."""
        for _ in range(round(_UNTIL_KNOWN_SECONDS / _PAUSE_SECONDS)):
            if await self._register.transfer(transfer_id) is not None:
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _start(
        self, preview: m.Preview, order: m.TransferInput, portfolio: uuid.UUID | None = None
    ) -> RemoteTransfer:
        await self.require_movable(preview, for_licence=order.for_licence)
        order = order.model_copy(update={"runbook_url": self._runbook_url, "timezone": str(self.zone)})
        until = asyncio.get_running_loop().time() + _MAKE_WAY_PATIENCE_SECONDS
        while True:
            try:
                return await RemoteTransfer.start(self._temporal, order, preview, portfolio)
            except AlreadyInTransfer:
                if asyncio.get_running_loop().time() > until or not await self._makes_way(order.environment_id):
                    raise
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _makes_way(self, environment_id: uuid.UUID) -> bool:
        """Ask an undone transfer to end that still has mail to send; tell whether that is what is in the way."""
        known = await self._register.transfers_of_environment(environment_id)
        if not known or known[0].state is not TransferState.UNDONE:
            return False
        with suppress(WrongMoment, TransferUnknown):  # it has ended meanwhile
            await RemoteTransfer(self._temporal, workflow_id_of(environment_id)).make_way()
        return True

    async def download_ticket(self, which: str, *, requested_by: str = "") -> tuple[str, bytes]:
        """Return the ticket's file name and bytes while the upload is awaited; an earlier file stops working.

        Raises:
            WrongMoment: There is no ticket yet.
            TicketUsed, TicketExpired, TicketRevoked: There is none any more.
        """
        record = await self._register.find_transfer(which)
        return await self._tickets.download(record.transfer_id, actor=requested_by)

    # --- the new side --------------------------------------------------------------------------------------------

    async def upload(
        self,
        ticket: bytes,
        *,
        licence: str,
        name: str,
        url_part: str | None = None,
        login_email: str | None = None,
        uploaded_by: str,
        on_genuine: Callable[[uuid.UUID], Awaitable[None]] | None = None,
    ) -> m.UploadAccepted:
        """Upload a ticket: "Omgeving overdracht uploaden" (manual, Overdragen afronden).

        Args:
            ticket: The file's bytes.
            licence: The number of the licence that takes the environment over.
            name: The environment's new name, unique under that licence.
            url_part: "Unieke klantdeel url"; the name made lower-case when it is left out.
            login_email: What the customer logs in with; needed for a move to a self-managed licence.
            uploaded_by: Who asks, for the event log.
            on_genuine: Is told the transfer that the ticket is for, before anything is done with it.

        Returns:
            The new url and the exact start of the move.

        Raises:
            UploadRefused: The subclass says why; the transfer goes on waiting for a good upload.
            NoWorker: Nobody took the upload; try again later.
        """
        claims = self._seal.open(ticket)
        if on_genuine is not None:
            await on_genuine(claims.transfer_id)
        upload = m.Upload(
            sealed_ticket=self._seal.wrap(ticket),
            licence_number=licence,
            name=name,
            url_part=url_part,
            login_email=login_email,
            uploaded_by=uploaded_by,
        )
        transfer = await self._register.transfer(claims.transfer_id)
        if transfer is not None and not transfer.state.is_final:
            try:
                return await RemoteTransfer(self._temporal, claims.workflow_id).upload(upload)
            except (WrongMoment, TransferUnknown):
                transfer = await self._register.transfer(claims.transfer_id)  # its workflow has ended just now
        raise _too_late(transfer)

    async def look_at_ticket(self, ticket: bytes, *, licence: str) -> m.TicketLookedAt:
        """Tell what a ticket would do under a licence, without using it.

        Raises:
            UploadRefused: The subclass says why it could not be uploaded there.
        """
        return await self._tickets.look(ticket, licence=licence)

    # --- anybody -------------------------------------------------------------------------------------------------

    async def temporal_answers(self) -> bool:
        """Tell whether Temporal's frontend is healthy."""
        with domain_errors():
            return await self._temporal.service_client.check_health(timeout=timedelta(seconds=5))

    async def lead_portfolio(self, order: MovePortfolio, retry: PortfolioDecision | None = None) -> None:
        """Let a portfolio be looked at, and moved once somebody says so; a repetition changes nothing.

        With `retry` it begins with what that asks for.
        """
        key = SearchAttributePair(PORTFOLIO, str(order.portfolio_id))
        with domain_errors():
            await self._temporal.start_workflow(
                PORTFOLIO_WORKFLOW,
                order,
                id=portfolio_workflow_id(order.portfolio_id),
                task_queue=TRANSFERS,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                search_attributes=TypedSearchAttributes([key]),
                start_signal="retry" if retry else None,
                start_signal_args=[retry] if retry else [],
            )

    async def tell_portfolio(
        self, portfolio_id: uuid.UUID, decision: str, *, by: str, number: int | None = None
    ) -> None:
        """Send a portfolio a decision: `begin`, `release_equal`, `retry` (of one `number`, or of all) or `cancel_rest`.

        One that has ended is taken up again by a `retry`.

        Raises:
            WrongMoment: It has ended.
        """
        handle = self._temporal.get_workflow_handle(portfolio_workflow_id(portfolio_id))
        said = PortfolioDecision(requested_by=by, number=number)
        try:
            with domain_errors():
                await handle.signal(decision, said)
        except TransferUnknown:
            if decision != "retry":
                raise WrongMoment from None
            await self.lead_portfolio(MovePortfolio(portfolio_id=portfolio_id, begun=True), said)

    async def deliver_webhooks(self) -> None:
        """Let webhooks be delivered from now on."""
        await ensure_deliverer(self._temporal, task_queue=TRANSFERS)

    async def record_event(
        self, transfer_id: uuid.UUID, *, actor: str, kind: str, reason: str = "", item: str = ""
    ) -> None:
        """Write a line into a transfer's audit log; `item` is the point of a check list that it is about."""
        await self._log.record(
            m.RecordEvent(
                event_key=uuid.uuid4(), transfer_id=transfer_id, actor=actor, kind=kind, reason=reason, item=item
            )
        )

    async def release(self, which: str, *, by: str, note: str = "") -> TransferSnapshot:
        """Open the new environment for good: "Vrijgeven" (manual, Klantomgeving vrijgeven).

        Raises:
            WrongMoment: It was refused; the message says why.
            Unavailable: It is delivered, and it is not clear yet whether it was taken.
        """
        signal = m.Release(released_by=by, note=note)
        return await self._decide(
            which, "release", by, lambda remote: remote.release(signal), EventKind.ENVIRONMENT_RELEASED
        )

    async def reject(self, which: str, *, by: str, reason: str) -> TransferSnapshot:
        """Undo a transfer after comparing; raises as `release` does."""
        signal = m.Reject(rejected_by=by, reason=reason)
        return await self._decide(which, "reject", by, lambda remote: remote.reject(signal), EventKind.UNDO_BEGUN)

    async def start_now(self, which: str, *, by: str) -> TransferSnapshot:
        """Do not wait for 22:00; raises as `release` does."""
        signal = m.StartNow(requested_by=by)
        return await self._decide(which, "start_now", by, lambda remote: remote.start_now(signal), EventKind.START_NOW)

    async def reschedule(self, which: str, *, evening: date, by: str, reason: str = "") -> m.StartPlanned:
        """Move on another evening than the one that is planned, and return when exactly.

        Args:
            which: The transfer.
            evening: The day on which the window opens, on its own clock.
            by: Who asks, for the event log.
            reason: Why, for the event log.

        Raises:
            EveningInvalid: The evening has begun already, or lies too far ahead; the planned one stays.
            WrongMoment: The transfer does not wait for its evening.
        """
        remote, status = await self._lookup.live(which)
        if status.state is not TransferState.SCHEDULED:  # a recovery under the transfer's id takes no updates at all
            raise WrongMoment
        return await remote.reschedule(m.Reschedule(evening=evening, requested_by=by, reason=reason))

    async def correct_upload(
        self,
        which: str,
        *,
        name: str | None = None,
        url_part: str | None = None,
        login_email: str | None = None,
        by: str,
        reason: str = "",
    ) -> m.UploadAccepted:
        """Correct the name, url part or login e-mail that was uploaded, until the evening; what is left out stays.

        Args:
            which: The transfer.
            name: The environment's name, unique under its new licence.
            url_part: "Unieke klantdeel url"; empty for the one that follows from the name.
            login_email: What the customer logs in with, after a move to a self-managed licence.
            by: Who asks, for the event log.
            reason: Why, for the event log.

        Raises:
            UploadRefused: The subclass says why; everything stays as it is.
            WrongMoment: The transfer does not wait for its evening.
        """
        remote, status = await self._lookup.live(which)
        if status.state is not TransferState.SCHEDULED:  # a recovery under the transfer's id takes no updates at all
            raise WrongMoment
        order = m.CorrectUpload(name=name, url_part=url_part, login_email=login_email, requested_by=by, reason=reason)
        return await remote.correct_upload(order)

    async def hurry(self, which: str, *, by: str, reason: str) -> None:
        """Let a transfer go before all others that wait for a place; what waits already keeps its own.

        Raises:
            WrongMoment: It has been released or is being undone.
        """
        remote, _ = await self._lookup.live(which)
        await remote.hurry(m.Hurry(requested_by=by, reason=reason))

    async def cancel(self, which: str, *, by: str, reason: str = "") -> TransferSnapshot:
        """Undo a transfer at any moment before its release; raises as `release` does."""
        why = m.ExplainCancel(requested_by=by, reason=reason)
        return await self._decide(
            which, "cancel", by, lambda remote: remote.cancel(why), EventKind.UNDO_BEGUN, tells_actor=False
        )

    async def retire(self, environment: str, *, by: str, reason: str = "") -> m.RetirementPlanned:
        """Have an old environment removed after a while: "Oude klantomgeving verwijderen" (manual).

        Raises:
            EnvironmentUnknown, EnvironmentAmbiguous, NotMovedAway, StillForwarded, StillInTransfer, AlreadyRetired:
                Nothing has changed.
        """
        found = await self.environment(environment)
        order = m.RetirementInput(environment_id=found.environment_id, requested_by=by, reason=reason)
        return await plan_retirement(self._temporal, order)

    async def call_back(self, environment: str, *, by: str, reason: str = "") -> m.RetirementResult:
        """Keep an old environment whose removal is planned.

        Raises:
            WrongMoment: Nothing is planned, or it is being removed already.
        """
        found = await self.environment(environment)
        try:
            return await call_back_retirement(
                self._temporal, found.environment_id, m.CallBack(requested_by=by, reason=reason)
            )
        except TransferUnknown:
            raise WrongMoment from None

    async def resend_mail(self, which: str, *, kind: MailKind, to: str | None = None, by: str) -> m.MailSent:
        """Send one kind of mail again, to those it did not reach or to one other address.

        Raises:
            WrongMoment: The transfer has ended.
            MailRejected, MailDelayed: The mail server says no.
        """
        remote, _ = await self._lookup.live(which)
        return await remote.resend_mail(m.ResendMail(kind=kind, to=to, requested_by=by))

    async def _written(self, transfer_id: uuid.UUID) -> TransferSnapshot:
        return await self.snapshot_of(await self.standing(transfer_id))

    async def _decide(
        self,
        which: str,
        kind: str,
        actor: str,
        send: Callable[[RemoteTransfer], Awaitable[None]],
        event: str,
        *,
        tells_actor: bool = True,
    ) -> TransferSnapshot:
        decision = Decision(kind=kind, actor=actor, send=send, event=event, tells_actor=tells_actor)
        addressed = await self._lookup.addressed(which)
        return await decide(decision, addressed, self._register, self._written)


def _too_late(record: m.TransferRecord | None) -> UploadRefused:
    """Return why a genuine ticket is worth nothing now that its workflow takes no uploads."""
    if record is None or record.state in (TransferState.UNDOING, TransferState.UNDONE):
        expired = record is not None and record.undo_reason is UndoReason.EXPIRED
        return TicketExpired() if expired else TicketRevoked()
    return TicketUsed()
