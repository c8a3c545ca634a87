"""A ring of payload keys that is not the one of all others is refused, and a rotation passes."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from adapters.postgres.connection import Pool, connect_pool
from adapters.postgres.payload_keys import forget_key, register_ring, require_ring, ring_problem
from domain.errors import Misconfigured

A, B, C = "a" * 16, "b" * 16, "c" * 16


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    """A database that was set up, without a key."""
    async with await connect_pool(dsn, max_size=2, application_name="test") as pool:
        yield pool


async def register(pool: Pool, *ring: str) -> None:
    async with pool.acquire() as connection:
        await register_ring(connection, ring)


async def test_before_any_setup_no_ring_is_right(pool: Pool) -> None:
    """Refuses every ring before the first setup."""
    with pytest.raises(Misconfigured, match="sb-transfer setup"):
        await require_ring(pool, [A])
    await pool.execute("drop table control.payload_key")
    assert "sb-transfer setup" in await ring_problem(pool, [A])


@pytest.mark.parametrize(
    ("ring", "words"),
    [([C], f"lacks {A}"), ([C, A], f"begins with the key {C}"), ([B], f"lacks {A}"), ([B, C], f"lacks {A}")],
)
async def test_another_ring_is_refused_with_what_to_do(pool: Pool, ring: list[str], words: str) -> None:
    """Refuses a ring with unknown or missing keys and says what to do."""
    await register(pool, A, B)
    with pytest.raises(Misconfigured, match=words):
        await require_ring(pool, ring)


async def test_a_setup_with_another_ring_changes_nothing(pool: Pool) -> None:
    """Leaves the known ids as they are after a setup with another ring."""
    await register(pool, A)
    with pytest.raises(Misconfigured, match=f"lacks {A}"):
        await register(pool, C)
    await require_ring(pool, [A])
    assert await pool.fetchval("select count(*) from control.payload_key") == 1


async def test_a_rotation_in_two_steps_passes_at_every_moment(pool: Pool) -> None:
    """Accepts old and new ring during each step of a rotation."""
    await register(pool, A)
    await register(pool, A, B)  # announced
    for ring in ([A], [A, B]):
        await require_ring(pool, ring)
    await require_ring(pool, [B, A])  # promoted before its setup: everybody has it
    await register(pool, B, A)
    for ring in ([A, B], [B, A]):
        await require_ring(pool, ring)
    assert f"lacks {B}" in await ring_problem(pool, [A])
    assert f"lacks {A}" in await ring_problem(pool, [B])
    assert await forget_key(pool, A)
    await require_ring(pool, [B])
    assert not await forget_key(pool, A)


async def test_a_name_that_is_no_keys_is_never_stored(pool: Pool) -> None:
    """Stores ids of keys alone."""
    with pytest.raises(asyncpg.CheckViolationError):
        await register(pool, "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
