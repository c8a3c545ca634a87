"""Which activities each queue serves: one list for the worker and for the tests that stand in for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from activities.certification import ProofActivities
from activities.clone import CloneActivities
from activities.event_log import LogActivities
from activities.freeze_release import GateActivities
from activities.mail import MailActivities
from activities.scheduling import EveningActivities
from activities.target_setup import SuccessorActivities
from activities.tickets import TicketActivities, UploadActivities


@dataclass(frozen=True, slots=True)
class Roster:
    """All activities, with their ports injected."""

    gate: GateActivities
    tickets: TicketActivities
    uploads: UploadActivities
    evenings: EveningActivities
    clone: CloneActivities
    proof: ProofActivities
    successor: SuccessorActivities
    mail: MailActivities
    log: LogActivities

    def short(self) -> list[Callable[..., Any]]:
        """Return the activities of the queue `transfers`: short transactions, and mail that was put there before."""
        return [
            self.gate.freeze_environment,
            self.gate.unfreeze_environment,
            self.gate.open_for_inspection,
            self.gate.release_environment,
            self.gate.close_mailbox_forwarding,
            self.tickets.issue_ticket,
            self.tickets.revoke_ticket,
            self.uploads.accept_upload,
            self.uploads.release_reservation,
            self.evenings.postpone_start,
            self.evenings.reschedule_start,
            self.clone.drop_clone,
            self.successor.reconnect_banks,
            self.successor.apply_consequences,
            self.mail.send_mail,  # what an earlier version queued here is retried here for as long as three days
            self.log.record_event,
            self.log.begin_undo,
            self.log.finish_undo,
        ]

    def heavy(self) -> list[Callable[..., Any]]:
        """Return the activities of the queue `clone`: work that grows with the environment."""
        return [
            self.clone.clone_administrations,
            self.clone.verify_clone,
            self.successor.compare_environments,
            self.proof.hash_frozen,
            self.proof.issue_certificate,
            self.proof.check_unchanged,
        ]

    def post(self) -> list[Callable[..., Any]]:
        """Return the activities of the queue `mail`: what waits for a server that nobody here runs."""
        return [self.mail.send_mail]
