"""What each request needs: who is calling, and whether this caller may do this with that transfer."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from structlog.contextvars import bind_contextvars

from adapters.api_store.idempotency import PostgresIdempotencyKeys
from adapters.api_store.rate_limit import PostgresRateLimit, Rate
from adapters.postgres.connection import Pool
from adapters.transfer.portfolios import PostgresPortfolios
from adapters.transfer.queries import EnvironmentRecord, PostgresTransferQueries, RecordedTransfer
from adapters.transfer.registration import PostgresRegistration
from adapters.webhooks.endpoints import PostgresWebhooks
from adapters.webhooks.events import PostgresEventFeed
from domain import messages as m
from domain.authority import Action, Caller, can_be_done
from domain.errors import AlreadyReleased, EnvironmentUnknown, TransferUnknown, WrongMoment
from domain.vocabulary import TransferState
from starter.client.client import TransferClient
from starter.http.problems import NotAllowed, ReasonMissing, TooManyAttempts
from starter.http.tokens import NotAuthenticated, TokenChecker

_IPV6 = 6
_MOST_RENDERINGS = 2
_scheme = HTTPBearer(auto_error=False, description="A token of the platform's identity provider.")


@dataclass(frozen=True, slots=True)
class Limits:
    """How often somebody may try."""

    uploads: Rate
    """A ticket, or a licence's number, which could be guessed: by licence and by address."""

    changes: Rate
    """Any change: by licence, by transfer and by address."""

    reschedules: Rate
    """Another evening, or another name, which sends mail to both sides: by transfer."""


@dataclass(frozen=True, slots=True)
class ApiContext:
    """What every request needs; made once by `starter.api.main`."""

    client: TransferClient
    tokens: TokenChecker
    keys: PostgresIdempotencyKeys
    rate_limit: PostgresRateLimit
    limits: Limits
    queries: PostgresTransferQueries
    feed: PostgresEventFeed
    webhooks: PostgresWebhooks
    portfolios: PostgresPortfolios
    registration: PostgresRegistration
    pool: Pool
    key_ids: Sequence[str]
    """The names of this process's payload keys, newest first."""

    zone: ZoneInfo
    base_domain: str
    renderings: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST_RENDERINGS))
    """Large pages that are made at this moment, each by a thread."""

    open_streams: Counter[str] = field(default_factory=Counter)
    """Live streams of this process by the subject of the caller's token."""

    async def caller(self, request: Request) -> Caller:
        """Return who sent a request; asked twice, the token is checked once.

        Raises:
            NotAuthenticated: The request has no token, or one that is not good.
            Unavailable: The identity provider does not answer.
        """
        known: Caller | None = getattr(request.state, "caller", None)
        if known is None:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not token.strip():
                raise NotAuthenticated
            known = await self.tokens.caller(token.strip())
            known = known.model_copy(update={"address": _address_of(request)})
            request.state.caller = known
        return known

    async def transfer(self, caller: Caller, action: Action, transfer_id: UUID) -> m.TransferRecord:
        """Return a transfer with which the caller may do this.

        Raises:
            NotAllowed: The caller's role never may, or it is the other side's to do.
            TransferUnknown: There is no such transfer, or it is nobody's of the caller's; the two look the same.
            WrongMoment: There is nothing of this for the caller to read yet, or any more.
        """
        self.require(caller, action)
        record = await self.queries.transfer(transfer_id)
        if record is None:
            raise TransferUnknown
        _require_allowed(caller, action, record)
        return record

    async def change(self, caller: Caller, action: Action, transfer_id: UUID, reason: str) -> m.TransferRecord:
        """Return a transfer that the caller may change in this way now; what is then done is written down.

        What the state says cannot be done is answered here: no signal is sent for it, and no event written.

        Raises:
            NotAllowed, TransferUnknown: As for `transfer`.
            TooManyAttempts: This licence, this transfer or this address changes too often.
            AlreadyReleased, WrongMoment: The state says no.
            ReasonMissing: The caller has to say why and does not.
        """
        record = await self.transfer(caller, action, transfer_id)
        limits = {f"change of transfer {transfer_id}": self.limits.changes}
        if action in (Action.RESCHEDULE, Action.CORRECT):
            limits[f"{action} of transfer {transfer_id}"] = self.limits.reschedules
        await self.limit_rate(caller, limits)
        if not can_be_done(action, record.state):
            if record.state is TransferState.RELEASED and action in (Action.CANCEL, Action.REJECT):
                raise AlreadyReleased
            raise WrongMoment
        await self.record_support_action(caller, action, transfer_id, reason)
        return record

    async def standing(self, caller: Caller, transfer_id: UUID) -> RecordedTransfer:
        """Return where a transfer stands that the caller may see; raises as `transfer` does."""
        self.require(caller, Action.SEE)
        standing = await self.queries.standing(transfer_id)
        _require_allowed(caller, Action.SEE, standing)
        return standing

    async def environment(self, caller: Caller, action: Action, environment_id: UUID) -> EnvironmentRecord:
        """Return an environment with which the caller, as its present holder, may do this.

        Raises:
            NotAllowed: The caller's role never may.
            EnvironmentUnknown: There is none, or it is somebody else's; the two look the same.
        """
        self.require(caller, action)
        environment = await self.client.environment(str(environment_id))
        if not caller.may_with_environment(action, licence=environment.licence_number, status=environment.status):
            raise EnvironmentUnknown
        return environment

    def require(self, caller: Caller, action: Action) -> None:
        """Make sure that the caller's role may do this at all.

        Raises:
            NotAllowed: It may not.
        """
        if not caller.may_somewhere(action):
            raise NotAllowed

    def require_reason(self, caller: Caller, action: Action, reason: str) -> None:
        """Make sure that whoever has to say why does.

        Raises:
            ReasonMissing: The caller does not.
        """
        if caller.must_say_why(action) and not reason.strip():
            raise ReasonMissing

    def guesses(self, caller: Caller, licence: str) -> dict[str, Rate]:
        """Return what bounds trying tickets, or other licences' numbers: this licence and this address."""
        limits = {f"licence {licence}": self.limits.uploads}
        if caller.is_bound_to_licence:  # the platform and support speak for many, from one address
            limits[f"address {caller.address}"] = self.limits.uploads
        return limits

    async def limit_rate(self, caller: Caller, limits: Mapping[str, Rate]) -> None:
        """Make sure that none of these is counted too often, nor, for any change, the caller's licence and address.

        Raises:
            TooManyAttempts: One of them is.
        """
        own = (f"licence {caller.licence_number}", f"address {caller.address}")
        every = {f"change by {name}": self.limits.changes for name in own if caller.is_bound_to_licence}
        if wait := await self.rate_limit.count({**every, **limits}):
            raise TooManyAttempts(wait=wait)

    async def record_support_action(self, caller: Caller, action: Action, transfer_id: UUID, reason: str) -> None:
        """Write down that somebody acts on books that are not theirs, and why, before it is done.

        Raises:
            ReasonMissing: The caller has to say why and does not.
        """
        bind_contextvars(transfer_id=str(transfer_id))  # for the log: no path names a transfer that begins
        self.require_reason(caller, action, reason)
        if caller.must_say_why(action):
            await self.client.record_event(
                transfer_id, actor=actor_name(caller), kind=f"support_{action.value}", reason=reason
            )


def _require_allowed(caller: Caller, action: Action, record: m.TransferRecord) -> None:
    """Make sure that the caller may do this with a transfer.

    Raises:
        NotAllowed: It is the other side's to do.
        TransferUnknown: It is nobody's of the caller's, and looks as if there were none.
        WrongMoment: There is nothing of this for the caller to read yet, or any more.
    """
    licences = {"old_licence": record.source_licence, "new_licence": record.target_licence}
    if not caller.may(Action.SEE, **licences):
        raise TransferUnknown
    if not caller.may(action, **licences):
        raise NotAllowed
    if not caller.may_now(action, record.state):
        raise WrongMoment


def _address_of(request: Request) -> str:
    """Return where a request comes from; of an IPv6 address the network, for everybody has a whole one (RFC 6177)."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(ip_network(f"{host.partition('%')[0]}/64", strict=False)) if address.version == _IPV6 else host


def actor_name(caller: Caller) -> str:
    """Return how the event log names a caller: the person, and in what capacity."""
    capacity = caller.licence_number or ", ".join(sorted(caller.roles))
    return f"{caller.name} ({capacity})"


def context_of(request: Request) -> ApiContext:
    """Return the context of the application that serves a request."""
    context: ApiContext = request.app.state.context
    return context


async def _context(request: Request) -> ApiContext:
    """Return the context inside the event loop: FastAPI hands what is not async to a thread, and waits for it."""
    return context_of(request)


async def current_caller(
    request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Depends(_scheme)]
) -> Caller:
    """Return who sent a request; the unused parameter puts the scheme into the API's description."""
    return await context_of(request).caller(request)


Context = Annotated[ApiContext, Depends(_context)]
CurrentCaller = Annotated[Caller, Depends(current_caller)]
