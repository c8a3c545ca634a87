"""Who may do what with a transfer, and who sees what of it: the rules behind the API, without any technology.

A licence holder touches only transfers in which its licence is the old or the new side, and only its half: the old side
prepares and may cancel (manual, "Overdragen voorbereiden"), the new side uploads, compares and releases (manual,
"Overdragen afronden"). What a side sees follows the state: the new one reads nothing of the environment's contents but
while they are open to it; the old one learns who takes its customer over, and nothing else of the new side.
"""

from enum import StrEnum

from domain.messages import Message
from domain.vocabulary import EnvironmentStatus, TransferState


class Role(StrEnum):
    """What a caller is to the platform; the values of the token's `roles` claim."""

    BACKEND = "backend"
    """The platform itself, on behalf of whoever is logged in there."""

    SUPPORT = "support"
    """A person who helps customers: may do everything, and says why."""

    OPERATOR = "operator"
    """A person who keeps the service running: sees everything, moves evenings and mail, opens and undoes nothing."""

    FIRM = "firm"
    """A user of one licence, of a firm or a self-managed entrepreneur."""


class Side(StrEnum):
    """Which half of a transfer."""

    OLD = "old"
    NEW = "new"


class Action(StrEnum):
    """What can be asked of the service."""

    PREVIEW = "preview"
    PREPARE = "prepare"
    TICKET = "ticket"
    UPLOAD = "upload"
    INCIDENT = "incident"
    SEE = "see"
    AUDIT = "audit"
    COMPARE = "compare"
    CERTIFICATE = "certificate"
    TICK = "tick"
    """A point of the manual's check lists."""

    RELEASE = "release"
    REJECT = "reject"
    START_NOW = "start_now"
    HURRY = "hurry"
    """Go before all others that wait for a place."""

    RESCHEDULE = "reschedule"
    CORRECT = "correct"
    """The name, url part or login e-mail that was uploaded."""

    RESEND_MAIL = "resend_mail"
    CANCEL = "cancel"
    SEE_WEBHOOKS = "see_webhooks"
    CHANGE_WEBHOOKS = "change_webhooks"
    RETIRE = "retire"
    SEE_PORTFOLIO = "see_portfolio"
    MOVE_PORTFOLIO = "move_portfolio"
    """Many environments at once, of both halves: the platform's, and support's."""

    SEE_HELD = "see_held"
    """What came for an environment while it moved."""

    REGISTER = "register"
    """Licences and environments: the platform has them, and says so."""

    DELIVER = "deliver"
    """Hand in mail and scans: what the platform's mail server does."""

    READ_HISTORY = "read_history"
    """Of every transfer, in plain text: what the codec server does."""


_HALVES: dict[Side, frozenset[Action]] = {
    Side.OLD: frozenset(
        {
            *(Action.PREVIEW, Action.PREPARE, Action.TICKET, Action.SEE, Action.SEE_HELD),
            *(Action.CANCEL, Action.RETIRE),
        }
    ),
    # The certificate names both sides; the old one does not learn where its customer went.
    Side.NEW: frozenset(
        {
            *(Action.UPLOAD, Action.CORRECT, Action.RESCHEDULE, Action.SEE, Action.COMPARE, Action.CERTIFICATE),
            *(Action.TICK, Action.RELEASE, Action.REJECT, Action.SEE_HELD),
        }
    ),
}
_BOTH_HALVES = _HALVES[Side.OLD] | _HALVES[Side.NEW]
# With what is a licence's own, and of no transfer.
_OF_A_LICENCE = frozenset({Action.SEE_WEBHOOKS, Action.CHANGE_WEBHOOKS})
_PORTFOLIOS = frozenset({Action.SEE_PORTFOLIO, Action.MOVE_PORTFOLIO})
_EVERYWHERE: dict[Role, frozenset[Action]] = {
    # An incident is support's own work, and a start before the evening needs a person who answers for it.
    Role.BACKEND: _BOTH_HALVES
    | _OF_A_LICENCE
    | _PORTFOLIOS
    | {Action.AUDIT, Action.RESEND_MAIL, Action.DELIVER, Action.REGISTER},
    # Who is told of what is the platform's to say, and each licence's for itself.
    Role.SUPPORT: frozenset(Action) - {Action.DELIVER, Action.CHANGE_WEBHOOKS, Action.REGISTER},
    Role.OPERATOR: frozenset(
        {
            *(Action.SEE, Action.SEE_HELD, Action.AUDIT, Action.COMPARE, Action.CERTIFICATE, Action.READ_HISTORY),
            *(Action.START_NOW, Action.HURRY, Action.RESCHEDULE, Action.RESEND_MAIL),
            *_OF_A_LICENCE,
            Action.SEE_PORTFOLIO,
        }
    ),
    Role.FIRM: frozenset(),
}
_READING = frozenset(
    {
        *(Action.PREVIEW, Action.SEE, Action.AUDIT, Action.COMPARE, Action.CERTIFICATE, Action.READ_HISTORY),
        *(Action.SEE_HELD, Action.SEE_WEBHOOKS, Action.SEE_PORTFOLIO),
    }
)


OPENED = frozenset({TransferState.AWAITING_RELEASE, TransferState.RELEASED})
"""The new environment is open for its comparison, or for good; control/0008_roles.sql shows books in no other state."""

_ONLY_WHEN_OPENED = frozenset({Action.COMPARE, Action.CERTIFICATE})
# An environment under its licence is its holder's to ask about, unless it is a clone that has not been released.
_HOLDERS_OWN = frozenset(EnvironmentStatus) - {EnvironmentStatus.BUILDING, EnvironmentStatus.AWAITING_RELEASE}


# When something can be done at all: everybody else is told so without the transfer's workflow hearing of it.
_MOMENTS: dict[Action, frozenset[TransferState]] = {
    Action.START_NOW: frozenset({TransferState.SCHEDULED}),
    Action.HURRY: frozenset({TransferState.SCHEDULED, TransferState.CLONING}),
    Action.RESCHEDULE: frozenset({TransferState.SCHEDULED}),
    Action.CORRECT: frozenset({TransferState.SCHEDULED}),
    Action.TICK: OPENED,
    Action.RELEASE: frozenset({TransferState.AWAITING_RELEASE}),
    Action.REJECT: frozenset({TransferState.AWAITING_RELEASE}),
    Action.CANCEL: frozenset(
        state for state in TransferState if not state.is_final and state is not TransferState.UNDOING
    ),
}


def recorded_of_support() -> frozenset[Action]:
    """Return what support does in a transfer only with a reason, which stands in the log as `support_<action>`."""
    return _EVERYWHERE[Role.SUPPORT] - _READING


def can_be_done(action: Action, state: TransferState) -> bool:
    """Tell whether there is anything to be done in a state, whoever asks."""
    return state in _MOMENTS.get(action, frozenset(TransferState))


class Part(StrEnum):
    """What a transfer's description consists of."""

    OLD_ENVIRONMENT = "old_environment"
    NEW_ENVIRONMENT = "new_environment"
    NEW_HOLDER = "new_holder"
    """The name of whoever takes the environment over."""

    SCENARIO = "scenario"
    """Tells what kind of licence the other side's is."""

    TICKET = "ticket"
    COMPARISON = "comparison"
    HELD = "held"
    """Who sent what came meanwhile, and about what: the environment's contents."""

    INNER = "inner"
    """Mail that failed, causes, what is waited for: may name people of either side."""


_PARTS: dict[Side, frozenset[Part]] = {
    Side.OLD: frozenset({Part.OLD_ENVIRONMENT, Part.NEW_HOLDER, Part.TICKET, Part.HELD}),
    Side.NEW: frozenset({Part.NEW_ENVIRONMENT, Part.NEW_HOLDER, Part.SCENARIO, Part.COMPARISON, Part.HELD}),
}


class Caller(Message):
    """Somebody whose token was good."""

    subject: str
    name: str
    roles: frozenset[Role]
    licence_number: str | None = None
    address: str = ""
    """Where the request comes from; nothing where nobody asked."""

    @property
    def is_bound_to_licence(self) -> bool:
        """Tell whether this caller speaks for one licence only."""
        return not (self.roles - {Role.FIRM})

    def must_say_why(self, action: Action) -> bool:
        """Tell whether the caller acts on somebody else's books, so that the log needs a reason."""
        return Role.SUPPORT in self.roles and Role.BACKEND not in self.roles and action not in _READING

    def may_somewhere(self, action: Action) -> bool:
        """Tell whether there is any transfer with which the caller may do this."""
        ours = _BOTH_HALVES | _OF_A_LICENCE
        return self._may_everywhere(action) or (self._own_licence is not None and action in ours)

    def may_for_licence(self, action: Action, licence: str | None) -> bool:
        """Tell whether the caller may do this with what belongs to a licence, or to the platform when it is None."""
        own = self._own_licence is not None and licence == self._own_licence and action in _OF_A_LICENCE
        return own or self._may_everywhere(action)

    def may(self, action: Action, *, old_licence: str | None, new_licence: str | None) -> bool:
        """Tell whether it is the caller's to do this with a transfer between these licences, at some moment."""
        return self._may_everywhere(action) or any(
            action in _HALVES[side] for side in self.sides(old_licence=old_licence, new_licence=new_licence)
        )

    def may_now(self, action: Action, state: TransferState) -> bool:
        """Tell whether the state lets the caller read what it may read at some moment."""
        return self._may_everywhere(action) or action not in _ONLY_WHEN_OPENED or state in OPENED

    def may_with_environment(self, action: Action, *, licence: str, status: EnvironmentStatus) -> bool:
        """Tell whether the caller may do this with an environment as its holder."""
        return self._may_everywhere(action) or (
            status in _HOLDERS_OWN and self.may(action, old_licence=licence, new_licence=None)
        )

    def sees(self, part: Part, *, state: TransferState, old_licence: str | None, new_licence: str | None) -> bool:
        """Tell whether a part of a transfer's description is shown to the caller."""
        if self.sees_everything():
            return True
        if part is Part.COMPARISON and state not in OPENED:
            return False
        sides = self.sides(old_licence=old_licence, new_licence=new_licence)
        if part is Part.HELD:  # the old side's until the release, the new one's from when it may look on
            sides -= {Side.OLD} if state is TransferState.RELEASED else set()
            sides -= {Side.NEW} if state not in OPENED else set()
        return any(part in _PARTS[side] for side in sides)

    def sides(self, *, old_licence: str | None, new_licence: str | None) -> frozenset[Side]:
        """Return which halves of a transfer the caller's own licence is."""
        own = self._own_licence
        if own is None:
            return frozenset()
        halves = {Side.OLD: old_licence, Side.NEW: new_licence}
        return frozenset(side for side, licence in halves.items() if licence == own)

    def sees_everything(self) -> bool:
        """Tell whether both halves of every transfer are shown to the caller."""
        return self._may_everywhere(Action.SEE)

    def _may_everywhere(self, action: Action) -> bool:
        return any(action in _EVERYWHERE[role] for role in self.roles)

    @property
    def _own_licence(self) -> str | None:
        return self.licence_number if Role.FIRM in self.roles else None
