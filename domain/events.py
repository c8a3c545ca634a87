"""The kinds of lines in a transfer's event log: what the database, the API and the rules of the invariant go by."""

from enum import StrEnum


class EventKind(StrEnum):
    """Every kind that is written as such; beside these stand the kinds of `ConsequenceKind` and `support_<action>`."""

    # What ends a step.
    ENVIRONMENT_FROZEN = "environment_frozen"
    ENVIRONMENT_HASHED = "environment_hashed"
    TICKET_ISSUED = "ticket_issued"
    UPLOAD_ACCEPTED = "upload_accepted"
    CLONE_STARTED = "clone_started"
    CLONE_FINISHED = "clone_finished"
    CLONE_VERIFIED = "clone_verified"
    BANKS_RECONNECTED = "banks_reconnected"
    INVITATIONS_WITHDRAWN = "invitations_withdrawn"
    OPENED_FOR_INSPECTION = "opened_for_inspection"
    CERTIFICATE_ISSUED = "certificate_issued"
    ENVIRONMENT_RELEASED = "environment_released"
    # What undoes one.
    ENVIRONMENT_UNFROZEN = "environment_unfrozen"
    TICKET_REVOKED = "ticket_revoked"
    RESERVATION_RELEASED = "reservation_released"
    CLONE_DROPPED = "clone_dropped"
    UNDO_BEGUN = "undo_begun"
    UNDO_FINISHED = "undo_finished"
    # On the way.
    TICKET_DOWNLOADED = "ticket_downloaded"
    CHECK_TICKED = "check_ticked"
    CHECK_CLEARED = "check_cleared"
    START_NOW = "start_now"
    START_POSTPONED = "start_postponed"
    START_RESCHEDULED = "start_rescheduled"
    UPLOAD_CORRECTED = "upload_corrected"
    BANK_ACTIVE = "bank_active"
    BANK_NEEDS_REACTIVATION = "bank_needs_reactivation"
    ENVIRONMENTS_COMPARED = "environments_compared"
    RELEASE_CHECKED = "release_checked"
    LICENCE_LEFT = "licence_left"
    """An entrepreneur's last environment has gone to a firm: the licence can be cancelled."""

    LICENCE_CANCELLED = "licence_cancelled"
    """The platform says that the holder has done so."""

    MAILBOX_FORWARDING_CLOSED = "mailbox_forwarding_closed"
    RETIREMENT_PLANNED = "retirement_planned"
    RETIREMENT_CALLED_BACK = "retirement_called_back"
    ENVIRONMENT_RETIRED = "environment_retired"
    HELD_ITEMS_DELIVERED = "held_items_delivered"
    # Mail.
    MAIL_SENT = "mail_sent"
    MAIL_FAILED = "mail_failed"
    MAIL_RESEND_REQUESTED = "mail_resend_requested"
    HURRIED = "hurried"
    MAIL_GIVEN_UP = "mail_given_up"
    USERS_TO_INVITE = "users_to_invite"
    """Whom the platform is to invite, a hundred users at a time: where it does, no letter goes out."""

    # What was asked for at the wrong moment, or by nobody.
    UPLOAD_REFUSED = "upload_refused"
    START_NOW_REFUSED = "start_now_refused"
    RELEASE_REFUSED = "release_refused"
    REJECT_REFUSED = "reject_refused"
    CANCEL_REFUSED = "cancel_refused"
    RESCHEDULE_REFUSED = "reschedule_refused"
    RESEND_MAIL_REFUSED = "resend_mail_refused"
    SIGNAL_REFUSED = "signal_refused"
    REFUSALS_COUNTED = "refusals_counted"
    # From outside.
    RECOVERY_STARTED = "recovery_started"
    REPAIRED = "repaired"
