"""A backend that retries a POST must get the first answer, and never do it twice."""

import asyncio
from hashlib import sha256

from adapters.api_store.idempotency import KeyConflict, KeyLease, PostgresIdempotencyKeys, StoredResponse
from adapters.postgres.connection import Pool

ONE, OTHER = sha256(b"one").digest(), sha256(b"other").digest()
ANSWER = StoredResponse(202, {"location": "/v1/transfers/1"}, b'{"state": "preparing"}')


async def test_the_first_answer_is_given_again(seeded: Pool) -> None:
    """Gives the first answer again."""
    keys = PostgresIdempotencyKeys(seeded)
    lease = await keys.begin("backend", "key", ONE)
    assert isinstance(lease, KeyLease)
    assert await keys.begin("backend", "key", ONE) is KeyConflict.IN_PROGRESS
    await keys.finish(lease, ANSWER)
    assert await keys.begin("backend", "key", ONE) == ANSWER


async def test_a_key_is_for_one_request(seeded: Pool) -> None:
    """Refuses a key that was used for another request."""
    keys = PostgresIdempotencyKeys(seeded)
    await keys.begin("backend", "key", ONE)
    assert await keys.begin("backend", "key", OTHER) is KeyConflict.DIFFERENT_REQUEST


async def test_callers_do_not_meet(seeded: Pool) -> None:
    """Keeps each caller's keys apart."""
    keys = PostgresIdempotencyKeys(seeded)
    lease = await keys.begin("firm a", "key", ONE)
    assert isinstance(lease, KeyLease)
    await keys.finish(lease, ANSWER)
    assert isinstance(await keys.begin("firm b", "key", ONE), KeyLease)


async def test_what_failed_may_be_tried_again(seeded: Pool) -> None:
    """Keeps no server error as an answer."""
    keys = PostgresIdempotencyKeys(seeded)
    lease = await keys.begin("backend", "key", ONE)
    assert isinstance(lease, KeyLease)
    await keys.abandon(lease)
    assert isinstance(await keys.begin("backend", "key", ONE), KeyLease)


async def test_the_work_of_a_killed_server_is_taken_over(seeded: Pool) -> None:
    """Hands a key over when its process died, and lets that process write nothing late."""
    keys = PostgresIdempotencyKeys(seeded)
    dead = await keys.begin("backend", "key", ONE)
    assert isinstance(dead, KeyLease)
    await seeded.execute("update control.api_request set began_at = began_at - interval '1 hour'")
    heir = await keys.begin("backend", "key", ONE)
    assert isinstance(heir, KeyLease)
    await keys.finish(dead, StoredResponse(500, {}, b"too late"))
    assert await keys.begin("backend", "key", ONE) is KeyConflict.IN_PROGRESS
    await keys.finish(heir, ANSWER)
    assert await keys.begin("backend", "key", ONE) == ANSWER


async def test_of_fifty_at_once_one_works(seeded: Pool) -> None:
    """Lets one of fifty requests with one key do the work."""
    keys = PostgresIdempotencyKeys(seeded)
    found = await asyncio.gather(*(keys.begin("backend", "key", ONE) for _ in range(50)))
    assert sum(isinstance(one, KeyLease) for one in found) == 1
    assert found.count(KeyConflict.IN_PROGRESS) == 49


async def test_old_answers_are_forgotten(seeded: Pool) -> None:
    """Deletes answers older than a day."""
    keys = PostgresIdempotencyKeys(seeded)
    await keys.begin("backend", "old", ONE)
    await seeded.execute("update control.api_request set began_at = began_at - interval '2 days'")
    await keys.begin("backend", "new", ONE)
    assert await seeded.fetchval("select array_agg(key) from control.api_request") == ["new"]
