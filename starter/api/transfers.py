"""The routes: every button of the manual, and what support and operators need beside them."""

import base64
import json
from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid5

from fastapi import APIRouter, Query, Request, Response

from domain import errors as e
from domain import messages as m
from domain.authority import Action
from domain.vocabulary import TransferState
from starter.api.dependencies import Context, CurrentCaller, actor_name
from starter.api.idempotency import IdempotentRoute
from starter.api.openapi import LOCATION, TICKET_FILE, leads_to, refusals
from starter.api.requests import (
    NO_STORE,
    CorrectionBody,
    IdempotencyKey,
    ListQuery,
    MailBody,
    ReasonBody,
    RejectBody,
    ReleaseBody,
    RescheduleBody,
    StartBody,
    TransferId,
)
from starter.api.responses import (
    Accepted,
    EventView,
    MailView,
    PlannedView,
    PreviewView,
    TicketView,
    TransferPage,
    TransferView,
    UploadView,
    event_view,
    preview_view,
    transfer_line,
    transfer_view,
)
from starter.http.problems import ReasonMissing, RequestInvalid, language_of

router = APIRouter(prefix="/v1", route_class=IdempotentRoute, tags=["transfers"])
_NEXT = (
    *(
        "get_transfer",
        "list_events",
        "get_ticket",
        "make_ticket",
        "get_comparison",
        "list_compared_rows",
        "get_certificate",
    ),
    *(
        "release_transfer",
        "reject_transfer",
        "start_transfer_now",
        "hurry_transfer",
        "reschedule_transfer",
        "correct_upload",
        "cancel_transfer",
        "resend_mail",
    ),
)
_OF_ONE = refusals(e.TransferUnknown)
# Names a transfer by who asked for it with which key: a repetition finds what an unanswered request has begun.
_REQUESTS = UUID("5b3f5f0e-6d0c-5b8e-9d52-0d6a4f6f9c11")
_MOST_EVENTS = 1_000
# No transfer was made before or will be after; the database's clock ends not far behind the year 9999.
_YEARS = range(2000, 2200)
_CURSOR_EN = "The cursor is none of ours. Use `next_cursor` of the page before."
_CURSOR_NL = "De cursor is niet van ons. Gebruik `next_cursor` van de vorige pagina."


@router.get(
    "/environments/{environment_id}/preview",
    summary="What a move will lose and what it will carry",
    responses={
        **refusals(e.EnvironmentUnknown),
        200: {
            "links": {
                "start_transfer": {
                    "operationId": "start_transfer",
                    "requestBody": {"environment_id": "$response.body#/environment/environment_id"},
                }
            }
        },
    },
)
async def preview_transfer(
    environment_id: UUID, caller: CurrentCaller, context: Context, request: Request
) -> PreviewView:
    """Tell what a move of this environment will do, and whether it can; nothing is done."""
    await context.environment(caller, Action.PREVIEW, environment_id)
    return preview_view(await context.client.preview(str(environment_id)), language_of(request))


@router.post(
    "/transfers",
    status_code=202,
    summary="Start a transfer: the environment becomes read-only",
    responses={
        **refusals(
            e.EnvironmentUnknown,
            e.EnvironmentNotActive,
            e.AlreadyInTransfer,
            e.CannotBeCarried,
            e.LicenceUnknown,
            e.SameLicence,
            e.ScenarioNotOffered,
            ReasonMissing,
            repeats=True,
        ),
        202: {
            "description": "Begun. Ask `Location` until the state is `awaiting_upload`, then make the ticket.",
            "headers": LOCATION,
            "links": leads_to(*_NEXT),
        },
    },
)
async def start_transfer(
    body: StartBody, caller: CurrentCaller, context: Context, response: Response, key: IdempotencyKey
) -> Accepted:
    """Freeze an environment and make its ticket; `Location` shows when the ticket file can be made."""
    environment = await context.environment(caller, Action.PREPARE, body.environment_id)
    context.require_reason(caller, Action.PREPARE, body.reason)
    limits = {f"start of environment {body.environment_id}": context.limits.changes}
    if body.for_licence:  # the answer tells whether there is such a licence
        limits |= context.guesses(caller, environment.licence_number)
    await context.limit_rate(caller, limits)
    named = uuid5(_REQUESTS, json.dumps([caller.subject, key, str(body.environment_id)]))
    order = await context.client.start(
        str(body.environment_id), requested_by=actor_name(caller), for_licence=body.for_licence, transfer_id=named
    )
    if order.transfer_id is None:
        raise AssertionError("the client gives every transfer its id")
    await context.record_support_action(caller, Action.PREPARE, order.transfer_id, body.reason)
    response.headers["Location"] = f"/v1/transfers/{order.transfer_id}"
    return Accepted(transfer_id=order.transfer_id, state=TransferState.PREPARING)


@router.get("/transfers", summary="List transfers, from new to old", responses=refusals())
async def list_transfers(
    caller: CurrentCaller, context: Context, wanted: Annotated[ListQuery, Query()]
) -> TransferPage:
    """Return a page of transfers; a licence's users meet their own only."""
    context.require(caller, Action.SEE)
    licence = wanted.licence
    if caller.is_bound_to_licence:
        if licence not in (None, caller.licence_number):
            return TransferPage(items=[], next_cursor=None)
        licence = caller.licence_number
    found = await context.queries.transfers_page(
        limit=wanted.limit + 1,
        states=wanted.state,
        scenario=wanted.scenario,
        licence_number=licence,
        environment_id=wanted.environment_id,
        outcome=wanted.outcome,
        after=_place(wanted.cursor),
        search=wanted.search,
    )
    page = found[: wanted.limit]
    return TransferPage(
        items=[transfer_line(record, caller) for record in page],
        next_cursor=_cursor(page[-1]) if len(found) > wanted.limit else None,
    )


@router.get("/transfers/{transfer_id}", summary="Where a transfer stands", responses=_OF_ONE)
async def get_transfer(transfer_id: TransferId, caller: CurrentCaller, context: Context) -> TransferView:
    """Return where a transfer stands: the caller's own half of it."""
    standing = await context.standing(caller, transfer_id)
    return transfer_view(await context.client.snapshot_of(standing), standing, caller)


@router.get("/transfers/{transfer_id}/events", summary="A transfer's audit log", responses=_OF_ONE)
async def list_events(
    transfer_id: TransferId,
    caller: CurrentCaller,
    context: Context,
    *,
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    limit: Annotated[int, Query(ge=1, le=_MOST_EVENTS)] = _MOST_EVENTS,
) -> list[EventView]:
    """Return who did what, when and why, in order; those behind event `after`, so many at most."""
    await context.transfer(caller, Action.AUDIT, transfer_id)
    found = await context.queries.events(transfer_id, after=after, limit=limit)
    return [event_view(event, caller) for event in found]


@router.get(
    "/transfers/{transfer_id}/ticket",
    summary="What is known of the ticket",
    responses=refusals(e.TransferUnknown, e.WrongMoment),
)
async def get_ticket(transfer_id: TransferId, caller: CurrentCaller, context: Context) -> TicketView:
    """Tell until when the ticket is good, and whether a file of it was made; nothing changes."""
    await context.transfer(caller, Action.TICKET, transfer_id)
    return TicketView(**dict(await context.queries.ticket(transfer_id)))


@router.post(
    "/transfers/{transfer_id}/ticket",
    summary="Make the ticket file",
    response_class=Response,
    responses={
        **refusals(
            *(e.TransferUnknown, e.WrongMoment, e.TicketUsed, e.TicketExpired, e.TicketRevoked, ReasonMissing),
            repeats=True,
        ),
        200: {
            "content": {TICKET_FILE: {"schema": {"type": "string", "format": "binary", "title": "Ticket"}}},
            "description": "The ticket file.",
        },
    },
)
async def make_ticket(
    transfer_id: TransferId, body: ReasonBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> Response:
    """Return a ticket file; one that was made before stops working. None is kept, so a repetition makes another."""
    await context.change(caller, Action.TICKET, transfer_id, body.reason)
    name, file = await context.client.download_ticket(str(transfer_id), requested_by=actor_name(caller))
    # The name is a to z, 0 to 9 and hyphens by construction (domain.naming), so it needs no quoting.
    headers = {**NO_STORE, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(file, media_type=TICKET_FILE, headers=headers)


@router.get(
    "/transfers/{transfer_id}/certificate",
    summary="The signed certificate of the move",
    response_class=Response,
    responses={
        **refusals(e.TransferUnknown, e.CertificateUnknown),
        200: {
            "content": {"application/json": {"schema": {"type": "object", "title": "Certificate"}}},
            "description": "The certificate, byte for byte: docs/certificate.md says how it is checked.",
        },
    },
)
async def get_certificate(transfer_id: TransferId, caller: CurrentCaller, context: Context) -> Response:
    """Return the certificate that was issued when the new environment was opened for inspection."""
    await context.transfer(caller, Action.CERTIFICATE, transfer_id)
    content = await context.queries.certificate(transfer_id)
    headers = {**NO_STORE, "Content-Disposition": f'attachment; filename="{transfer_id}-overdracht-certificaat.json"'}
    return Response(content, media_type="application/json", headers=headers)


@router.post(
    "/transfers/{transfer_id}/release",
    summary="Open the new environment for good",
    responses=refusals(e.TransferUnknown, e.WrongMoment, e.EnvironmentChanged, ReasonMissing, repeats=True),
)
async def release_transfer(
    transfer_id: TransferId, body: ReleaseBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> TransferView:
    """Release; there is no way back."""
    record = await context.change(caller, Action.RELEASE, transfer_id, body.reason)
    return transfer_view(
        await context.client.release(str(transfer_id), by=actor_name(caller), note=body.note), record, caller
    )


@router.post(
    "/transfers/{transfer_id}/reject",
    summary="Undo after comparing",
    responses=refusals(e.TransferUnknown, e.WrongMoment, e.AlreadyReleased, ReasonMissing, repeats=True),
)
async def reject_transfer(
    transfer_id: TransferId, body: RejectBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> TransferView:
    """Reject: everything is undone."""
    record = await context.change(caller, Action.REJECT, transfer_id, body.reason)
    return transfer_view(
        await context.client.reject(str(transfer_id), by=actor_name(caller), reason=body.reason), record, caller
    )


@router.post(
    "/transfers/{transfer_id}/start-now",
    summary="Do not wait for the evening",
    responses=refusals(e.TransferUnknown, e.WrongMoment, ReasonMissing, repeats=True),
)
async def start_transfer_now(
    transfer_id: TransferId, body: ReasonBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> TransferView:
    """Clone now."""
    record = await context.change(caller, Action.START_NOW, transfer_id, body.reason)
    return transfer_view(await context.client.start_now(str(transfer_id), by=actor_name(caller)), record, caller)


@router.post(
    "/transfers/{transfer_id}/hurry",
    summary="Go before all others that wait for a place",
    responses=refusals(e.TransferUnknown, e.WrongMoment, ReasonMissing, repeats=True),
)
async def hurry_transfer(
    transfer_id: TransferId, body: ReasonBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> TransferView:
    """Let it go first in its evening; what waits already keeps its place."""
    record = await context.change(caller, Action.HURRY, transfer_id, body.reason)
    await context.client.hurry(str(transfer_id), by=actor_name(caller), reason=body.reason)
    standing = await context.queries.standing(transfer_id)
    return transfer_view(await context.client.snapshot_of(standing), record, caller)


@router.post(
    "/transfers/{transfer_id}/reschedule",
    summary="Move on another evening",
    responses=refusals(e.TransferUnknown, e.WrongMoment, e.EveningInvalid, ReasonMissing, repeats=True),
)
async def reschedule_transfer(
    transfer_id: TransferId, body: RescheduleBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> PlannedView:
    """Wait for the evening that was chosen; both sides get a mail that tells when."""
    await context.change(caller, Action.RESCHEDULE, transfer_id, body.reason)
    planned = await context.client.reschedule(
        str(transfer_id), evening=body.evening, by=actor_name(caller), reason=body.reason
    )
    return PlannedView(transfer_id=transfer_id, starts_at=planned.starts_at, closes_at=planned.closes_at)


@router.post(
    "/transfers/{transfer_id}/correct",
    summary="Correct what was uploaded",
    responses=refusals(
        *(e.TransferUnknown, e.WrongMoment, e.NameInvalid, e.NameTaken, e.UrlInvalid, e.UrlReserved, e.UrlTaken),
        *(e.LoginEmailMissing, e.LoginEmailInvalid, ReasonMissing),
        repeats=True,
    ),
)
async def correct_upload(
    transfer_id: TransferId, body: CorrectionBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> UploadView:
    """Take another name, url part or login e-mail until the evening begins; both sides get a mail that tells it."""
    await context.change(caller, Action.CORRECT, transfer_id, body.reason)
    corrected = await context.client.correct_upload(
        str(transfer_id),
        name=body.name,
        url_part=body.url_part,
        login_email=body.login_email,
        by=actor_name(caller),
        reason=body.reason,
    )
    return UploadView(transfer_id=transfer_id, **dict(corrected))


@router.post(
    "/transfers/{transfer_id}/cancel",
    summary="Undo before the release",
    responses=refusals(e.TransferUnknown, e.WrongMoment, e.AlreadyReleased, ReasonMissing, repeats=True),
)
async def cancel_transfer(
    transfer_id: TransferId, body: ReasonBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> TransferView:
    """Cancel: everything is undone."""
    record = await context.change(caller, Action.CANCEL, transfer_id, body.reason)
    return transfer_view(
        await context.client.cancel(str(transfer_id), by=actor_name(caller), reason=body.reason), record, caller
    )


@router.post(
    "/transfers/{transfer_id}/mails",
    summary="Send one kind of mail again",
    responses=refusals(e.TransferUnknown, e.WrongMoment, e.MailRejected, ReasonMissing, repeats=True),
)
async def resend_mail(
    transfer_id: TransferId, body: MailBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> MailView:
    """Send a mail again and tell what could not be delivered."""
    await context.change(caller, Action.RESEND_MAIL, transfer_id, body.reason)
    sent = await context.client.resend_mail(str(transfer_id), kind=body.kind, to=body.to, by=actor_name(caller))
    return MailView(kind=body.kind, sent=sent.sent, problems=sent.problems)


def _cursor(last: m.TransferRecord) -> str:
    place = json.dumps([last.created_at.isoformat(), str(last.transfer_id)])
    return base64.urlsafe_b64encode(place.encode()).decode()


def _place(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Read a cursor.

    Raises:
        RequestInvalid: It is none of ours.
    """
    if cursor is None:
        return None
    try:
        created_at, transfer_id = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        place = datetime.fromisoformat(created_at), UUID(transfer_id)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RequestInvalid(_CURSOR_EN, dutch=_CURSOR_NL) from error
    if place[0].tzinfo is None or place[0].year not in _YEARS:
        raise RequestInvalid(_CURSOR_EN, dutch=_CURSOR_NL)
    return place
