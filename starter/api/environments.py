"""What there is to choose from: environments, licences, and names that are free."""

import base64
import json
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import TypeAdapter

from adapters.transfer.queries import EnvironmentLine
from domain import errors as e
from domain.authority import Action
from domain.naming import checked_url_part, default_url_part, normalised_name, url_of
from domain.vocabulary import EnvironmentStatus, Language
from starter.api.dependencies import Context, CurrentCaller
from starter.api.openapi import refusals
from starter.api.requests import NO_STORE, LicenceNumber, Text
from starter.api.responses import EnvironmentLineView, EnvironmentPage, LicenceView, NameProblem, NameView
from starter.http.problems import RequestInvalid, language_of, type_of
from starter.http.strict_query import StrictQueryRoute

router = APIRouter(prefix="/v1", route_class=StrictQueryRoute, tags=["environments"])
_MOST = 200
_MOST_LICENCES = 20
_PLACE = TypeAdapter(tuple[str, str, UUID])
# A clone that has not been released is shown by its transfer, not as an environment of somebody's.
_SHOWN = frozenset(EnvironmentStatus) - {EnvironmentStatus.BUILDING, EnvironmentStatus.AWAITING_RELEASE}
_CURSOR_EN = "The cursor is none of ours. Use `next_cursor` of the page before."
_CURSOR_NL = "De cursor is niet van ons. Gebruik `next_cursor` van de vorige pagina."


@router.get("/environments", summary="List environments", responses=refusals())
async def list_environments(  # noqa: PLR0917 - FastAPI names them
    caller: CurrentCaller,
    context: Context,
    response: Response,
    search: Annotated[Text, Query(description="what stands in name, url, licence or holder, or begins the id")] = "",
    licence: Annotated[LicenceNumber | None, Query(description="only those under this licence")] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 50,
    cursor: Annotated[str | None, Query(max_length=600, description="`next_cursor` of the page before")] = None,
) -> EnvironmentPage:
    """Return environments by licence and name; a licence's users meet their own only."""
    context.require(caller, Action.SEE)
    response.headers.update(NO_STORE)
    if caller.is_bound_to_licence:
        if licence not in (None, caller.licence_number):
            return EnvironmentPage(items=[], next_cursor=None)
        licence = caller.licence_number
    found = await context.queries.environments_page(
        limit=limit + 1, search=search, licence_number=licence, statuses=_SHOWN, after=_place(cursor)
    )
    page = found[:limit]
    return EnvironmentPage(
        items=[EnvironmentLineView(**dict(line)) for line in page],
        next_cursor=_cursor(page[-1]) if len(found) > limit else None,
    )


@router.get("/licences", summary="Who holds a licence", responses=refusals())
async def list_licences(
    caller: CurrentCaller,
    context: Context,
    response: Response,
    search: Annotated[Text, Query(description="the number, or what stands in the holder's name")] = "",
) -> list[LicenceView]:
    """Return the licence of a number, then those of such a holder, twenty at most; a firm sees its own."""
    context.require(caller, Action.SEE)
    response.headers.update(NO_STORE)
    only = caller.licence_number if caller.is_bound_to_licence else None
    found = await context.queries.licences(search, only=only, limit=_MOST_LICENCES)
    return [LicenceView(**dict(one)) for one in found]


@router.get("/names", summary="Whether a name and a url are free", responses=refusals(e.LicenceUnknown))
async def check_name(  # noqa: PLR0917 - FastAPI names them
    request: Request,
    caller: CurrentCaller,
    context: Context,
    response: Response,
    name: Annotated[Text, Query(description="the environment's new name")],
    url_part: Annotated[Text, Query(description="the name made lower-case when it is left out")] = "",
    licence: Annotated[LicenceNumber | None, Query(description="whose; a licence's users ask for theirs")] = None,
    transfer_id: Annotated[
        UUID | None, Query(description="of which transfer: what was this customer's own before comes back to them")
    ] = None,
) -> NameView:
    """Tell what an upload with this name and url part would be told now; nothing is reserved."""
    context.require(caller, Action.UPLOAD)
    response.headers.update(NO_STORE)
    wanted = licence or caller.licence_number
    if not wanted or not caller.may(Action.UPLOAD, old_licence=None, new_licence=wanted):
        raise e.LicenceUnknown
    wrong: list[e.UploadRefused] = []
    try:
        clean = normalised_name(name)
    except e.UploadRefused as refusal:
        wrong.append(refusal)
        clean = ""
    try:
        part = checked_url_part(url_part, name=clean)
    except e.UploadRefused as refusal:
        wrong += [refusal] if clean or url_part.strip() else []
        part = ""
    state = await context.queries.name_state(
        wanted, name=clean, url_part=part, base_domain=context.base_domain, transfer_id=transfer_id
    )
    if state is None:
        raise e.LicenceUnknown
    wrong += [e.NameTaken()] if clean and state.name_taken else []
    # A name that is taken mostly takes its url along: then the name is what has to be changed.
    wrong += [e.UrlTaken()] if part and state.url_taken and not state.name_taken else []
    english = language_of(request) is Language.ENGLISH
    return NameView(
        name=clean,
        url_part=part or default_url_part(clean),
        url=url_of(host=state.host, base_domain=context.base_domain, url_part=part) if part else None,
        problems=[
            NameProblem(
                field="name" if isinstance(one, e.NameInvalid | e.NameTaken) else "url_part",
                type=type_of(type(one)),
                detail=one.english if english else one.dutch_text,
            )
            for one in wrong
        ],
    )


def _cursor(last: EnvironmentLine) -> str:
    place = json.dumps([last.licence_number, last.name.lower(), str(last.environment_id)])
    return base64.urlsafe_b64encode(place.encode()).decode()


def _place(cursor: str | None) -> tuple[str, str, UUID] | None:
    """Read a cursor.

    Raises:
        RequestInvalid: It is none of ours.
    """
    if cursor is None:
        return None
    try:
        return _PLACE.validate_json(base64.urlsafe_b64decode(cursor.encode()))
    except ValueError as error:
        raise RequestInvalid(_CURSOR_EN, dutch=_CURSOR_NL) from error
