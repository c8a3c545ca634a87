"""What the worker and the API count, after a night in which something happened."""

import re

from prometheus_client.parser import text_string_to_metric_families

from tests.observability.conftest import Night

ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}|10001|Enyoi|@|https?://")


def value(night: Night, name: str, **labels: str) -> float:
    """Return one sample of the worker; one that is not there fails."""
    for family in text_string_to_metric_families(night.metrics()["sb-transfer-worker"]):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return float(sample.value)
    raise AssertionError((name, labels))


def test_the_counters_tell_what_happened(night: Night) -> None:
    """Counts what happened."""
    assert value(night, "sb_transfer_clone_rows_total") > 1_000
    assert value(night, "sb_transfer_clone_seconds_count") == 1
    assert value(night, "sb_transfer_fence_hold_seconds_count") == 2
    assert 0 < value(night, "sb_transfer_fence_hold_seconds_sum") < 60
    assert value(night, "sb_transfer_undos_total", reason="cancelled") == 1
    assert value(night, "sb_transfer_undos_total", reason="failed") == 0
    assert value(night, "sb_transfer_mail_attempts_total", outcome="sent") >= 3
    assert value(night, "sb_transfer_webhook_deliveries_total", outcome="delivered") == 0
    assert value(night, "sb_transfer_webhooks", status="failing") == 0
    assert value(night, "sb_transfer_compensation_retries_total", activity="unfreeze_environment") == 0


def test_no_label_names_anybody(night: Night) -> None:
    """Labels metrics with closed sets of values only."""
    samples = 0
    for text in night.metrics().values():
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples += 1
                assert not ID.search(" ".join(sample.labels.values())), sample
    assert samples < 3_000
