"""The comparison of both environments: as JSON, as a page, as a file, and the rows behind each of its checks."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse

from adapters.transfer.queries import RecordedTransfer
from domain import errors as e
from domain import messages as m
from domain.authority import OPENED, Action
from domain.comparison import CONTENTS
from domain.vocabulary import CheckKind
from starter.api.dependencies import ApiContext, Context, CurrentCaller
from starter.api.idempotency import IdempotentRoute
from starter.api.openapi import refusals
from starter.api.report import PAGE_HEADERS, ReportPage, RowsShown, report_page
from starter.api.requests import NO_STORE, TransferId
from starter.api.responses import ColumnView, ComparedRowsView, ComparisonView
from starter.client.comparison_files import FileForm, write_comparison
from starter.http.problems import language_of

router = APIRouter(prefix="/v1", route_class=IdempotentRoute, tags=["transfers"])
_MOST_CHECKS = 1_000
_MOST_ROWS = 1_000
# Of one check on the page, and on the whole page; the files have all.
_ROWS_OF_A_CHECK = 100
_ROWS_OF_A_PAGE = 3_000
_ROOM_OF_A_CHECK = 10
_CHUNK = 1 << 16
# XML, called a file: code generators read no answer of the type application/xml.
_XAF = "application/octet-stream"
_OF_COMPARISON = refusals(e.TransferUnknown, e.WrongMoment)
_After = Annotated[int, Query(ge=0, lt=2**31, description="`next_after` of the page before")]


@router.get(
    "/transfers/{transfer_id}/comparison",
    summary="The comparison of both environments",
    response_model=ComparisonView,
    responses={
        **_OF_COMPARISON,
        200: {"content": {"text/html": {"schema": {"type": "string", "title": "ComparisonPage"}}}},
    },
)
async def get_comparison(  # noqa: PLR0917 - FastAPI names them
    transfer_id: TransferId,
    request: Request,
    caller: CurrentCaller,
    context: Context,
    after: _After = 0,
    limit: Annotated[int, Query(ge=1, le=_MOST_CHECKS)] = _MOST_CHECKS,
) -> Response:
    """Return the comparisons that the manual asks for; as a page for people when `Accept` prefers HTML."""
    await context.transfer(caller, Action.COMPARE, transfer_id)
    if "text/html" in request.headers.get("accept", ""):
        return await _page(transfer_id, request, context)
    found = await context.queries.comparison_page(transfer_id, after=after, limit=limit)
    if found is None:
        raise e.WrongMoment
    shown = after + len(found.checks)
    answer = ComparisonView(**dict(found), next_after=shown if shown < found.total else None)
    return Response(answer.model_dump_json(), media_type="application/json", headers=NO_STORE)


@router.get(
    "/transfers/{transfer_id}/comparison/rows",
    summary="The rows behind one check of the comparison",
    responses=_OF_COMPARISON,
)
async def list_compared_rows(  # noqa: PLR0917 - FastAPI names them
    transfer_id: TransferId,
    request: Request,
    caller: CurrentCaller,
    context: Context,
    response: Response,
    administration: UUID,
    check: CheckKind,
    after: _After = 0,
    limit: Annotated[int, Query(ge=1, le=_MOST_ROWS)] = _MOST_ROWS,
) -> ComparedRowsView:
    """Return the rows of both sides as they were compared, those that differ first."""
    await context.transfer(caller, Action.COMPARE, transfer_id)
    compared = await _compared(transfer_id, context)
    found: list[m.ComparedRow] = []
    place = 0
    async with aclosing(compared.rows(context, check, administration)) as rows:
        async for row in rows:
            place += 1
            if place > after + limit:
                break
            if place > after:
                found.append(row)
    response.headers.update(NO_STORE)
    english = language_of(request) == "en"
    return ComparedRowsView(
        check=check,
        columns=[ColumnView(name=one.name, title=one.title[english]) for one in CONTENTS[check].columns],
        rows=found,
        next_after=after + limit if place > after + limit else None,
    )


@router.get(
    "/transfers/{transfer_id}/comparison/file",
    summary="The comparison with every row behind it, for a spreadsheet",
    response_class=Response,
    responses={
        **_OF_COMPARISON,
        200: {
            "content": {
                one.media_type: {"schema": {"type": "string", "format": "binary", "title": "ComparisonFile"}}
                for one in FileForm
            },
            "description": "The file.",
        },
    },
)
async def get_comparison_file(
    transfer_id: TransferId,
    request: Request,
    caller: CurrentCaller,
    context: Context,
    form: Annotated[FileForm, Query(alias="format")] = FileForm.CSV,
) -> Response:
    """Return every row of both sides as it was compared, in the language of `Accept-Language`."""
    await context.transfer(caller, Action.COMPARE, transfer_id)
    compared = await _compared(transfer_id, context)

    def rows(check: m.Check) -> AsyncGenerator[m.ComparedRow, None]:
        return compared.rows(context, check.check, check.administration_id)

    async with context.renderings:
        # Written first and sent then: a slow reader would hold the database's connection.
        file = TemporaryFile()  # noqa: SIM115 - closed when it has been sent
        await write_comparison(
            file,
            form,
            checks=compared.report.checks,
            rows=rows,
            language=language_of(request),
            zone=context.zone,
        )
    name = f"{transfer_id}-vergelijking.{form.value}"
    headers = {**NO_STORE, "Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_sent(file), media_type=form.media_type, headers=headers)


@router.get(
    "/transfers/{transfer_id}/auditfiles",
    summary="The years of which there are auditfiles",
    responses=_OF_COMPARISON,
)
async def list_auditfiles(transfer_id: TransferId, caller: CurrentCaller, context: Context) -> list[m.BookedYear]:
    """Return every year in which something was booked, by administration."""
    await context.transfer(caller, Action.COMPARE, transfer_id)
    return (await _compared(transfer_id, context)).report.years


@router.get(
    "/transfers/{transfer_id}/auditfiles/{administration}/{year}",
    summary="An administration's year as XML Auditfile Financieel 3.2",
    response_class=Response,
    responses={
        **refusals(e.TransferUnknown, e.WrongMoment, e.YearUnknown),
        200: {
            "content": {_XAF: {"schema": {"type": "string", "format": "binary", "title": "Auditfile"}}},
            "description": "The file; both sides give the same bytes but for the header.",
        },
    },
)
async def get_auditfile(  # noqa: PLR0917 - FastAPI names them
    transfer_id: TransferId,
    administration: UUID,
    year: Annotated[int, Path(ge=1, le=9998)],
    caller: CurrentCaller,
    context: Context,
    side: Annotated[Literal["old", "new"], Query(description="of which environment")] = "new",
) -> Response:
    """Return the books of one year, as they are now on one side."""
    if (await context.transfer(caller, Action.COMPARE, transfer_id)).state not in OPENED:
        raise e.WrongMoment
    order = m.WriteAuditfile(
        transfer_id=transfer_id, old_side=side == "old", administration_id=administration, year=year
    )
    async with context.renderings:
        await context.client.write_auditfile(order)
    headers = {**NO_STORE, "Content-Disposition": f'attachment; filename="{administration}-{year}-{side}.xaf"'}
    return StreamingResponse(context.queries.auditfile(order), media_type=_XAF, headers=headers)


async def _sent(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        file.seek(0)
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk


@dataclass(frozen=True, slots=True)
class _ComparedTransfer:
    """A transfer of which both environments are there and have been compared."""

    standing: RecordedTransfer
    old: m.EnvironmentSummary
    new: m.EnvironmentSummary
    report: m.ComparisonReport
    proof: m.Verification | None

    def rows(self, context: ApiContext, check: CheckKind, administration: UUID) -> AsyncGenerator[m.ComparedRow, None]:
        """Give the rows behind a check, those that differ first."""
        return context.queries.compared_rows(self.standing.transfer_id, check, administration)


async def _compared(transfer_id: UUID, context: ApiContext) -> _ComparedTransfer:
    standing = await context.queries.standing(transfer_id)
    results = await context.queries.results(transfer_id)
    if standing.state not in OPENED or results.report is None or standing.old is None or standing.new is None:
        raise e.WrongMoment
    return _ComparedTransfer(standing, standing.old, standing.new, results.report, results.verification)


async def _page(transfer_id: UUID, request: Request, context: ApiContext) -> HTMLResponse:
    language = language_of(request)
    headers = {**NO_STORE, **PAGE_HEADERS, "Content-Language": language.value}
    async with context.renderings:
        compared = await _compared(transfer_id, context)
        page = ReportPage(
            transfer_id=transfer_id,
            old=compared.old,
            new=compared.new,
            report=compared.report,
            proof=compared.proof,
            rows=await _rows_of_page(compared, context),
        )
        return HTMLResponse(await asyncio.to_thread(report_page, page, language, context.zone), headers=headers)


async def _rows_of_page(compared: _ComparedTransfer, context: ApiContext) -> dict[tuple[UUID, CheckKind], RowsShown]:
    """Return the first rows behind as many checks as a page has room for; checks that differ come first."""
    shown: dict[tuple[UUID, CheckKind], RowsShown] = defaultdict(RowsShown)
    room = _ROWS_OF_A_PAGE
    for check in sorted(compared.report.checks, key=lambda one: one.equal):
        key = check.administration_id, check.check
        if room <= 0:
            break
        if key in shown:
            continue
        found: list[m.ComparedRow] = []
        async with aclosing(compared.rows(context, check.check, check.administration_id)) as rows:
            async for row in rows:
                if len(found) == _ROWS_OF_A_CHECK:
                    shown[key] = RowsShown(found, more=True)
                    break
                found.append(row)
            else:
                shown[key] = RowsShown(found)
        room -= max(len(found), _ROOM_OF_A_CHECK)
    return dict(shown)
