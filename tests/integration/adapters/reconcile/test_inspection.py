"""The inspection against real tables: silent at every step of a healthy move, and each violation found where it is.

Long, for every kind of violation is made here once.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.clone import PostgresCloneEngine
from adapters.reconcile.inspection import NotedInspector, PostgresInspector
from adapters.verify.verifier import PostgresVerifier
from domain import messages as m
from domain.facts import WorkflowFacts
from domain.naming import mailbox_workflow_id_of, workflow_id_of
from domain.reconciliation import Inspect, ReadFindings
from domain.violations import ViolationKind
from domain.vocabulary import TransferState
from tests.integration.services import Move, Services

AT_ONCE = timedelta(0)
PAYLOAD_MAY_HOLD = 256_000  # bytes


class Running:
    """What runs, as the test says: Temporal's part is proved on a real server, end to end."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.asked: set[str] = set()
        self.silent_looks = 0
        self.workflows: tuple[WorkflowFacts, ...] = ()

    async def running(self, workflow_ids: Collection[str]) -> set[str]:
        self.asked = set(workflow_ids)
        self.silent_looks -= 1
        return self.ids & self.asked if self.silent_looks < 0 else set()

    async def open(self) -> tuple[WorkflowFacts, ...]:
        return self.workflows

    async def look_at(self, workflow_id: str, run_id: str) -> WorkflowFacts | None:
        return next((one for one in self.workflows if (one.workflow_id, one.run_id) == (workflow_id, run_id)), None)

    async def end(self, workflow_id: str, run_id: str, why: str) -> None:
        assert why
        self.workflows = tuple(one for one in self.workflows if (one.workflow_id, one.run_id) != (workflow_id, run_id))


class Scene:
    """A services, an inspector beside it, and the steps of one move."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.running = Running()
        self.engine = PostgresCloneEngine(services.pool, parallelism=1)
        self.verifier = PostgresVerifier(services.pool, parallelism=1)
        self.inspector = PostgresInspector(services.pool, self.running, self.verifier, look_again_after=AT_ONCE)
        self.move: Move
        self.file = b""

    async def found(self, *, deep: bool = False) -> list[tuple[ViolationKind, str]]:
        findings = await self.inspector.inspect(Inspect(deep=deep))
        return [(one.kind, one.subject) for one in findings.violations]

    async def begin(self) -> None:
        self.move = await self.services.move()

    async def freeze(self) -> None:
        self.running.ids.add(workflow_id_of(self.move.environment_id))
        await self.services.freeze(self.move)

    async def issue(self) -> None:
        await self.services.issue(self.move)
        self.file = (await self.services.office.download(self.move.transfer_id))[1]

    async def accept(self) -> None:
        await self.services.accept(self.move, self.file)

    async def clone(self) -> None:
        order = m.CloneAdministrations(
            transfer_id=self.move.transfer_id, source_schema=self.move.schema, target_schema=self.move.new_schema
        )
        await self.engine.clone(order, lambda _: None)

    async def open(self) -> None:
        await self.services.gate.open_for_inspection(m.OpenForInspection(transfer_id=self.move.transfer_id))

    async def release(self) -> None:
        await self.services.gate.release(self.services.release_order(self.move))

    async def end(self) -> None:
        """What the workflow does after its release: the mailbox workflow, the mails, and its own end."""
        self.running.ids = {mailbox_workflow_id_of(self.move.transfer_id)}
        for kind in ("released", "invitation"):
            await self.mail(kind, "sent")

    async def mail(self, kind: str, status: str) -> None:
        await self.services.pool.execute(
            "insert into control.sent_mail (transfer_id, kind, recipient, message_id, language, subject, status) "
            "values ($1, $2, 'bo@zuid.example', '<1@sb.example>', 'nl', 'x', $3)",
            self.move.transfer_id,
            kind,
            status,
        )

    async def begin_undo(self) -> None:
        await self.services.begin_undo(self.move)

    async def drop(self) -> None:
        await self.engine.drop(m.DropClone(transfer_id=self.move.transfer_id))

    async def let_go(self) -> None:
        await self.services.reservations.release(m.ReleaseReservation(transfer_id=self.move.transfer_id))

    async def revoke(self) -> None:
        await self.services.office.revoke(m.RevokeTicket(transfer_id=self.move.transfer_id))

    async def unfreeze(self) -> None:
        await self.services.unfreeze(self.move)

    async def finish_undo(self) -> None:
        await self.services.log.finish_undo(m.FinishUndo(transfer_id=self.move.transfer_id))

    async def execute(self, statement: str, *arguments: object) -> None:
        await self.services.pool.execute(statement.format(old=self.move.schema, new=self.move.new_schema), *arguments)


FORWARD = ("begin", "freeze", "issue", "accept", "clone", "open", "release", "end")
BACKWARD = ("begin_undo", "drop", "let_go", "revoke", "unfreeze", "finish_undo")


@pytest.fixture
async def scene(dsn: str) -> AsyncIterator[Scene]:
    async with Services(dsn) as services:
        yield Scene(services)


async def go(scene: Scene, *steps: str) -> None:
    for step in steps:
        await getattr(scene, step)()


async def at(scene: Scene, state: str) -> None:
    """Go forward as far as a step, or all the way back (`undone`), or until an undo is between two steps."""
    if state == "released":
        state = "end"
    if state == "undone":
        await go(scene, *FORWARD[: FORWARD.index("release")], *BACKWARD)
        scene.running.ids = set()
    else:
        await go(scene, *FORWARD[: FORWARD.index(state) + 1])


async def test_a_move_that_goes_well_never_alarms(scene: Scene) -> None:
    """Finds nothing wrong at any step of a healthy move."""
    for step in FORWARD:
        await go(scene, step)
        # Also when it ends between the question to the database and the one to Temporal: two looks count.
        scene.running.silent_looks = 1
        assert await scene.found() == [], step


async def test_an_undo_that_goes_well_never_alarms(scene: Scene) -> None:
    """Finds nothing wrong at any step of a healthy undo."""
    await at(scene, "open")
    for step in BACKWARD:
        await go(scene, step)
        assert await scene.found() == [], step
    scene.running.ids = set()
    assert await scene.found() == []
    assert scene.running.asked == set()  # with years of transfers in the books Temporal is not asked about every one
    # An administration that its owner closes afterwards is closed on purpose; a healing would open it again.
    await scene.execute("update {old}.administration set read_only = true")
    assert await scene.found() == []


async def test_the_next_moves_never_alarm(scene: Scene) -> None:
    """Finds nothing wrong in a second move, nor in one after an undo."""
    await at(scene, "undone")
    first = scene.move
    scene.move = Move(first.environment_id, type(first.transfer_id)(int=1), type(first.transfer_id)(int=2))
    for step in FORWARD[1:]:
        await go(scene, step)
        assert await scene.found() == [], step
    second = scene.move
    scene.move = Move(second.new_environment_id, type(first.transfer_id)(int=3), type(first.transfer_id)(int=4))
    for step in ("freeze", "issue"):
        await go(scene, step)
        assert await scene.found() == [], step


async def test_a_deep_inspection_of_an_equal_clone_is_silent(scene: Scene) -> None:
    """Finds nothing wrong in an equal clone when every row is compared."""
    await at(scene, "open")
    findings = await scene.inspector.inspect(Inspect(deep=True))
    assert (findings.violations, findings.compared) == ((), 1)
    assert (findings.environments, findings.transfers) == (2, 1)


Break = Callable[[Scene], Awaitable[None]]


def sql(statement: str) -> Break:
    async def run(scene: Scene) -> None:
        await scene.execute(statement)

    return run


def control(statement: str) -> Break:
    """Change a row that $1, the transfer's id, leads to."""

    async def run(scene: Scene) -> None:
        await scene.execute(statement, scene.move.transfer_id)

    return run


async def workflow_knows_more(scene: Scene) -> None:
    """As after a restore of the database: the workflow has taken an upload that the tables have never seen."""
    scene.running.workflows = (workflow_of(scene, state=TransferState.SCHEDULED),)


def workflow_of(scene: Scene, **facts: Any) -> WorkflowFacts:
    """Return the workflow of the scene's move, which began now if nothing else is said."""
    now = datetime.now(UTC)
    known = {"type": "TransferWorkflow", "run_id": "a run", "began_at": now, "run_began_at": now}
    return WorkflowFacts(**{"workflow_id": workflow_id_of(scene.move.environment_id), **known, **facts})


async def reset_to_before_the_end(scene: Scene) -> None:
    """The row has ended; the run that was made by a reset awaits the release that has been."""
    began_at = datetime.now(UTC) - timedelta(hours=1)
    scene.running.workflows = (workflow_of(scene, state=TransferState.AWAITING_RELEASE, began_at=began_at),)


def runs(**facts: Any) -> Break:
    """Let a workflow of the move run that fares as these facts say."""

    async def run(scene: Scene) -> None:
        scene.running.workflows = (workflow_of(scene, **facts),)

    return run


async def nothing_runs(scene: Scene) -> None:
    scene.running.ids = set()


async def second_move(scene: Scene) -> None:
    await scene.execute("drop index control.transfer_live_per_environment")
    await scene.execute(
        "insert into control.transfer (transfer_id, workflow_id, environment_id, state) "
        "select gen_random_uuid(), workflow_id, environment_id, 'preparing' "
        "from control.transfer where transfer_id = $1",
        scene.move.transfer_id,
    )


async def forget_story(scene: Scene) -> None:
    await scene.execute("alter table control.transfer_event disable trigger append_only")
    await scene.execute(
        "delete from control.transfer_event where transfer_id = $1 and kind = 'clone_finished'", scene.move.transfer_id
    )


async def alter_a_row(scene: Scene) -> None:
    await scene.execute(
        "alter table {new}.relation disable trigger sb_transfer_fence; "
        "update {new}.relation set name = 'Slager'; "
        "alter table {new}.relation enable always trigger sb_transfer_fence"
    )


async def leave_a_lifted_fence(scene: Scene) -> None:
    await scene.execute(
        "create trigger sb_transfer_fence before insert on {old}.quote for each statement "
        "execute function control.refuse_write('transferred'); "
        "alter table {old}.quote disable trigger sb_transfer_fence"
    )


async def leave_a_flag(scene: Scene) -> None:
    """As a lifting that forgot it would: the row is older than the transaction that lifted the fence."""
    await scene.execute("update {old}.administration set read_only = true where name = 'Enyoi BV'")
    await scene.execute("update control.fence set lifted_at = lifted_at")


async def tell_somebody(scene: Scene) -> None:
    await scene.execute(
        "insert into control.transfer_event (transfer_id, actor, kind) values ($1, 'mailroom', 'mail_sent')",
        scene.move.transfer_id,
    )


_OLD_ID = "select 'x@y', environment_id from control.transfer where transfer_id = $1"
_NEW_ID = "select 'x@y', new_environment_id from control.transfer where transfer_id = $1"
_DIGEST = "sha256('a')"
_TAKEN_IN = f"insert into control.delivery select inbox_id, 'mail', {_DIGEST}, now() - interval '1 hour', null, null"
_WAITS = (
    "insert into control.held_item (inbox_id, kind, item_digest, item_key, address, content, received_at, arrived_at) "
    f"select inbox_id, 'mail', {_DIGEST}, 'a', 'a@b', 'a', now(), now() - interval '1 hour'"
)
_PLANNED = (
    "insert into control.retirement (environment_id, transfer_id, requested_by, planned_at, due_at) "
    "select environment_id, transfer_id, 'an', now(), now() + interval '14 days'"
)
_OLD_ROW = "where environment_id = (select environment_id from control.transfer where transfer_id = $1)"
_NEW_ROW = "where environment_id = (select new_environment_id from control.transfer where transfer_id = $1)"

# By state, in this order on one database: each must be news. What one breaks, the next ones leave broken.
BREAKS: dict[str, list[tuple[ViolationKind, Break]]] = {
    "begin": [
        (ViolationKind.ORPHAN_SCHEMA, sql("create schema env_0123456789abcdef0123456789abcdef")),
        (ViolationKind.FROZEN_FOR_NOTHING, sql("update control.environment set status = 'read_only'")),
        (ViolationKind.RESERVED_FOR_NOTHING, sql("update control.environment set status = 'building'")),
    ],
    "issue": [
        (ViolationKind.TICKET_LOST, control("delete from control.ticket where transfer_id = $1")),
        (ViolationKind.WRITABLE_UNASKED, sql("alter table {old}.quote disable trigger sb_transfer_fence")),
        (ViolationKind.WORKFLOW_AHEAD, workflow_knows_more),
        (ViolationKind.STRANDED, nothing_runs),
        (ViolationKind.NOT_FROZEN, control(f"update control.environment set status = 'active' {_OLD_ROW}")),
        (ViolationKind.TWO_MOVES, second_move),
        (
            ViolationKind.DEFINITIONS_UNGUARDED,
            sql("drop function control.refuse_definition() cascade -- {old}"),
        ),
    ],
    "clone": [
        (ViolationKind.GRANT_TOO_EARLY, sql("grant usage on schema {new} to sb_app")),
        (ViolationKind.ROUTE_ASTRAY, control(f"insert into control.mailbox_route {_NEW_ID}")),
        (ViolationKind.RESERVATION_LOST, control(f"delete from control.environment {_NEW_ROW}")),
    ],
    "open": [
        (ViolationKind.UNEQUAL, alter_a_row),
        (ViolationKind.WRITABLE_UNASKED, sql("create table {new}.extra (id int)")),
        (ViolationKind.STORY_INCOMPLETE, forget_story),
        (ViolationKind.BOOKS_MISSING, sql("drop schema {new} cascade")),
    ],
    "end": [
        (ViolationKind.TIED, sql("create view {new}.borrowed as select * from {old}.quote")),
        (ViolationKind.NOBODY_TOLD, sql("update control.sent_mail set status = 'pending' where kind = 'invitation'")),
        (ViolationKind.FORWARDING_UNATTENDED, nothing_runs),
        (ViolationKind.RETIREMENT_UNATTENDED, control(f"{_PLANNED} from control.transfer where transfer_id = $1")),
        (ViolationKind.GRANTS_WITHHELD, sql("revoke usage on all sequences in schema {new} from sb_app")),
        (ViolationKind.HELD_LOST, control(f"{_TAKEN_IN} from control.environment {_NEW_ROW}")),
        (ViolationKind.HELD_LEFT, control(f"{_WAITS} from control.environment {_NEW_ROW}")),
        (ViolationKind.HELD_TWICE, sql("update control.delivery set delivered_at = now()")),
        (ViolationKind.ROUTE_ASTRAY, control(f"insert into control.mailbox_route {_OLD_ID}")),
        (ViolationKind.SHUT_OUT, sql("revoke usage on schema {old} from sb_app")),
        (ViolationKind.ACTIVE_BUT_FENCED, sql("select control.raise_fence('{new}', 'transferred')")),
        (ViolationKind.NONE_WRITABLE, control(f"update control.environment set status = 'building' {_NEW_ROW}")),
    ],
    "undone": [
        (ViolationKind.TICKET_LEFT, sql("update control.ticket set revoked_at = null, used_at = null")),
        (ViolationKind.FENCE_REMAINS, leave_a_lifted_fence),
        (ViolationKind.FLAGS_LEFT, leave_a_flag),
        (ViolationKind.GRANTS_WITHHELD, sql("revoke usage on all sequences in schema {old} from sb_app")),
        (ViolationKind.NOBODY_TOLD, tell_somebody),
    ],
    "released": [
        (ViolationKind.WORKFLOW_BEHIND, reset_to_before_the_end),
        (ViolationKind.WORKFLOW_STUCK, runs(attempts=3, failure="non_deterministic_error")),
        (ViolationKind.WORKFLOW_UNATTENDED, runs(waiting_since=datetime(2026, 1, 1, tzinfo=UTC))),
        (ViolationKind.KEY_MISSING, runs(awaits_key=True)),
        (ViolationKind.FOREIGN_WORKFLOW, runs(type="Nonsense")),
        (ViolationKind.TWO_WRITABLE, sql("drop trigger sb_transfer_fence on {old}.quote")),
        (ViolationKind.NOT_FROZEN, control(f"update control.environment set status = 'active' {_OLD_ROW}")),
    ],
}


@pytest.mark.parametrize("state", BREAKS)
async def test_what_is_broken_is_found(scene: Scene, state: str) -> None:
    """Finds each kind of damage."""
    await at(scene, state)
    before = {kind for kind, _ in await scene.found()}
    assert before == set()
    for kind, breaks in BREAKS[state]:
        await breaks(scene)
        after = {one for one, _ in await scene.found(deep=kind is ViolationKind.UNEQUAL)}
        assert kind in after - before, (kind, after)
        before = after


def test_every_kind_is_provoked_on_real_tables() -> None:
    """Provokes every kind of violation on real tables."""
    assert {kind for breaks in BREAKS.values() for kind, _ in breaks} == set(ViolationKind)


async def test_thousands_of_findings_are_read_in_pages_that_a_payload_may_hold(scene: Scene) -> None:
    """Pages thousands of findings below the limit of a payload."""
    many = 9_000
    await scene.services.pool.execute(
        "insert into control.transfer (transfer_id, workflow_id, environment_id, state) "
        "select gen_random_uuid(), 'transfer-' || e.environment_id, e.environment_id, 'preparing' "
        "from (select gen_random_uuid() as environment_id from generate_series(1, $1)) e",
        many,
    )
    inspector = NotedInspector(scene.inspector, scene.services.pool)
    findings = await inspector.inspect(Inspect())
    assert findings.wrong == sum(findings.by_kind.values()) >= many
    assert len(findings.model_dump_json()) < PAYLOAD_MAY_HOLD
    assert findings.inspection_id is not None
    after, read = 0, 0
    while True:
        page = await inspector.findings(ReadFindings(inspection_id=findings.inspection_id, after=after))
        if not page.violations:
            break
        assert len(page.model_dump_json()) < PAYLOAD_MAY_HOLD
        if after == 0:
            assert {one.kind for one in page.violations} == {ViolationKind.STRANDED}
        after, read = page.last, read + len(page.violations)
    assert read == findings.wrong
