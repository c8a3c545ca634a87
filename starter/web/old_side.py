"""The old side: my environments, and "Omgeving overdragen"."""

from dataclasses import replace
from http import HTTPStatus
from typing import Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse
from sb_transfer_client import AsyncClient, Problem
from sb_transfer_client._calls import Pages

from starter.web.pages import Form, Here, Posted, Visitor, key_of, typed

router = APIRouter()
_PER_PAGE = 25
T = TypeVar("T")


async def page_of(here: Visitor, pages: Pages[T, Any], cursor: str) -> T:
    """Return one page of a list of the API's."""
    first = pages.first
    call = replace(first, query={**first.query, "cursor": cursor}) if cursor else first
    return await here.api.send(call)


@router.get("/")
async def home(here: Here, cursor: str = "") -> Response:
    """Show my environments, and what is under way; whoever looks after all finds them by a search."""
    if not here.session.caller.is_bound_to_licence:
        return RedirectResponse("/search", HTTPStatus.SEE_OTHER)
    environments = await page_of(here, AsyncClient.list_environments(page_size=_PER_PAGE), cursor)
    transfers = await page_of(here, AsyncClient.list_transfers(page_size=_PER_PAGE), "")
    own = await here.api.list_licences(here.session.caller.licence_number or "")
    return here.render(
        "home.html", environments=environments, transfers=transfers, holder=own[0].holder_name if own else ""
    )


@router.get("/transfers")
async def list_transfers(here: Here, cursor: str = "", search: str = "") -> Response:
    """Show transfers from new to old."""
    wanted = AsyncClient.list_transfers(page_size=_PER_PAGE, search=search.strip()[:300] or None)
    return here.render("transfers.html", transfers=await page_of(here, wanted, cursor), search=search)


@router.get("/environments/{environment_id}/transfer")
async def preview(environment_id: UUID, here: Here) -> Response:
    """Tell what a move will do, before anything is done."""
    return await _preview(environment_id, here, here.form())


@router.post("/environments/{environment_id}/transfer")
async def start(environment_id: UUID, here: Here, form: Posted) -> Response:
    """Press "Omgeving overdragen"."""
    asked = typed(form, "for_licence", "reason", "understood")
    if asked.value("understood") != "yes":
        asked.refuse(
            "understood",
            here.t(
                "Zet een vinkje om te bevestigen dat je de gevolgen hebt gelezen.",
                "Tick the box to confirm that you have read what will happen.",
            ),
        )
        return await _preview(environment_id, here, asked)
    try:
        begun = await here.api.start_transfer(
            environment_id,
            for_licence=asked.value("for_licence").strip() or None,
            reason=asked.value("reason"),
            key=key_of(form),
        )
    except Problem as problem:
        asked.take(problem, here.t)
        if "licence" in asked.errors:
            asked.errors["for_licence"] = asked.errors.pop("licence")
        return await _preview(environment_id, here, asked)
    return RedirectResponse(f"/transfers/{begun.transfer_id}", HTTPStatus.SEE_OTHER)


@router.get("/environments/{environment_id}/retire")
async def ask_retire(environment_id: UUID, here: Here) -> Response:
    """Ask once more before an old environment is removed, or tell how far that is."""
    return await _retirement(environment_id, here, here.form())


@router.post("/environments/{environment_id}/retire")
async def retire(environment_id: UUID, here: Here, form: Posted) -> Response:
    """Have an old environment removed after a while."""
    asked = typed(form, "sure", "reason")
    if asked.value("sure") != "yes":
        asked.refuse("sure", here.t("Zet een vinkje om te bevestigen.", "Tick the box to confirm."))
    else:
        try:
            await here.api.retire_environment(environment_id, reason=asked.value("reason"), key=key_of(form))
        except Problem as problem:
            asked.take(problem, here.t)
    return await _retirement(environment_id, here, asked)


@router.post("/environments/{environment_id}/retire/call-back")
async def call_back(environment_id: UUID, here: Here, form: Posted) -> Response:
    """Keep an old environment whose removal was planned."""
    asked = typed(form, "reason")
    kept = False
    try:
        await here.api.call_back_retirement(environment_id, reason=asked.value("reason"), key=key_of(form))
        kept = True
    except Problem as problem:
        asked.take(problem, here.t)
    return await _retirement(environment_id, here, asked, kept=kept)


async def _retirement(environment_id: UUID, here: Visitor, form: Form, *, kept: bool = False) -> Response:
    standing = await here.api.get_retirement(environment_id)
    found = await page_of(here, AsyncClient.list_environments(search=str(environment_id), page_size=1), "")
    return here.render(
        "retire.html",
        status=form.status,
        form=form,
        environment_id=environment_id,
        name=found.items[0].name if found.items else "",
        standing=standing,
        kept=kept,
    )


async def _preview(environment_id: UUID, here: Visitor, form: Form) -> Response:
    seen = await here.api.preview_transfer(environment_id)
    return here.render("preview.html", status=form.status, seen=seen, form=form)
