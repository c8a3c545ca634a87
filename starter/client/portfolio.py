"""Moves the items of a portfolio by the client that everybody moves with, so that every rule holds."""

import asyncio
from contextlib import suppress
from uuid import UUID, uuid5

import asyncpg
from temporalio.client import Client

from adapters.postgres.shards import Shards
from adapters.settings import Settings
from adapters.transfer.evenings import PostgresEvenings
from adapters.transfer.event_log import PostgresTransferEventLog
from adapters.transfer.portfolios import PostgresPortfolios
from adapters.transfer.preview import PostgresPreviewReader
from adapters.transfer.queries import PostgresTransferQueries
from adapters.transfer.tickets import PostgresTicketIssuer, TicketSeal
from adapters.verify.verifier import PostgresVerifier
from domain.errors import EnvironmentBusy, NameTaken, Refused, TransferUnknown, UrlTaken, WrongMoment
from domain.naming import checked_url_part, normalised_name, without_schemas
from domain.portfolio import ItemDone, ItemOrder, ItemsRead, ItemState, ReadItems, evening_of, name_of
from domain.vocabulary import TransferState
from starter.client.client import TransferClient
from starter.client.comparison import Comparer

_POLL_SECONDS = 0.5
_UNTIL_TICKET_SECONDS = 120.0
_NOT_BEGUN = (TransferState.PREPARING, TransferState.AWAITING_UPLOAD, TransferState.SCHEDULED)


class ClientPortfolioMover:
    """Plays `domain.ports.PortfolioMover`; everything may be done again, and goes on where it was."""

    def __init__(
        self,
        client: TransferClient,
        portfolios: PostgresPortfolios,
        queries: PostgresTransferQueries,
        base_domain: str,
    ) -> None:
        self._base_domain = base_domain
        self._client = client
        self._portfolios = portfolios
        self._queries = queries

    async def read(self, order: ReadItems) -> ItemsRead:
        """Return the next items in a state."""
        return await self._portfolios.read(order)

    async def look(self, order: ItemOrder) -> ItemDone:
        """Find out whether an environment could move, and write down why not."""
        item = await self._portfolios.item(order.portfolio_id, order.number)
        undone = item["state"] == ItemState.MOVING and item["transfer_state"] == TransferState.UNDONE
        if not undone and item["state"] not in (ItemState.WAITING, ItemState.REFUSED):
            return ItemDone(state=ItemState(item["state"]))  # it moves, or was cancelled
        try:
            preview = await self._client.preview(str(item["environment_id"]))
            await self._client.require_movable(preview, for_licence=item["licence_number"])
            await self._require_free(item["licence_number"], name_of(item["name_pattern"], item["name"]))
        except Refused as refused:
            return await self._refused(order, refused)
        return await self._done(order, ItemState.READY)

    async def move(self, order: ItemOrder) -> ItemDone:
        """Freeze an environment, upload its ticket for the new licence, and plan it on its evening."""
        item = await self._portfolios.item(order.portfolio_id, order.number)
        if item["state"] != ItemState.READY:  # an attempt whose answer was lost has done it
            return ItemDone(state=ItemState(item["state"]))
        by = order.requested_by or f"portfolio {order.portfolio_id}"
        # Of each try a transfer of its own: one that was undone is not begun again by a repetition of its request.
        named = uuid5(order.portfolio_id, f"{item['environment_id']} after {item['transfer_id']}")
        begun: UUID | None = None
        try:
            started = await self._client.start(
                str(item["environment_id"]),
                requested_by=by,
                for_licence=item["licence_number"],
                transfer_id=named,
                portfolio=order.portfolio_id,
            )
            begun = started.transfer_id
            if await self._until_ticket(named) is TransferState.AWAITING_UPLOAD and item["uploads"]:
                await self._upload(item, named, by)
            await self._plan(item, named, by)
        except Refused as refused:
            if begun is not None:  # else a customer would stay frozen for nothing
                with suppress(Refused):  # it is being undone already
                    await self._client.cancel(str(begun), by=by, reason=refused.english)
            return await self._refused(order, refused, begun)
        return await self._done(order, ItemState.MOVING, begun)

    async def release(self, order: ItemOrder) -> ItemDone:
        """Release an environment if it awaits that, and its comparison found no difference."""
        item = await self._portfolios.item(order.portfolio_id, order.number)
        if item["transfer_state"] == TransferState.AWAITING_RELEASE:
            report = (await self._queries.results(item["transfer_id"])).report
            if report is not None and all(check.equal for check in report.checks):
                await self._release(item["transfer_id"], order.requested_by)
        return ItemDone(state=ItemState(item["state"]))

    async def _release(self, transfer_id: UUID, by: str) -> None:
        try:
            await self._client.release(str(transfer_id), by=by)
        except WrongMoment:
            # Its environment is open and its certificate not signed yet: nobody would ask for this release once more.
            if not (await self._queries.standing(transfer_id)).state.is_final:
                raise EnvironmentBusy from None

    async def cancel(self, order: ItemOrder) -> ItemDone:
        """Let an environment stay where it is, unless its clone has begun."""
        item = await self._portfolios.item(order.portfolio_id, order.number)
        if item["state"] != ItemState.MOVING:
            return await self._done(order, ItemState.CANCELLED)
        if item["transfer_state"] in _NOT_BEGUN:
            await self._client.cancel(str(item["transfer_id"]), by=order.requested_by, reason="the portfolio's rest")
        return ItemDone(state=ItemState.MOVING)

    async def _require_free(self, licence: str, wanted: str) -> None:
        """Make sure that a licence can have an environment of a name.

        Raises:
            NameInvalid, UrlInvalid, UrlReserved, NameTaken, UrlTaken: It cannot.
        """
        name = normalised_name(wanted)
        part = checked_url_part(None, name=name)
        found = await self._queries.name_state(licence, name=name, url_part=part, base_domain=self._base_domain)
        if found is not None and (found.name_taken or found.url_taken):
            raise NameTaken if found.name_taken else UrlTaken

    async def _until_ticket(self, transfer_id: UUID) -> TransferState:
        """Wait until a ticket can be made, and return the state.

        Raises:
            Refused: It was undone before.
            EnvironmentBusy: It takes long; this is tried again.
        """
        until = asyncio.get_running_loop().time() + _UNTIL_TICKET_SECONDS
        while asyncio.get_running_loop().time() < until:
            try:
                standing = await self._queries.standing(transfer_id)
            except TransferUnknown:  # it has only just begun
                pass
            else:
                if standing.undo_reason is not None:
                    raise Refused(f"It was undone: {standing.undo_detail or standing.undo_reason}.")
                if standing.state is not TransferState.PREPARING:
                    return standing.state
            await asyncio.sleep(_POLL_SECONDS)
        raise EnvironmentBusy

    async def _upload(self, item: asyncpg.Record, transfer_id: UUID, by: str) -> None:
        _, ticket = await self._client.download_ticket(str(transfer_id), requested_by=by)
        name = name_of(item["name_pattern"], item["name"])
        environment = await self._client.environment(str(item["environment_id"]))
        await self._client.upload(
            ticket,
            licence=item["licence_number"],
            name=name,
            login_email=environment.login_email,
            uploaded_by=by,
        )

    async def _plan(self, item: asyncpg.Record, transfer_id: UUID, by: str) -> None:
        standing = await self._queries.standing(transfer_id)
        if standing.state is not TransferState.SCHEDULED or standing.starts_at is None:
            return
        planned = standing.starts_at.astimezone(self._client.zone).date()
        first = item["first_evening"] or planned
        evening = evening_of(item["number"], first=first, per_night=item["per_night"])
        if evening is not None and planned != evening:
            await self._client.reschedule(str(transfer_id), evening=evening, by=by, reason="the portfolio's evenings")

    async def _refused(self, order: ItemOrder, refused: Refused, begun: UUID | None = None) -> ItemDone:
        return await self._done(
            order, ItemState.REFUSED, begun, code=refused.code(), problem=without_schemas(refused.english)[:1000]
        )

    async def _done(
        self,
        order: ItemOrder,
        state: ItemState,
        transfer_id: UUID | None = None,
        *,
        code: str | None = None,
        problem: str | None = None,
    ) -> ItemDone:
        await self._portfolios.mark(
            order.portfolio_id, order.number, state, transfer_id=transfer_id, code=code, problem=problem
        )
        return ItemDone(state=state)


def portfolio_mover(
    client: Client,
    settings: Settings,
    quick: Shards,
    *,
    seal: TicketSeal,
    log: PostgresTransferEventLog,
    verifier: PostgresVerifier,
) -> ClientPortfolioMover:
    """Return what moves environments as callers do, inside a worker: a portfolio is many of such moves."""
    home = quick.home
    queries = PostgresTransferQueries(home)
    caller = TransferClient(
        client,
        register=queries,
        previews=PostgresPreviewReader(home, shards=quick),
        tickets=PostgresTicketIssuer(home, seal, settings.ticket_ttl),
        seal=seal,
        comparer=Comparer(quick, verifier),
        evenings=PostgresEvenings(home, settings.window, slots=settings.slots_clone),
        log=log,
        zone=settings.zone,
        runbook_url=settings.runbook_url or "",
    )
    return ClientPortfolioMover(caller, PostgresPortfolios(home), queries, settings.base_domain)
