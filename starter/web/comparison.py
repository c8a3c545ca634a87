"""The comparison: every check of both environments, the rows behind each, and the files to keep."""

from dataclasses import replace
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, Response
from sb_transfer_client import AsyncClient
from sb_transfer_client.models import Check
from sb_transfer_client.models import CheckKind as ApiCheck

from domain import messages as m
from domain.comparison import CONTENTS
from domain.vocabulary import CheckKind
from starter.web.pages import Here
from starter.web.transfers import facts_of

router = APIRouter()
_MOST_CHECKS, _ROWS = 600, 200


@router.get("/transfers/{transfer_id}/comparison")
async def compare(transfer_id: UUID, here: Here, after: int = 0) -> Response:
    """Show the checks by administration, differences first in each answer of the API."""
    stands = await here.api.get_transfer(transfer_id)
    first = AsyncClient.get_comparison(transfer_id).first
    query = {**first.query, "after": max(after, 0), "limit": _MOST_CHECKS}
    found = await here.api.send(replace(first, query=query))
    sections: dict[UUID, list[dict[str, Any]]] = {}
    for check in found.checks:
        sections.setdefault(check.administration_id, []).append(_shown(check))
    years = await here.api.list_auditfiles(transfer_id)
    return here.render(
        "comparison.html",
        found=found,
        sections=list(sections.values()),
        years=years[:_MOST_CHECKS],
        **facts_of(here, stands),
    )


@router.get("/transfers/{transfer_id}/comparison/rows")
async def rows(transfer_id: UUID, here: Here, administration: UUID, check: CheckKind, after: int = 0) -> Response:
    """Show the rows behind one check, those that differ first."""
    stands = await here.api.get_transfer(transfer_id)
    first = AsyncClient.list_compared_rows(
        transfer_id, administration=administration, check=ApiCheck(check.value)
    ).first
    query = {**first.query, "after": max(after, 0), "limit": _ROWS}
    found = await here.api.send(replace(first, query=query))
    return here.render(
        "comparison_rows.html",
        found=found,
        kind=check,
        contents=CONTENTS[check],
        administration=administration,
        after=after,
        **facts_of(here, stands),
    )


@router.get("/transfers/{transfer_id}/comparison/file")
async def file(transfer_id: UUID, here: Here, form: Literal["csv", "xlsx"] = "xlsx") -> Response:
    """Download the comparison for a spreadsheet."""
    content = await here.api.get_comparison_file(transfer_id, form=form)
    return _download(content, f"{transfer_id}-vergelijking.{form}")


@router.get("/transfers/{transfer_id}/auditfiles/{administration}/{year}")
async def auditfile(
    transfer_id: UUID, administration: UUID, year: int, here: Here, side: Literal["old", "new"] = "new"
) -> Response:
    """Download a year of an administration as an auditfile."""
    content = await here.api.get_auditfile(transfer_id, administration, year, side=side)
    return _download(content, f"{administration}-{year}-{side}.xaf")


def _shown(check: Check) -> dict[str, Any]:
    own = m.Check.model_validate(check.model_dump(mode="json"))
    return {"check": own, "kind": own.check}


def _download(content: bytes, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="application/octet-stream", headers=headers)
