"""The new side's upload, and support's incident for a customer who goes on alone."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, File, Form, Response, UploadFile

from domain import messages as m
from domain.authority import Action, Caller
from domain.errors import LicenceUnknown, LoginEmailMissing
from domain.vocabulary import LicenceKind
from starter.api.dependencies import Context, CurrentCaller, actor_name
from starter.api.idempotency import IdempotentRoute
from starter.api.openapi import LOCATION, UPLOAD_REFUSALS, refusals
from starter.api.requests import TEXT, IdempotencyKey, LicenceNumber, Reason
from starter.http.problems import NotSelfManaged

router = APIRouter(prefix="/v1", route_class=IdempotentRoute, tags=["uploads"])
_TICKET = File(description="the `<url>-overdracht-ticket.avr`, unchanged")
_Text = Annotated[str, Form(max_length=300, pattern=TEXT)]
_OptionalText = Annotated[str | None, Form(max_length=300, pattern=TEXT)]


@router.post(
    "/uploads",
    status_code=202,
    summary="Upload a ticket",
    responses={
        **refusals(*UPLOAD_REFUSALS, repeats=True),
        202: {"description": "Taken: the move starts at `starts_at`.", "headers": LOCATION},
    },
)
async def upload(
    caller: CurrentCaller,
    context: Context,
    response: Response,
    _: IdempotencyKey,
    *,
    ticket: Annotated[UploadFile, _TICKET],
    name: _Text,
    url_part: _OptionalText = None,
    licence: Annotated[LicenceNumber | None, Form(description="whose; a licence's users upload for theirs")] = None,
    reason: Annotated[Reason, Form(description="why support does this for the customer")] = "",
) -> m.UploadAccepted:
    """Take the environment over under a unique name and url; it moves in the coming evening window."""
    context.require(caller, Action.UPLOAD)
    context.require_reason(caller, Action.UPLOAD, reason)
    licence = _licence_for(caller, licence)
    await context.limit_rate(caller, context.guesses(caller, licence))
    announce = _announcement(caller, context, response, Action.UPLOAD, reason)
    return await context.client.upload(
        await ticket.read(),
        licence=licence,
        name=name,
        url_part=url_part or None,
        uploaded_by=actor_name(caller),
        on_genuine=announce,
    )


@router.post(
    "/incidents",
    status_code=202,
    summary="A customer goes on alone: the support incident",
    responses={
        **refusals(*UPLOAD_REFUSALS, NotSelfManaged, repeats=True),
        202: {"description": "Taken: the move starts at `starts_at`.", "headers": LOCATION},
    },
)
async def incident(
    caller: CurrentCaller,
    context: Context,
    response: Response,
    _: IdempotencyKey,
    *,
    ticket: Annotated[UploadFile, _TICKET],
    licence: Annotated[LicenceNumber, Form()],
    name: _Text,
    url_part: _Text,
    login_email: _Text,
    reason: Annotated[Reason, Form(description="the incident's number, or who asked")],
) -> m.UploadAccepted:
    """Do what the manual's incident asks for: licence number, customer name, new url, login e-mail and ticket."""
    context.require(caller, Action.INCIDENT)
    context.require_reason(caller, Action.INCIDENT, reason)
    if not login_email.strip():
        raise LoginEmailMissing
    await context.limit_rate(caller, context.guesses(caller, licence))
    if await context.queries.licence_kind(licence) is LicenceKind.FIRM:
        raise NotSelfManaged
    announce = _announcement(caller, context, response, Action.INCIDENT, reason)
    return await context.client.upload(
        await ticket.read(),
        licence=licence,
        name=name,
        url_part=url_part,
        login_email=login_email,
        uploaded_by=actor_name(caller),
        on_genuine=announce,
    )


def _announcement(
    caller: Caller, context: Context, response: Response, action: Action, reason: str
) -> Callable[[UUID], Awaitable[None]]:
    async def announce(transfer_id: UUID) -> None:
        await context.record_support_action(caller, action, transfer_id, reason)
        response.headers["Location"] = f"/v1/transfers/{transfer_id}"

    return announce


def _licence_for(caller: Caller, wanted: str | None) -> str:
    """Return the licence that takes the environment over: a licence's own users cannot choose another.

    Raises:
        LicenceUnknown: None is named, or another's.
    """
    licence = wanted or caller.licence_number
    if not licence or not caller.may(Action.UPLOAD, old_licence=None, new_licence=licence):
        raise LicenceUnknown
    return licence
