"""What can be wrong with an environment or a move, and what a person does about it."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from domain.facts import Observation


class ViolationKind(StrEnum):
    """What can be wrong. `MEANING` has a sentence for each, `REMEDY` what a person does about it."""

    TWO_WRITABLE = "two_writable"
    NONE_WRITABLE = "none_writable"
    WRITABLE_UNASKED = "writable_unasked"
    NOT_FROZEN = "not_frozen"
    ACTIVE_BUT_FENCED = "active_but_fenced"
    SHUT_OUT = "shut_out"
    BOOKS_MISSING = "books_missing"
    STRANDED = "stranded"
    WORKFLOW_AHEAD = "workflow_ahead"
    WORKFLOW_BEHIND = "workflow_behind"
    WORKFLOW_STUCK = "workflow_stuck"
    WORKFLOW_UNATTENDED = "workflow_unattended"
    FOREIGN_WORKFLOW = "foreign_workflow"
    KEY_MISSING = "key_missing"
    TWO_MOVES = "two_moves"
    FROZEN_FOR_NOTHING = "frozen_for_nothing"
    RESERVED_FOR_NOTHING = "reserved_for_nothing"
    RESERVATION_LOST = "reservation_lost"
    ORPHAN_SCHEMA = "orphan_schema"
    TICKET_LOST = "ticket_lost"
    TICKET_LEFT = "ticket_left"
    FENCE_REMAINS = "fence_remains"
    FLAGS_LEFT = "flags_left"
    GRANTS_WITHHELD = "grants_withheld"
    GRANT_TOO_EARLY = "grant_too_early"
    FORWARDING_UNATTENDED = "forwarding_unattended"
    RETIREMENT_UNATTENDED = "retirement_unattended"
    ROUTE_ASTRAY = "route_astray"
    HELD_LOST = "held_lost"
    HELD_TWICE = "held_twice"
    HELD_LEFT = "held_left"
    STORY_INCOMPLETE = "story_incomplete"
    NOBODY_TOLD = "nobody_told"
    TIED = "tied"
    DEFINITIONS_UNGUARDED = "definitions_unguarded"
    UNEQUAL = "unequal"


ENDED = frozenset({ViolationKind.WORKFLOW_BEHIND, ViolationKind.WORKFLOW_STUCK, ViolationKind.FOREIGN_WORKFLOW})
"""What is put right by ending a workflow; what that leaves behind is found by the next look."""

RECOVERED = frozenset({ViolationKind.STRANDED, ViolationKind.NOBODY_TOLD})
"""What is put right by a recovery of the transfer."""

MEANING: Mapping[ViolationKind, str] = MappingProxyType(
    {
        ViolationKind.TWO_WRITABLE: "An environment and its successor can both be written.",
        ViolationKind.NONE_WRITABLE: "An environment was released and its successor is not there to be worked in.",
        ViolationKind.WRITABLE_UNASKED: "An environment that is not active can be written by the application.",
        ViolationKind.NOT_FROZEN: "The old environment of a transfer is not frozen.",
        ViolationKind.ACTIVE_BUT_FENCED: "An active environment still refuses writes.",
        ViolationKind.SHUT_OUT: "The application may not enter an environment that people are to read.",
        ViolationKind.BOOKS_MISSING: "An environment has no schema.",
        ViolationKind.STRANDED: "A transfer is under way and no workflow works on it.",
        ViolationKind.WORKFLOW_AHEAD: "A transfer's workflow is further than the database, which was restored.",
        ViolationKind.WORKFLOW_BEHIND: "A transfer has ended, and its workflow, which was reset, does not know it.",
        ViolationKind.WORKFLOW_STUCK: "A workflow fails whenever it is to go on: no signal and no cancel reaches it.",
        ViolationKind.WORKFLOW_UNATTENDED: "A workflow is to go on and no worker takes it.",
        ViolationKind.FOREIGN_WORKFLOW: "Something that is not a transfer runs under a transfer's id and blocks it.",
        ViolationKind.KEY_MISSING: "A workflow was sent something under a key that no worker has, and waits for it.",
        ViolationKind.TWO_MOVES: "An environment is in more than one transfer at once.",
        ViolationKind.FROZEN_FOR_NOTHING: "An environment is read-only and no transfer is the reason.",
        ViolationKind.RESERVED_FOR_NOTHING: "An environment is reserved or built and no transfer is the reason.",
        ViolationKind.RESERVATION_LOST: "A transfer's new environment is gone or is not what its state says.",
        ViolationKind.ORPHAN_SCHEMA: "A schema named like an environment's belongs to none.",
        ViolationKind.TICKET_LOST: "A transfer awaits the upload of a ticket that is good for nothing.",
        ViolationKind.TICKET_LEFT: "A ticket of a transfer that has ended could still be used.",
        ViolationKind.FENCE_REMAINS: "Lifted fences of a transfer that has ended are still there. They do nothing.",
        ViolationKind.FLAGS_LEFT: "Administrations stayed read-only when their fence was lifted.",
        ViolationKind.GRANTS_WITHHELD: "Rights on sequences that a fence took are missing.",
        ViolationKind.GRANT_TOO_EARLY: "The application may enter an environment that is still being built.",
        ViolationKind.FORWARDING_UNATTENDED: "An old mailbox address is forwarded and no workflow will close it.",
        ViolationKind.RETIREMENT_UNATTENDED: "An old environment is to be removed and no workflow will do it.",
        ViolationKind.ROUTE_ASTRAY: "Mail is routed to an environment that nobody works in.",
        ViolationKind.HELD_LOST: "Mail or a scan was taken in, and is neither in an environment nor in the queue.",
        ViolationKind.HELD_TWICE: "Mail or a scan waits that has been delivered.",
        ViolationKind.HELD_LEFT: "Mail or a scan waits, and no move is the reason.",
        ViolationKind.STORY_INCOMPLETE: "The event log does not tell how a transfer came to where it is.",
        ViolationKind.NOBODY_TOLD: "A transfer has ended and the mail that says so was never tried.",
        ViolationKind.TIED: "Something in an environment depends on another customer's environment.",
        ViolationKind.DEFINITIONS_UNGUARDED: "No event trigger keeps the definitions of frozen environments.",
        ViolationKind.UNEQUAL: "A finished clone is not equal to its source.",
    }
)

_HEAL = "Run `sb-transfer reconcile --fix`: "
REMEDY: Mapping[ViolationKind, str] = MappingProxyType(
    {
        ViolationKind.TWO_WRITABLE: "Keep people out of the old environment at once and have a database administrator "
        "compare both (`sb-transfer compare OLD NEW`); then shut the old one with control.raise_fence.",
        ViolationKind.NONE_WRITABLE: "Have a database administrator look at the new environment's row and schema; "
        "a backup may be needed.",
        ViolationKind.WRITABLE_UNASKED: _HEAL + "it fences an old environment that was released. In a transfer that is "
        "under way: cancel it (`sb-transfer cancel T`) and start it again.",
        ViolationKind.NOT_FROZEN: "Cancel the transfer (`sb-transfer cancel T`) and start it again.",
        ViolationKind.ACTIVE_BUT_FENCED: _HEAL + "it lifts a freeze that was broken off between two databases. "
        "Otherwise have a database administrator find who raised the fence; "
        "control.lift_fence opens the schema.",
        ViolationKind.SHUT_OUT: "Grant the application its way in: GRANT USAGE ON SCHEMA … TO sb_app.",
        ViolationKind.BOOKS_MISSING: "Restore the schema from a backup.",
        ViolationKind.STRANDED: _HEAL + "a transfer before its release is undone completely.",
        ViolationKind.WORKFLOW_AHEAD: _HEAL + "it cancels the workflow, which then undoes whatever the database still "
        "holds of it.",
        ViolationKind.WORKFLOW_BEHIND: _HEAL + "it ends the workflow, and finishes what is left to do.",
        ViolationKind.WORKFLOW_STUCK: "If it began with a new version of the workers, take that version back first "
        "(docs/deploys.md). Otherwise run `sb-transfer reconcile --fix`: it ends the workflow, and undoes its "
        "transfer, or finishes one that was released.",
        ViolationKind.WORKFLOW_UNATTENDED: "Start a worker, of the version that it waits for when workers are "
        "versioned (docs/deploys.md).",
        ViolationKind.FOREIGN_WORKFLOW: _HEAL + "it ends what runs there.",
        ViolationKind.KEY_MISSING: "Add the key that its page names to SB_TRANSFER_PAYLOAD_KEYS of every worker. One "
        "that nobody knows was used by somebody who should not reach Temporal.",
        ViolationKind.TWO_MOVES: "Cancel all transfers of this environment but one (`sb-transfer cancel T`).",
        ViolationKind.FROZEN_FOR_NOTHING: _HEAL + "it lifts the freeze of an undone transfer. Otherwise find out who "
        "made it read-only.",
        ViolationKind.RESERVED_FOR_NOTHING: _HEAL + "it lets go what an undone transfer reserved. Otherwise have a "
        "database administrator look whether its schema holds anything that is needed.",
        ViolationKind.RESERVATION_LOST: "Cancel the transfer (`sb-transfer cancel T`) and start it again.",
        ViolationKind.ORPHAN_SCHEMA: _HEAL + "it drops a schema that a clone left; any other is yours to judge.",
        ViolationKind.TICKET_LOST: "Cancel the transfer (`sb-transfer cancel T`) and start it again.",
        ViolationKind.TICKET_LEFT: _HEAL + "it revokes the ticket.",
        ViolationKind.FENCE_REMAINS: _HEAL + "it drops them; a report that reads for hours may be in the way.",
        ViolationKind.FLAGS_LEFT: _HEAL + "it makes them writable again.",
        # Not healed: a database administrator may have taken them on purpose since.
        ViolationKind.GRANTS_WITHHELD: "If nobody took them on purpose, give them back: "
        "select control.give_sequence_grants(schema_name, sequence_grants) from control.fence ….",
        ViolationKind.GRANT_TOO_EARLY: _HEAL + "it takes the right to enter away until the environment is opened.",
        ViolationKind.FORWARDING_UNATTENDED: _HEAL + "it starts the mailbox workflow again with the time that is left.",
        ViolationKind.RETIREMENT_UNATTENDED: _HEAL + "it starts its workflow again, which waits for the time that was "
        "told; `sb-transfer retire ENV --call-back` then keeps the environment.",
        ViolationKind.ROUTE_ASTRAY: "Route the address to where its customer works now, or close it "
        "(control.mailbox_route).",
        ViolationKind.HELD_LOST: "Somebody changed control.held_item by hand: take the item from a backup, or ask "
        "its sender to send it again.",
        ViolationKind.HELD_TWICE: "Look for it in its environment's mailbox or scanbox; if it is there, delete it from "
        "control.held_item.",
        ViolationKind.HELD_LEFT: "Look at control.held_item.problem and mend the environment's mailbox_message or "
        "scanbox_document, or start a worker: it is tried again every ten minutes.",
        ViolationKind.STORY_INCOMPLETE: "Look in the workflow's history for what happened; somebody changed the "
        "database past this service, or removed events.",
        ViolationKind.NOBODY_TOLD: _HEAL + "it sends the mail.",
        ViolationKind.TIED: "Have a database administrator make it anew with what its own environment has.",
        ViolationKind.DEFINITIONS_UNGUARDED: "Have a superuser run adapters/postgres/superuser.sql in that cell.",
        ViolationKind.UNEQUAL: "Do not release it. Reject the transfer (`sb-transfer reject T`) and start it again.",
    }
)


class Violation(Observation):
    """One thing that is wrong, and what to do about it."""

    kind: ViolationKind
    subject: str
    """`environment`, `transfer`, `workflow` or `inbox` and its id, `schema`, `route` or `cell` and its name."""
    what: str
    remedy: str
    run_id: str = ""
    """Which run of a workflow it is about; empty when it is about none."""
