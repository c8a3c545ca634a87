"""The new side: "Omgeving overdracht uploaden", and support's incident for a customer who goes on alone.

Both in two pages. The first takes the file, and looks at it without using it; the second takes the environment over.
Between the two the ticket travels sealed in the page: nothing is kept here.
"""

from datetime import date, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from cryptography.fernet import InvalidToken
from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse
from sb_transfer_client import Problem, errors
from sb_transfer_client.models import LicenceView, NameView, UploadPreview, UploadView

from domain.errors import LicenceCancelled
from domain.naming import default_url_part
from starter.web.pages import Form, Here, Posted, Visitor, file_of, key_of, typed
from starter.web.transfers import transfer_page

router = APIRouter()
_MOST_TICKET_BYTES = 4096
_LONGEST_NAME = 300
_STEP_ONE = ("licence", "reason")
_STEP_TWO = ("licence", "name", "url_part", "evening", "reason", "sealed")
_INCIDENT = ("licence", "name", "url_part", "login_email", "reason")


@router.get("/upload")
async def ask_upload(here: Here) -> Response:
    """Ask for the file."""
    return here.render("upload.html", form=here.form())


@router.post("/upload")
async def look(here: Here, form: Posted) -> Response:
    """Look at what a ticket holds, and ask how the environment will be called."""
    asked = typed(form, *_STEP_ONE)
    ticket = await _ticket_of(here, form, asked)
    _require_licence(here, asked)
    if asked.errors:
        return here.render("upload.html", status=asked.status, form=asked)
    try:
        seen = await here.api.preview_upload(ticket, licence=_licence(here, asked))
    except Problem as problem:
        asked.take(problem, here.t)
        return here.render("upload.html", status=asked.status, form=asked)
    asked.values |= {"sealed": _sealed(here, ticket), "name": seen.environment_name}
    asked.values["url_part"] = default_url_part(seen.environment_name)
    return await _second_page(here, asked, seen)


@router.post("/upload/confirm")
async def upload(here: Here, form: Posted) -> Response:
    """Press "Uploaden"."""
    asked = typed(form, *_STEP_TWO)
    ticket = _unsealed(here, asked)
    if ticket is None:
        return _once_more(here, asked, "upload.html")
    evening = _evening(here, asked)
    if asked.errors:
        return await _second_page(here, asked)
    try:
        taken = await here.api.upload_ticket(
            ticket,
            name=asked.value("name"),
            url_part=asked.value("url_part").strip() or None,
            licence=_licence(here, asked),
            reason=asked.value("reason"),
            key=key_of(form),
        )
    except Problem as problem:
        asked.take(problem, here.t)
        if "ticket" in asked.errors or "licence" in asked.errors:
            return here.render("upload.html", status=asked.status, form=asked)
        return await _second_page(here, asked)
    return await _planned(here, taken, evening, asked)


@router.get("/upload/name")
async def name_state(
    here: Here, name: str = "", url_part: str = "", licence: str = "", transfer: UUID | None = None
) -> Response:
    """Return what a name and url part would become, and whether they are free, while somebody types."""
    state: NameView | None = None
    own = here.session.caller.licence_number
    if name.strip():
        try:
            state = await here.api.check_name(
                name[:_LONGEST_NAME],
                url_part=url_part[:_LONGEST_NAME] or None,
                licence=licence.strip() or own,
                transfer_id=transfer,
            )
        except errors.LicenceUnknown:
            state = None
    return here.render("name_state.html", state=state)


@router.get("/incident")
async def ask_incident(here: Here) -> Response:
    """Ask for the five things of the manual's incident, and the file."""
    return here.render("incident.html", form=here.form())


@router.post("/incident")
async def look_at_incident(here: Here, form: Posted) -> Response:
    """Show whose licence it is and what the ticket holds, before anything counts."""
    asked = typed(form, *_INCIDENT)
    asked.values["url_part"] = _url_part_in(asked.value("url_part"))
    ticket = await _ticket_of(here, form, asked)
    for name, dutch, english in (
        ("licence", "Vul het nieuwe licentienummer in.", "Give the new licence number."),
        ("name", "Vul de gewenste klantnaam in.", "Give the customer's name."),
        ("url_part", "Vul de nieuwe url in.", "Give the new url."),
        ("login_email", "Vul het e-mailadres in waarmee de klant inlogt.", "Give the customer's login e-mail address."),
        (
            "reason",
            "Vul het nummer van het incident in, of wie erom vroeg.",
            "Give the incident's number, or who asked.",
        ),
    ):
        if not asked.value(name).strip():
            asked.refuse(name, here.t(dutch, english))
    if asked.errors:
        return here.render("incident.html", status=asked.status, form=asked)
    try:
        holder = await _self_managed(here, asked)
        seen = await here.api.preview_upload(ticket, licence=asked.value("licence").strip())
        names = await here.api.check_name(
            asked.value("name"),
            url_part=asked.value("url_part"),
            licence=asked.value("licence").strip(),
            transfer_id=seen.transfer_id,
        )
    except Problem as problem:
        asked.take(problem, here.t)
    else:
        for one in names.problems:
            asked.refuse(one.field, one.detail)
        if holder is not None and not asked.errors:
            asked.values["sealed"] = _sealed(here, ticket)
            return here.render("incident_check.html", form=asked, holder=holder, seen=seen, names=names)
    return here.render("incident.html", status=asked.status, form=asked)


@router.post("/incident/confirm")
async def create_incident(here: Here, form: Posted) -> Response:
    """Press "Aanmaken"."""
    asked = typed(form, *_INCIDENT, "sealed")
    ticket = _unsealed(here, asked)
    if ticket is None:
        return _once_more(here, asked, "incident.html")
    try:
        taken = await here.api.upload_incident(
            ticket,
            licence=asked.value("licence").strip(),
            name=asked.value("name"),
            url_part=asked.value("url_part"),
            login_email=asked.value("login_email"),
            reason=asked.value("reason"),
            key=key_of(form),
        )
    except Problem as problem:
        asked.take(problem, here.t)
        return here.render("incident.html", status=asked.status, form=asked)
    return RedirectResponse(f"/transfers/{taken.transfer_id}", HTTPStatus.SEE_OTHER)


async def _second_page(here: Visitor, asked: Form, seen: UploadPreview | None = None) -> Response:
    """Return the page that asks for name, url and evening; whatever the ticket holds is looked up again."""
    ticket = _unsealed(here, asked)
    if ticket is None:
        return _once_more(here, asked, "upload.html")
    seen = seen or await here.api.preview_upload(ticket, licence=_licence(here, asked))
    state: NameView | None = None
    if asked.value("name").strip():
        state = await here.api.check_name(
            asked.value("name")[:_LONGEST_NAME],
            url_part=asked.value("url_part")[:_LONGEST_NAME] or None,
            licence=_licence(here, asked),
            transfer_id=seen.transfer_id,
        )
    today = datetime.now(here.context.zone).date()
    return here.render("upload_confirm.html", status=asked.status, form=asked, seen=seen, state=state, today=today)


async def _planned(here: Visitor, taken: UploadView, evening: date | None, asked: Form) -> Response:
    """Choose the evening that was wished for, if that is not the coming one; then show the transfer."""
    if evening is not None and evening != taken.starts_at.astimezone(here.context.zone).date():
        try:
            await here.api.reschedule_transfer(taken.transfer_id, evening=evening, reason=asked.value("reason"))
        except Problem as problem:
            asked.take(problem, here.t)
            return await transfer_page(taken.transfer_id, here, asked)
    return RedirectResponse(f"/transfers/{taken.transfer_id}", HTTPStatus.SEE_OTHER)


async def _self_managed(here: Visitor, asked: Form) -> LicenceView | None:
    """Return who holds the licence, None with the reason in the form when an incident cannot be for it."""
    number = asked.value("licence").strip()
    found = [one for one in await here.api.list_licences(number) if one.licence_number == number]
    if not found:
        asked.refuse(
            "licence",
            here.t(
                "Er is geen licentie met dit nummer. Controleer het licentienummer.",
                "There is no licence with this number. Check the number.",
            ),
        )
        return None
    if found[0].kind != "self_managed":
        asked.refuse(
            "licence",
            here.t(
                f"Dit is de licentie van een kantoor ({found[0].holder_name}). Met een incident gaat een klant "
                "zelfstandig verder; laat het kantoor het ticket zelf uploaden.",
                f"This is a firm's licence ({found[0].holder_name}). By an incident a customer goes on alone; "
                "let the firm upload the ticket itself.",
            ),
        )
        return None
    if found[0].cancelled_at:
        asked.refuse("licence", here.t(LicenceCancelled.dutch, LicenceCancelled().english))
        return None
    return found[0]


async def _ticket_of(here: Visitor, form: Any, asked: Form) -> bytes:
    ticket = await file_of(form, "ticket")
    if not ticket:
        asked.refuse(
            "ticket", here.t("Kies het bestand dat je hebt ontvangen.", "Choose the file that you have received.")
        )
    elif len(ticket) > _MOST_TICKET_BYTES:
        asked.refuse(
            "ticket",
            here.t(
                "Dit is geen overdrachtsticket: het bestand is te groot. Kies het bestand dat eindigt op "
                "-overdracht-ticket.avr.",
                "This is no transfer ticket: the file is too large. Choose the file that ends in "
                "-overdracht-ticket.avr.",
            ),
        )
    return ticket


def _require_licence(here: Visitor, asked: Form) -> None:
    if here.session.caller.is_bound_to_licence:
        return
    for name, dutch, english in (
        ("licence", "Vul het licentienummer in.", "Give the licence number."),
        ("reason", "Vul in waarom je dit voor de klant doet.", "Say why you do this for the customer."),
    ):
        if not asked.value(name).strip():
            asked.refuse(name, here.t(dutch, english))


def _licence(here: Visitor, asked: Form) -> str:
    return here.session.caller.licence_number or asked.value("licence").strip()


def _evening(here: Visitor, asked: Form) -> date | None:
    given = asked.value("evening").strip()
    if not given:
        return None
    try:
        return date.fromisoformat(given)
    except ValueError:
        asked.refuse("evening", here.t("Kies een datum.", "Choose a date."))
        return None


def _once_more(here: Visitor, asked: Form, template: str) -> Response:
    asked.refuse("ticket", here.t("Kies het bestand opnieuw.", "Choose the file again."))
    return here.render(template, status=asked.status, form=asked)


def _sealed(here: Visitor, ticket: bytes) -> str:
    return here.context.sessions.seal(ticket)


def _unsealed(here: Visitor, asked: Form) -> bytes | None:
    try:
        return here.context.sessions.unseal(asked.value("sealed"))
    except InvalidToken:
        return None


def _url_part_in(pasted: str) -> str:
    """Return the customer's part of a url, whether it was typed alone or the whole address was pasted."""
    text = pasted.strip()
    if "/" not in text:
        return text
    path = urlsplit(text if "://" in text else f"https://{text}").path
    return path.strip("/").rpartition("/")[2]
