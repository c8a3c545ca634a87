"""The fake's portfolios: many environments to one licence, looked at first and then moved, a step with each request."""

import io
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid5

from sb_transfer_client import errors as e
from sb_transfer_client.models import ItemState, TransferState, UndoReason
from sb_transfer_client.testing._rules import ZONE, Caller, Refusal, opening_after, refusal
from sb_transfer_client.testing._world import Environment, Transfer, World

S = TransferState
_REQUESTS = UUID("3c9e7f0a-2d5b-5c41-8a7e-9b0f4d6e1a35")
_FURTHEST = timedelta(days=85)


@dataclass(slots=True)
class Item:
    """One environment of a portfolio."""

    number: int
    environment: Environment
    name: str
    state: ItemState = ItemState.WAITING
    transfer: Transfer | None = None
    refused: type[e.Problem] | None = None

    @property
    def shown(self) -> str:
        """Return its state, or as long as it moves that of its transfer."""
        moves = self.transfer is not None and self.state is ItemState.MOVING
        return self.transfer.state.value if moves and self.transfer else self.state.value

    @property
    def undone(self) -> bool:
        """Tell whether it was begun and has come to nothing."""
        return self.transfer is not None and self.transfer.state is S.UNDONE


@dataclass(slots=True)
class Portfolio:
    """Many environments that move to one licence."""

    portfolio_id: UUID
    licence: str
    pattern: str
    first_evening: date | None
    per_night: int
    uploads: bool
    begun: bool
    by: Caller
    created_by: str
    created_at: datetime
    items: list[Item] = field(default_factory=list)

    def evening(self, item: Item, first: date | None) -> date | None:
        """Return the evening of an item."""
        return None if first is None else first + timedelta(days=(item.number - 1) // self.per_night)


class Portfolios:
    """The portfolios of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._all: dict[UUID, Portfolio] = {}

    def create(self, caller: Caller, key: str, body: dict[str, Any]) -> dict[str, Any]:
        """Write a portfolio down; a repetition finds it."""
        wanted, source = body.get("environments") or [], body.get("from_licence")
        pattern = str(body.get("name_pattern", "{name}"))
        if bool(wanted) == bool(source) or len(set(wanted)) != len(wanted) or "{name}" not in pattern:
            raise refusal(e.RequestInvalid, ("body", "is no portfolio"))
        if body["licence"] not in self._world.licences:
            raise refusal(e.LicenceUnknown)
        named = uuid5(_REQUESTS, f"{caller.subject} {key}")
        first = date.fromisoformat(body["first_evening"]) if body.get("first_evening") else None
        words = (str(body["licence"]), pattern, first, int(body.get("per_night", 50)))
        now, reason = self._world.clock.now, str(body.get("reason") or "")
        why = f"{caller.actor}: {reason}" if reason else caller.actor
        made = Portfolio(named, *words, bool(body.get("upload", True)), bool(body.get("begin")), caller, why, now)
        known = self._world.environments
        mine = sorted((one for one in known.values() if one.licence == source), key=lambda one: one.name.lower())
        found = [one for one in mine if one.status == "active"] if source else [known.get(UUID(one)) for one in wanted]
        there = [one for one in found if one is not None and one.status != "gone"]
        if not there or len(there) != len(found):
            raise refusal(e.EnvironmentUnknown)
        made.items = [Item(number, one, one.name) for number, one in enumerate(there, 1)]
        today = now.date()
        last = made.evening(made.items[-1], first or today)
        if last is not None and last > today + _FURTHEST:
            raise refusal(e.EveningInvalid)
        self._all.setdefault(named, made)
        return self.standing(named, 0, 200)

    def one(self, portfolio_id: UUID | None) -> Portfolio:
        """Return a portfolio."""
        found = self._all.get(portfolio_id or UUID(int=0))
        if found is None:
            raise refusal(e.PortfolioUnknown)
        return found

    def turn(self) -> None:
        """Let every portfolio go one step on."""
        for portfolio in self._all.values():
            caller = portfolio.by
            for item in portfolio.items:
                if item.state is ItemState.WAITING:
                    self._look(portfolio, item)
                elif item.state is ItemState.READY and portfolio.begun:
                    self._start(portfolio, item)
                elif item.transfer and item.transfer.state is S.AWAITING_UPLOAD and portfolio.uploads:
                    self._upload(portfolio, item, item.transfer, caller)

    def listed(self, limit: int, cursor: str) -> dict[str, Any]:
        """Return a page of portfolios, from new to old."""
        ordered = list(reversed(self._all.values()))
        names = [str(one.portfolio_id) for one in ordered]
        start = (names.index(cursor) + 1 if cursor in names else len(names)) if cursor else 0
        page = ordered[start : start + limit]
        more = start + limit < len(ordered)
        return {"items": [_head(one) for one in page], "next_cursor": page[-1].portfolio_id if more else None}

    def standing(self, portfolio_id: UUID | None, after: int, limit: int, state: str = "") -> dict[str, Any]:
        """Return where a portfolio stands."""
        portfolio = self.one(portfolio_id)
        found = [one for one in portfolio.items[after:] if state in ("", one.shown)]
        return {**_head(portfolio), "items": [_line(portfolio, item) for item in found[:limit]]}

    def begin(self, portfolio: Portfolio) -> None:
        """Move what can be moved."""
        portfolio.begun = True

    def release(self, portfolio: Portfolio, caller: Caller) -> None:
        """Release what awaits it: a comparison is always equal here."""
        for item in portfolio.items:
            if item.transfer and item.transfer.state is S.AWAITING_RELEASE:
                self._world.release(item.transfer, caller, "")

    def retry(self, portfolio: Portfolio, number: int | None) -> None:
        """Look again at what was refused, or at one item."""
        for item in portfolio.items:
            again = item.state is ItemState.REFUSED or (number is not None and item.undone)
            if again and number in (None, item.number):
                item.state, item.transfer = ItemState.WAITING, None

    def reject(self, portfolio: Portfolio, number: int, caller: Caller, reason: str) -> None:
        """Undo the transfer of one item that awaits its release."""
        item = next((one for one in portfolio.items if one.number == number), None)
        if item is None:
            raise refusal(e.PortfolioUnknown)
        if item.transfer is None:
            raise refusal(e.WrongMoment)
        self._world.require_moment(item.transfer, "reject")
        if caller.must_say_why("reject"):
            self._world.tell(item.transfer, "support_reject", caller.actor, reason)
        self._world.undo(item.transfer, UndoReason.REJECTED, caller.actor, reason)

    def cancel(self, portfolio: Portfolio, caller: Caller) -> None:
        """Begin nothing more, and undo what is not being cloned yet."""
        for item in portfolio.items:
            if item.state is not ItemState.MOVING:
                item.state = ItemState.CANCELLED
            elif item.transfer and item.transfer.state in (S.PREPARING, S.AWAITING_UPLOAD, S.SCHEDULED):
                self._world.undo(item.transfer, UndoReason.CANCELLED, caller.actor, "the portfolio's rest")

    def tickets(self, portfolio: Portfolio, caller: Caller) -> bytes:
        """Return the tickets that are still to be uploaded."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as file:
            for item in portfolio.items:
                if not portfolio.uploads and item.transfer and item.transfer.state is S.AWAITING_UPLOAD:
                    part = item.environment.url.rpartition("/")[2]
                    ticket = self._world.make_ticket(item.transfer, caller)
                    file.writestr(f"{item.number:04}-{part}-overdracht-ticket.avr", ticket)
            if not file.namelist():
                raise refusal(e.WrongMoment)
        return packed.getvalue()

    def _start(self, portfolio: Portfolio, item: Item) -> None:
        try:
            item.transfer = self._world.start(item.environment, portfolio.licence, portfolio.by)
        except Refusal as refused:
            item.state, item.refused = ItemState.REFUSED, refused.kind
        else:
            item.state = ItemState.MOVING

    def _look(self, portfolio: Portfolio, item: Item) -> None:
        try:
            name = portfolio.pattern.replace("{name}", item.name)
            self._world.require_movable(item.environment, portfolio.licence, name)
        except Refusal as refused:
            item.state, item.refused = ItemState.REFUSED, refused.kind
        else:
            item.state, item.refused = ItemState.READY, None

    def _upload(self, portfolio: Portfolio, item: Item, transfer: Transfer, caller: Caller) -> None:
        name = portfolio.pattern.replace("{name}", item.name)
        ticket = self._world.make_ticket(transfer, caller)
        try:
            self._world.upload(ticket, portfolio.licence, name, None, item.environment.login_email)
        except Refusal as refused:
            item.state, item.refused = ItemState.REFUSED, refused.kind
            self._world.undo(transfer, UndoReason.CANCELLED, caller.actor, refused.kind.default_english())
            return
        self._world.tell(transfer, "upload_accepted", caller.actor)
        planned = transfer.starts_at.astimezone(ZONE).date() if transfer.starts_at else None
        evening = portfolio.evening(item, portfolio.first_evening or planned)
        if evening:
            transfer.starts_at = opening_after(datetime.combine(evening, time(12), ZONE).astimezone(UTC))


def _head(portfolio: Portfolio) -> dict[str, Any]:
    return {
        "portfolio_id": portfolio.portfolio_id,
        "licence_number": portfolio.licence,
        "name_pattern": portfolio.pattern,
        "first_evening": portfolio.first_evening,
        "per_night": portfolio.per_night,
        "upload": portfolio.uploads,
        "created_by": portfolio.created_by,
        "created_at": portfolio.created_at,
        "counts": dict(Counter(item.shown for item in portfolio.items)),
    }


def _line(portfolio: Portfolio, item: Item) -> dict[str, Any]:
    transfer = item.transfer
    opened = transfer is not None and transfer.state in (S.AWAITING_RELEASE, S.RELEASED)
    return {
        "number": item.number,
        "environment_id": item.environment.environment_id,
        "name": item.name,
        "state": item.state,
        "evening": portfolio.evening(item, portfolio.first_evening),
        "transfer_id": transfer and transfer.transfer_id,
        "transfer_state": transfer and transfer.state,
        "equal": True if opened else None,
        "code": item.refused and item.refused.__name__,
        "problem": item.refused and item.refused.default_english(),
    }
