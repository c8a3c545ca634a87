"""The ports' methods over the model of the database: each a generator that ends one transaction at every `yield`.

One class and long, for it is what every port together promises.
"""

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID, uuid4, uuid5

from domain import messages as m
from domain.errors import (
    AlreadyInTransfer,
    BegunAgain,
    CloneDiffers,
    EnvironmentNotActive,
    EnvironmentUnknown,
    SomethingLeft,
    Superseded,
    TicketExpired,
    TicketRevoked,
    TicketUsed,
    TransferUnknown,
    WrongMoment,
)
from domain.reconciliation import ReadStanding, Standing
from domain.vocabulary import CheckKind, ConsequenceKind, EnvironmentStatus, MailKind, Scenario, TransferState
from tests.workflows.database import TABLES, UNDOING, Books, CloneRun, Database, Environment, Move, Route, Ticket
from tests.workflows.world import WINDOW

_Answer = TypeVar("_Answer")
Steps = Generator[None, None, _Answer]
RECIPIENTS = ("old@example.test", "new@example.test")


class Transactions:
    """What the adapters do, in the order of their transactions."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def freeze(self, order: m.FreezeEnvironment) -> Steps[m.EnvironmentFrozen]:
        db = self._db
        environment = db.environments.get(order.environment_id)
        if environment is None:
            raise EnvironmentUnknown
        if order.transfer_id not in db.moves and db.live_move_of(order.environment_id):
            raise AlreadyInTransfer
        known = db.moves.get(order.transfer_id)
        if known is not None:
            db.forward(order.transfer_id)
        elif environment.status is not EnvironmentStatus.ACTIVE:
            raise EnvironmentNotActive
        move = known or Move(order.transfer_id, order.workflow_id, order.environment_id, TransferState.PREPARING)
        if move.frozen_at is None:
            db.moves[order.transfer_id] = move
            move.frozen_at = datetime.now(UTC)
            environment.status, environment.flagged = EnvironmentStatus.READ_ONLY, True
            db.books[order.environment_id].fenced = True
            db.tell(order.transfer_id, "environment_frozen", order.requested_by)
        yield  # the numbers that were drawn before are waited for
        return m.EnvironmentFrozen(
            environment=environment.summary(), frozen_at=move.frozen_at, administrations=3, tables=TABLES
        )

    def unfreeze(self, order: m.UnfreezeEnvironment) -> Steps[None]:
        move = self._db.backward(order.transfer_id)
        if move is None or move.frozen_at is None:
            return
        environment, books = self._db.environments[move.environment_id], self._db.books[move.environment_id]
        if not move.lifted:
            move.lifted = True
            books.fenced, books.fence_remains = False, True
            environment.status, environment.flagged = EnvironmentStatus.ACTIVE, False
            self._db.tell(order.transfer_id, "environment_unfrozen")
        yield
        books.fence_remains = False

    def issue(self, order: m.IssueTicket) -> Steps[m.TicketIssued]:
        move = self._db.forward(order.transfer_id)
        if move.ticket is None:
            if move.frozen_at is None:
                raise WrongMoment
            expires_at = order.issued_at + self._db.plan_of(order.transfer_id).ticket_for
            move.ticket = Ticket(uuid4(), order.issued_at, expires_at)
            move.state = TransferState.AWAITING_UPLOAD
            self._db.tell(order.transfer_id, "ticket_issued")
        yield from ()
        return m.TicketIssued(
            ticket_id=move.ticket.ticket_id,
            file_name="enyoi-overdracht-ticket.avr",
            expires_at=move.ticket.expires_at,
            used=move.ticket.used,
            remind_at=[move.ticket.expires_at - lead for lead in (timedelta(days=7), timedelta(days=1))],
        )

    def revoke(self, order: m.RevokeTicket) -> Steps[None]:
        move = self._db.backward(order.transfer_id)
        if move is not None and move.ticket is not None and not move.ticket.revoked:
            move.ticket.revoked = True
            self._db.tell(order.transfer_id, "ticket_revoked")
        yield from ()

    def accept(self, order: m.AcceptUpload) -> Steps[m.ReservationMade]:
        db = self._db
        move = db.forward(order.transfer_id)
        if move.new_id is None:
            self._reserve(move, order)
        elif move.new_id != order.new_environment_id:
            raise TicketUsed
        yield from ()
        return self._made(move)

    def correct(self, order: m.CorrectReservation) -> Steps[m.ReservationMade]:
        move = self._db.forward(order.transfer_id, order.evening)
        if move.state is not TransferState.SCHEDULED:
            raise WrongMoment
        asked = order.correction
        self._db.tell(order.transfer_id, "upload_corrected", asked.requested_by, asked.reason, order.event_key)
        yield from ()
        return self._made(move)

    def read_reservation(self, order: m.ReadReservation) -> Steps[m.ReservationMade | None]:
        move = self._db.forward(order.transfer_id)
        yield from ()
        return self._made(move) if move.new_id is not None else None

    def _made(self, move: Move) -> m.ReservationMade:
        new = self._db.both(move)[1]
        if move.starts_at is None or move.closes_at is None:
            raise AssertionError("a reservation has its evening")
        accepted = m.UploadAccepted(
            scenario=Scenario.SWITCH,
            new_environment_id=new.environment_id,
            name="enyoi",
            url=new.summary().url,
            starts_at=move.starts_at,
        )
        return m.ReservationMade(
            accepted=accepted,
            new=new.summary(),
            closes_at=move.closes_at,
            evening=move.evening,
            begun=move.state is not TransferState.SCHEDULED,
            certified=move.certified is not None,
        )

    def _reserve(self, move: Move, order: m.AcceptUpload) -> None:
        if move.ticket is None or move.state is not TransferState.AWAITING_UPLOAD:
            raise WrongMoment
        if move.ticket.revoked:
            raise TicketRevoked
        if order.accepted_at >= move.ticket.expires_at:
            raise TicketExpired
        plan = self._db.plan_of(order.transfer_id)
        new = Environment(order.new_environment_id, order.upload.licence_number, EnvironmentStatus.BUILDING)
        self._db.environments[new.environment_id] = new
        move.new_id, move.ticket.used, move.state = new.environment_id, True, TransferState.SCHEDULED
        if plan.starts_in is None:
            move.starts_at = WINDOW.start_after(order.accepted_at)
            move.closes_at = WINDOW.closing_of(move.starts_at)
        else:
            move.starts_at = order.accepted_at + plan.starts_in
            move.closes_at = move.starts_at + plan.lasts
        self._db.tell(order.transfer_id, "upload_accepted", order.upload.uploaded_by)

    def release_reservation(self, order: m.ReleaseReservation) -> Steps[None]:
        move = self._db.backward(order.transfer_id)
        if move is not None and move.new_id is not None and move.new_id in self._db.environments:
            del self._db.environments[move.new_id]
            self._db.tell(order.transfer_id, "reservation_released")
        yield from ()

    def postpone(self, order: m.PostponeStart) -> Steps[m.StartPlanned]:
        db = self._db
        move = db.forward(order.transfer_id)
        if move.evening == order.evening:
            if move.certified is not None:
                raise BegunAgain
            self._put_off(move, order)
        elif move.evening != order.evening + 1:
            raise Superseded
        yield
        move = db.forward(order.transfer_id, order.evening + 1)
        if move.run is not None and move.run.closed:
            db.books.pop(move.new_id or order.transfer_id, None)
            move.run = CloneRun(attempt=move.run.attempt + 1)
            db.tell(order.transfer_id, "clone_dropped", key=uuid5(order.transfer_id, f"dropped {order.evening}"))
        yield
        move = db.forward(order.transfer_id, order.evening + 1)
        begun = any(event.key == self._clone_started(order) for event in db.told(order.transfer_id, "clone_started"))
        return m.StartPlanned(evening=move.evening, starts_at=move.starts_at, closes_at=move.closes_at, had_begun=begun)

    def _clone_started(self, order: m.PostponeStart | m.CloneAdministrations) -> UUID:
        return uuid5(order.transfer_id, f"clone_started {order.evening}")

    def _put_off(self, move: Move, order: m.PostponeStart) -> None:
        if move.state not in (TransferState.SCHEDULED, TransferState.CLONING, TransferState.AWAITING_RELEASE):
            raise WrongMoment
        move.evening += 1
        move.state, move.cloned, move.verified, move.certified = TransferState.SCHEDULED, False, False, None
        move.changed.clear()
        if self._db.plan_of(order.transfer_id).starts_in is None:
            move.starts_at = WINDOW.start_again_at(order.decided_at)
            move.closes_at = WINDOW.closing_of(move.starts_at)
        else:  # the evenings after a short one are long enough
            move.starts_at = order.decided_at
            move.closes_at = order.decided_at + timedelta(hours=8)
        self._db.both(move)[1].status = EnvironmentStatus.BUILDING
        if move.run is not None:
            move.run.closed = True
        self._db.tell(order.transfer_id, "start_postponed", reason=order.why)

    def reschedule(self, order: m.RescheduleStart) -> Steps[m.StartPlanned]:
        move = self._db.forward(order.transfer_id, order.evening)
        if move.state is not TransferState.SCHEDULED:
            raise WrongMoment
        move.starts_at = WINDOW.opening_on(order.on)
        move.closes_at = WINDOW.closing_of(move.starts_at)
        self._db.tell(order.transfer_id, "start_rescheduled", order.requested_by, order.reason, order.event_key)
        yield from ()
        return m.StartPlanned(evening=order.evening, starts_at=move.starts_at, closes_at=move.closes_at)

    def clone(self, order: m.CloneAdministrations) -> Steps[m.CloneFinished]:
        db = self._db
        move = db.forward(order.transfer_id, order.evening)
        if move.new_id is None:
            raise WrongMoment
        if not move.cloned:
            move.state = TransferState.CLONING
            db.tell(order.transfer_id, "clone_started", key=self._clone_started(order))
            move.run = move.run or CloneRun()
            if move.run.closed:
                raise Superseded
            move.run.attempt += 1
            run, attempt = move.run, move.run.attempt
            target = db.books.setdefault(move.new_id, Books([]))
            source = list(db.books[move.environment_id].rows)
            yield
            while run.units < len(source):
                if run.closed or run.attempt != attempt:
                    raise Superseded
                target.rows.append(source[run.units])
                run.units += 1
                yield
            if run.closed or run.attempt != attempt:
                raise Superseded
            db.forward(order.transfer_id, order.evening).cloned = True
            db.tell(order.transfer_id, "clone_finished")
        return m.CloneFinished(tables=TABLES, rows=4, bytes=40, seconds=0.5)

    def drop(self, order: m.DropClone) -> Steps[None]:
        move = self._db.backward(order.transfer_id)
        if move is None or move.new_id is None:
            return
        move.run = move.run or CloneRun()
        move.run.closed = True
        yield
        self._db.books.pop(move.new_id, None)
        yield
        key = uuid5(order.transfer_id, "clone_dropped")
        self._db.tell(order.transfer_id, "clone_dropped", key=key)

    def verify(self, order: m.VerifyClone) -> Steps[m.Verification]:
        move = self._db.forward(order.transfer_id, order.evening)
        if move.verified:
            return m.Verification(tables=TABLES, rows=4, seconds=0.25)
        old, new = self._db.both(move)
        equal = self._db.books[old.environment_id].rows == self._db.books[new.environment_id].rows
        yield
        self._db.forward(order.transfer_id, order.evening).verified = True
        differences = [] if equal else [m.TableDifference(table="journal_line", problem="rows differ")]
        return m.Verification(tables=TABLES, rows=4, seconds=0.25, differences=differences)

    def hash_frozen(self, order: m.HashFrozen) -> Steps[m.FrozenHashed]:
        move = self._db.forward(order.transfer_id)
        rows = tuple(self._db.books[move.environment_id].rows)
        yield
        move = self._db.forward(order.transfer_id)
        move.hashed = move.hashed or rows
        return m.FrozenHashed(hashed_at=datetime.now(UTC), tables=TABLES, rows=4)

    def certify(self, order: m.IssueCertificate) -> Steps[m.CertificateIssued]:
        move = self._db.forward(order.transfer_id, order.evening)
        rows = tuple(self._db.books[self._db.both(move)[1].environment_id].rows)
        if move.hashed is None or not move.verified or move.changed != {"banks", "consequences"}:
            raise WrongMoment
        if rows != move.hashed:
            raise CloneDiffers
        yield
        move = self._db.forward(order.transfer_id, order.evening)
        move.certified = rows
        return m.CertificateIssued(key_id="0123456789abcdef", issued_at=datetime.now(UTC))

    def check(self, order: m.CheckUnchanged) -> Steps[m.UnchangedChecked]:
        move = self._db.forward(order.transfer_id)
        old, new = (tuple(self._db.books[one.environment_id].rows) for one in self._db.both(move))
        yield
        self._db.forward(order.transfer_id)
        drift = m.TableDifference(table="journal_line", problem="rows differ")
        return m.UnchangedChecked(
            tables=2 * TABLES,
            rows=8,
            old_changes=[drift] if old != move.hashed else [],
            new_changes=[drift] if new != move.certified else [],
        )

    def reconnect_banks(self, order: m.ReconnectBanks) -> Steps[m.BanksReconnected]:
        self._db.forward(order.transfer_id, order.evening).changed.add("banks")
        yield from ()
        return m.BanksReconnected(banks=[m.BankOutcome(bank="rabobank", old="active", new="active", count=2)])

    def apply_consequences(self, order: m.ApplyConsequences) -> Steps[m.ConsequencesApplied]:
        self._db.forward(order.transfer_id, order.evening).changed.add("consequences")
        yield from ()
        return m.ConsequencesApplied(consequences=[m.Consequence(kind=ConsequenceKind.QUOTES_EXPIRED, count=1)])

    def compare(self, order: m.CompareEnvironments) -> Steps[m.ComparisonSummary]:
        self._db.forward(order.transfer_id, order.evening)
        yield
        self._db.forward(order.transfer_id, order.evening)
        return m.ComparisonSummary(checks=len(CheckKind) * 3, unequal=0, administrations=3)

    def open_for_inspection(self, order: m.OpenForInspection) -> Steps[m.OpenedForInspection]:
        move = self._db.forward(order.transfer_id, order.evening)
        old, new = self._db.both(move)
        if move.state is not TransferState.AWAITING_RELEASE:
            if not self._db.books[old.environment_id].fenced:
                raise CloneDiffers
            books = self._db.books[new.environment_id]
            books.fenced, books.may_enter = True, True
            new.status, move.state = EnvironmentStatus.AWAITING_RELEASE, TransferState.AWAITING_RELEASE
            self._db.tell(order.transfer_id, "opened_for_inspection")
        yield from ()
        return m.OpenedForInspection(opened_at=datetime.now(UTC))

    def release(self, order: m.ReleaseEnvironment) -> Steps[m.EnvironmentReleased]:
        move = self._db.forward(order.transfer_id, may_be_released=True)
        if move.state not in (TransferState.AWAITING_RELEASE, TransferState.RELEASED):
            raise WrongMoment
        old, new = self._db.both(move)
        books = self._db.books[new.environment_id]
        until = order.released_at + self._db.plan_of(order.transfer_id).forwards_for
        if move.state is TransferState.AWAITING_RELEASE:
            move.forwards_until = until
            self._db.routes[new.address] = Route(new.environment_id)
            self._db.routes[old.address] = Route(new.environment_id, until)
            books.fenced, books.fence_remains = False, True
            new.status, move.state = EnvironmentStatus.ACTIVE, TransferState.RELEASED
            self._db.tell(order.transfer_id, "environment_released", order.released_by, order.note)
        yield
        books.fence_remains = False
        return m.EnvironmentReleased(
            old_mailbox_address=old.address,
            new_mailbox_address=new.address,
            forward_until=move.forwards_until or until,
            users_invited=4,
        )

    def close_forwarding(self, order: m.CloseMailboxForwarding) -> Steps[None]:
        move = self._db.forward(order.transfer_id, may_be_released=True)
        route = self._db.routes[order.old_mailbox_address]
        if not route.closed:
            route.closed, route.environment_id, move.forwards_until = True, None, None
            self._db.tell(order.transfer_id, "mailbox_forwarding_closed")
        yield from ()

    def send(self, order: m.SendMail) -> Steps[m.MailSent]:
        sent = 0
        for recipient in RECIPIENTS:
            move = self._db.moves.get(order.transfer_id)
            if move is None:
                raise TransferUnknown
            if order.kind is not MailKind.UNDONE and move.state in UNDOING:
                raise Superseded
            if order.kind is MailKind.UNDONE and move.state not in UNDOING:
                raise WrongMoment
            key = (order.kind, order.occurrence, recipient)
            had_any = any(who == recipient for _, _, who in move.mails)
            if key not in move.mails and (order.kind is not MailKind.UNDONE or had_any):
                move.mails[key] += 1
                self._db.tell(order.transfer_id, "mail_sent", reason=f"{order.kind.value} to {recipient}")
            sent += key in move.mails
            yield
        self._db.moves[order.transfer_id].answered.add(order.kind)
        return m.MailSent(sent=sent)

    def record(self, order: m.RecordEvent) -> Steps[None]:
        self._db.tell(order.transfer_id, order.kind, order.actor, order.reason, order.event_key)
        yield from ()

    def begin_undo(self, order: m.BeginUndo) -> Steps[None]:
        db = self._db
        move = db.moves.get(order.transfer_id)
        if move is None:
            state = TransferState.UNDONE if db.live_move_of(order.environment_id) else TransferState.UNDOING
            db.moves[order.transfer_id] = Move(order.transfer_id, order.workflow_id, order.environment_id, state)
            db.tell(order.transfer_id, "undo_begun", order.requested_by, order.detail)
        elif not move.state.is_final and move.state is not TransferState.UNDOING:
            move.state = TransferState.UNDOING
            db.tell(order.transfer_id, "undo_begun", order.requested_by, order.detail)
        db.backward(order.transfer_id)
        yield from ()

    def standing(self, order: ReadStanding) -> Steps[Standing]:
        move = self._db.moves[order.transfer_id]
        old, new = self._db.environments[move.environment_id], self._db.environments.get(move.new_id or uuid4())
        yield from ()
        return Standing(
            transfer_id=move.transfer_id,
            environment_id=move.environment_id,
            state=move.state,
            scenario=Scenario.SWITCH,
            undo_reason=None,
            undo_detail="",
            old=old.summary(),
            new=new.summary() if new else None,
            mails_answered=sorted(move.answered),
            old_mailbox_address=old.address,
            forwards_until=move.forwards_until if move.state is TransferState.RELEASED else None,
        )

    def finish_undo(self, order: m.FinishUndo) -> Steps[None]:
        move = self._db.backward(order.transfer_id)
        if move is None:
            raise TransferUnknown
        if move.state is TransferState.UNDOING:
            ticket_left = move.ticket is not None and not move.ticket.revoked
            if move.fence_up() or ticket_left or {move.new_id} & {*self._db.environments, *self._db.books}:
                raise SomethingLeft
            move.state = TransferState.UNDONE
            self._db.tell(order.transfer_id, "undo_finished")
        yield from ()
