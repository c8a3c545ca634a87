"""Licences, environments and transfers in memory, and a clock: what happens by itself happens when it is looked at.

Long, for the rules of a move hold together, and a program that is tested meets all of them.
"""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from email import message_from_bytes
from typing import Any
from uuid import UUID, uuid4

from sb_transfer_client import errors as e
from sb_transfer_client.models import Language, LicenceKind, Scenario, StepName, StepState, TransferState, UndoReason
from sb_transfer_client.testing._rules import (
    AFTERWARDS,
    CLOSES,
    EIGHT,
    FIVE,
    MOMENTS,
    ZONE,
    Caller,
    Refusal,
    checked_contact,
    checked_email,
    checked_host,
    checked_name,
    checked_url_part,
    opening_after,
    refusal,
    scenario_of,
)

S = TransferState
_TICKET_TTL = timedelta(days=30)
_COUNTED = ("planned", "begun", "ready", "postponed", "failed")
_FURTHEST_EVENING = timedelta(days=92)
_FORWARDED = timedelta(days=30)
_RETIREMENT_WAIT = timedelta(days=14)
# By state: the step that is at work, or whose turn it is.
_AT = {
    S.PREPARING: StepName.FREEZE,
    S.AWAITING_UPLOAD: StepName.AWAIT_UPLOAD,
    S.SCHEDULED: StepName.WAIT_FOR_EVENING,
    S.CLONING: StepName.CLONE,
    S.AWAITING_RELEASE: StepName.AWAIT_RELEASE,
}


class Clock:
    """The time of a fake service: it stands still until it is turned."""

    def __init__(self, now: datetime | None = None) -> None:
        self.now = (now or datetime(2026, 11, 30, 12, tzinfo=ZONE)).astimezone(UTC)

    def advance(self, by: timedelta) -> None:
        """Turn the clock on."""
        self.now += by

    def turn_to(self, wall: str) -> None:
        """Turn the clock to the next moment at which it is so late in Amsterdam, such as `22:00`."""
        here = self.now.astimezone(ZONE)
        then = datetime.combine(here.date(), time.fromisoformat(wall), ZONE)
        self.now = (then if then > here else then + timedelta(days=1)).astimezone(UTC)


@dataclass(slots=True)
class Licence:
    """Who may have environments."""

    number: str
    holder: str
    kind: LicenceKind
    host: str
    contact_email: str = ""
    language: str = "nl"
    cancelled_at: datetime | None = None


@dataclass(slots=True)
class Environment:
    """What can be moved."""

    environment_id: UUID
    licence: str
    name: str
    url: str
    status: str = "active"
    login_email: str | None = None
    address: str | None = None

    @property
    def mailbox_address(self) -> str:
        """Return where its mail goes: it follows the url, unless it was registered with another."""
        if self.address:
            return self.address
        host, _, rest = self.url.removeprefix("https://").partition(".")
        domain, _, part = rest.partition("/")
        return f"{part}@{host}.mailbox.{domain}"


@dataclass(slots=True)
class Transfer:
    """One move."""

    transfer_id: UUID
    old: Environment
    for_licence: str | None
    created_at: datetime
    state: TransferState = S.PREPARING
    scenario: Scenario | None = None
    new: Environment | None = None
    ticket: bytes | None = None
    ticket_made_at: datetime | None = None
    ticket_issued_at: datetime | None = None
    uploaded_at: datetime | None = None
    starts_at: datetime | None = None
    undo_reason: UndoReason | None = None
    undo_detail: str | None = None
    ended_at: datetime | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    ticks: dict[str, tuple[str, datetime]] = field(default_factory=dict)

    @property
    def released(self) -> bool:
        """Tell whether the new environment is the one that is worked in."""
        return self.state is S.RELEASED

    @property
    def new_licence(self) -> str | None:
        """Return the number of the licence that takes the environment over, from the upload on."""
        return self.new.licence if self.new else None

    @property
    def expires_at(self) -> datetime | None:
        """Return until when the ticket is good."""
        return self.ticket_issued_at + _TICKET_TTL if self.ticket_issued_at else None


class World:
    """Everything there is."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.licences: dict[str, Licence] = {}
        self.environments: dict[UUID, Environment] = {}
        self.transfers: dict[UUID, Transfer] = {}
        self.log: list[tuple[Transfer, dict[str, Any]]] = []
        self._events = 0
        self._items: set[tuple[UUID, str]] = set()
        self._held: dict[UUID, list[dict[str, Any]]] = {}
        self._retiring: dict[UUID, datetime] = {}

    def turn(self) -> None:
        """Let everything go one step on that goes on by itself."""
        for environment_id, due_at in list(self._retiring.items()):
            if due_at <= self.clock.now:
                self.environments[environment_id].status = "retired"
                del self._retiring[environment_id]
        for transfer in self.transfers.values():
            match transfer.state:
                case S.PREPARING:
                    transfer.state, transfer.ticket_issued_at = S.AWAITING_UPLOAD, self.clock.now
                    self.tell(transfer, "ticket_issued")
                case S.AWAITING_UPLOAD if transfer.expires_at and transfer.expires_at <= self.clock.now:
                    self.undo(transfer, UndoReason.EXPIRED, "unknown", "")
                case S.SCHEDULED if transfer.starts_at and transfer.starts_at <= self.clock.now:
                    transfer.state = S.CLONING
                    self.tell(transfer, "clone_started")
                case S.CLONING if transfer.new:
                    transfer.state, transfer.new.status = S.AWAITING_RELEASE, "awaiting_release"
                    self.tell(transfer, "certificate_issued")
                case S.UNDOING:
                    self._undone(transfer)

    def tell(
        self,
        transfer: Transfer,
        kind: str,
        actor: str = "",
        reason: str = "",
        detail: dict[str, Any] | None = None,
    ) -> None:
        """Write a line into a transfer's log."""
        self._events += 1
        event = {
            "event_id": self._events,
            "at": self.clock.now,
            "actor": actor,
            "kind": kind,
            "reason": reason,
            "detail": detail or {},
        }
        transfer.events.append(event)
        self.log.append((transfer, event))

    def register_licence(self, number: str, body: dict[str, Any]) -> tuple[Licence, bool]:
        """Register a licence; return it, and whether it is new."""
        words = {name: str(body[name]) for name in ("holder_name", "kind", "host", "contact_email")}
        language, host = str(body.get("language", "nl")), words["host"]
        known = self.licences.get(number)
        checked_host(host)
        checked_contact(words["contact_email"])
        if words["kind"] not in list(LicenceKind) or language not in list(Language) or not words["holder_name"].strip():
            raise refusal(e.RequestInvalid, ("body", "is no licence"))
        if known and (known.kind, known.host) != (words["kind"], host):
            raise refusal(e.LicenceDiffers)
        if any(one.host == host and one is not known for one in self.licences.values()):
            raise refusal(e.HostTaken)
        if not isinstance(cancelled := body.get("cancelled"), bool | None):
            raise refusal(e.RequestInvalid, ("body.cancelled", "is no boolean"))
        if cancelled and self.is_in_use(number):
            raise refusal(e.LicenceInUse)
        kind, holder = LicenceKind(words["kind"]), " ".join(words["holder_name"].split())
        made = Licence(number, holder, kind, host, words["contact_email"], language)
        made.cancelled_at = known.cancelled_at if known else None
        self.licences[number] = made
        if cancelled is not None:
            self._cancel(made, cancelled=cancelled)
        return made, known is None

    def _cancel(self, licence: Licence, *, cancelled: bool) -> None:
        left = [one for one in self.transfers.values() if one.old.licence == licence.number and one.released]
        if cancelled and not licence.cancelled_at and left:
            self.tell(left[-1], "licence_cancelled", "the platform")
        licence.cancelled_at = (licence.cancelled_at or self.clock.now) if cancelled else None

    def register(self, which: UUID, body: dict[str, Any]) -> tuple[Environment, bool]:
        """Register an environment, whose books are taken to be there; return it, and whether it is new."""
        name = checked_name(str(body["name"]))
        login, number = body.get("login_email"), str(body["licence"]).strip()
        self._require_licence(number)
        known = self.environments.get(which)
        part = known.url.rpartition("/")[2] if known else ""
        url_part = body.get("url_part")
        part = part if known and not url_part else checked_url_part(url_part, name)
        if login:
            checked_email(login)
        url = f"https://{self.licences[number].host}.sb.example/{part}"
        wanted = Environment(which, number, name, url, login_email=login, address=body.get("mailbox_address"))
        if known is None:
            if taken := self._taken(number, name, url):
                raise refusal(taken)
            if any(one.mailbox_address == wanted.mailbox_address for one in self.environments.values()):
                raise refusal(e.AddressTaken)
            self.environments[which] = wanted
            return wanted, True
        wanted.address = wanted.address or known.address
        if (known.licence, known.url, known.mailbox_address) != (number, url, wanted.mailbox_address):
            raise refusal(e.EnvironmentDiffers)
        if (known.name, known.login_email) != (name, login):
            if known.status != "active":
                raise refusal(e.EnvironmentNotActive)
            if any(
                one is not known and (one.licence, one.name.lower()) == (number, name.lower()) and one.status != "gone"
                for one in self.environments.values()
            ):
                raise refusal(e.NameTaken)
            known.name, known.login_email = name, login
        return known, False

    def retire(self, environment: Environment) -> tuple[Transfer, datetime]:
        """Plan the end of an old environment."""
        moved = next((one for one in self.transfers.values() if one.old is environment and one.released), None)
        if environment.status == "retired":
            raise refusal(e.AlreadyRetired)
        if moved is None or moved.ended_at is None:
            raise refusal(e.NotMovedAway)
        if any(one.old is moved.new and not one.state.is_final for one in self.transfers.values()):
            raise refusal(e.StillInTransfer)
        if moved.ended_at + _FORWARDED > self.clock.now:
            raise refusal(e.StillForwarded)
        due_at = self._retiring.setdefault(environment.environment_id, self.clock.now + _RETIREMENT_WAIT)
        return moved, due_at

    def retirement_of(self, environment: Environment) -> tuple[str, datetime | None]:
        """Return how far the end of an environment is, and when it is due."""
        due_at = self._retiring.get(environment.environment_id)
        if environment.status == "retired":
            return "removed", due_at
        return ("planned" if due_at else "none"), due_at

    def call_back(self, environment: Environment) -> None:
        """Keep it."""
        if self._retiring.pop(environment.environment_id, None) is None:
            raise refusal(e.WrongMoment)

    def is_in_use(self, licence: str) -> bool:
        """Tell whether an environment of a licence is worked in, or is coming."""
        left = {one.old.environment_id for one in self.transfers.values() if one.released}
        there = [one for one in self.environments.values() if one.licence == licence and one.status != "gone"]
        return any(one.environment_id not in left for one in there)

    def held_for(self, transfer: Transfer) -> list[dict[str, Any]]:
        """Return what waits for the end of a transfer."""
        return [] if transfer.state.is_final else self._held.get(self._inbox_of(transfer.old), [])

    def held_anywhere(self) -> list[dict[str, Any]]:
        """Return what waits for the end of any transfer, and whom it is for."""
        found = []
        for environment in self.environments.values():
            moves = [one for one in self.transfers.values() if environment in (one.old, one.new)]
            for transfer in moves[-1:]:
                if transfer.old is environment:
                    whose = {"environment_id": environment.environment_id, "environment_name": environment.name}
                    whose |= {"licence_number": environment.licence, "transfer_id": transfer.transfer_id}
                    found += [one | whose for one in self.held_for(transfer)]
        return sorted(found, key=lambda one: int(one["item_id"]))

    def _inbox_of(self, environment: Environment) -> UUID:
        while came := next((one for one in self.transfers.values() if one.new is environment and one.released), None):
            environment = came.old
        return environment.environment_id

    def deliver(self, body: dict[str, Any], key: str) -> str:
        """Take in a mail or a scan, and tell what becomes of it."""
        address = str(body["address"])
        first = next((one for one in self.environments.values() if one.mailbox_address == address.lower()), None)
        if first is None or first.status in ("building", "awaiting_release", "gone"):
            return "unknown"
        target = first
        while moved := next((one for one in self.transfers.values() if one.old is target and one.released), None):
            if target is first and moved.ended_at is not None and moved.ended_at + _FORWARDED <= self.clock.now:
                return "closed"
            target = moved.new or target
        inbox = self._inbox_of(target)
        if (inbox, key) in self._items:
            return "duplicate"
        self._items.add((inbox, key))
        if target.status == "active":
            return "delivered"
        raw = b64decode(str(body.get("raw") or body.get("content") or ""))
        head: Mapping[str, Any] = dict(message_from_bytes(raw).items()) if "raw" in body else {}
        head = {name.lower(): value for name, value in head.items()}
        item = {"item_id": len(self._items), "kind": "mail" if "raw" in body else "scan", "address": address}
        item |= {"sender": str(head.get("from", "")), "subject": str(head.get("subject", body.get("name", "")))}
        item |= {"received_at": body["received_at"], "bytes": len(raw), "set_aside": False}
        self._held.setdefault(inbox, []).append(item)
        return "held"

    def start(self, environment: Environment, for_licence: str | None, caller: Caller) -> Transfer:
        """Freeze an environment."""
        live = [one for one in self.transfers.values() if one.old is environment and not one.state.is_final]
        if live:
            raise refusal(e.AlreadyInTransfer)
        if environment.status != "active":
            raise refusal(e.EnvironmentNotActive)
        if for_licence:
            self._scenario(environment, for_licence)
        transfer = Transfer(uuid4(), environment, for_licence, self.clock.now)
        self.transfers[transfer.transfer_id] = transfer
        environment.status = "read_only"
        self.tell(transfer, "environment_frozen", caller.actor, detail={"tables": 16, "administrations": 1})
        return transfer

    def require_movable(self, environment: Environment, licence: str, name: str) -> None:
        """Refuse what a move to a licence under a name would be refused for."""
        if any(one.old is environment and not one.state.is_final for one in self.transfers.values()):
            raise refusal(e.AlreadyInTransfer)
        if environment.status != "active":
            raise refusal(e.EnvironmentNotActive)
        self._scenario(environment, licence)
        clean, _, _, wrong = self.would_be(name, "", licence)
        if wrong or not clean:
            raise refusal(wrong[0] if wrong else e.NameInvalid)

    def make_ticket(self, transfer: Transfer, caller: Caller) -> bytes:
        """Make the only file that is good."""
        self._require_ticket(transfer)
        transfer.ticket, transfer.ticket_made_at = f"{transfer.transfer_id} {uuid4()}".encode(), self.clock.now
        self.tell(transfer, "ticket_downloaded", caller.actor)
        return transfer.ticket

    def _require_ticket(self, transfer: Transfer) -> None:
        if transfer.undo_reason is not None:
            raise refusal(e.TicketRevoked)
        if transfer.ticket_issued_at is None:
            raise refusal(e.WrongMoment)
        if transfer.uploaded_at is not None:
            raise refusal(e.TicketUsed)

    def of_ticket(self, ticket: bytes) -> Transfer:
        """Return the transfer that a file is for."""
        try:
            transfer = self.transfers[UUID(ticket.split()[0].decode())]
        except (IndexError, KeyError, ValueError):
            raise refusal(e.TicketNotGenuine) from None
        return transfer

    def upload(self, ticket: bytes, licence: str, name: str, url_part: str | None, email: str | None) -> Transfer:
        """Reserve a name and a url under a licence, and plan the move."""
        transfer, scenario = self.look(ticket, licence)
        name = checked_name(name)
        part = checked_url_part(url_part, name)
        if scenario is Scenario.INSOURCE and not (email or "").strip():
            raise refusal(e.LoginEmailMissing)
        if email and email.strip():
            checked_email(email)
        url = f"https://{self.licences[licence].host}.sb.example/{part}"
        if taken := self._taken(licence, name, url):
            raise refusal(taken)
        transfer.new = Environment(uuid4(), licence, name, url, "building")
        self.environments[transfer.new.environment_id] = transfer.new
        transfer.scenario, transfer.uploaded_at = scenario, self.clock.now
        transfer.starts_at, transfer.state = opening_after(self.clock.now), S.SCHEDULED
        return transfer

    def correct(self, transfer: Transfer, wanted: dict[str, str], caller: Caller, reason: str) -> None:
        """Give what is reserved another name, url part or login e-mail."""
        new = transfer.new
        if new is None:
            raise refusal(e.WrongMoment)
        name = checked_name(wanted.get("name", new.name))
        part = new.url.rpartition("/")[2]
        if "url_part" in wanted:
            part = checked_url_part(wanted["url_part"], name)
        if transfer.scenario is Scenario.INSOURCE and "login_email" in wanted:
            if not wanted["login_email"].strip():
                raise refusal(e.LoginEmailMissing)
            checked_email(wanted["login_email"])
        url = f"https://{self.licences[new.licence].host}.sb.example/{part}"
        if taken := self._taken(new.licence, name, url, but=new):
            raise refusal(taken)
        new.name, new.url = name, url
        self.tell(transfer, "upload_corrected", caller.actor, reason)

    def look(self, ticket: bytes, licence: str) -> tuple[Transfer, Scenario]:
        """Return the transfer that a ticket is for, and what kind of move it would be under a licence."""
        transfer = self.of_ticket(ticket)
        if transfer.undo_reason is not None:
            raise refusal(e.TicketExpired if transfer.undo_reason is UndoReason.EXPIRED else e.TicketRevoked)
        if transfer.uploaded_at is not None:
            raise refusal(e.TicketUsed)
        if transfer.ticket != ticket:
            raise refusal(e.TicketRevoked)
        if transfer.for_licence not in (None, licence):
            raise refusal(e.TicketForAnotherLicence)
        return transfer, self._scenario(transfer.old, licence)

    def _taken(
        self, licence: str, name: str, url: str, *, but: Environment | None = None
    ) -> type[e.UploadRefused] | None:
        there = [one for one in self.environments.values() if one.status != "gone" and one is not but]
        if any(one.licence == licence and one.name.lower() == name.lower() for one in there):
            return e.NameTaken
        return e.UrlTaken if any(one.url == url for one in there) else None

    def would_be(
        self, name: str, url_part: str, licence: str
    ) -> tuple[str, str, str | None, list[type[e.UploadRefused]]]:
        """Return what a name and a url part would become, the url, and what is wrong with them."""
        wrong: list[type[e.Problem]] = []
        clean = part = ""
        try:
            clean = checked_name(name)
        except Refusal as refused:
            wrong.append(refused.kind)
        try:
            part = checked_url_part(url_part, clean)
        except Refusal as refused:
            wrong += [refused.kind] if clean or url_part.strip() else []
        url = f"https://{self.licences[licence].host}.sb.example/{part}" if part else None
        if taken := self._taken(licence, clean, url or ""):
            wrong.append(taken)
        return clean, part, url, [kind for kind in wrong if issubclass(kind, e.UploadRefused)]

    def checklist(self, transfer: Transfer) -> list[dict[str, Any]]:
        """Return the points of a transfer's check lists, and who has ticked them."""
        before = EIGHT if transfer.scenario is Scenario.INSOURCE else FIVE
        points = [(item, "before_release") for item in before] + [(item, "after_release") for item in AFTERWARDS]
        found = []
        for item, phase in points:
            by, at = transfer.ticks.get(item, (None, None))
            found.append({"item": item, "phase": phase, "ticked_by": by, "ticked_at": at})
        return found

    def tick(self, transfer: Transfer, item: str, caller: Caller, *, done: bool) -> None:
        """Tick a point, or clear it."""
        point = next((one for one in self.checklist(transfer) if one["item"] == item), None)
        if point is None or (point["phase"] == "after_release" and transfer.state is not S.RELEASED):
            raise refusal(e.WrongMoment)
        transfer.ticks.pop(item, None)
        if done:
            transfer.ticks[item] = caller.actor, self.clock.now
        self.tell(transfer, "check_ticked" if done else "check_cleared", caller.actor, detail={"item": item})

    def _require_licence(self, number: str) -> None:
        if number not in self.licences:
            raise refusal(e.LicenceUnknown)
        if self.licences[number].cancelled_at:
            raise refusal(e.LicenceCancelled)

    def _scenario(self, old: Environment, licence: str) -> Scenario:
        self._require_licence(licence)
        of = {number: (number, self.licences[number].kind) for number in (old.licence, licence)}
        return scenario_of(of[old.licence], of[licence])

    def require_moment(self, transfer: Transfer, action: str) -> None:
        """Refuse what a state says cannot be done."""
        if transfer.state in MOMENTS.get(action, frozenset(S)):
            return
        raise refusal(
            e.AlreadyReleased if transfer.state is S.RELEASED and action in ("cancel", "reject") else e.WrongMoment
        )

    def start_now(self, transfer: Transfer, caller: Caller) -> None:
        """Do not wait for the evening."""
        transfer.state = S.CLONING
        self.tell(transfer, "start_now", caller.actor)

    def reschedule(self, transfer: Transfer, evening: date, caller: Caller, reason: str) -> tuple[datetime, datetime]:
        """Choose another evening; return when it begins and must be over."""
        starts_at = opening_after(datetime.combine(evening, time(12), ZONE).astimezone(UTC))
        if not self.clock.now < starts_at <= self.clock.now + _FURTHEST_EVENING:
            raise refusal(e.EveningInvalid)
        transfer.starts_at = starts_at
        self.tell(transfer, "start_rescheduled", caller.actor, reason)
        return starts_at, datetime.combine(evening + timedelta(days=1), CLOSES, ZONE).astimezone(UTC)

    def evening(self, evening: date) -> dict[str, Any]:
        """Return how far an evening is; it takes no time here, so that nothing is expected."""
        opens_at = opening_after(datetime.combine(evening, time(12), ZONE).astimezone(UTC))
        closes_at = datetime.combine(evening + timedelta(days=1), CLOSES, ZONE).astimezone(UTC)
        by_licence: dict[str, dict[str, Any]] = {}
        for transfer in self.transfers.values():
            licence = self.licences.get(transfer.new_licence or "")
            if transfer.starts_at != opens_at or licence is None or transfer.state in (S.UNDOING, S.UNDONE):
                continue
            nobody = {"holder_name": licence.holder, **dict.fromkeys(_COUNTED, 0)}
            counts = by_licence.setdefault(transfer.new_licence or "", nobody)
            counts["planned"] += 1
            counts["begun"] += transfer.state is not S.SCHEDULED
            counts["ready"] += transfer.state in (S.AWAITING_RELEASE, S.RELEASED)
        totals = {name: sum(counts[name] for counts in by_licence.values()) for name in _COUNTED}
        moments = {"evening": evening, "opens_at": opens_at, "closes_at": closes_at, "expected_end": None}
        return {**moments, **totals, "by_licence": by_licence, "put_off": [], "undone": [], "left_out": 0}

    def release(self, transfer: Transfer, caller: Caller, note: str) -> None:
        """Open the new environment for good."""
        transfer.state, transfer.ended_at = S.RELEASED, self.clock.now
        if transfer.new:
            transfer.new.status = "active"
        self.tell(transfer, "environment_released", caller.actor, note)
        if transfer.scenario is Scenario.OUTSOURCE and not self.is_in_use(transfer.old.licence):
            self.tell(transfer, "licence_left")

    def undo(self, transfer: Transfer, why: UndoReason, actor: str, reason: str) -> None:
        """Begin to undo."""
        transfer.state, transfer.undo_reason, transfer.undo_detail = S.UNDOING, why, reason
        self.tell(transfer, "undo_begun", actor, reason)

    def _undone(self, transfer: Transfer) -> None:
        transfer.state, transfer.old.status, transfer.ended_at = S.UNDONE, "active", self.clock.now
        if transfer.new:
            transfer.new.status = "gone"
        self.tell(transfer, "undo_finished")

    def steps(self, transfer: Transfer) -> list[dict[str, Any]]:
        """Return where each step stands, as coarsely as this world knows it."""
        names = list(StepName)
        at = names.index(_AT[transfer.state]) if transfer.state in _AT else len(names)
        undo = {S.UNDOING: StepState.UNDOING, S.UNDONE: StepState.UNDONE}.get(transfer.state)
        found = []
        for place, name in enumerate(names):
            state = undo or (StepState.DONE if place < at else StepState.RUNNING if place == at else StepState.PENDING)
            begun = transfer.created_at if state is not StepState.PENDING else None
            ended = self.clock.now if state in (StepState.DONE, StepState.UNDONE) else None
            found.append({"step": name, "state": state, "started_at": begun, "finished_at": ended and begun})
        return found
