"""Every activity there is, with its ports: one list for the worker and for the tests that stand in for it."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from activities.certification import CertificationActivities
from activities.clone import CloneActivities
from activities.event_log import EventLogActivities
from activities.freeze_release import FreezeReleaseActivities
from activities.mail import MailActivities
from activities.payloads import PayloadActivities
from activities.portfolio import PortfolioActivities
from activities.preview import PreviewActivities
from activities.reconcile import ReconcileActivities
from activities.retirement import RetirementActivities
from activities.scheduling import SchedulingActivities
from activities.target_setup import TargetSetupActivities
from activities.tickets import TicketActivities, UploadActivities
from activities.webhooks import WebhookActivities


@dataclass(frozen=True, slots=True)
class ActivityRegistry:
    """All activities by capability. Every public method of a capability is one; the workflow chooses its queue."""

    freeze_release: FreezeReleaseActivities
    tickets: TicketActivities
    uploads: UploadActivities
    scheduling: SchedulingActivities
    clone: CloneActivities
    certification: CertificationActivities
    target_setup: TargetSetupActivities
    mail: MailActivities
    event_log: EventLogActivities
    payloads: PayloadActivities | None = None
    reconcile: ReconcileActivities | None = None
    previews: PreviewActivities | None = None
    webhooks: WebhookActivities | None = None
    retirement: RetirementActivities | None = None
    portfolios: PortfolioActivities | None = None

    def all(self) -> list[Callable[..., Any]]:
        """Return every activity.

        Each queue serves all of them: what an earlier version queued elsewhere is still done. Slots are a queue's own.
        """
        capabilities = [getattr(self, field.name) for field in fields(self)]
        return [
            method
            for capability in capabilities
            if capability is not None
            for name, method in inspect.getmembers(capability, inspect.ismethod)
            if not name.startswith("_")
        ]
