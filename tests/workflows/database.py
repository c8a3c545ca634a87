"""A model of the database in memory: what each step changes, transaction by transaction, as the adapters do it.

A method is one transaction, or, when it is a generator, one transaction up to each `yield`. Every promise of
`domain.ports` holds here: each is idempotent, forward steps of what is being undone are refused with `Superseded`, and
nothing is undone after a release. `facts` is judged by the checker that judges the real database.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from domain.errors import AlreadyReleased, Superseded, TransferUnknown, WrongMoment
from domain.invariant import EnvironmentFacts, Inequality, Observations, RouteFacts, TransferFacts, mail_told
from domain.messages import EnvironmentSummary
from domain.naming import mailbox_workflow_id_of
from domain.vocabulary import EnvironmentStatus, MailKind, TransferState

TABLES = 19
UNDOING = (TransferState.UNDOING, TransferState.UNDONE)


@dataclass
class Books:
    """A schema: its rows, and who may do what with them."""

    rows: list[str]
    fenced: bool = False
    fence_remains: bool = False
    may_enter: bool = False


@dataclass
class Environment:
    """A row of `control.environment`."""

    environment_id: UUID
    licence_number: str
    status: EnvironmentStatus
    flagged: bool = False

    @property
    def address(self) -> str:
        return f"{self.environment_id.hex}@{self.licence_number}.mailbox.sb.example"

    def summary(self) -> EnvironmentSummary:
        return EnvironmentSummary(
            environment_id=self.environment_id,
            name="enyoi",
            url=f"https://{self.licence_number}.sb.example/{self.environment_id.hex}",
            licence_number=self.licence_number,
            schema_name=f"env_{self.environment_id.hex}",
            mailbox_address=self.address,
        )


@dataclass
class Ticket:
    """A row of `control.ticket`."""

    ticket_id: UUID
    issued_at: datetime
    expires_at: datetime
    used: bool = False
    revoked: bool = False


@dataclass
class CloneRun:
    """A row of `control.clone_run`, and the units that are done."""

    attempt: int = 0
    units: int = 0
    closed: bool = False


@dataclass
class Route:
    """A row of `control.mailbox_route`."""

    environment_id: UUID | None
    valid_until: datetime | None = None
    closed: bool = False


@dataclass(frozen=True)
class Event:
    """A row of `control.transfer_event`."""

    kind: str
    actor: str
    reason: str
    key: UUID | None


@dataclass
class Move:
    """A row of `control.transfer`, and what hangs on it."""

    transfer_id: UUID
    workflow_id: str
    environment_id: UUID
    state: TransferState
    frozen_at: datetime | None = None
    lifted: bool = False
    new_id: UUID | None = None
    evening: int = 1
    starts_at: datetime | None = None
    closes_at: datetime | None = None
    ticket: Ticket | None = None
    run: CloneRun | None = None
    cloned: bool = False
    verified: bool = False
    hashed: tuple[str, ...] | None = None
    certified: tuple[str, ...] | None = None
    changed: set[str] = field(default_factory=set)
    forwards_until: datetime | None = None
    mails: Counter[tuple[MailKind, int, str]] = field(default_factory=Counter)
    answered: set[MailKind] = field(default_factory=set)

    def fence_up(self) -> bool:
        return self.frozen_at is not None and not self.lifted


@dataclass(frozen=True)
class Plan:
    """What is different for one transfer than for the others."""

    starts_in: timedelta | None = None
    """After its upload; the next evening when it is left out."""
    lasts: timedelta = timedelta(hours=8)
    forwards_for: timedelta = timedelta(days=30)
    ticket_for: timedelta = timedelta(days=30)


class Database:
    """Environments, transfers, routes, schemas and the log."""

    def __init__(self) -> None:
        self.environments: dict[UUID, Environment] = {}
        self.books: dict[UUID, Books] = {}
        self.moves: dict[UUID, Move] = {}
        self.routes: dict[str, Route] = {}
        self.log: dict[UUID, list[Event]] = {}
        self.plans: dict[UUID, Plan] = {}

    def open_environment(self) -> UUID:
        """Make an active environment with books, and return its id."""
        one = Environment(uuid4(), "10001", EnvironmentStatus.ACTIVE)
        self.environments[one.environment_id] = one
        self.books[one.environment_id] = Books([f"row {n}" for n in range(4)], may_enter=True)
        self.routes[one.address] = Route(one.environment_id)
        return one.environment_id

    def write(self, environment_id: UUID, row: str) -> bool:
        """Write as the application does, and return whether it was let."""
        one, books = self.environments.get(environment_id), self.books.get(environment_id)
        if one is None or books is None or books.fenced or not books.may_enter:
            return False
        books.rows.append(row)
        return True

    # --- what every step does ------------------------------------------------------------------------------------

    def plan_of(self, transfer_id: UUID) -> Plan:
        return self.plans.get(transfer_id, Plan())

    def forward(self, transfer_id: UUID, evening: int | None = None, *, may_be_released: bool = False) -> Move:
        """Return the row for a step forward.

        Raises:
            TransferUnknown: There is none.
            Superseded: It is being undone, or this evening was put off.
            AlreadyReleased: It is released, and this comes before that.
        """
        move = self.moves.get(transfer_id)
        if move is None:
            raise TransferUnknown
        if move.state in UNDOING or evening not in (None, move.evening):
            raise Superseded
        if move.state is TransferState.RELEASED and not may_be_released:
            raise AlreadyReleased
        return move

    def backward(self, transfer_id: UUID) -> Move | None:
        """Return the row for a compensation, None when there is none.

        Raises:
            AlreadyReleased: There is no way back.
            WrongMoment: The undo has not begun.
        """
        move = self.moves.get(transfer_id)
        if move is None:
            return None
        if move.state is TransferState.RELEASED:
            raise AlreadyReleased
        if move.state not in UNDOING:
            raise WrongMoment
        return move

    def both(self, move: Move) -> tuple[Environment, Environment]:
        if move.new_id is None:
            raise WrongMoment
        return self.environments[move.environment_id], self.environments[move.new_id]

    def tell(
        self, transfer_id: UUID, kind: str, actor: str = "sb-transfer", reason: str = "", key: UUID | None = None
    ) -> None:
        """Append to the log, once for each key."""
        events = self.log.setdefault(transfer_id, [])
        if key is None or all(event.key != key for event in events):
            events.append(Event(kind, actor, reason, key))

    def told(self, transfer_id: UUID, kind: str) -> list[Event]:
        return [event for event in self.log.get(transfer_id, ()) if event.kind == kind]

    def live_move_of(self, environment_id: UUID) -> Move | None:
        moves = (move for move in self.moves.values() if move.environment_id == environment_id)
        return next((move for move in moves if not move.state.is_final), None)

    # --- what the checker judges ---------------------------------------------------------------------------------

    def facts(self, running: Collection[str], only: UUID | None = None) -> Observations:
        """Return everything, or what one transfer has to do with; `running` is what Temporal says, asked before."""
        moves = [self.moves[only]] if only in self.moves else [] if only else list(self.moves.values())
        mine = {one for move in moves for one in (move.environment_id, move.new_id)}
        return Observations(
            at=datetime.now(UTC),
            environments=tuple(
                self._environment(one)
                for one in self.environments.values()
                if only is None or one.environment_id in mine
            ),
            transfers=tuple(self._transfer(move, running) for move in moves),
            routes=tuple(
                RouteFacts(
                    address=address,
                    environment_id=route.environment_id,
                    valid_until=route.valid_until,
                    closed=route.closed,
                )
                for address, route in self.routes.items()
                if only is None or route.environment_id in mine
            ),
            orphan_schemas=tuple(
                f"env_{one.hex}" for one in self.books if one not in self.environments and (only is None or one in mine)
            ),
            unequal=tuple(unequal for move in moves for unequal in self._unequal(move)),
        )

    def _environment(self, one: Environment) -> EnvironmentFacts:
        books = self.books.get(one.environment_id)
        active = one.status is EnvironmentStatus.ACTIVE
        return EnvironmentFacts(
            environment_id=one.environment_id,
            label=f"{one.licence_number}/enyoi",
            status=one.status,
            schema_exists=books is not None,
            tables=TABLES if books else 0,
            fenced=TABLES if books and books.fenced else 0,
            fence_remains=TABLES if books and books.fence_remains else 0,
            application_may_enter=books is not None and books.may_enter,
            flags_left=3 if active and one.flagged else 0,
        )

    def _transfer(self, move: Move, running: Collection[str]) -> TransferFacts:
        ticket = move.ticket
        kinds = {event.kind for event in self.log.get(move.transfer_id, ())}
        return TransferFacts(
            transfer_id=move.transfer_id,
            workflow_id=move.workflow_id,
            environment_id=move.environment_id,
            new_environment_id=move.new_id,
            state=move.state,
            live=move.workflow_id in running,
            fence_up=move.fence_up(),
            ticket_gone=ticket is None or ticket.revoked,
            ticket_open=ticket is not None and not ticket.used and not ticket.revoked,
            forwards_until=move.forwards_until,
            forwarding_live=mailbox_workflow_id_of(move.transfer_id) in running,
            told=(*sorted(kinds), *sorted(mail_told(kind) for kind in move.answered)),
        )

    def _unequal(self, move: Move) -> Iterator[Inequality]:
        if move.new_id is not None and move.cloned and move.state not in (*UNDOING, TransferState.RELEASED):
            old, new = self.books.get(move.environment_id), self.books.get(move.new_id)
            if old is None or new is None or old.rows != new.rows:
                yield Inequality(transfer_id=move.transfer_id, differences=("journal_line: rows differ",))
