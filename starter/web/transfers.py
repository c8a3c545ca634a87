"""A transfer: where it stands, and what each side can do with it."""

from collections.abc import Awaitable
from datetime import date
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse
from sb_transfer_client import AsyncClient, MailKind, Problem, TransferState, TransferView
from sb_transfer_client.models import ChecklistView, TicketView

from domain.authority import Action
from starter.web.old_side import page_of
from starter.web.pages import Form, Here, Posted, Visitor, key_of, typed

router = APIRouter()
_MOST_EVENTS = 200
_MOST_HELD = 100
_CORRECTED = ("name", "url_part", "login_email")
_OPENED = (TransferState.AWAITING_RELEASE, TransferState.RELEASED)
# Whatever happens by itself is looked at again so often, in seconds; what waits for a person or an evening, seldom.
_QUICK, _SLOW = 3, 30
_BUSY = (TransferState.PREPARING, TransferState.CLONING, TransferState.UNDOING)


@router.get("/transfers/{transfer_id}")
async def show(transfer_id: UUID, here: Here) -> Response:
    """Show where a transfer stands: the visitor's own half, or all of it."""
    return await transfer_page(transfer_id, here, Form())


@router.get("/transfers/{transfer_id}/progress")
async def progress(transfer_id: UUID, here: Here, seen: str = "") -> Response:
    """Return the part of the page that changes; the whole page anew once the state is another."""
    stands = await here.api.get_transfer(transfer_id)
    if seen and seen != stands.state:
        return Response(status_code=HTTPStatus.NO_CONTENT, headers={"HX-Refresh": "true"})
    return here.render("progress.html", **facts_of(here, stands))


@router.post("/transfers/{transfer_id}/ticket")
async def make_ticket(transfer_id: UUID, here: Here, form: Posted) -> Response:
    """Download the ticket; one that was downloaded before stops working."""
    asked = typed(form, "reason")
    try:
        made = await here.api.make_ticket(transfer_id, reason=asked.value("reason"), key=key_of(form))
    except Problem as problem:
        asked.take(problem, here.t)
        return await transfer_page(transfer_id, here, asked)
    headers = {"Content-Disposition": f'attachment; filename="{made.file_name}"', "Cache-Control": "no-store"}
    return Response(made.content, media_type="application/octet-stream", headers=headers)


@router.post("/transfers/{transfer_id}/evening")
async def choose_evening(transfer_id: UUID, here: Here, form: Posted) -> Response:
    """Move on another evening."""
    asked = typed(form, "evening", "reason")
    try:
        evening = date.fromisoformat(asked.value("evening"))
    except ValueError:
        asked.refuse("evening", here.t("Kies een datum.", "Choose a date."))
        return await transfer_page(transfer_id, here, asked)
    doing = here.api.reschedule_transfer(transfer_id, evening=evening, reason=asked.value("reason"), key=key_of(form))
    return await _pressed(doing, transfer_id, here, asked)


@router.post("/transfers/{transfer_id}/correct")
async def correct(transfer_id: UUID, here: Here, form: Posted) -> Response:
    """Correct what was uploaded, until the evening begins."""
    asked = typed(form, *_CORRECTED, "reason")
    given = {name: asked.value(name).strip() or None for name in _CORRECTED}
    if not any(given.values()):
        asked.refuse("name", here.t("Vul in wat er anders moet.", "Give what has to be another."))
        return await transfer_page(transfer_id, here, asked)
    doing = here.api.correct_upload(transfer_id, **given, reason=asked.value("reason"), key=key_of(form))
    return await _pressed(doing, transfer_id, here, asked)


@router.post("/transfers/{transfer_id}/checklist")
async def tick(transfer_id: UUID, here: Here, form: Posted) -> Response:
    """Tick a point of the manual's lists, or clear it."""
    asked = typed(form, "item", "done", "reason")
    doing = here.api.tick_checklist(
        transfer_id,
        asked.value("item"),
        done=asked.value("done") != "no",
        reason=asked.value("reason"),
        key=key_of(form),
    )
    return await _pressed(doing, transfer_id, here, asked, back_to="#checklist")


@router.get("/transfers/{transfer_id}/release")
async def ask_release(transfer_id: UUID, here: Here) -> Response:
    """Ask once more before a release: there is no way back."""
    return await _question("release.html", transfer_id, here, here.form())


@router.post("/transfers/{transfer_id}/release")
async def release(transfer_id: UUID, here: Here, form: Posted) -> Response:
    """Press "Vrijgeven"."""
    asked = typed(form, "sure", "note", "reason")
    if asked.value("sure") != "yes":
        asked.refuse(
            "sure",
            here.t(
                "Zet een vinkje om te bevestigen dat je de gegevens hebt gecontroleerd.",
                "Tick the box to confirm that you have checked the figures.",
            ),
        )
        return await _question("release.html", transfer_id, here, asked)
    doing = here.api.release_transfer(
        transfer_id, note=asked.value("note"), reason=asked.value("reason"), key=key_of(form)
    )
    return await _pressed(doing, transfer_id, here, asked, on="release.html")


@router.get("/transfers/{transfer_id}/reject")
async def ask_reject(transfer_id: UUID, here: Here) -> Response:
    """Ask why."""
    return await _question("reject.html", transfer_id, here, here.form())


@router.post("/transfers/{transfer_id}/reject")
async def reject(transfer_id: UUID, here: Here, form: Posted) -> Response:
    """Press "Afkeuren": everything is undone."""
    asked = typed(form, "reason")
    if not asked.value("reason").strip():
        asked.refuse("reason", here.t("Vul een reden in.", "Give a reason."))
        return await _question("reject.html", transfer_id, here, asked)
    doing = here.api.reject_transfer(transfer_id, reason=asked.value("reason"), key=key_of(form))
    return await _pressed(doing, transfer_id, here, asked, on="reject.html")


@router.get("/transfers/{transfer_id}/cancel")
async def ask_cancel(transfer_id: UUID, here: Here) -> Response:
    """Ask once more before a transfer is undone."""
    return await _question("cancel.html", transfer_id, here, here.form())


@router.post("/transfers/{transfer_id}/cancel")
async def cancel(transfer_id: UUID, here: Here, form: Posted) -> Response:
    """Undo a transfer before its release."""
    asked = typed(form, "reason")
    doing = here.api.cancel_transfer(transfer_id, reason=asked.value("reason"), key=key_of(form))
    return await _pressed(doing, transfer_id, here, asked, on="cancel.html")


@router.get("/transfers/{transfer_id}/start-now")
async def ask_start_now(transfer_id: UUID, here: Here) -> Response:
    """Ask why a transfer must not wait for its evening."""
    return await _question("start_now.html", transfer_id, here, here.form())


@router.post("/transfers/{transfer_id}/start-now")
async def start_now(transfer_id: UUID, here: Here, form: Posted) -> Response:
    """Do not wait for the evening."""
    asked = typed(form, "reason")
    doing = here.api.start_transfer_now(transfer_id, reason=asked.value("reason"), key=key_of(form))
    return await _pressed(doing, transfer_id, here, asked, on="start_now.html")


@router.get("/transfers/{transfer_id}/hurry")
async def ask_hurry(transfer_id: UUID, here: Here) -> Response:
    """Ask why a transfer must go before all others."""
    return await _question("hurry.html", transfer_id, here, here.form())


@router.post("/transfers/{transfer_id}/hurry")
async def hurry(transfer_id: UUID, here: Here, form: Posted) -> Response:
    """Let it go before all others that wait for a place."""
    asked = typed(form, "reason")
    doing = here.api.hurry_transfer(transfer_id, reason=asked.value("reason"), key=key_of(form))
    return await _pressed(doing, transfer_id, here, asked, on="hurry.html")


@router.get("/transfers/{transfer_id}/mails")
async def ask_mail(transfer_id: UUID, here: Here) -> Response:
    """Ask which mail is to be sent again, and where to."""
    return await _question("mails.html", transfer_id, here, here.form())


@router.post("/transfers/{transfer_id}/mails")
async def resend_mail(transfer_id: UUID, here: Here, form: Posted) -> Response:
    """Send a mail again."""
    asked = typed(form, "kind", "to", "reason")
    doing = here.api.resend_mail(
        transfer_id,
        kind=MailKind(asked.value("kind")),
        to=asked.value("to").strip() or None,
        reason=asked.value("reason"),
        key=key_of(form),
    )
    return await _pressed(doing, transfer_id, here, asked, on="mails.html")


@router.get("/transfers/{transfer_id}/events")
async def events(transfer_id: UUID, here: Here, after: int = 0) -> Response:
    """Show the event log in words."""
    stands = await here.api.get_transfer(transfer_id)
    found = []
    async for event in here.api.list_events(transfer_id, after=max(after, 0)):
        found.append(event)
        if len(found) > _MOST_EVENTS:
            break
    shown = found[:_MOST_EVENTS]
    more = shown[-1].event_id if len(found) > _MOST_EVENTS else None
    return here.render("events.html", events=shown, more=more, **facts_of(here, stands))


@router.get("/transfers/{transfer_id}/held")
async def held(transfer_id: UUID, here: Here, after: int = 0) -> Response:
    """Show the mail and scans that came meanwhile and wait for the end of the move."""
    stands = await here.api.get_transfer(transfer_id)
    wanted = AsyncClient.list_held_items(transfer_id, after=max(after, 0), page_size=_MOST_HELD)
    found = await page_of(here, wanted, "")
    return here.render("held.html", held=found, **facts_of(here, stands))


@router.get("/transfers/{transfer_id}/certificate")
async def certificate(transfer_id: UUID, here: Here) -> Response:
    """Download the certificate."""
    content = await here.api.get_certificate(transfer_id)
    name = f"{transfer_id}-overdracht-certificaat.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="application/json", headers=headers)


async def transfer_page(transfer_id: UUID, here: Visitor, form: Form) -> Response:
    """Return the page of a transfer, with what is wrong with a form on it."""
    stands = await here.api.get_transfer(transfer_id)
    sides = facts_of(here, stands)
    ticket: TicketView | None = None
    if (
        sides["is_old"]
        and stands.state is not TransferState.PREPARING
        and here.session.caller.may_somewhere(Action.TICKET)
    ):
        ticket = await _ticket(transfer_id, here)
    points: ChecklistView | None = None
    if sides["is_new"] and stands.state in _OPENED:
        points = await here.api.get_checklist(transfer_id)
    ends = await _end_of_old(here, stands) if stands.state is TransferState.RELEASED and sides["is_old"] else {}
    given = {"cancel_url": "", "old_licence": None, "retirement": None, **ends}
    return here.render("transfer.html", status=form.status, ticket=ticket, points=points, form=form, **given, **sides)


async def _end_of_old(here: Visitor, stands: TransferView) -> dict[str, Any]:
    """Return how the old side gets rid of what it has left: an entrepreneur's licence, or a firm's old environment."""
    own = here.session.caller.licence_number
    if stands.old is None or (own is not None and stands.old.licence_number != own):
        return {}
    found = await here.api.list_licences(stands.old.licence_number)
    alone = [one for one in found if one.licence_number == stands.old.licence_number and one.kind == "self_managed"]
    if alone:
        url = here.context.cancel_licence_url.replace("{licence}", quote(stands.old.licence_number))
        return {"cancel_url": url, "old_licence": alone[0]}
    if not here.session.caller.may_somewhere(Action.RETIRE):
        return {}
    return {"retirement": await here.api.get_retirement(stands.old.environment_id)}


async def _ticket(transfer_id: UUID, here: Visitor) -> TicketView | None:
    try:
        return await here.api.get_ticket(transfer_id)
    except Problem:  # it was undone before there was one
        return None


async def _question(template: str, transfer_id: UUID, here: Visitor, form: Form) -> Response:
    stands = await here.api.get_transfer(transfer_id)
    points = None
    if template == "release.html" and stands.state in _OPENED:
        points = await here.api.get_checklist(transfer_id)
    return here.render(template, status=form.status, form=form, points=points, **facts_of(here, stands))


def facts_of(here: Visitor, stands: TransferView) -> dict[str, Any]:
    """Return what every page of a transfer shows."""
    caller = here.session.caller
    is_new = stands.new is not None or (caller.sees_everything() and stands.state in _OPENED)
    return {
        "stands": stands,
        "is_old": stands.old is not None,
        "is_new": is_new,
        "may": {action.value for action in Action if caller.may_somewhere(action)},
        "must_say_why": here.session.is_support,
        "every": _QUICK if stands.state in _BUSY else _SLOW,
        "goes_on": not stands.state.is_final,
    }


async def _pressed(
    doing: Awaitable[object], transfer_id: UUID, here: Visitor, asked: Form, *, on: str = "", back_to: str = ""
) -> Response:
    """Do what a button says; a refusal is shown where it was pressed: on a question's page, or on the transfer's."""
    try:
        await doing
    except Problem as problem:
        asked.take(problem, here.t)
        return await (_question(on, transfer_id, here, asked) if on else transfer_page(transfer_id, here, asked))
    return RedirectResponse(f"/transfers/{transfer_id}{back_to}", HTTPStatus.SEE_OTHER)
