"""Deliveries to a real receiver over a real socket: what it gets, in which order, and when it is given up."""

import asyncio
import ssl
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sb_transfer_client.webhooks import CloudEvent

from adapters.crypto.webhook_secrets import WebhookSecrets
from adapters.postgres.connection import Pool
from adapters.postgres.transfer_rows import record_event
from adapters.webhooks.addresses import AddressRules
from adapters.webhooks.deliverer import Pace, WebhookDeliverer
from adapters.webhooks.deliveries import Deliveries
from adapters.webhooks.endpoints import Endpoint, PostgresWebhooks
from adapters.webhooks.events import PostgresEventFeed
from domain.errors import WebhookUrlRefused
from domain.events import EventKind
from domain.webhooks import WebhooksDelivered, event_type
from tests.integration.adapters.webhooks.receiver import Receiver, sometimes
from tests.integration.services import NEW_FIRM, OLD_FIRM, Services

KEY = SecretStr(Fernet.generate_key().decode())
NEARBY = AddressRules(["127.0.0.0/8"])
PACE = Pace(pause=lambda _: timedelta(milliseconds=20))


class Hooks:
    """Endpoints on a database of the test's own."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.secrets = WebhookSecrets([KEY])
        self.endpoints = PostgresWebhooks(pool, self.secrets, NEARBY)
        self.feed = PostgresEventFeed(pool)

    async def register(self, receiver: Receiver, licence: str | None = None, **words: Any) -> Endpoint:
        given = {"types": (), "description": "", "created_by": "test", **words}
        endpoint, secret = await self.endpoints.register(uuid.uuid4(), licence=licence, url=receiver.url, **given)
        receiver.secrets.append(secret)
        return endpoint

    def deliverer(self, pace: Pace = PACE, rules: AddressRules = NEARBY) -> WebhookDeliverer:
        return WebhookDeliverer(self.pool, self.secrets, rules, pace=pace)

    async def transfer(self, *, old: str = OLD_FIRM, new: str | None = NEW_FIRM) -> UUID:
        transfer_id = uuid.uuid4()
        await self.pool.execute(
            "insert into control.transfer (transfer_id, workflow_id, environment_id, environment_name, state, "
            "source_licence, target_licence, new_environment_id, new_environment) "
            "values ($1, 'transfer-x', $2, 'Enyoi', 'released', $3, $4, $2, '{\"name\": \"Nieuw\"}')",
            transfer_id,
            uuid.uuid4(),
            old,
            new,
        )
        return transfer_id

    async def tell(self, transfer_id: UUID, *kinds: str) -> None:
        async with self.pool.acquire() as connection:
            for kind in kinds:
                await record_event(connection, transfer_id, kind, actor="Anna", reason="why")

    async def problem(self, endpoint: Endpoint) -> str | None:
        return (await self.endpoints.one(endpoint.webhook_id)).last_problem

    async def until(self, met: Callable[[], Awaitable[Any]], pace: Pace = PACE, rules: AddressRules = NEARBY) -> None:
        """Let a deliverer work until something is so."""
        over = False
        shift = asyncio.create_task(self.deliverer(pace, rules).deliver(timedelta(minutes=2), lambda: over))
        try:
            async with asyncio.timeout(60):
                while not await met():  # noqa: ASYNC110 - it is written by others
                    await asyncio.sleep(0.01)
        finally:
            over = True
            await shift

    async def work(self, seconds: float, pace: Pace = PACE) -> WebhooksDelivered:
        return await self.deliverer(pace).deliver(timedelta(seconds=seconds), lambda: False)


@pytest.fixture
def hooks(services: Services) -> Hooks:
    """Nobody is told of anything yet."""
    return Hooks(services.pool)


async def at_work(hooks: Hooks, count: int, receiver: Receiver, deliverers: int = 1, pace: Pace = PACE) -> None:
    """Let deliverers work until the receiver has taken so many."""
    stop = False
    shifts = [
        asyncio.create_task(hooks.deliverer(pace).deliver(timedelta(minutes=5), lambda: stop))
        for _ in range(deliverers)
    ]
    try:
        await receiver.until(count)
    finally:
        stop = True
        await asyncio.gather(*shifts)


def by_transfer(events: list[CloudEvent]) -> dict[str, list[int]]:
    """Return the first times that events were taken, by transfer."""
    found: dict[str, list[int]] = defaultdict(list)
    for event in events:
        position = int(event.sequence)
        if position not in found[event.subject]:
            found[event.subject].append(position)
    return found


async def test_a_platform_is_told_everything_and_a_licence_its_half(hooks: Hooks) -> None:
    """Who takes a customer over, or why something was refused, would be told to whom it does not concern."""
    async with Receiver() as platform, Receiver() as old, Receiver() as new, Receiver() as stranger:
        for receiver, licence in ((platform, None), (old, OLD_FIRM), (new, NEW_FIRM), (stranger, "10003")):
            await hooks.register(receiver, licence)
        kinds = ("environment_frozen", "upload_accepted", "mail_failed", "certificate_issued", "environment_released")
        await hooks.tell(await hooks.transfer(), *kinds)

        async def all_have_heard() -> bool:
            return [len(one.taken) for one in (platform, old, new)] == [5, 4, 3]

        await hooks.until(all_have_heard)
    told = [[event.type.split(".")[3] for event in one.taken] for one in (platform, old, new, stranger)]
    states = ["scheduled", "awaiting_release", "released"]
    assert told == [
        ["preparing", "scheduled", "mail_failed", "awaiting_release", "released"],
        ["preparing", *states],
        states,
        [],
    ]
    everything, half = platform.taken[-1].data, new.taken[-1].data
    assert everything.old is not None
    assert everything.new is not None
    assert (everything.actor, everything.old.name, everything.new.name) == ("Anna", "Enyoi", "Nieuw")
    assert (half.actor, half.reason, half.detail, half.old, half.new) == (None, None, None, None, everything.new)
    assert platform.headers[0]["content-type"].startswith("application/cloudevents+json")
    assert platform.taken[0].specversion == "1.0"


async def test_a_receiver_that_fails_half_the_time_gets_all_in_order(hooks: Hooks) -> None:
    """An event would be lost, or a release told before the clone, when an endpoint has a bad day."""
    async with Receiver(answer=sometimes(0.5)) as receiver:
        await hooks.register(receiver)
        transfers = [await hooks.transfer() for _ in range(10)]
        for kind in list(EventKind)[:12]:
            for transfer_id in transfers:
                await hooks.tell(transfer_id, kind)
        await at_work(hooks, 120, receiver, deliverers=3)
    told = by_transfer(receiver.taken)
    assert len(told) == 10
    assert all(positions == sorted(positions) and len(positions) == 12 for positions in told.values())


async def test_an_endpoint_that_hangs_holds_up_nobody(hooks: Hooks) -> None:
    """One customer's dead server would keep all others from hearing that their environment is ready."""
    hasty = replace(PACE, timeout_seconds=1)
    async with Receiver(hang=True) as dead, Receiver() as alive:
        hanging = await hooks.register(dead)
        await hooks.register(alive)
        transfer_id = await hooks.transfer()
        await hooks.tell(transfer_id, *list(EventKind)[:20])
        await at_work(hooks, 20, alive, pace=hasty)
        await hooks.until(lambda: hooks.problem(hanging), hasty)
        shown = await hooks.endpoints.one(hanging.webhook_id)
    assert (shown.last_problem, shown.pending) == ("timed_out", 20)
    assert shown.failing_since is not None
    assert shown.next_attempt_at is not None


async def test_after_its_patience_an_endpoint_is_disabled_and_nothing_is_lost(hooks: Hooks) -> None:
    """Whoever repairs an endpoint after a week switches it on and gets what it missed; nobody has to ask for it."""
    impatient = Pace(pause=lambda _: timedelta(milliseconds=50), give_up_after=timedelta(milliseconds=200))
    async with Receiver(answer=lambda _: "503 No") as receiver:
        endpoint = await hooks.register(receiver)
        transfer_id = await hooks.transfer()
        await hooks.tell(transfer_id, "environment_frozen")
        assert (await hooks.work(60, impatient)).endpoints == 0
        shown = await hooks.endpoints.one(endpoint.webhook_id)
        assert (shown.disabled_because, shown.last_problem, shown.pending) == ("gave_up", "status_503", 1)
        await hooks.tell(transfer_id, "ticket_issued")
        tried = len(receiver.heard)
        await hooks.work(0.2)
        assert len(receiver.heard) == tried
        receiver.answer = lambda _: "200 OK"
        again = await hooks.endpoints.change(endpoint.webhook_id, enabled=True)
        assert (again.disabled_at, again.failing_since) == (None, None)
        await at_work(hooks, 2, receiver, pace=impatient)
    assert [event.type for event in receiver.taken] == [event_type(k) for k in ("environment_frozen", "ticket_issued")]


@pytest.mark.parametrize(
    ("status", "problem", "disabled"),
    [("410 Gone", "status_410", "gone"), ("302 Found", "redirected", None), ("404 No", "status_404", None)],
)
async def test_what_an_answer_means(hooks: Hooks, status: str, problem: str, disabled: str | None) -> None:
    """A redirect would lead a delivery to an address that nobody judged; who says that it is gone is left alone."""
    async with Receiver(answer=lambda _: status) as receiver:
        endpoint = await hooks.register(receiver)
        await hooks.tell(await hooks.transfer(), "environment_frozen")
        await hooks.until(lambda: hooks.problem(endpoint))
        shown = await hooks.endpoints.one(endpoint.webhook_id)
    assert (shown.last_problem, shown.disabled_because) == (problem, disabled)


async def test_another_deliverer_goes_on_where_one_was_killed(hooks: Hooks) -> None:
    """What a worker had in hand when it died would wait for ever, or be sent by two at once."""
    async with Receiver() as receiver:
        await hooks.register(receiver)
        transfer_id = await hooks.transfer()
        await hooks.tell(transfer_id, "environment_frozen", "ticket_issued")
        dead = Deliveries(hooks.pool)
        claim = await dead.claim()
        assert claim is not None
        await dead.take_in(claim)
        [[first, _]] = await dead.due(claim, 8)
        await hooks.work(0.2)
        assert receiver.taken == []  # it is somebody's, as far as anybody knows
        await hooks.pool.execute("update control.webhook set leased_until = clock_timestamp()")
        await at_work(hooks, 2, receiver)
        assert not await dead.taken(claim, first.event.position)
        assert not await dead.renew(claim)
        assert not await dead.take_in(claim)
    assert [int(event.id.removeprefix("evt_")) for event in receiver.taken] == sorted(
        int(event.id.removeprefix("evt_")) for event in receiver.taken
    )


async def test_both_secrets_sign_while_one_is_replaced(hooks: Hooks) -> None:
    """Deliveries would be refused between the change here and the change at the receiver."""
    async with Receiver() as receiver:
        endpoint = await hooks.register(receiver)
        [before] = receiver.secrets
        _, after = await hooks.endpoints.rotate(endpoint.webhook_id)
        transfer_id = await hooks.transfer()
        await hooks.tell(transfer_id, "environment_frozen")
        await at_work(hooks, 1, receiver)
        receiver.secrets[:] = [after]
        await hooks.tell(transfer_id, "ticket_issued")
        await at_work(hooks, 2, receiver)
        await hooks.pool.execute("update control.webhook set previous_until = clock_timestamp()")
        receiver.secrets[:] = [before]
        await hooks.tell(transfer_id, "upload_accepted")
        await hooks.until(lambda: hooks.problem(endpoint))
    assert len(receiver.taken) == 2
    assert receiver.refused > 0
    kept = await hooks.pool.fetchval("select secret from control.webhook")
    assert after.encode() not in kept
    assert before.encode() not in kept


async def test_what_was_sent_can_be_sent_again(hooks: Hooks) -> None:
    """Who restored a backup would have to read the whole log."""
    async with Receiver() as receiver:
        endpoint = await hooks.register(receiver, types=["nl.sb.transfer.preparing.v1"])
        transfer_id = await hooks.transfer()
        await hooks.tell(transfer_id, "environment_frozen", "ticket_issued")
        await at_work(hooks, 1, receiver)
        await hooks.endpoints.redeliver(endpoint.webhook_id, after=0)
        await at_work(hooks, 2, receiver)
    assert len({*receiver.ids()}) == 1


async def test_the_window_bounds_what_waits_and_the_log_keeps_the_rest(hooks: Hooks) -> None:
    """A dead endpoint would fill the database for as long as it is dead."""
    async with Receiver() as receiver:
        endpoint = await hooks.register(receiver)
        await hooks.pool.execute(
            "insert into control.transfer_event (transfer_id, actor, kind) "
            "select md5(n::text)::uuid, 'x', 'environment_frozen' from generate_series(1, 150) n"
        )
        deliveries = Deliveries(hooks.pool, window=100)
        claim = await deliveries.claim()
        assert claim is not None
        await deliveries.take_in(claim)
        await deliveries.take_in(claim)
        assert (await hooks.endpoints.one(endpoint.webhook_id)).pending == 100
        await deliveries.release(claim, failures=0, pause=timedelta(0), problem=None, delivered=False)
        await at_work(hooks, 150, receiver, pace=replace(PACE, window=100))
    assert len({*receiver.ids()}) == 150


async def test_a_line_that_is_committed_late_is_not_missed(hooks: Hooks) -> None:
    """Who remembers the highest number that it has seen would never hear of what had a lower one and came later."""
    transfer_id = await hooks.transfer()
    slow = await hooks.pool.acquire()
    under_way = slow.transaction()
    await under_way.start()
    await record_event(slow, transfer_id, "environment_frozen")
    await hooks.tell(transfer_id, "ticket_issued")
    first = await hooks.feed.page(after=0, limit=10, licence=None)
    await under_way.commit()
    await hooks.pool.release(slow)
    second = await hooks.feed.page(after=first.after, limit=10, licence=None)
    assert [event.data.kind for event in (*first.events, *second.events)] == ["ticket_issued", "environment_frozen"]
    assert int(second.events[0].id.removeprefix("evt_")) < int(first.events[0].id.removeprefix("evt_"))


async def test_readers_beside_writers_miss_nothing(hooks: Hooks) -> None:
    """Two that give positions at once would let a reader step over the one that commits later."""
    transfer_id = await hooks.transfer()
    heard: list[int] = []

    async def read() -> None:
        after = 0
        while len(heard) < 200:
            page = await hooks.feed.page(after=after, limit=50, licence=None)
            heard.extend(int(event.sequence) for event in page.events)
            after = page.after

    async def write() -> None:
        for _ in range(20):
            async with hooks.pool.acquire() as connection, connection.transaction():
                await record_event(connection, transfer_id, "mail_sent")
                await asyncio.sleep(0.005)

    async with asyncio.timeout(60):
        await asyncio.gather(read(), *(write() for _ in range(10)))
    assert len(heard) == len({*heard}) == 200
    assert heard == sorted(heard)


async def test_an_address_inside_is_refused_when_registered_and_when_delivered(hooks: Hooks) -> None:
    """Whoever registers an endpoint would reach what only this service can reach."""
    strict = PostgresWebhooks(hooks.pool, hooks.secrets, AddressRules())
    words: dict[str, Any] = {"licence": None, "types": (), "description": "", "created_by": "x"}
    for url in ("https://127.0.0.1/", "http://93.184.216.34/", "https://localhost/", "https://[::1]/"):
        with pytest.raises(WebhookUrlRefused):
            await strict.register(uuid.uuid4(), url=url, **words)
    async with Receiver() as receiver:
        endpoint = await hooks.register(receiver)
        await hooks.tell(await hooks.transfer(), "environment_frozen")
        await hooks.until(lambda: hooks.problem(endpoint), rules=AddressRules(["10.0.0.0/8"]))
        shown = await hooks.endpoints.one(endpoint.webhook_id)
    assert receiver.heard == []
    assert shown.last_problem == "address_inside"


async def test_a_certificate_that_nobody_vouches_for_is_not_believed(hooks: Hooks) -> None:
    """Whoever stands between would read what is told."""
    assert ssl.CERT_REQUIRED is hooks.deliverer()._tls.verify_mode


async def test_secrets_move_on_to_the_newest_key(hooks: Hooks) -> None:
    """A key could never be dropped while an endpoint is there."""
    async with Receiver() as receiver:
        endpoint = await hooks.register(receiver)
        newer = WebhookSecrets([SecretStr(Fernet.generate_key().decode()), KEY])
        assert await Deliveries(hooks.pool).reseal(newer) == 1
        assert await Deliveries(hooks.pool).reseal(newer) == 0
        sealed = await hooks.pool.fetchval("select secret from control.webhook")
    assert sealed[:8] == newer.newest
    assert len(newer.open(endpoint.webhook_id, sealed)) == 32
