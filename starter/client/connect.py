"""Composition for callers: settings → adapters → client."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from temporalio.client import Interceptor
from temporalio.runtime import Runtime

from adapters.crypto.payload_codec import EncryptingCodec, encrypting
from adapters.postgres.database import database
from adapters.postgres.payload_keys import require_ring
from adapters.postgres.shards import open_shards
from adapters.settings import Settings, settings_of
from adapters.temporal.client import connect_temporal
from adapters.transfer.evenings import PostgresEvenings
from adapters.transfer.event_log import PostgresTransferEventLog
from adapters.transfer.preview import PostgresPreviewReader
from adapters.transfer.queries import PostgresTransferQueries
from adapters.transfer.tickets import PostgresTicketIssuer, TicketSeal
from adapters.verify.verifier import PostgresVerifier
from starter.client.client import TransferClient
from starter.client.comparison import Comparer

__all__ = ["connect", "settings_of"]


@asynccontextmanager
async def connect(
    settings: Settings,
    *,
    environment: Mapping[str, str] | None = None,
    interceptors: Iterable[Interceptor] = (),
    runtime: Runtime | None = None,
) -> AsyncIterator[TransferClient]:
    """Open a client: the database and Temporal answer, or this fails.

    Args:
        settings: Where the database is, the key ring, the clock.
        environment: Variables in which Temporal's own configuration is, instead of this process's.
        interceptors: Of the Temporal client.
        runtime: Where the Temporal client's metrics go.

    Raises:
        Unavailable: A server does not answer; the message names it.
        Misconfigured: Temporal's profile, certificate or namespace is wrong, or the payload keys are not those of
            all others.
    """
    connections = 4 + settings.clone_parallelism
    async with (
        database(settings.database_url, connections=connections) as pool,
        # Of its own, for questions that must be answered whatever else this process is at.
        database(settings.database_url, keeps_no_state=True) as reading,
        open_shards(pool, settings.cells, max_size=connections, application_name="sb-transfer client") as shards,
    ):
        await require_ring(reading, EncryptingCodec(settings.payload_keys).key_ids)
        seal = TicketSeal(settings.ticket_keys)
        yield TransferClient(
            await connect_temporal(
                environment=environment,
                data_converter=encrypting(settings.payload_keys),
                interceptors=interceptors,
                runtime=runtime,
            ),
            register=PostgresTransferQueries(reading),
            previews=PostgresPreviewReader(pool),
            tickets=PostgresTicketIssuer(pool, seal, settings.ticket_ttl),
            seal=seal,
            comparer=Comparer(shards, PostgresVerifier(pool, parallelism=settings.clone_parallelism, shards=shards)),
            evenings=PostgresEvenings(reading, settings.window, slots=settings.slots_clone),
            log=PostgresTransferEventLog(pool),
            zone=settings.zone,
            runbook_url=settings.runbook_url or "",
        )
