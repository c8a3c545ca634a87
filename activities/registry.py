"""Which activities each queue serves: one list for the worker and for the tests that stand in for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from activities.certification import CertificationActivities
from activities.clone import CloneActivities
from activities.event_log import EventLogActivities
from activities.freeze_release import FreezeReleaseActivities
from activities.mail import MailActivities
from activities.scheduling import SchedulingActivities
from activities.target_setup import TargetSetupActivities
from activities.tickets import TicketActivities, UploadActivities


@dataclass(frozen=True, slots=True)
class ActivityRegistry:
    """All activities, with their ports injected."""

    freeze_release: FreezeReleaseActivities
    tickets: TicketActivities
    uploads: UploadActivities
    scheduling: SchedulingActivities
    clone: CloneActivities
    certification: CertificationActivities
    target_setup: TargetSetupActivities
    mail: MailActivities
    event_log: EventLogActivities

    def short(self) -> list[Callable[..., Any]]:
        """Return the activities of the queue `transfers`: short transactions, and mail that was put there before."""
        return [
            self.freeze_release.freeze_environment,
            self.freeze_release.unfreeze_environment,
            self.freeze_release.open_for_inspection,
            self.freeze_release.release_environment,
            self.freeze_release.close_mailbox_forwarding,
            self.tickets.issue_ticket,
            self.tickets.revoke_ticket,
            self.uploads.accept_upload,
            self.uploads.release_reservation,
            self.scheduling.postpone_start,
            self.scheduling.reschedule_start,
            self.clone.drop_clone,
            self.target_setup.reconnect_banks,
            self.target_setup.apply_consequences,
            self.mail.send_mail,  # what an earlier version queued here is retried here for as long as three days
            self.event_log.record_event,
            self.event_log.begin_undo,
            self.event_log.finish_undo,
        ]

    def heavy(self) -> list[Callable[..., Any]]:
        """Return the activities of the queue `clone`: work that grows with the environment."""
        return [
            self.clone.clone_administrations,
            self.clone.verify_clone,
            self.target_setup.compare_environments,
            self.certification.hash_frozen,
            self.certification.issue_certificate,
            self.certification.check_unchanged,
        ]

    def post(self) -> list[Callable[..., Any]]:
        """Return the activities of the queue `mail`: what waits for a server that nobody here runs."""
        return [self.mail.send_mail]
