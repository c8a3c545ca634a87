"""The new side's upload, and support's incident for a customer who goes on alone."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Response

from domain.authority import Action, Caller
from domain.errors import LicenceUnknown, LoginEmailMissing
from domain.vocabulary import LicenceKind
from starter.api.dependencies import ApiContext, Context, CurrentCaller, actor_name
from starter.api.idempotency import IdempotentRoute
from starter.api.openapi import LOCATION, UPLOAD_REFUSALS, refusals
from starter.api.requests import NO_STORE, IdempotencyKey, IncidentForm, TicketForm, UploadForm
from starter.api.responses import UploadPreview, UploadView
from starter.http.problems import NotSelfManaged

router = APIRouter(prefix="/v1", route_class=IdempotentRoute, tags=["uploads"])
_AS_FORM = Form(media_type="multipart/form-data")


@router.post(
    "/uploads",
    status_code=202,
    summary="Upload a ticket",
    responses={
        **refusals(*UPLOAD_REFUSALS, repeats=True),
        202: {"description": "Taken: the move starts at `starts_at`.", "headers": LOCATION},
    },
)
async def upload_ticket(
    form: Annotated[UploadForm, _AS_FORM],
    caller: CurrentCaller,
    context: Context,
    response: Response,
    _: IdempotencyKey,
) -> UploadView:
    """Take the environment over under a unique name and url; it moves in the coming evening window."""
    context.require(caller, Action.UPLOAD)
    context.require_reason(caller, Action.UPLOAD, form.reason)
    licence = _licence_for(caller, form.licence)
    return await _take(Action.UPLOAD, form, licence, caller, context, response)


@router.post(
    "/uploads/preview",
    summary="What a ticket would do",
    responses=refusals(*UPLOAD_REFUSALS, repeats=True),
)
async def preview_upload(
    form: Annotated[TicketForm, _AS_FORM],
    caller: CurrentCaller,
    context: Context,
    response: Response,
    _: IdempotencyKey,
) -> UploadPreview:
    """Tell which environment a ticket is for, whose it is and until when the ticket is good; it is not used by that."""
    context.require(caller, Action.UPLOAD)
    licence = _licence_for(caller, form.licence)
    await context.limit_rate(caller, context.guesses(caller, licence))
    response.headers.update(NO_STORE)
    seen = await context.client.look_at_ticket(await form.ticket.read(), licence=licence)
    return UploadPreview(**dict(seen))


@router.post(
    "/incidents",
    status_code=202,
    summary="A customer goes on alone: the support incident",
    responses={
        **refusals(*UPLOAD_REFUSALS, NotSelfManaged, repeats=True),
        202: {"description": "Taken: the move starts at `starts_at`.", "headers": LOCATION},
    },
)
async def upload_incident(
    form: Annotated[IncidentForm, _AS_FORM],
    caller: CurrentCaller,
    context: Context,
    response: Response,
    _: IdempotencyKey,
) -> UploadView:
    """Do what the manual's incident asks for: licence number, customer name, new url, login e-mail and ticket."""
    context.require(caller, Action.INCIDENT)
    context.require_reason(caller, Action.INCIDENT, form.reason)
    if not form.login_email.strip():
        raise LoginEmailMissing
    return await _take(Action.INCIDENT, form, form.licence, caller, context, response)


async def _take(  # noqa: PLR0917 - both routes have all of it
    action: Action,
    form: UploadForm | IncidentForm,
    licence: str,
    caller: Caller,
    context: ApiContext,
    response: Response,
) -> UploadView:
    await context.limit_rate(caller, context.guesses(caller, licence))
    if action is Action.INCIDENT and await context.queries.licence_kind(licence) is LicenceKind.FIRM:
        raise NotSelfManaged
    transfer_ids: list[UUID] = []

    async def announce(transfer_id: UUID) -> None:
        await context.record_support_action(caller, action, transfer_id, form.reason)
        transfer_ids.append(transfer_id)

    accepted = await context.client.upload(
        await form.ticket.read(),
        licence=licence,
        name=form.name,
        url_part=form.url_part or None,
        login_email=form.login_email if isinstance(form, IncidentForm) else None,
        uploaded_by=actor_name(caller),
        on_genuine=announce,
    )
    response.headers["Location"] = f"/v1/transfers/{transfer_ids[0]}"
    return UploadView(transfer_id=transfer_ids[0], **dict(accepted))


def _licence_for(caller: Caller, wanted: str | None) -> str:
    """Return the licence that takes the environment over: a licence's own users cannot choose another.

    Raises:
        LicenceUnknown: None is named, or another's.
    """
    licence = wanted or caller.licence_number
    if not licence or not caller.may(Action.UPLOAD, old_licence=None, new_licence=licence):
        raise LicenceUnknown
    return licence
