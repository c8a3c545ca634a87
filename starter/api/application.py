"""The application: routes, limits and problem details."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI, Request
from starlette.types import Receive, Scope, Send
from temporalio.common import MetricMeter

from adapters.inbox.entrance import LARGEST_ITEM_BYTES
from starter.api import (
    checklist,
    comparison,
    deliveries,
    environments,
    evenings,
    health,
    portfolios,
    progress,
    registration,
    retirements,
    transfers,
    uploads,
    webhooks,
)
from starter.api.dependencies import ApiContext
from starter.api.metrics_middleware import MetricsMiddleware
from starter.api.openapi import DESCRIPTION, customize_openapi, operation_id
from starter.http import problems
from starter.http.body_limit import BodyLimit

# In base64, and the words around it.
_LARGER = {"/v1/deliveries": LARGEST_ITEM_BYTES // 3 * 4 + 64 * 1024}
OpenContext = Callable[[], AbstractAsyncContextManager[ApiContext]]


def build_app(open_context: OpenContext, meter: MetricMeter = MetricMeter.noop) -> FastAPI:
    """Return the application; `open_context` connects at its start and closes at its end, `meter` counts requests."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_context() as context:
            app.state.context = context
            yield

    app = FastAPI(
        title="sb-transfer",
        version=version("sb-transfer"),
        description=DESCRIPTION,
        generate_unique_id_function=operation_id,
        lifespan=lifespan,
        docs_url=None,  # its scripts come from other hosts
        redoc_url=None,
    )
    app.include_router(health.router)
    routers = (
        transfers,
        comparison,
        uploads,
        progress,
        deliveries,
        webhooks,
        environments,
        registration,
        checklist,
        retirements,
        evenings,
        portfolios,
    )
    for router in (module.router for module in routers):
        app.include_router(router)
    problems.install(app)
    customize_openapi(app)
    app.add_middleware(BodyLimit, refuse=_too_large, too_slow=problems.too_slow, larger=_LARGER)
    app.add_middleware(MetricsMiddleware, meter=meter)
    return app


async def _too_large(scope: Scope, receive: Receive, send: Send) -> None:
    await problems.answer(Request(scope), problems.BodyTooLarge())(scope, receive, send)
