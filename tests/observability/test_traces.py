"""One trace tells the whole of a request: the API, the workflow, the activity, the statement."""

from tests.observability.collector import Span
from tests.observability.conftest import NAMES, PERSON, Night


def test_one_trace_joins_request_workflow_activity_and_statement(night: Night) -> None:
    """Joins request, workflow, activity and statement in one trace."""
    collector = night.collector
    statements = collector.until(lambda: collector.called("SQL freeze_release.raise_fence"))
    assert statements, sorted({span.name for span in collector.spans})
    collector.until(lambda: len(collector.above(statements[0])) == 4)
    above = collector.above(statements[0])
    assert [(span.service, span.name) for span in above] == [
        ("sb-transfer-worker", "RunActivity:freeze_environment"),
        ("sb-transfer-worker", "StartActivity:freeze_environment"),
        ("sb-transfer-api", "StartWorkflow:TransferWorkflow"),
        ("sb-transfer-api", "POST /v1/transfers"),
    ]

    def in_it() -> list[Span]:
        return [span for span in collector.called("RunWorkflow:TransferWorkflow") if span.parent == above[2].id]

    runs = collector.until(in_it)
    assert [span.service for span in runs] == ["sb-transfer-worker"]
    assert len({span.trace for span in (statements[0], *above, *runs)}) == 1


def test_spans_hold_nothing_of_customers(night: Night) -> None:
    """Writes no word of a customer into a span."""
    assert len(night.collector.spans) > 100
    sent = "\n".join(span.raw for span in night.collector.spans)
    for word in (*NAMES, PERSON, "insert into", "select "):
        assert word not in sent
