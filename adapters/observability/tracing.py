"""OpenTelemetry traces: from a request through its workflow and activities to SQL; off unless a collector is named.

Which collector, and everything else, is said by OpenTelemetry's own variables (OTEL_EXPORTER_OTLP_ENDPOINT and so on).
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from types import MappingProxyType

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    OTEL_SDK_DISABLED,
    OTEL_SERVICE_NAME,
)
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status
from temporalio.client import Interceptor
from temporalio.contrib.opentelemetry import TracingInterceptor

from adapters.postgres.statements import parse

_STATEMENT = ("db.statement", "db.query.text")
# The only attributes that leave this process. Paths, queries, addresses of clients and words of errors do not.
_ALLOWED = frozenset(
    {
        "db.system",
        "db.system.name",
        "error.type",
        "http.method",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "http.status_code",
        "temporalActivityID",
        "temporalRunID",
        "temporalUpdateID",
        "temporalWorkflowID",
    }
)


class Tracing:
    """What one process needs to take part in traces."""

    def __init__(self, provider: TracerProvider) -> None:
        """Take the provider whose spans leave through a `CleanExporter`."""
        self.provider = provider

    def interceptors(self) -> list[Interceptor]:
        """Return what carries a trace from a client into workflows and activities; replaying makes no spans."""
        return [TracingInterceptor(self.provider.get_tracer("sb_transfer"))]


@contextmanager
def traced(service: str, exporter: SpanExporter | None = None) -> Iterator[Tracing | None]:
    """Trace this process while the block runs, if OpenTelemetry's variables name a collector; send the rest at its end.

    Args:
        service: The name that the spans are under, unless OTEL_SERVICE_NAME has another.
        exporter: Where spans go instead of to the collector that the variables name.
    """
    if exporter is None:
        if not _is_wanted():
            yield None
            return
        exporter = OTLPSpanExporter()
    named = {} if os.environ.get(OTEL_SERVICE_NAME) else {SERVICE_NAME: service}
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(CleanExporter(exporter)))
    postgres = AsyncPGInstrumentor()  # type: ignore[no-untyped-call]
    postgres.instrument(tracer_provider=provider)
    try:
        yield Tracing(provider)
    finally:
        postgres.uninstrument()
        provider.shutdown()


def _is_wanted() -> bool:
    if os.environ.get(OTEL_SDK_DISABLED, "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return bool(os.environ.get(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) or os.environ.get(OTEL_EXPORTER_OTLP_ENDPOINT))


class CleanExporter(SpanExporter):
    """Passes spans on without anything that a customer may have written, and without words of errors."""

    def __init__(self, exporter: SpanExporter) -> None:
        """Take the exporter that sends what is left."""
        self._exporter = exporter
        self._statements = _statements_by_text()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([self._clean(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def _clean(self, span: ReadableSpan) -> ReadableSpan:
        given = span.attributes or {}
        kept = {name: value for name, value in given.items() if name in _ALLOWED}
        name = span.name
        for key in _STATEMENT:
            if (text := given.get(key)) is not None:
                # Statements that are made at run time quote definitions of the customer's own tables.
                kept["db.operation.name"] = self._statements.get(str(text).strip(), _first_word(str(text)))
                name = f"SQL {kept['db.operation.name']}"
        return ReadableSpan(
            name=name,
            context=span.get_span_context(),
            parent=span.parent,
            resource=span.resource,
            attributes=kept,
            kind=span.kind,
            status=Status(span.status.status_code),
            links=span.links,
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )


def _first_word(statement: str) -> str:
    found = re.match(r"\s*([A-Za-z]+)", statement)
    return found[1].lower() if found else "statement"


def _statements_by_text() -> MappingProxyType[str, str]:
    """Return the names of this project's statements, `<file>.<name>`, by their text."""
    texts: dict[str, str] = {}
    for folder in files("adapters").iterdir():
        for file in folder.iterdir() if folder.is_dir() else ():
            if file.name.endswith(".sql"):
                kind = file.name.removesuffix(".sql")
                texts |= {text: f"{kind}.{name}" for name, text in parse(file.read_text(encoding="utf-8")).items()}
    return MappingProxyType(texts)
