"""Support and operators: find a customer or a transfer by whatever is known of it."""

from fastapi import APIRouter, Response
from sb_transfer_client import AsyncClient

from starter.web.old_side import page_of
from starter.web.pages import Here

router = APIRouter()
_PER_PAGE = 25


@router.get("/search")
async def search(here: Here, q: str = "") -> Response:
    """Find environments and transfers by name, url, licence or number; without a word, the newest transfers."""
    wanted = q.strip()[:300].replace("\x00", "")
    environments = None
    if wanted:
        environments = await page_of(here, AsyncClient.list_environments(search=wanted, page_size=_PER_PAGE), "")
    transfers = await page_of(here, AsyncClient.list_transfers(search=wanted or None, page_size=_PER_PAGE), "")
    return here.render("search.html", q=wanted, environments=environments, transfers=transfers)
