"""Support and operators: find a customer or a transfer by whatever is known of it."""

from datetime import date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sb_transfer_client import AsyncClient

from starter.web.old_side import page_of
from starter.web.pages import Here

router = APIRouter()
_PER_PAGE, _HELD_PER_PAGE = 25, 100
Evening = Annotated[date, Query(ge=date(2000, 1, 2), le=date(2199, 12, 30))]


@router.get("/search")
async def search(here: Here, q: str = "") -> Response:
    """Find environments and transfers by name, url, licence or number; without a word, the newest transfers."""
    wanted = q.strip()[:300].replace("\x00", "")
    environments = None
    if wanted:
        environments = await page_of(here, AsyncClient.list_environments(search=wanted, page_size=_PER_PAGE), "")
    transfers = await page_of(here, AsyncClient.list_transfers(search=wanted or None, page_size=_PER_PAGE), "")
    return here.render("search.html", q=wanted, environments=environments, transfers=transfers)


@router.get("/tonight")
async def tonight(here: Here, evening: Evening | None = None) -> Response:
    """Show how an evening goes, tonight's if none is named: before noon that is still the one that began yesterday."""
    wanted = evening or (datetime.now(here.context.zone) - timedelta(hours=12)).date()
    found = await here.api.get_evening(wanted)
    before, after = wanted - timedelta(days=1), wanted + timedelta(days=1)
    return here.render("tonight.html", evening=found.model_dump(), before=before, after=after)


@router.get("/held")
async def held_anywhere(here: Here, after: Annotated[int, Query(ge=0, lt=2**63)] = 0) -> Response:
    """Show all mail and scans that wait for the end of a transfer, with whom they came for."""
    found = await here.api.send(AsyncClient.list_all_held_items(after=after, page_size=_HELD_PER_PAGE).first)
    return here.render("held_anywhere.html", held=found)
