"""Whether the process lives, and whether it can serve."""

import asyncio

from fastapi import APIRouter, Response

from adapters.postgres.migrations import migrations_of
from domain.errors import TransferError
from domain.messages import Message
from starter.api.dependencies import Context

router = APIRouter(tags=["health"])
_PATIENCE_SECONDS = 5.0


class Readiness(Message):
    """What the service stands on; `ready` when all of it is there."""

    ready: bool
    database: str
    migrations: str
    temporal: str


@router.get("/livez", summary="The process lives")
async def livez() -> dict[str, str]:
    """Answer, which is all that this proves."""
    return {"status": "ok"}


@router.get("/readyz", summary="The service can serve", responses={503: {"model": Readiness}})
async def readyz(context: Context, response: Response) -> Readiness:
    """Ask the database and Temporal; 503 when one does not answer or migrations are missing."""
    database, temporal = await asyncio.gather(_migrations(context), _temporal(context))
    wanted = max(migration.number for migration in migrations_of("control"))
    migrated = isinstance(database, int) and database >= wanted
    readiness = Readiness(
        ready=migrated and temporal == "ok",
        database="ok" if isinstance(database, int) else database,
        migrations="ok" if migrated else f"{wanted} is needed; run `sb-transfer setup`",
        temporal=temporal,
    )
    response.headers["Cache-Control"] = "no-store"
    if not readiness.ready:
        response.status_code = 503
    return readiness


async def _migrations(context: Context) -> int | str:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await context.client.schema_version()
    except (TransferError, TimeoutError):
        return "does not answer"


async def _temporal(context: Context) -> str:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return "ok" if await context.client.temporal_answers() else "does not answer"
    except (TransferError, TimeoutError):
        return "does not answer"
