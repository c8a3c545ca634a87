"""The SDK's runtime: the endpoint from which Prometheus reads its metrics and ours, and where the SDK's core logs."""

import logging

from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from adapters.observability.metrics import BUCKETS
from domain.errors import Misconfigured


def start_runtime(metrics_bind: str | None) -> Runtime:
    """Start the runtime of this process's Temporal client, which every meter comes from.

    Args:
        metrics_bind: `address:port` on which `/metrics` is to be read, or nothing. Whoever reaches it may read it: it
            belongs on loopback or on a private network.

    Raises:
        Misconfigured: The address cannot be had.
    """
    metrics = None
    if metrics_bind is not None:
        metrics = PrometheusConfig(
            bind_address=metrics_bind,
            counters_total_suffix=True,
            unit_suffix=True,
            durations_as_seconds=True,
            histogram_bucket_overrides=BUCKETS,
        )
    core = LoggingConfig(
        filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
        forwarding=LogForwardingConfig(
            logger=logging.getLogger("temporalio.core"),
            append_target_to_name=False,
            prepend_target_on_message=False,
            # They quote failures, whose messages may hold what customers wrote.
            append_log_fields_to_message=False,
        ),
    )
    try:
        return Runtime(telemetry=TelemetryConfig(metrics=metrics, logging=core, attach_service_name=False))
    except ValueError as error:
        raise Misconfigured(
            f"The metrics cannot be shown at {metrics_bind} ({error}). Set SB_TRANSFER_METRICS_BIND to a free address "
            "such as 127.0.0.1:9464, or leave it out."
        ) from error
