"""What a backend may rely on, asked by sb-transfer-client of the service on a real stack and of the fake in memory.

Long, for each promise is asked of both.
"""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sb_transfer_client import AsyncClient, Client, MailKind, TransferState, TransferView, UndoReason, errors
from sb_transfer_client.models import CheckKind, ChecklistItem, ItemState, PortfolioStanding
from sb_transfer_client.testing import FakeService
from sb_transfer_client.webhooks import receive

from adapters.postgres.migrations import migrate_environment
from devstack.seed.environments import ENVIRONMENTS, LICENCES
from devstack.stack import Stack
from domain.authority import Role
from domain.naming import schema_name_of
from starter.client.client import TransferClient
from tests.end_to_end.starter.api.conftest import Callers
from tests.integration.adapters.webhooks.receiver import Receiver

WAIT = 90.0
NOW = datetime.now(UTC)
S = TransferState
FIVE = ["bank_and_cash_accounts", "bank_connections", "bank_transactions", "trial_balance", "invoices_to_send"]


@dataclass
class Service:
    """One of the two, spoken to in anybody's name."""

    url: str
    callers: Callers | None
    fake: FakeService | None
    environments: dict[str, UUID]
    open: AsyncExitStack
    database_url: str = ""

    def options(self, role: str, licence: str | None, name: str) -> dict[str, Any]:
        """Return what a client is made with."""
        if self.fake is not None:
            token = self.fake.token(role, licence=licence, name=name)
            return {"url": "http://fake", "token": token, "transport": self.fake}
        assert self.callers is not None
        return {"url": self.url, "token": self.callers.token(Role(role), licence=licence, name=name)}

    async def speak(self, role: str, licence: str | None = None, *, name: str = "Anna") -> AsyncClient:
        """Return a client in somebody's name, open until the test ends."""
        return await self.open.enter_async_context(AsyncClient(**self.options(role, licence, name)))

    async def books(self) -> UUID:
        """Make the schema of an environment that nobody has registered, as a platform does; return its id."""
        made = uuid4()
        if self.database_url:
            connection = await asyncpg.connect(self.database_url)
            async with connection.transaction():
                await connection.execute(f"create schema {schema_name_of(made)}")
                await migrate_environment(connection, schema_name_of(made))
            await connection.close()
        return made

    def environment(self, which: str) -> UUID:
        """Return an environment by its licence and name."""
        return self.environments[which]


@pytest.fixture(scope="module")
async def ids(client: TransferClient) -> dict[str, UUID]:
    """The seeded environments on the real stack."""
    names = [f"{one.licence_number}/{one.name}" for one in ENVIRONMENTS]
    return {name: (await client.environment(name)).environment_id for name in names}


@pytest.fixture(scope="module", params=["fake", "real"])
def place(request: pytest.FixtureRequest) -> Service:
    """Both, with the same licences and environments."""
    if request.param == "real":
        stack: Stack = request.getfixturevalue("stack")
        url, callers = str(stack.info.api_url), request.getfixturevalue("callers")
        ids = request.getfixturevalue("ids")
        return Service(url, callers, None, ids, AsyncExitStack(), stack.info.database_url)
    fake = FakeService(NOW)
    for licence in LICENCES:
        fake.add_licence(licence.licence_number, kind=licence.kind.value, holder=licence.holder_name, host=licence.host)
    made = {f"{e.licence_number}/{e.name}": fake.add_environment(e.licence_number, e.name) for e in ENVIRONMENTS}
    return Service("", None, fake, made, AsyncExitStack())


@pytest.fixture
async def service(place: Service) -> AsyncIterator[Service]:
    """One of the two; its clients are closed after each test."""
    async with place.open:
        yield place


async def started(service: Service, which: str, **words: Any) -> tuple[AsyncClient, UUID]:
    """Start a move as its old side and wait for its ticket."""
    old = await service.speak("firm", which.partition("/")[0])
    transfer_id = (await old.start_transfer(service.environment(which), **words)).transfer_id
    await old.wait_until(transfer_id, S.AWAITING_UPLOAD, timeout_seconds=WAIT)
    return old, transfer_id


async def ended(client: AsyncClient, transfer_id: UUID) -> TransferView:
    """Cancel a move, so that its environment may be moved again."""
    await client.cancel_transfer(transfer_id)
    return await client.wait_until(transfer_id, S.UNDONE, timeout_seconds=WAIT)


async def a_mail_is_held(service: Service, old: AsyncClient, new: AsyncClient, transfer_id: UUID) -> None:
    """Let a mail come, which the old side may read of, and the new one not yet."""
    backend = await service.speak("backend")
    raw = b"From: Cafe <info@cafe.example>\r\nSubject: Factuur 12\r\nMessage-ID: <contract>\r\n\r\nhoi"
    address = "enyoi@devries.mailbox.sb.example"
    assert (await backend.deliver_mail(address, raw, message_id="<contract>", received_at=NOW)).outcome == "held"
    (seen,) = [one async for one in old.list_held_items(transfer_id)]
    assert (seen.kind, seen.address, seen.bytes) == ("mail", address, len(raw))
    assert (seen.sender, seen.subject) == ("Cafe <info@cafe.example>", "Factuur 12")
    everywhere = [one async for one in backend.list_all_held_items(page_size=1)]
    mine = next(one for one in everywhere if one.item_id == seen.item_id)
    assert (mine.transfer_id, mine.environment_name, mine.licence_number) == (transfer_id, "enyoi", "10001")
    assert seen.model_dump().items() <= mine.model_dump().items()
    with pytest.raises(errors.NotAllowed):
        _ = [one async for one in old.list_all_held_items()]
    (hidden,) = [one async for one in new.list_held_items(transfer_id)]
    assert hidden == seen.model_copy(update={"sender": None, "subject": None})


async def test_a_move_from_start_to_release(  # noqa: PLR0915 - a move is one story
    service: Service, tmp_path: Path
) -> None:
    """Every half does its part, sees its part, and is told of every state."""
    old, transfer_id = await started(service, "10001/enyoi")
    ticket = await old.make_ticket(transfer_id)
    (tmp_path / ticket.file_name).write_bytes(ticket.content)
    new = await service.speak("firm", "10002")
    with pytest.raises(errors.TransferUnknown):
        await new.get_transfer(transfer_id)
    seen = await new.preview_upload(tmp_path / ticket.file_name)
    assert (seen.transfer_id, seen.environment_name, seen.scenario) == (transfer_id, "enyoi", "switch")
    assert seen.holder_name == "De Vries & Partners"
    free = await new.check_name("Enyoi contract")
    assert (free.url_part, free.problems) == ("enyoi-contract", [])
    accepted = await new.upload_ticket(tmp_path / ticket.file_name, name="Enyoi contract", url_part="enyoi-contract")
    assert accepted.transfer_id == transfer_id
    assert accepted.url.endswith("/enyoi-contract")
    await new.wait_until(transfer_id, S.SCHEDULED, timeout_seconds=WAIT)
    await a_mail_is_held(service, old, new, transfer_id)
    heard: list[TransferView] = []

    listens = asyncio.Event()

    async def listen() -> None:
        async for seen in new.follow_transfer(transfer_id):
            heard.append(seen)
            listens.set()

    listening = asyncio.create_task(listen())
    await listens.wait()
    planned = await new.reschedule_transfer(transfer_id, evening=(datetime.now(UTC) + timedelta(days=3)).date())
    assert planned.starts_at > datetime.now(UTC) + timedelta(days=1)
    corrected = await new.correct_upload(transfer_id, name="Enyoi  contract")
    assert (corrected.name, corrected.url) == ("Enyoi contract", accepted.url)
    with pytest.raises(errors.UrlReserved):
        await new.correct_upload(transfer_id, url_part="admin")
    support = await service.speak("support", name="Sanne")
    with pytest.raises(errors.ReasonMissing):
        await support.correct_upload(transfer_id, name="Enyoi")
    for decide in (support.start_transfer_now, support.hurry_transfer):
        with pytest.raises(errors.ReasonMissing):
            await decide(transfer_id)
    assert (await support.hurry_transfer(transfer_id, reason="incident 4711")).state is S.SCHEDULED
    await support.start_transfer_now(transfer_id, reason="incident 4711")
    ready = await new.wait_until(transfer_id, S.AWAITING_RELEASE, timeout_seconds=WAIT)
    assert ready.old is None
    assert ready.new is not None
    assert ready.new.name == "Enyoi contract"
    assert ready.comparison is not None
    assert ready.comparison.unequal == 0
    checks = [check async for check in new.get_comparison(transfer_id)]
    assert {check.equal for check in checks} == {True}
    behind = next(check for check in checks if check.check is CheckKind.RELATIONS)
    of = behind.administration_id
    rows = [row async for row in new.list_compared_rows(transfer_id, administration=of, check=behind.check)]
    assert behind.new is not None
    assert len(rows) == behind.new.rows
    assert all(row.equal and row.old == row.new for row in rows)
    assert b"\r\n" in await new.get_comparison_file(transfer_id, form="csv")
    (booked, *_) = await new.list_auditfiles(transfer_id)
    books = [
        await new.get_auditfile(transfer_id, booked.administration_id, booked.year, side=side)
        for side in ("old", "new")
    ]
    assert books[0].partition(b"</header>")[2] == books[1].partition(b"</header>")[2] != b""
    assert "Alles is gelijk." in await new.get_comparison_page(transfer_id)
    assert str(transfer_id).encode() in await new.get_certificate(transfer_id)
    seen_by_old = await old.get_transfer(transfer_id)
    assert (seen_by_old.new, seen_by_old.scenario) == (None, None)
    assert seen_by_old.new_holder
    with pytest.raises(errors.NotAllowed):
        await old.release_transfer(transfer_id)
    assert (await support.resend_mail(transfer_id, kind=MailKind.READY, reason="asked")).sent >= 1
    assert [one.item for one in (await new.get_checklist(transfer_id)).items][:5] == FIVE
    ticked = await new.tick_checklist(transfer_id, ChecklistItem.TRIAL_BALANCE)
    assert [one.ticked_by for one in ticked.items if one.item == ChecklistItem.TRIAL_BALANCE] == ["Anna (10002)"]
    assert (await new.tick_checklist(transfer_id, "trial_balance", done=False)).items[3].ticked_by is None
    with pytest.raises(errors.WrongMoment):
        await new.tick_checklist(transfer_id, ChecklistItem.BECON_NUMBER)
    with pytest.raises(errors.NotAllowed):
        await old.tick_checklist(transfer_id, ChecklistItem.TRIAL_BALANCE)
    released = await new.release_transfer(transfer_id, note="checked")
    await new.wait_until(transfer_id, S.RELEASED, timeout_seconds=WAIT)
    assert [one async for one in new.list_held_items(transfer_id)] == []
    assert (await old.get_retirement(service.environment("10001/enyoi"))).state == "none"
    await listening
    assert released.transfer_id == transfer_id
    assert heard[0].state is S.SCHEDULED
    assert heard[-1].state is S.RELEASED
    assert all(seen.old is None for seen in heard)
    with pytest.raises(errors.AlreadyReleased):
        await old.cancel_transfer(transfer_id)
    done = await new.tick_checklist(transfer_id, ChecklistItem.BECON_NUMBER)
    assert [one.item for one in done.items if one.ticked_by] == [ChecklistItem.BECON_NUMBER]
    events = [event async for event in support.list_events(transfer_id)]
    assert next(event.detail for event in events if event.kind == "check_ticked") == {"item": "trial_balance"}
    assert [event.event_id for event in events] == sorted(event.event_id for event in events)
    told = [(event.actor, event.reason) for event in events if event.kind == "support_start_now"]
    assert told == [("Sanne (support)", "incident 4711")]
    kinds = {event.kind for event in events}
    assert {"support_hurry", "hurried"} <= kinds
    frozen = next(event for event in events if event.kind == "environment_frozen")
    assert frozen.detail["tables"]
    assert {"environment_frozen", "ticket_issued", "ticket_downloaded", "environment_released"} <= kinds


async def test_the_ticket_is_made_by_a_post_and_looked_at_by_a_get(service: Service) -> None:
    """A look changes nothing; the newest file is the only one that works, and it works once."""
    old, transfer_id = await started(service, "10002/Van Dam Horeca")
    backend = await service.speak("backend")
    before = [event async for event in backend.list_events(transfer_id)]
    assert (await old.get_ticket(transfer_id)).made_at is None
    first, second = await old.make_ticket(transfer_id), await old.make_ticket(transfer_id)
    facts = await old.get_ticket(transfer_id)
    assert facts == await old.get_ticket(transfer_id)
    assert facts.file_name == first.file_name
    assert facts.file_name.endswith("-overdracht-ticket.avr")
    assert facts.made_at is not None
    assert facts.used_at is None
    after = [event async for event in backend.list_events(transfer_id)]
    assert [event.kind for event in after[len(before) :]].count("ticket_downloaded") == 2
    new = await service.speak("firm", "10001")
    with pytest.raises(errors.TicketRevoked):
        await new.upload_ticket(first, name="Van Dam oud", url_part="van-dam-oud")
    await new.upload_ticket(second, name="Van Dam", url_part="van-dam-contract")
    with pytest.raises(errors.TicketUsed):
        await new.upload_ticket(second, name="Van Dam 2", url_part="van-dam-2")
    with pytest.raises(errors.TicketUsed):
        await old.make_ticket(transfer_id)
    await ended(old, transfer_id)
    with pytest.raises(errors.TicketRevoked):
        await old.make_ticket(transfer_id)


async def test_an_upload_is_refused_for_what_is_wrong_with_it(service: Service) -> None:
    """Each mistake has its class, and the same ticket goes on to a good upload."""
    old, transfer_id = await started(service, "10003/Linden Tandartsen")
    ticket = await old.make_ticket(transfer_id)
    new = await service.speak("firm", "10002")
    backend = await service.speak("backend")
    wrong: list[tuple[AsyncClient, dict[str, Any], type[errors.Problem]]] = [
        (new, {"ticket": b"no ticket"}, errors.TicketNotGenuine),
        (new, {"name": " "}, errors.NameInvalid),
        (new, {"name": "Bloemisterij Smit"}, errors.NameTaken),
        (new, {"url_part": "a b"}, errors.UrlInvalid),
        (new, {"url_part": "login"}, errors.UrlReserved),
        (new, {"licence": "10001"}, errors.LicenceUnknown),
        (backend, {"licence": "99999"}, errors.LicenceUnknown),
        (old, {}, errors.SameLicence),
        (backend, {"licence": "20002"}, errors.LoginEmailMissing),
    ]
    for who, words, kind in wrong:
        with pytest.raises(errors.UploadRefused) as refused:
            await who.upload_ticket(**{"ticket": ticket, "name": "Linden", "url_part": "linden-contract", **words})
        assert type(refused.value) is kind, words
        assert refused.value.problem.status == kind.status_code
    accepted = await new.upload_ticket(ticket, name="Linden contract")
    assert accepted.url.endswith("/linden-contract")
    assert (await ended(old, transfer_id)).undo_reason is UndoReason.CANCELLED


async def test_what_is_nobodys_or_not_now_is_refused(service: Service) -> None:
    """Refusals are the same classes, whether the rule is about the caller, the moment or the request."""
    old, transfer_id = await started(service, "10002/Van Dam Horeca")
    stranger, operator = await service.speak("firm", "10003"), await service.speak("operator")
    nobody = await service.open.enter_async_context(
        AsyncClient(**{**service.options("operator", None, ""), "token": "no"})
    )
    for refused, kind in (
        (stranger.get_transfer(transfer_id), errors.TransferUnknown),
        (stranger.preview_transfer(service.environment("10002/Van Dam Horeca")), errors.EnvironmentUnknown),
        (old.get_transfer(uuid4()), errors.TransferUnknown),
        (operator.cancel_transfer(transfer_id), errors.NotAllowed),
        (old.start_transfer(service.environment("10002/Van Dam Horeca")), errors.AlreadyInTransfer),
        (operator.start_transfer_now(transfer_id), errors.WrongMoment),
        (operator.get_certificate(transfer_id), errors.CertificateUnknown),
        (nobody.get_transfer(transfer_id), errors.NotAuthenticated),
    ):
        with pytest.raises(errors.Problem) as told:
            await refused
        assert type(told.value) is kind, told.value
    with pytest.raises(errors.RequestInvalid) as invalid:
        await operator.resend_mail(transfer_id, kind=MailKind("postcard"))
    assert [one.where for one in invalid.value.errors] == ["body.kind"]
    with pytest.raises(errors.TransferEnded):
        await asyncio.gather(old.wait_until(transfer_id, S.SCHEDULED, timeout_seconds=WAIT), ended(old, transfer_id))


async def test_what_there_is_to_choose_from(service: Service) -> None:
    """A firm finds its own environments, names and licence; support finds everybody's."""
    firm, support = await service.speak("firm", "10002"), await service.speak("support")
    own = [one async for one in firm.list_environments(page_size=1)]
    assert {"Van Dam Horeca"} <= {one.name for one in own}
    assert {one.licence_number for one in own} == {"10002"}
    assert [one async for one in firm.list_environments(licence="10001")] == []
    assert [one.name async for one in support.list_environments(search="molenaar")] == ["Molenaar Bouw"]
    assert [one.holder_name for one in await firm.list_licences("10002")] == ["Bakker Administraties"]
    assert await firm.list_licences("10001") == []
    assert [one.licence_number for one in await support.list_licences("molenaar")] == ["20001"]
    for words, field, kind in (
        ({"name": "Van Dam Horeca"}, "name", errors.NameTaken),
        ({"name": " "}, "name", errors.NameInvalid),
        ({"name": "Vrij", "url_part": "van-dam-horeca"}, "url_part", errors.UrlTaken),
        ({"name": "Vrij", "url_part": "a b"}, "url_part", errors.UrlInvalid),
        ({"name": "login"}, "url_part", errors.UrlReserved),
    ):
        problems = (await firm.check_name(**words)).problems
        assert [(one.field, one.type) for one in problems] == [(field, kind.type_uri)], words
    with pytest.raises(errors.LicenceUnknown):
        await firm.check_name("Vrij", licence="10001")


async def test_a_key_counts_once(service: Service) -> None:
    """Whoever did not hear the answer asks again and gets the same one; another request may not have the key."""
    old = await service.speak("firm", "10002")
    which, key = service.environment("10002/Van Dam Horeca"), str(uuid4())
    first = await old.start_transfer(which, key=key)
    assert await old.start_transfer(which, key=key) == first
    with pytest.raises(errors.KeyReused):
        await old.start_transfer(which, reason="other", key=key)
    await old.wait_until(first.transfer_id, S.AWAITING_UPLOAD, timeout_seconds=WAIT)
    await ended(old, first.transfer_id)


async def test_a_bound_ticket_and_an_incident(service: Service) -> None:
    """A ticket for one licence is worth nothing elsewhere; support lets a customer go on alone, and says why."""
    old, transfer_id = await started(service, "10002/Bloemisterij Smit", for_licence="20002")
    ticket = await old.make_ticket(transfer_id)
    thief, support = await service.speak("firm", "10001"), await service.speak("support")
    with pytest.raises(errors.TicketForAnotherLicence):
        await thief.upload_ticket(ticket, name="Gestolen")
    words = {"name": "Smit alleen", "url_part": "smit-alleen", "login_email": "a@smit.example", "reason": "incident 1"}
    with pytest.raises(errors.NotSelfManaged):
        await support.upload_incident(ticket, licence="10001", **words)
    with pytest.raises(errors.LoginEmailInvalid):
        await support.upload_incident(ticket, licence="20002", **{**words, "login_email": "nobody"})
    accepted = await support.upload_incident(ticket, licence="20002", **words)
    assert accepted.scenario == "insource"
    with pytest.raises(errors.EveningInvalid):
        await support.reschedule_transfer(transfer_id, evening=datetime(2020, 1, 1, tzinfo=UTC).date(), reason="x")
    await ended(old, transfer_id)


async def test_lists_are_filtered_and_read_in_pages(service: Service) -> None:
    """A list ends, holds each transfer once, and only those that were asked for."""
    which = service.environment("10002/Van Dam Horeca")
    made = []
    for _ in range(2):
        old, transfer_id = await started(service, "10002/Van Dam Horeca")
        await ended(old, transfer_id)
        made.append(transfer_id)
    found = [line.transfer_id async for line in old.list_transfers(environment_id=which, page_size=1)]
    assert found[:2] == made[::-1]
    assert len(found) == len(set(found))
    wanted: dict[str, Any] = {"environment_id": which, "outcome": "cancelled", "licence": "10002", "state": [S.UNDONE]}
    assert {*made} <= {line.transfer_id async for line in old.list_transfers(**wanted)}
    assert [line async for line in old.list_transfers(environment_id=which, outcome="released")] == []
    assert {*made} <= {line.transfer_id async for line in old.list_transfers(search="van-dam")}
    assert [line async for line in old.list_transfers(search="no such name")] == []
    stranger = await service.speak("firm", "10003")
    assert [line async for line in stranger.list_transfers(environment_id=which)] == []


async def test_a_rejection_and_the_client_that_blocks(service: Service) -> None:
    """The same calls without an event loop; a rejected move leaves the old environment to be moved again."""

    def move() -> TransferView:
        with (
            Client(**service.options("firm", "10003", "Anna")) as old,
            Client(**service.options("firm", "10001", "Bram")) as new,
            Client(**service.options("operator", None, "Cor")) as operator,
        ):
            assert old.get_liveness().status == "ok"
            assert old.get_readiness().ready
            preview = old.preview_transfer(service.environment("10003/Linden Tandartsen"))
            assert preview.environment.name == "Linden Tandartsen"
            transfer_id = old.start_transfer(preview.environment.environment_id).transfer_id
            old.wait_until(transfer_id, S.AWAITING_UPLOAD, timeout_seconds=WAIT)
            new.upload_ticket(old.make_ticket(transfer_id).content, name="Linden sync", url_part="linden-sync")
            new.wait_until(transfer_id, S.SCHEDULED, timeout_seconds=WAIT)
            operator.start_transfer_now(transfer_id)
            new.wait_until(transfer_id, S.AWAITING_RELEASE, timeout_seconds=WAIT)
            assert transfer_id in {line.transfer_id for line in new.list_transfers(state=[S.AWAITING_RELEASE])}
            new.reject_transfer(transfer_id, reason="the figures of 2019 are missing")
            with pytest.raises(errors.TransferEnded):
                new.wait_until(transfer_id, S.RELEASED, timeout_seconds=WAIT)
            return old.get_transfer(transfer_id)

    undone = await asyncio.to_thread(move)
    assert (undone.state, undone.undo_reason) == (S.UNDONE, UndoReason.REJECTED)


async def test_licences_and_environments_are_registered_once(service: Service) -> None:
    """A platform would have to write into tables of ours, or could register what nobody can move."""
    backend = await service.speak("backend")
    licence: dict[str, Any] = {
        "holder_name": "Kantoor Nieuw",
        "kind": "firm",
        "host": "nieuw",
        "contact_email": "info@nieuw.example",
    }
    registered = [await backend.register_licence("30/1", **licence) for _ in range(2)]
    assert registered[0] == registered[1]
    assert (registered[0].licence_number, registered[0].language) == ("30/1", "nl")
    other = {**licence, "holder_name": "Kantoor Nieuwer", "language": "en"}
    assert (await backend.register_licence("30/1", **other)).holder_name == "Kantoor Nieuwer"
    refusals: list[tuple[str, dict[str, Any], type[errors.Problem]]] = [
        ("30/1", {"kind": "self_managed"}, errors.LicenceDiffers),
        ("30/2", {}, errors.HostTaken),
        ("30/3", {"host": "a b"}, errors.RequestInvalid),
        ("30/3", {"contact_email": "nobody"}, errors.RequestInvalid),
        ("30/3", {"holder_name": " "}, errors.RequestInvalid),
        ("30/3", {"kind": "else"}, errors.RequestInvalid),
    ]
    for number, wrong, refused in refusals:
        with pytest.raises(refused):
            await backend.register_licence(number, **{**licence, **wrong})
    which = await service.books()
    words = {"licence": "30/1", "name": "Bakkerij  Bol", "login_email": "bol@bakker.example"}
    made = [await backend.register_environment(which, **words) for _ in range(2)]
    assert made[0] == made[1]
    assert (made[0].name, made[0].url_part, made[0].status) == ("Bakkerij Bol", "bakkerij-bol", "active")
    assert made[0].url.startswith("https://nieuw.")
    assert made[0].mailbox_address.startswith("bakkerij-bol@nieuw.mailbox.")
    now = datetime(2026, 12, 1, tzinfo=UTC)
    assert (
        await backend.deliver_mail(made[0].mailbox_address, b"Subject: x\r\n\r\n", received_at=now)
    ).outcome == "delivered"
    renamed = await backend.register_environment(which, **{**words, "name": "Bol"})
    assert (renamed.name, renamed.url) == ("Bol", made[0].url)
    for wrong, refused in (
        ({"licence": "10001"}, errors.EnvironmentDiffers),
        ({"url_part": "anders"}, errors.EnvironmentDiffers),
        ({"mailbox_address": "anders@bakker.example"}, errors.EnvironmentDiffers),
        ({"licence": "none"}, errors.LicenceUnknown),
        ({"name": "a\u200bb"}, errors.NameInvalid),
        ({"login_email": "nobody"}, errors.LoginEmailInvalid),
    ):
        with pytest.raises(refused):
            await backend.register_environment(which, **{**words, **wrong})
    second = await service.books()
    for wrong, refused in (
        ({"name": "bol"}, errors.NameTaken),
        ({"url_part": "bakkerij-bol"}, errors.UrlTaken),
        ({"url_part": "www"}, errors.UrlReserved),
        ({"mailbox_address": made[0].mailbox_address}, errors.AddressTaken),
    ):
        with pytest.raises(refused):
            await backend.register_environment(second, **{**words, "name": "Tweede", **wrong})
    transfer_id = (await backend.start_transfer(which)).transfer_id
    await backend.wait_until(transfer_id, S.AWAITING_UPLOAD, timeout_seconds=WAIT)
    with pytest.raises(errors.EnvironmentNotActive):
        await backend.register_environment(which, **words)
    await ended(backend, transfer_id)
    for stranger in (
        await service.speak("firm", "10001"),
        await service.speak("support"),
        await service.speak("operator"),
    ):
        with pytest.raises(errors.NotAllowed):
            await stranger.register_environment(which, **words)
        with pytest.raises(errors.NotAllowed):
            await stranger.register_licence("30/1", **licence)


async def test_a_licence_that_was_cancelled_takes_nothing_over(service: Service) -> None:
    """An entrepreneur who works with a firm now would pay on, or could be sent an environment again."""
    backend, firm = await service.speak("backend"), await service.speak("firm", "10002")
    words: dict[str, Any] = {"kind": "self_managed", "contact_email": "a@b.example", "holder_name": "Opgezegd"}
    number = f"7{uuid4().hex[:6]}"
    await backend.register_licence(number, host=f"l{number}", **words)
    which = await service.books()
    await backend.register_environment(which, licence=number, name="Nog in gebruik")
    with pytest.raises(errors.LicenceInUse):
        await backend.register_licence(number, host=f"l{number}", **words, cancelled=True)
    other = f"8{number}"
    words |= {"host": f"l{other}"}
    for _ in range(2):
        assert (await backend.register_licence(other, **words, cancelled=True)).cancelled
    assert (await backend.register_licence(other, **words)).cancelled  # as it was
    (seen,) = await backend.list_licences(other)
    assert (seen.in_use, seen.cancelled_at is not None) == (False, True)
    with pytest.raises(errors.LicenceCancelled):
        await backend.register_environment(await service.books(), licence=other, name="Nieuw")
    with pytest.raises(errors.LicenceCancelled):
        await firm.start_transfer(service.environment("10002/Van Dam Horeca"), for_licence=other)
    _, transfer_id = await started(service, "10002/Van Dam Horeca")
    ticket = await firm.make_ticket(transfer_id)
    support = await service.speak("support")
    incident = {"licence": other, "name": "A", "url_part": "a", "login_email": "a@b.example", "reason": "incident 1"}
    with pytest.raises(errors.LicenceCancelled):
        await support.upload_incident(ticket, **incident)
    assert not (await backend.register_licence(other, **words, cancelled=False)).cancelled
    await support.upload_incident(ticket, **incident)
    with pytest.raises(errors.LicenceInUse):
        await backend.register_licence(other, **words, cancelled=True)
    await ended(firm, transfer_id)


async def test_an_environment_without_books_is_not_registered(stack: Stack, callers: Callers) -> None:
    """It could be chosen for a move, and fail at the first step."""
    async with AsyncClient(str(stack.info.api_url), callers.token(Role.BACKEND)) as backend:
        with pytest.raises(errors.BooksMissing):
            await backend.register_environment(uuid4(), licence="10001", name="Zonder boeken")


async def test_the_feed_and_webhooks_by_halves(service: Service) -> None:
    """A backend that was away goes on where it was; each half hears of its own, and of endpoints sees its own."""
    old, backend = await service.speak("firm", "10002"), await service.speak("backend")
    before = [event async for event in backend.list_all_events()]
    after = int(before[-1].sequence) if before else 0
    made = await old.create_webhook("http://127.0.0.1:9/hooks", types=["nl.sb.transfer.undone.v1"], after=0)
    assert made.secret.startswith("whsec_")
    assert (made.licence, made.enabled) == ("10002", True)
    _, transfer_id = await started(service, "10002/Van Dam Horeca")
    await ended(old, transfer_id)
    told: list[str] = []
    async with asyncio.timeout(WAIT):  # an event is in the feed soon after what it tells
        while "undone" not in told:
            mine = [event async for event in old.list_all_events(after=after, page_size=2)]
            told = [event.type.split(".")[3] for event in mine if event.data.transfer_id == transfer_id]
    assert told[:2] == ["preparing", "awaiting_upload"]
    assert told[-1] == "undone"
    assert {event.data.actor for event in mine} == {None}
    assert [event.sequence for event in mine] == sorted((event.sequence for event in mine), key=int)
    everything = [event async for event in backend.list_all_events(after=after)]
    assert {event.id for event in mine} <= {event.id for event in everything}
    assert any(event.data.actor for event in everything)
    stranger, operator = await service.speak("firm", "10003"), await service.speak("operator")
    assert [event async for event in stranger.list_all_events(after=after)] == []
    assert [one async for one in stranger.list_webhooks()] == []
    assert made.webhook_id in [one.webhook_id async for one in operator.list_webhooks(page_size=1)]
    for refused in (
        stranger.get_webhook(made.webhook_id),
        stranger.delete_webhook(made.webhook_id),
        old.get_webhook(uuid4()),
        old.create_webhook("https://93.184.216.34/", licence="10003"),
    ):
        with pytest.raises(errors.WebhookUnknown):
            await refused
    for url in ("http://93.184.216.34/", "ftp://x/", "https://a:b@93.184.216.34/"):
        with pytest.raises(errors.WebhookUrlRefused):
            await backend.create_webhook(url)
    changed = await old.change_webhook(made.webhook_id, enabled=False, description="off", url="https://93.184.216.34/")
    assert (changed.enabled, changed.disabled_because, changed.description) == (False, "by_hand", "off")
    rotated = await old.rotate_webhook_secret(made.webhook_id)
    assert rotated.secret != made.secret
    assert rotated.previous_secret_until is not None
    assert (await old.redeliver_events(made.webhook_id, after=after)).webhook_id == made.webhook_id
    with pytest.raises(errors.NotAllowed):
        await (await service.speak("support")).delete_webhook(made.webhook_id)
    await old.delete_webhook(made.webhook_id)
    with pytest.raises(errors.WebhookUnknown):
        await old.get_webhook(made.webhook_id)
    for name in ("a", "b"):
        one = await backend.create_webhook(f"https://93.184.216.34/{name}", licence="10001", key="one-key")
        assert one.licence == "10001"
        await backend.delete_webhook(one.webhook_id)
    key = str(uuid4())
    first, again = [await backend.create_webhook("https://93.184.216.34/", key=key) for _ in range(2)]
    assert (first.webhook_id, first.licence) == (again.webhook_id, None)
    assert first.secret != again.secret
    await backend.delete_webhook(first.webhook_id)


async def test_who_registered_a_webhook_is_told(service: Service) -> None:
    """A backend would have to ask again and again whether an environment is ready."""
    old = await service.speak("firm", "10002")
    async with Receiver() as receiver:
        made = await old.create_webhook(receiver.url)
        receiver.secrets.append(made.secret)
        _, transfer_id = await started(service, "10002/Van Dam Horeca")
        await ended(old, transfer_id)
        if service.fake is not None:
            told = [
                receive(one.headers, one.body, made.secret, now=NOW.timestamp()) for one in service.fake.deliveries()
            ]
        else:
            await receiver.until(4)
            told = receiver.taken
        await old.delete_webhook(made.webhook_id)
    assert [event.data.state for event in told] == [S.PREPARING, S.AWAITING_UPLOAD, S.UNDOING, S.UNDONE]
    assert {event.data.transfer_id for event in told} == {transfer_id}


async def standing_of(backend: AsyncClient, portfolio_id: UUID, **wanted: int) -> PortfolioStanding:
    """Wait until so many of a portfolio are in these states."""
    async with asyncio.timeout(WAIT):
        while (standing := await backend.get_portfolio(portfolio_id)).counts != wanted:  # noqa: ASYNC110 - asked over HTTP
            await asyncio.sleep(0.2)
    return standing


async def one_is_rejected(service: Service, backend: AsyncClient, standing: PortfolioStanding) -> None:
    """Undo the second of a portfolio once it awaits its release; the first is planned, and the third was refused."""
    which, second = standing.portfolio_id, standing.items[1].transfer_id
    assert second is not None
    for number, refused in ((1, errors.WrongMoment), (3, errors.WrongMoment), (99, errors.PortfolioUnknown)):
        with pytest.raises(refused):
            await backend.reject_portfolio_item(which, number, reason="2019 is missing")
    support = await service.speak("support")
    await support.start_transfer_now(second, reason="incident 4711")
    await standing_of(backend, which, scheduled=1, awaiting_release=1, refused=1)
    rejected = await support.reject_portfolio_item(which, 2, reason="2019 is missing")
    assert [item.number for item in rejected.items] == [2]
    await standing_of(backend, which, scheduled=1, undone=1, refused=1)
    undone = await backend.get_transfer(second)
    assert (undone.undo_reason, undone.undo_detail) == (UndoReason.REJECTED, "2019 is missing")
    told = [
        (event.actor, event.reason) async for event in backend.list_events(second) if event.kind == "support_reject"
    ]
    assert told == [("Anna (support)", "2019 is missing")]


async def test_a_portfolio_is_looked_at_moved_and_cancelled(service: Service) -> None:
    """Every refusal is told before anything is frozen; what can move waits for its evening, and one may try again."""
    backend = await service.speak("backend")
    taken = await service.books()
    await backend.register_environment(taken, licence="10001", name=f"Bakker {taken.hex[:6]} (over)")
    other = await service.books()
    await backend.register_environment(other, licence="10002", name=f"Bakker {taken.hex[:6]}")
    which = [service.environment(f"10002/{name}") for name in ("Van Dam Horeca", "Bloemisterij Smit")]
    tomorrow = (NOW + timedelta(days=3)).date()
    words: dict[str, Any] = {"licence": "10001", "name_pattern": "{name} (over)", "per_night": 1}
    made = await backend.create_portfolio(environments=[*which, other], first_evening=tomorrow, **words)
    assert [item.state for item in made.items] == ["waiting"] * 3
    looked = await standing_of(backend, made.portfolio_id, ready=2, refused=1)
    assert looked.items[2].code == "NameTaken"
    refused = await backend.get_portfolio(made.portfolio_id, state=ItemState.REFUSED)
    assert refused.items == looked.items[2:]
    listed = [line async for line in backend.list_portfolios(page_size=1)]
    assert (listed[0].portfolio_id, listed[0].counts) == (made.portfolio_id, looked.counts)
    await backend.begin_portfolio(made.portfolio_id)
    planned = await standing_of(backend, made.portfolio_id, scheduled=2, refused=1)
    assert [item.evening for item in planned.items[:2]] == [tomorrow, tomorrow + timedelta(days=1)]
    assert planned.items[1].transfer_id is not None
    transfer = await backend.get_transfer(planned.items[1].transfer_id)
    assert transfer.new is not None
    assert transfer.new.name == "Bloemisterij Smit (over)"
    assert transfer.starts_at is not None
    assert transfer.starts_at.date() == tomorrow + timedelta(days=1)
    # The same moments, in the same form, once nothing is under way beside the wait: the hash, or a mail.
    async for streamed in backend.follow_transfer(planned.items[1].transfer_id, timeout_seconds=WAIT):
        if streamed == await backend.get_transfer(planned.items[1].transfer_id):
            break
    await ended(backend, planned.items[1].transfer_id)
    await backend.retry_portfolio(made.portfolio_id, number=2)
    again = await standing_of(backend, made.portfolio_id, scheduled=2, refused=1)
    assert again.items[1].transfer_id != planned.items[1].transfer_id
    with pytest.raises(errors.WrongMoment):
        await backend.make_portfolio_tickets(made.portfolio_id)
    await one_is_rejected(service, backend, again)
    await backend.cancel_portfolio(made.portfolio_id)
    await standing_of(backend, made.portfolio_id, cancelled=1, undone=2)
    await backend.retry_portfolio(made.portfolio_id, number=1)  # all have ended: it is taken up again
    await standing_of(backend, made.portfolio_id, cancelled=1, undone=1, scheduled=1)
    await backend.cancel_portfolio(made.portfolio_id)
    await standing_of(backend, made.portfolio_id, cancelled=1, undone=2)
    with pytest.raises(errors.PortfolioUnknown):
        await backend.get_portfolio(uuid4())
    with pytest.raises(errors.EveningInvalid):
        await backend.create_portfolio(
            environments=which, **{**words, "first_evening": NOW.date() + timedelta(days=100)}
        )
    with pytest.raises(errors.NotAllowed):
        await (await service.speak("firm", "10002")).create_portfolio(environments=which, **words)


async def test_a_portfolios_tickets_are_one_file_for_the_new_side(service: Service) -> None:
    """The new side would be sent hundreds of files, or the old side would have to upload in its name."""
    backend, new = await service.speak("backend"), await service.speak("firm", "10001")
    which = [service.environment(f"10002/{name}") for name in ("Bloemisterij Smit", "Van Dam Horeca")]
    made = await backend.create_portfolio(licence="10001", environments=which, begin=True, upload=False)
    await standing_of(backend, made.portfolio_id, awaiting_upload=2)
    newest = [line.portfolio_id async for line in backend.list_portfolios(page_size=1)]
    assert newest[0] == made.portfolio_id
    assert len(newest) == len(set(newest))
    with zipfile.ZipFile(io.BytesIO(await backend.make_portfolio_tickets(made.portfolio_id))) as file:
        assert file.namelist() == [
            "0001-bloemisterij-smit-overdracht-ticket.avr",
            "0002-van-dam-horeca-overdracht-ticket.avr",
        ]
        accepted = await new.upload_ticket(file.read(file.namelist()[1]), name=f"Over {made.portfolio_id.hex[:6]}")
    standing = await standing_of(backend, made.portfolio_id, awaiting_upload=1, scheduled=1)
    assert standing.items[1].transfer_id == accepted.transfer_id
    await backend.cancel_portfolio(made.portfolio_id)
    await standing_of(backend, made.portfolio_id, undone=2)
