"""Portfolios: many customers of one licence move to another, led by support and looked at by operators too."""

from collections.abc import Awaitable
from datetime import date, datetime, time
from enum import StrEnum
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse
from sb_transfer_client import AsyncClient, Problem, TransferState, errors
from sb_transfer_client.models import ItemState, PortfolioStanding

from domain.authority import Action
from domain.portfolio import LARGEST, evening_of
from starter.web.old_side import page_of
from starter.web.pages import Form, Here, Posted, Visitor, key_of, typed

router = APIRouter()
_PER_PAGE, _ITEMS = 25, 100
_MOST_EVENINGS, _MOST_DIGITS = 100, 9
_WANTED = ("licence", "from_licence", "only", "name_pattern", "per_night", "first_evening", "by_new_side", "reason")
# What goes on by itself changes soon; what waits for a person or an evening, seldom. In seconds.
_QUICK, _SLOW = 5, 60
_BUSY = (ItemState.WAITING, TransferState.PREPARING, TransferState.CLONING, TransferState.UNDOING)
_NOT_BEGUN = (
    *(ItemState.WAITING, ItemState.READY, ItemState.REFUSED),
    *(TransferState.PREPARING, TransferState.AWAITING_UPLOAD, TransferState.SCHEDULED),
)


class Decision(StrEnum):
    """What is asked of a whole portfolio, once more before it is done."""

    BEGIN = "begin"
    RELEASE = "release"
    RETRY = "retry"
    REJECT = "reject"
    CANCEL = "cancel"
    TICKETS = "tickets"


@router.get("/portfolios")
async def list_portfolios(here: Here, cursor: str = "") -> Response:
    """Show portfolios from new to old."""
    found = await page_of(here, AsyncClient.list_portfolios(page_size=_PER_PAGE), cursor)
    return here.render("portfolios.html", portfolios=found, may_move=_may_move(here))


@router.get("/portfolios/new")
async def ask_new(here: Here) -> Response:
    """Ask which customers move, to whom and when."""
    return _new(here, here.form(name_pattern="{name}", per_night="50"))


@router.post("/portfolios/new")
async def create(here: Here, form: Posted) -> Response:
    """Have all of them looked at; nothing changes yet."""
    asked = typed(form, *_WANTED)
    evening, per_night = _plan(here, asked)
    if asked.errors:
        return _new(here, asked)
    source, only = asked.value("from_licence").strip(), asked.value("only").strip()
    try:
        chosen = await _chosen(here, source, only) if only else []
        if only and not chosen:
            asked.refuse("only", here.t("Geen actieve omgeving heet zo.", "No active environment is called so."))
            return _new(here, asked)
        made = await here.api.create_portfolio(
            licence=asked.value("licence").strip(),
            environments=chosen,
            from_licence=None if only else source,
            name_pattern=asked.value("name_pattern").strip(),
            first_evening=evening,
            per_night=per_night,
            upload=asked.value("by_new_side") != "yes",
            reason=asked.value("reason"),
            key=key_of(form),
        )
    except errors.EnvironmentUnknown:
        sentence = here.t("Deze licentie heeft geen actieve omgevingen.", "This licence has no active environments.")
        asked.refuse("from_licence", sentence)
    except Problem as problem:
        asked.take(problem, here.t)
        if "evening" in asked.errors:
            asked.errors["first_evening"] = asked.errors.pop("evening")
    else:
        return RedirectResponse(f"/portfolios/{made.portfolio_id}", HTTPStatus.SEE_OTHER)
    return _new(here, asked)


@router.get("/portfolios/{portfolio_id}")
async def show(portfolio_id: UUID, here: Here, after: int = 0, state: str = "", told: str = "") -> Response:
    """Show where a portfolio stands: how many are how far, what was refused and why, and each of its customers."""
    wanted = _state_of(state)
    stands = await here.api.get_portfolio(portfolio_id, after=_number(after), limit=_ITEMS, state=wanted)
    refused = stands.items if wanted is ItemState.REFUSED else ()
    if wanted is None and not _number(after) and stands.counts.get(ItemState.REFUSED):
        first = await here.api.get_portfolio(portfolio_id, limit=_ITEMS, state=ItemState.REFUSED)
        refused = first.items
    more = stands.items[-1].number if len(stands.items) == _ITEMS else None
    told = told if told in set(Decision) else ""  # what was just asked for, and is done in a moment
    every = _QUICK if told or any(stands.counts.get(one) for one in _BUSY) else _SLOW
    given: dict[str, Any] = {"after": _number(after), "state": wanted or "", "more": more, "every": every, "told": told}
    given |= {"evenings": _evenings(here, stands), **_facts(here, stands)}
    return here.render("portfolio.html", refused=refused, **given)


@router.get("/portfolios/{portfolio_id}/{decision}")
async def ask(portfolio_id: UUID, decision: Decision, here: Here, number: str = "") -> Response:
    """Ask once more."""
    return await _question(portfolio_id, decision, here, here.form(number=number))


@router.post("/portfolios/{portfolio_id}/{decision}")
async def decide(portfolio_id: UUID, decision: Decision, here: Here, form: Posted) -> Response:
    """Do what a button says: to the whole portfolio, or to one customer of it."""
    asked = typed(form, "number", "sure", "reason")
    if decision is Decision.RELEASE and asked.value("sure") != "yes":
        asked.refuse("sure", here.t("Zet een vinkje om te bevestigen.", "Tick the box to confirm."))
    if decision in (Decision.CANCEL, Decision.REJECT) and not asked.value("reason").strip():
        asked.refuse("reason", here.t("Vul een reden in.", "Give a reason."))
    if asked.errors:
        return await _question(portfolio_id, decision, here, asked)
    words: dict[str, Any] = {"reason": asked.value("reason"), "key": key_of(form)}
    try:
        if decision is Decision.TICKETS:
            return _zip(portfolio_id, await here.api.make_portfolio_tickets(portfolio_id, **words))
        await _doing(here.api, portfolio_id, decision, asked.value("number"), words)
    except Problem as problem:
        asked.take(problem, here.t)
        return await _question(portfolio_id, decision, here, asked)
    return RedirectResponse(f"/portfolios/{portfolio_id}?told={decision}", HTTPStatus.SEE_OTHER)


def _doing(
    api: AsyncClient, portfolio_id: UUID, decision: Decision, number: str, words: dict[str, Any]
) -> Awaitable[PortfolioStanding]:
    if decision is Decision.RETRY:
        return api.retry_portfolio(portfolio_id, number=_number(number) or None, **words)
    if decision is Decision.REJECT:
        return api.reject_portfolio_item(portfolio_id, _number(number), **words)
    if decision is Decision.RELEASE:
        return api.release_portfolio(portfolio_id, **words)
    return (api.begin_portfolio if decision is Decision.BEGIN else api.cancel_portfolio)(portfolio_id, **words)


def _zip(portfolio_id: UUID, content: bytes) -> Response:
    name = f"{portfolio_id}-overdracht-tickets.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(content, media_type="application/zip", headers=headers)


async def _question(portfolio_id: UUID, decision: Decision, here: Visitor, form: Form) -> Response:
    number = _number(form.value("number"))
    stands = await here.api.get_portfolio(portfolio_id, after=max(number - 1, 0), limit=1)
    one = next((item for item in stands.items if item.number == number), None)
    given = {"form": form, "decision": decision, "one": one}
    return here.render("portfolio_question.html", status=form.status, **given, **_facts(here, stands))


def _new(here: Visitor, form: Form) -> Response:
    if not _may_move(here):  # the API says so too, when it is asked
        return here.render("not_found.html", status=HTTPStatus.NOT_FOUND)
    return here.render("portfolio_new.html", status=form.status, form=form, must_say_why=here.session.is_support)


def _plan(here: Visitor, asked: Form) -> tuple[date | None, int]:
    """Return from which evening on and how many a night; what is none stands in the form's errors."""
    for name in ("licence", "from_licence"):
        if not asked.value(name).strip():
            asked.refuse(name, here.t("Vul een licentienummer in.", "Give the number of a licence."))
    if "{name}" not in asked.value("name_pattern"):
        sentence = here.t("Hier moet {name} in staan, anders heten ze allemaal hetzelfde.", "This needs {name}.")
        asked.refuse("name_pattern", sentence)
    per_night = _number(asked.value("per_night").strip())
    if not per_night:
        asked.refuse("per_night", here.t("Vul een getal vanaf 1 in.", "Give a number from 1 on."))
    evening = None
    if asked.value("first_evening"):
        try:
            evening = date.fromisoformat(asked.value("first_evening"))
        except ValueError:
            asked.refuse("first_evening", here.t("Kies een datum.", "Choose a date."))
    return evening, per_night


async def _chosen(here: Visitor, licence: str, only: str) -> list[UUID]:
    """Return the active environments of a licence whose names are so; `*` stands for anything."""
    wanted, found = only.lower(), []
    async for one in here.api.list_environments(licence=licence, page_size=200):
        if one.status == "active" and fnmatchcase(one.name.lower(), wanted):
            found.append(one.environment_id)
            if len(found) == LARGEST:
                break
    return found


def _facts(here: Visitor, stands: PortfolioStanding) -> dict[str, Any]:
    """Return what every page of a portfolio shows."""
    counts = stands.counts
    return {
        "stands": stands,
        "total": sum(counts.values()),
        "may_move": _may_move(here),
        "must_say_why": here.session.is_support,
        "left": sum(counts.get(one, 0) for one in _NOT_BEGUN),
    }


def _evenings(here: Visitor, stands: PortfolioStanding) -> list[dict[str, Any]]:
    """Return which numbers move in which evening; evenings have no date before the first one is known."""
    total, found = sum(stands.counts.values()), []
    for first in range(1, total + 1, stands.per_night)[:_MOST_EVENINGS]:
        evening = evening_of(first, first=stands.first_evening, per_night=stands.per_night)
        noon = datetime.combine(evening, time(12), here.context.zone) if evening else None
        found.append({"evening": evening, "noon": noon, "from": first, "to": min(first + stands.per_night - 1, total)})
    return found


def _may_move(here: Visitor) -> bool:
    return here.session.caller.may_somewhere(Action.MOVE_PORTFOLIO)


def _state_of(given: str) -> ItemState | TransferState | None:
    """Return the state that an address names; none, when it is none of ours."""
    known: list[ItemState | TransferState] = [*ItemState, *TransferState]
    return next((one for one in known if one == given), None)


def _number(given: str | int) -> int:
    """Return the number of a customer, or zero when it is none."""
    text = str(given)
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else 0
