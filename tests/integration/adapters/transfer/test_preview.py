"""The preview: what a move will do, told before it does anything."""

import uuid
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.mail.smtp import SmtpClient
from adapters.transfer.preview import PostgresPreviewReader
from devstack.mail import MailCatcher
from domain.errors import AlreadyInTransfer, CannotBeCarried, EnvironmentNotActive, EnvironmentUnknown
from domain.messages import QuoteLost
from domain.vocabulary import LicenceKind
from tests.integration.services import Services

# Numbers of objects are those of the original for ever.
HOLDS_NUMBERS = "create table {0}.total (of_what regclass)"


async def test_a_preview_tells_what_is_lost_and_what_is_to_be_done(services: Services) -> None:
    """Tells by name what a move ends and what is to be done afterwards."""
    move = await services.move()
    found = await services.previews.preview(move.environment_id)
    assert found.environment.environment_id == move.environment_id
    assert (found.holder_name, found.licence_kind) == ("Kantoor Noord", LicenceKind.FIRM)
    assert found.administrations == ["Afgesloten BV", "Enyoi BV", "Enyoi Holding"]
    assert found.open_quotes == [
        QuoteLost(administration="Enyoi BV", number="O-1", customer="Bakker", total=Decimal("121.00"))
    ]
    assert found.app_connections == ["Kassa"]
    assert [bank.bank for bank in found.banks_carried] == ["rabobank"]
    assert [bank.bank for bank in found.banks_to_reactivate] == ["knab"]
    assert found.users_to_relink == ["baas@enyoi.example"]
    assert found.obstacles == []
    assert found.tables > 10
    assert found.estimate.bytes > 0
    assert await services.status_of(move.environment_id) == "active"
    assert await services.pool.fetchval("select count(*) from control.transfer") == 0


async def test_a_preview_tells_whom_no_mail_will_reach(services: Services, tmp_path: Path) -> None:
    """Somebody whose invitation cannot be sent is known before the move, and not after it."""
    move = await services.move()
    await services.pool.execute(
        f"insert into {move.schema}.app_user (email, full_name, role, invitation_status, mobile_link_status) "
        "select email, email, 'reader', 'invited', 'needs_relink' "
        "from unnest(array['jän@enyoi.example', 'info@straße.example', 'geen adres']) email"
    )
    async with MailCatcher(tmp_path, smtputf8=False) as catcher:
        previews = PostgresPreviewReader(services.pool, mail=SmtpClient(SecretStr(catcher.url), "sb@sb.example"))
        found = await previews.preview(move.environment_id)
        assert [one.address for one in found.unreachable] == ["geen adres", "jän@enyoi.example"]
    async with MailCatcher(tmp_path) as catcher:
        previews = PostgresPreviewReader(services.pool, mail=SmtpClient(SecretStr(catcher.url), "sb@sb.example"))
        assert [one.address for one in (await previews.preview(move.environment_id)).unreachable] == ["geen adres"]


async def test_the_estimate_knows_rows_once_they_are_counted(services: Services) -> None:
    """Estimates rows from the server's statistics."""
    move = await services.move()
    await services.pool.execute(
        f"insert into {move.schema}.mailbox_message (received_at, sender, recipient, raw) "
        "select now(), 'a', 'b', '' from generate_series(1, 500)"
    )
    await services.pool.execute(f"analyze {move.schema}.mailbox_message")
    assert (await services.previews.preview(move.environment_id)).estimate.rows >= 500


async def test_a_preview_has_the_obstacles_and_a_freeze_refuses_them(services: Services) -> None:
    """Lists obstacles, and refuses the freeze for them."""
    move = await services.move()
    await services.pool.execute(HOLDS_NUMBERS.format(move.schema))
    found = await services.previews.preview(move.environment_id)
    assert any("total" in obstacle.what for obstacle in found.obstacles)
    with pytest.raises(CannotBeCarried, match="total"):
        await services.previews.refusal(found)
    with pytest.raises(CannotBeCarried, match="total") as refused:
        await services.freeze(move)
    assert "niet exact" in refused.value.dutch_text
    assert "total" in refused.value.dutch_text
    assert await services.status_of(move.environment_id) == "active"
    assert await services.fences(move.schema) == {}
    assert await services.pool.fetchval("select count(*) from control.transfer") == 0


async def test_the_refusals_are_those_of_the_freeze(services: Services) -> None:
    """Refuses beforehand what the freeze would refuse."""
    with pytest.raises(EnvironmentUnknown):
        await services.previews.preview(uuid.uuid4())
    move = await services.move()
    found = await services.previews.preview(move.environment_id)
    await services.previews.refusal(found)
    await services.freeze(move)
    with pytest.raises(AlreadyInTransfer):
        await services.previews.refusal(found)
    sleeping = await services.environment("Slaper")
    await services.pool.execute("update control.environment set status = 'retired' where environment_id = $1", sleeping)
    with pytest.raises(EnvironmentNotActive):
        await services.previews.refusal(await services.previews.preview(sleeping))


async def test_what_grows_with_a_customer_is_capped_with_a_count(services: Services) -> None:
    """Shows the first hundred of 60,000 quotes, 3,000 administrations and 20,000 users, and how many more there are."""
    move = await services.move()
    await services.pool.execute(
        f"""
        insert into {move.schema}.administration (id, name)
            select gen_random_uuid(), 'BV ' || i from generate_series(1, 3000) i;
        insert into {move.schema}.quote
            (administration_id, number, relation_id, status, quoted_on, valid_until, amount, total)
            select q.administration_id, 'X-' || i, q.relation_id, 'open', q.quoted_on, q.valid_until, 1, 1
            from (select * from {move.schema}.quote where status = 'open' limit 1) q, generate_series(1, 60000) i;
        insert into {move.schema}.app_user (email, full_name, role, invitation_status, mobile_link_status)
            select i || '@enyoi.example', 'User ' || i, 'reader', 'accepted', 'linked' from generate_series(1, 20000) i
        """
    )
    found = await services.previews.preview(move.environment_id)
    shown = {name: len(getattr(found, name)) for name in ("administrations", "open_quotes", "users_to_relink")}
    assert set(shown.values()) == {100}
    assert found.count("open_quotes") == 60_001
    assert found.count("administrations") == 3_003
    assert found.count("users_to_relink") == 20_001
    assert found.left_out["open_quotes"] == 59_901
    assert len(found.model_dump_json()) < 256 * 1024
