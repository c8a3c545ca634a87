"""Who may do what, who sees what, and what an upload must be: the service's rules, as its contract tests know them."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sb_transfer_client import errors as e
from sb_transfer_client.models import LicenceKind, Scenario, TransferState

S = TransferState
ZONE = ZoneInfo("Europe/Amsterdam")
OPENS, CLOSES = time(22), time(5)
_OLD = frozenset({"preview", "prepare", "ticket", "see", "see_held", "cancel", "retire"})
_NEW = frozenset(
    {
        *("upload", "look", "correct", "reschedule", "see", "see_held"),
        *("compare", "certificate", "tick", "release", "reject"),
    }
)
_OF_A_LICENCE = frozenset({"see_webhooks", "change_webhooks"})
_PORTFOLIOS = frozenset({"see_portfolio", "move_portfolio"})
_EVERYWHERE = {
    "backend": _OLD | _NEW | _OF_A_LICENCE | {"audit", "resend_mail", "deliver", "register"} | _PORTFOLIOS,
    "support": _OLD | _NEW | {"audit", "resend_mail", "incident", "start_now", "hurry", "see_webhooks"} | _PORTFOLIOS,
    "operator": _OF_A_LICENCE
    | {"see_portfolio", "see", "see_held", "audit", "compare", "certificate"}
    | {"start_now", "hurry", "reschedule", "resend_mail"},
    "firm": frozenset[str](),
}
_READING = frozenset(
    {"preview", "look", "see", "see_held", "audit", "compare", "certificate", "see_webhooks", "see_portfolio"}
)
_OPENED = frozenset({S.AWAITING_RELEASE, S.RELEASED})
_LIVE = frozenset(S) - {S.RELEASED, S.UNDOING, S.UNDONE}
MOMENTS = {
    "start_now": frozenset({S.SCHEDULED}),
    "hurry": frozenset({S.SCHEDULED, S.CLONING}),
    "reschedule": frozenset({S.SCHEDULED}),
    "correct": frozenset({S.SCHEDULED}),
    "tick": _OPENED,
    "release": frozenset({S.AWAITING_RELEASE}),
    "reject": frozenset({S.AWAITING_RELEASE}),
    "cancel": _LIVE,
}
_PARTS = {
    "old": frozenset({"old", "new_holder", "ticket", "held"}),
    "new": frozenset({"new", "new_holder", "scenario", "comparison", "held"}),
}
FIVE = ("bank_and_cash_accounts", "bank_connections", "bank_transactions", "trial_balance", "invoices_to_send")
EIGHT = (
    *("bank_balance", "trial_balance", "relations", "sales_products"),
    *("open_items_debtor", "open_items_creditor", "vat_returns", "fixed_assets"),
)
AFTERWARDS = (
    *("becon_number", "tax_contact_kind", "invite_users", "reactivate_banks"),
    *("reactivate_apps", "relink_mobile", "mailbox_address", "bookmarks"),
)
_RESERVED = """
account admin afas api app apps assets auth beheer billing blog cdn dashboard demo dev docs download email ftp health
help imap incident info login logout mail mailbox mx ns ns1 ns2 oauth pop portal postmaster public root sb scanbox
security sftp smtp sso static status support system test ticket transfer upload webmail www
"""
_LONGEST_NAME = 100
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_EMAIL = re.compile(r"[^@\s]{1,64}@([a-z0-9-]+\.)+[a-z]{2,63}", re.IGNORECASE)


class Role(StrEnum):
    """What a caller is to the platform."""

    BACKEND = "backend"
    SUPPORT = "support"
    OPERATOR = "operator"
    FIRM = "firm"


@dataclass(frozen=True, slots=True)
class Caller:
    """In whose name a request comes."""

    roles: frozenset[str]
    licence: str | None
    name: str

    @property
    def subject(self) -> str:
        """Return whose keys of idempotency these are."""
        return f"{sorted(self.roles)} {self.licence} {self.name}"

    @property
    def actor(self) -> str:
        """Return how the log names the caller."""
        return f"{self.name} ({self.licence or ', '.join(sorted(self.roles))})"

    @property
    def is_bound(self) -> bool:
        """Tell whether the caller speaks for one licence only."""
        return not self.roles - {"firm"}

    def may_everywhere(self, action: str) -> bool:
        """Tell whether a role of the caller's may do this with any transfer."""
        return any(action in _EVERYWHERE[role] for role in self.roles)

    def require(self, action: str) -> None:
        """Raise `NotAllowed` when there is no transfer with which the caller may do this."""
        if not self.may_everywhere(action) and (self._own is None or action not in _OLD | _NEW | _OF_A_LICENCE):
            raise refusal(e.NotAllowed)

    def may_for_licence(self, action: str, licence: str | None) -> bool:
        """Tell whether this is the caller's to do with what belongs to a licence, or to the platform."""
        return self.may_everywhere(action) or (self._own is not None and licence == self._own)

    def may(self, action: str, old: str | None, new: str | None) -> bool:
        """Tell whether this is the caller's to do with a transfer between these licences."""
        mine = {"old": _OLD, "new": _NEW}
        return self.may_everywhere(action) or any(action in mine[side] for side in self._sides(old, new))

    def reads_now(self, action: str, state: TransferState) -> bool:
        """Tell whether the state lets the caller read this."""
        return self.may_everywhere(action) or action not in ("compare", "certificate") or state in _OPENED

    def sees(self, part: str, state: TransferState, old: str | None, new: str | None) -> bool:
        """Tell whether a part of a transfer's description is shown to the caller."""
        if self.may_everywhere("see"):
            return True
        if part == "comparison" and state not in _OPENED:
            return False
        sides = self._sides(old, new)
        if part == "held":
            lost = {"old": state is S.RELEASED, "new": state not in _OPENED}
            sides = [side for side in sides if not lost[side]]
        return any(part in _PARTS[side] for side in sides)

    def require_reason(self, action: str, reason: str) -> None:
        """Raise `ReasonMissing` when support does not say why."""
        if self.must_say_why(action) and not reason.strip():
            raise refusal(e.ReasonMissing)

    def must_say_why(self, action: str) -> bool:
        """Tell whether the caller acts on somebody else's books."""
        return "support" in self.roles and "backend" not in self.roles and action not in _READING

    def _sides(self, old: str | None, new: str | None) -> list[str]:
        return [side for side, licence in (("old", old), ("new", new)) if self._own and self._own == licence]

    @property
    def _own(self) -> str | None:
        return self.licence if "firm" in self.roles else None


class Refusal(Exception):
    """A problem on its way to its answer."""

    def __init__(self, kind: type[e.Problem], fields: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(kind.default_english())
        self.kind = kind
        self.fields = fields


def refusal(kind: type[e.Problem], *fields: tuple[str, str]) -> Refusal:
    """Return a refusal; `fields` says which parts of the request are wrong."""
    return Refusal(kind, fields)


def scenario_of(old: tuple[str, LicenceKind], new: tuple[str, LicenceKind]) -> Scenario:
    """Return what kind of move this is, by number and kind of both licences."""
    if old[0] == new[0]:
        raise refusal(e.SameLicence)
    match old[1], new[1]:
        case LicenceKind.FIRM, LicenceKind.FIRM:
            return Scenario.SWITCH
        case LicenceKind.SELF_MANAGED, LicenceKind.FIRM:
            return Scenario.OUTSOURCE
        case LicenceKind.FIRM, LicenceKind.SELF_MANAGED:
            return Scenario.INSOURCE
    raise refusal(e.ScenarioNotOffered)


def checked_name(name: str) -> str:
    """Return a name without needless spaces."""
    cleaned = " ".join(unicodedata.normalize("NFC", name).split())
    if not cleaned or len(cleaned) > _LONGEST_NAME or any(unicodedata.category(one)[0] == "C" for one in cleaned):
        raise refusal(e.NameInvalid)
    return cleaned


def checked_url_part(url_part: str | None, name: str) -> str:
    """Return the url part that is asked for, or the name's own."""
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    own = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:63].strip("-")
    part = (url_part or "").strip().lower() or own
    if not _LABEL.fullmatch(part):
        raise refusal(e.UrlInvalid)
    if part in _RESERVED.split() or part[2:4] == "--":
        raise refusal(e.UrlReserved)
    return part


def checked_email(address: str) -> str:
    """Return an address without surrounding spaces."""
    if not _EMAIL.fullmatch(address.strip()) or ".." in address:
        raise refusal(e.LoginEmailInvalid)
    return address.strip()


def checked_contact(address: str) -> None:
    """Refuse what is no address of a licence's."""
    if not _EMAIL.fullmatch(address.strip()) or ".." in address:
        raise refusal(e.RequestInvalid, ("body.contact_email", "is no e-mail address"))


def checked_host(host: str) -> None:
    """Refuse what cannot be the first part of a url."""
    if not _LABEL.fullmatch(host):
        raise refusal(e.RequestInvalid, ("body.host", "is no label"))


def opening_after(moment: datetime) -> datetime:
    """Return when the coming evening window opens, by the clock in Amsterdam."""
    day = moment.astimezone(ZONE).date()
    evenings = (datetime.combine(day + timedelta(days=days), OPENS, ZONE).astimezone(UTC) for days in (0, 1))
    return next(evening for evening in evenings if evening > moment)
