"""Log lines: JSON for machines, words for people; each with its transfer and step, none with what customers wrote."""

import logging
import sys
import traceback
from collections.abc import Iterator
from enum import StrEnum
from types import TracebackType
from typing import Any, TextIO

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor
from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError

_log = logging.getLogger("sb_transfer")
_FRAMES = 8
# What a line may say beside its event; anything else that a library attaches stays out.
_OURS = ("seconds", "method", "route", "status")


class LogFormat(StrEnum):
    """How lines look. AUTO is TEXT on a terminal and JSON everywhere else."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


def configure_logs(how: LogFormat, stream: TextIO | None = None) -> None:
    """Send every line of this process, of libraries too, through one formatter to `stream` (standard error).

    An exception is told by its types, the SQLSTATE and where it came from; its words stay out, because they may quote
    what a customer wrote. They are in the transfer's status and, encrypted, in its history.
    """
    out = sys.stderr if stream is None else stream
    in_words = out.isatty() if how is LogFormat.AUTO else how is LogFormat.TEXT
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_place,
        structlog.stdlib.ExtraAdder(allow=_OURS),
        _first_line_only,
        _tell_error,
    ]
    last: Processor = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    if in_words:
        last = structlog.dev.ConsoleRenderer(colors=out.isatty())
    else:
        shared.append(_always_say_where)
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    # It appends the names and ids that are fields of their own here.
    activity.logger.activity_info_on_message = False
    workflow.logger.workflow_info_on_message = False
    sys.excepthook = _died


def _died(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    _log.critical("the process ends by an error", exc_info=(kind, error, at))


def _add_place(_: Any, __: str, line: EventDict) -> EventDict:
    """Say which workflow a line of the SDK is about, and which trace any line belongs to."""
    record = line.get("_record")
    info = getattr(record, "temporal_activity", None) or getattr(record, "temporal_workflow", None) or {}
    if workflow_id := info.get("workflow_id"):
        line.setdefault("workflow_id", workflow_id)
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        line["trace_id"] = trace.format_trace_id(span.trace_id)
    return line


def _first_line_only(_: Any, __: str, line: EventDict) -> EventDict:
    """Keep what comes behind a library's first line out: some quote objects there, with what is in them."""
    if not str(line["logger"]).startswith(_log.name):
        line["event"] = str(line["event"]).partition("\n")[0]
    return line


def _tell_error(_: Any, __: str, line: EventDict) -> EventDict:
    """Replace an exception by its types, innermost last, and the innermost one's last frames."""
    found = line.pop("exc_info", None)
    error = found[1] if isinstance(found, tuple) else found
    if not isinstance(error, BaseException):
        return line
    chain = list(_chain(error))
    line["error"] = " < ".join(_kind(each) for each in chain)
    frames = traceback.extract_tb(chain[-1].__traceback__)[-_FRAMES:]
    line["at"] = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
    return line


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _kind(error: BaseException) -> str:
    named = error.type if isinstance(error, ApplicationError) else getattr(error, "sqlstate", None)
    return f"{type(error).__name__} {named}" if named else type(error).__name__


def _always_say_where(_: Any, __: str, line: EventDict) -> EventDict:
    """Have both keys in every line, so that a search for one needs no exception for lines of no transfer."""
    line.setdefault("transfer_id", None)
    line.setdefault("step", None)
    return line
