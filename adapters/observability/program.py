"""How every server of this service runs as a program: its log, its exit code, and an end without the SDK's abort."""

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from adapters.observability.logs import LogFormat, configure_logs
from domain.errors import TransferError


def run_program(serve: Callable[[], Coroutine[Any, Any, None]], log: logging.Logger) -> int:
    """Run a server until it ends; return the exit code: 0 after a signal, 3 without a server, 4 with unusable settings.

    `serve` reads its settings itself, so that what is wrong with them is a line of the log.
    """
    configure_logs(LogFormat.AUTO)
    try:
        asyncio.run(serve())
    except TransferError as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence says what to do; a traceback would bury it
        return 3 if error.retryable else 4
    finally:
        # The SDK's threads may outlive the interpreter and abort it (exit 134): let them end first.
        gc.collect()
        time.sleep(0.2)
    return 0
