"""The codec server as a program: `sb-transfer codec`, or `python -m starter.codec.main`."""

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.api_store.decode_audit import PostgresDecodeAudit
from adapters.crypto.payload_codec import EncryptingCodec
from adapters.observability.logs import configure_logs
from adapters.observability.program import run_program
from adapters.postgres.database import database
from adapters.postgres.payload_keys import require_ring
from adapters.settings import Settings
from starter.codec.access import CodecContext
from starter.codec.application import build_codec
from starter.environment import surroundings
from starter.http.server import serve_until_stopped, uvicorn_config
from starter.http.tokens import token_checker

_log = logging.getLogger("sb_transfer.codec")
_GRACE_SECONDS = 5


@asynccontextmanager
async def open_context(settings: Settings) -> AsyncIterator[CodecContext]:
    """Connect to the database, and take the keys.

    Raises:
        Misconfigured: A setting is missing, a key is unusable, or the ring is not the one that all programs have.
        Unavailable: The database does not answer.
    """
    tokens, codec = token_checker(settings), EncryptingCodec(settings.payload_keys)
    async with database(settings.database_url) as pool:
        await require_ring(pool, codec.key_ids)
        yield CodecContext(
            codec=codec,
            audit=PostgresDecodeAudit(pool),
            tokens=tokens,
            origins=settings.codec_origins,
            trusts_this_machine=settings.embedded,
        )


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        Misconfigured: A setting is missing, or a key is unusable.
        Unavailable: The database does not answer at the start.
    """
    async with open_context(settings) as context:

        @asynccontextmanager
        async def opened() -> AsyncIterator[CodecContext]:
            yield context

        app = build_codec(opened, settings.codec_origins)
        await serve_until_stopped(
            uvicorn_config(app, settings.codec_host, settings.codec_port, grace_seconds=_GRACE_SECONDS), _log
        )


async def _run() -> None:
    settings = surroundings(needs=("payload_keys",)).settings
    configure_logs(settings.log_format)
    await serve(settings)


def main() -> int:
    """Serve; return the exit code of `run_program`."""
    return run_program(_run, _log)


if __name__ == "__main__":
    sys.exit(main())
