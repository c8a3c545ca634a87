"""The API as a program: `sb-transfer api`, or `python -m starter.api.main`."""

import logging
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from temporalio.client import Interceptor
from temporalio.runtime import Runtime

from adapters.api_store.idempotency import PostgresIdempotencyKeys
from adapters.api_store.rate_limit import PostgresRateLimit, Rate
from adapters.crypto.payload_codec import EncryptingCodec
from adapters.crypto.webhook_secrets import WebhookSecrets
from adapters.observability.logs import configure_logs
from adapters.observability.program import run_program
from adapters.observability.runtime import start_runtime
from adapters.observability.tracing import traced
from adapters.postgres.database import database
from adapters.settings import Settings
from adapters.transfer.portfolios import PostgresPortfolios
from adapters.transfer.queries import PostgresTransferQueries
from adapters.transfer.registration import PostgresRegistration
from adapters.webhooks.addresses import AddressRules
from adapters.webhooks.endpoints import PostgresWebhooks
from adapters.webhooks.events import PostgresEventFeed
from starter.api.application import build_app
from starter.api.dependencies import ApiContext, Limits
from starter.client.connect import connect
from starter.environment import surroundings
from starter.http.server import serve_until_stopped, uvicorn_config
from starter.http.tokens import token_checker

_log = logging.getLogger("sb_transfer.api")
# Whoever waits for a freeze gets an answer; a live stream is ended.
_GRACE_SECONDS = 20
# Each answers in milliseconds.
_CONNECTIONS = 8
# It seals tickets and opens them, starts workflows and reads what they answer.
NEEDS = ("ticket_keys", "payload_keys")


@asynccontextmanager
async def open_context(
    settings: Settings,
    environment: Mapping[str, str],
    *,
    interceptors: Iterable[Interceptor] = (),
    runtime: Runtime | None = None,
) -> AsyncIterator[ApiContext]:
    """Connect everything that requests need.

    Raises:
        Misconfigured: A setting is missing.
        Unavailable: A server does not answer.
    """
    tokens = token_checker(settings)
    async with (
        connect(settings, environment=environment, interceptors=interceptors, runtime=runtime) as client,
        database(settings.database_url, connections=_CONNECTIONS, keeps_no_state=True) as pool,
    ):
        yield ApiContext(
            client=client,
            tokens=tokens,
            keys=PostgresIdempotencyKeys(pool),
            rate_limit=PostgresRateLimit(pool),
            limits=Limits(
                uploads=Rate(settings.api_uploads_per_minute, timedelta(minutes=1)),
                changes=Rate(settings.api_changes_per_minute, timedelta(minutes=1)),
                reschedules=Rate(settings.api_reschedules_per_day, timedelta(days=1)),
            ),
            queries=PostgresTransferQueries(pool),
            feed=PostgresEventFeed(pool),
            portfolios=PostgresPortfolios(pool),
            registration=PostgresRegistration(pool, settings.base_domain),
            webhooks=PostgresWebhooks(
                pool, WebhookSecrets(settings.payload_keys), AddressRules(settings.webhook_networks)
            ),
            pool=pool,
            key_ids=EncryptingCodec(settings.payload_keys).key_ids,
            zone=settings.zone,
            base_domain=settings.base_domain,
        )


async def serve(settings: Settings, environment: Mapping[str, str]) -> None:
    """Serve until SIGTERM or SIGINT; requests that are at work are finished first.

    Raises:
        Misconfigured: A setting is missing, or the port is taken.
        Unavailable: A server does not answer at the start.
    """
    async with AsyncExitStack() as resources:
        tracing = resources.enter_context(traced("sb-transfer-api"))
        runtime = start_runtime(settings.metrics_bind)
        interceptors = tracing.interceptors() if tracing else ()
        context = await resources.enter_async_context(
            open_context(settings, environment, interceptors=interceptors, runtime=runtime)
        )

        @asynccontextmanager
        async def opened() -> AsyncIterator[ApiContext]:
            yield context

        app = build_app(opened, runtime.metric_meter)
        if tracing:
            # Probes are no part of any story; what a stream sends would be a span each.
            FastAPIInstrumentor.instrument_app(
                app, tracer_provider=tracing.provider, excluded_urls="livez,readyz", exclude_spans=["receive", "send"]
            )
        served = uvicorn_config(
            app,
            settings.api_host,
            settings.api_port,
            grace_seconds=_GRACE_SECONDS,
            trusted_proxies=settings.api_trusted_proxies,
        )
        await serve_until_stopped(served, _log)


async def _run() -> None:
    here = surroundings(needs=NEEDS)
    configure_logs(here.settings.log_format)
    await serve(here.settings, here.environment)


def main() -> int:
    """Serve; return the exit code of `run_program`."""
    return run_program(_run, _log)


if __name__ == "__main__":
    sys.exit(main())
