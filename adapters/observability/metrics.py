"""What this service counts itself, beside what Temporal's SDK counts; all labels are bounded, none names anybody."""

from temporalio.common import MetricMeter

from domain.steps import STEPS, ActivityName
from domain.vocabulary import UndoReason

# Upper bounds, in seconds. A freeze gives up within a second; a start waits for nothing but a worker and a free slot.
BUCKETS = {
    "sb_transfer_fence_hold_seconds": (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
    "sb_transfer_start_lag_seconds": (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 7200.0, 14400.0),
    "sb_transfer_clone_seconds": (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0),
    "sb_transfer_api_request_seconds": (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
}
COMPENSATIONS = frozenset(
    {step.compensation.activity for step in STEPS if step.compensation}
    | {ActivityName.BEGIN_UNDO, ActivityName.FINISH_UNDO}
)
WEBHOOK_OUTCOMES = ("delivered", "failed", "disabled")
MAIL_OUTCOMES = ("sent", "delayed", "refused", "failed")


class Metrics:
    """The instruments of one process. Each counter begins at zero, so that its first event is an increase."""

    def __init__(self, meter: MetricMeter = MetricMeter.noop) -> None:
        """Make the instruments; without a meter they measure nothing."""
        self.fence_hold = meter.create_histogram_float(
            "sb_transfer_fence_hold_seconds", "How long a freeze that succeeded held the writers of its environment"
        )
        self.start_lag = meter.create_histogram_float(
            "sb_transfer_start_lag_seconds", "How long after its planned start a clone began"
        )
        self.clone_seconds = meter.create_histogram_float(
            "sb_transfer_clone_seconds", "How long a clone took, all its attempts together"
        )
        self.clone_rows = meter.create_counter("sb_transfer_clone_rows", "Rows that clones have carried and committed")
        self.undos = meter.create_counter("sb_transfer_undos", "Undos that were begun, by reason")
        self.compensation_retries = meter.create_counter(
            "sb_transfer_compensation_retries", "Attempts at a compensation after its first"
        )
        self.mail_attempts = meter.create_counter("sb_transfer_mail_attempts", "Attempts to send a mail, by outcome")
        self.webhook_deliveries = meter.create_counter(
            "sb_transfer_webhook_deliveries",
            "Events that endpoints took, or did not, and endpoints that are told nothing any more for that",
        )
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        self.clone_rows.add(0)
        for reason in UndoReason:
            self.undos.add(0, {"reason": reason})
        for activity in COMPENSATIONS:
            self.compensation_retries.add(0, {"activity": activity})
        for outcome in MAIL_OUTCOMES:
            self.mail_attempts.add(0, {"outcome": outcome})
        for outcome in WEBHOOK_OUTCOMES:
            self.webhook_deliveries.add(0, {"outcome": outcome})


UNMEASURED = Metrics()
"""For whoever measures nothing."""
