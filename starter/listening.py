"""How this service's HTTP servers listen and stop."""

import asyncio
import logging
import signal

import uvicorn
from fastapi import FastAPI


async def listen(app: FastAPI, host: str, port: int, *, grace_seconds: int, log: logging.Logger) -> None:
    """Serve until SIGTERM or SIGINT; requests that are at work may take `grace_seconds` to finish."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,  # its lines hold names of licences; the audit log is the record
        server_header=False,
        timeout_graceful_shutdown=grace_seconds,
    )
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        # uvicorn handles them while it serves, and sends them once more when it is done: to us, who are closing.
        loop.add_signal_handler(name, log.info, "stopping")
    await uvicorn.Server(config).serve()
