"""The mailer against a real PostgreSQL and a real SMTP server: who gets what, once."""

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from adapters.mail import sender as sender_module
from adapters.mail.sender import PostgresMailer
from adapters.postgres.connection import Pool, connect_pool
from adapters.postgres.statements import load
from adapters.webhooks.events import PostgresEventFeed
from devstack.mail import MailCatcher
from devstack.ports import free_port
from domain.errors import MailDelayed, Superseded, TransferUnknown, Unavailable, WrongMoment
from domain.messages import SendMail
from domain.naming import schema_name_of
from domain.vocabulary import CheckKind, MailKind
from tests.integration.mail_case import LOGIN, NEW_MAIL, OLD_MAIL, Case, mailer_at, recipients_in, text_to


async def test_ready_goes_to_the_new_side_with_what_the_database_knows(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher
) -> None:
    """Sends the new side link, comparison, banks, apps and users, and no secret."""
    case = await Case(pool).build("insource")
    sent = await mailer.send(case.order(MailKind.READY))
    assert (sent.sent, sent.problems) == (2, [])
    assert recipients_in(catcher) == sorted([NEW_MAIL, LOGIN])
    text = text_to(catcher, NEW_MAIL)
    assert "https://host2.sb.example/enyoi-nieuw" in text
    assert "KNAB NL20KNAB0255555555 (Enyoi BV)" in text
    assert "Urenapp" in text
    assert "ann@bedrijf.example, jan@bedrijf.example" in text
    assert f"Alle {len(CheckKind)} vergelijkingen" in text
    for mail in catcher.mails():
        assert "geheim" not in str(mail)
    rows = await case.rows()
    row = rows["ready", LOGIN]
    assert (row["status"], row["attempts"], row["problem"]) == ("sent", 1, None)
    assert row["sent_at"] >= row["attempted_at"]
    assert await case.events() == [("mail_sent", "ready", NEW_MAIL), ("mail_sent", "ready", LOGIN)]


async def test_the_certificate_goes_with_the_mail_that_says_ready(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher
) -> None:
    """Attaches the certificate byte for byte."""
    case = await Case(pool).build()
    document = '{\n  "certificate": {\n    "name": "Café “Zuid” \\u2028"\n  }\n}\n' + "x" * 2000
    await pool.execute(
        "insert into control.certificate values ($1, 1, '0123456789abcdef', now(), $2)", case.transfer_id, document
    )
    await mailer.send(case.order(MailKind.READY))
    (mail,) = catcher.mails()
    (attached,) = mail.iter_attachments()
    assert attached.get_filename() == "enyoi-nieuw-overdracht-certificaat.json"
    assert attached.get_content_type() == "application/json"
    assert attached.get_payload(decode=True) == document.encode()
    assert "In de bijlage vind je het certificaat" in text_to(catcher, NEW_MAIL)
    await mailer.send(case.order(MailKind.RELEASE_REMINDER))
    assert [len(list(sent.iter_attachments())) for sent in catcher.mails()] == [1, 0]


async def test_a_retry_sends_nothing_twice(pool: Pool, mailer: PostgresMailer, catcher: MailCatcher) -> None:
    """Sends nothing again on a retry."""
    case = await Case(pool).build()
    for _ in range(3):
        assert (await mailer.send(case.order(MailKind.UPLOAD_ACCEPTED))).sent == 2
    assert recipients_in(catcher) == sorted([OLD_MAIL, NEW_MAIL])
    assert len(await case.events()) == 2
    assert "vervangt het vorige" not in text_to(catcher, NEW_MAIL)


async def test_a_plan_that_was_changed_says_that_it_takes_the_place_of_the_former(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher
) -> None:
    """Tells two mails apart that both say when an environment moves."""
    case = await Case(pool).build()
    await pool.execute(
        "insert into control.transfer_event (transfer_id, actor, kind) values ($1, 'bo', 'upload_corrected')",
        case.transfer_id,
    )
    await mailer.send(case.order(MailKind.UPLOAD_ACCEPTED))
    assert "De verhuizing is gewijzigd. Dit bericht vervangt het vorige." in text_to(catcher, NEW_MAIL)


async def test_two_senders_at_once_send_once(pool: Pool, mailer: PostgresMailer, catcher: MailCatcher) -> None:
    """Sends each mail once with two senders at work."""
    case = await Case(pool).build(state="released")
    answers = await asyncio.gather(*(mailer.send(case.order(MailKind.INVITATION)) for _ in range(4)))
    assert [answer.sent for answer in answers] == [2] * 4
    assert recipients_in(catcher) == ["ann@bedrijf.example", "jan@bedrijf.example"]
    assert "Koppel AFAS Link op je telefoon opnieuw." in text_to(catcher, "jan@bedrijf.example")
    assert "Link AFAS Link on your telephone again." in text_to(catcher, "ann@bedrijf.example")


async def test_the_platform_is_told_once_whom_to_invite(
    pool: Pool, catcher: MailCatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users would be invited twice, by two senders, or by nobody."""
    monkeypatch.setattr(sender_module, "_BATCH", 1)
    case = await Case(pool).build(state="released")
    mailer = mailer_at(pool, catcher.url, platform_invites=True)
    told = await asyncio.gather(*(mailer.send(case.order(MailKind.INVITATION)) for _ in range(3)))
    assert [(answer.sent, answer.already, answer.problems) for answer in told] == [(0, 2, [])] * 3
    page = await PostgresEventFeed(pool).page(
        after=0, limit=50, licence=None, types=["nl.sb.transfer.users_to_invite.v1"]
    )
    details: list[dict[str, Any]] = [event.data.detail or {} for event in page.events]
    users = [user for detail in details for user in detail["users"]]
    assert [user["email"] for user in users] == ["ann@bedrijf.example", "jan@bedrijf.example"]
    assert all(user["role"] for user in users)
    assert [(detail["part"], detail["parts"]) for detail in details] == [(1, 2), (2, 2)]
    await mailer.send(case.order(MailKind.RELEASED))
    assert not any("per e-mail krijgt" in str(mail.get_body(("plain",))) for mail in catcher.mails())
    assert recipients_in(catcher) != []
    found = await pool.fetch(load("adapters.reconcile.inspection")["transfers"])
    assert "invitation" in found[0]["mails"]


async def test_many_mails_are_spread_over_attempts(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goes on in the next attempt where the time of one ran out."""
    monkeypatch.setattr(sender_module, "_BUDGET_SECONDS", 0.0)
    case = await Case(pool).build(state="released")
    first = await mailer.send(case.order(MailKind.INVITATION))
    assert (first.sent, first.left) == (1, 1)
    assert len(catcher.mails()) == 1
    assert (await mailer.send(case.order(MailKind.INVITATION))).sent == 2
    assert recipients_in(catcher) == ["ann@bedrijf.example", "jan@bedrijf.example"]


async def test_a_sender_that_is_busy_is_waited_for_briefly(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher, monkeypatch: pytest.MonkeyPatch, dsn: str
) -> None:
    """Waits briefly for a busy sender, then fails as retryable."""
    monkeypatch.setattr(sender_module, "_PATIENCE", "50ms")
    case = await Case(pool).build()
    busy = await asyncpg.connect(dsn)
    await busy.execute(load("adapters.mail.sender")["hold"], case.transfer_id, MailKind.READY)
    with pytest.raises(Unavailable):
        await mailer.send(case.order(MailKind.READY))
    assert catcher.mails() == []
    await busy.close()  # as when its worker dies
    monkeypatch.undo()
    assert (await mailer.send(case.order(MailKind.READY))).sent == 1


async def test_a_send_leaves_no_lock_and_no_setting_behind(dsn: str, catcher: MailCatcher) -> None:
    """Leaves no lock and no setting on the pooled connection."""
    one = await connect_pool(dsn, max_size=1, application_name="mailroom tests")
    try:
        case = await Case(one).build()
        before = await one.fetchval("show lock_timeout")
        catcher.answers[NEW_MAIL] = "451 4.7.1 Greylisted"
        with pytest.raises(MailDelayed):
            await mailer_at(one, catcher.url).send(case.order(MailKind.READY))
        held = "select exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())"
        assert not await one.fetchval(held)
        assert await one.fetchval("show lock_timeout") == before
        assert "env_" not in await one.fetchval("show search_path")
    finally:
        await one.close()


async def test_one_refused_recipient_stops_nobody_else(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher
) -> None:
    """Sends to all others when one recipient is refused, and to that one once corrected."""
    case = await Case(pool).build(state="released")
    catcher.answers[OLD_MAIL] = "550 5.1.1 No such user"
    for _ in range(2):
        sent = await mailer.send(case.order(MailKind.RELEASED))
        assert sent.sent == 1
        (problem,) = sent.problems
        assert problem.recipient == OLD_MAIL
        assert "550 5.1.1 No such user" in problem.problem
    assert recipients_in(catcher) == [NEW_MAIL]
    row = (await case.rows())["released", OLD_MAIL]
    assert (row["status"], row["attempts"], row["sent_at"]) == ("failed", 2, None)
    assert "No such user" in row["problem"]
    assert await case.events() == [("mail_failed", "released", OLD_MAIL), ("mail_sent", "released", NEW_MAIL)]
    del catcher.answers[OLD_MAIL]
    assert (await mailer.send(case.order(MailKind.RELEASED))).problems == []
    assert recipients_in(catcher) == sorted([OLD_MAIL, NEW_MAIL])


async def test_greylisting_is_waited_out(pool: Pool, mailer: PostgresMailer, catcher: MailCatcher) -> None:
    """Sends a greylisted mail later, and no other one again."""
    case = await Case(pool).build(state="released")
    catcher.answers[OLD_MAIL] = "451 4.7.1 Greylisted, try again"
    with pytest.raises(MailDelayed, match="Greylisted"):
        await mailer.send(case.order(MailKind.RELEASED))
    rows = await case.rows()
    assert rows["released", OLD_MAIL]["status"] == "pending"
    assert rows["released", NEW_MAIL]["status"] == "sent"
    del catcher.answers[OLD_MAIL]
    assert (await mailer.send(case.order(MailKind.RELEASED))).sent == 2
    assert recipients_in(catcher) == sorted([OLD_MAIL, NEW_MAIL])
    assert (await case.rows())["released", OLD_MAIL]["problem"] is None


async def test_a_server_that_is_down_is_waited_out(pool: Pool, catcher: MailCatcher) -> None:
    """Waits for a mail server that is down."""
    case = await Case(pool).build()
    with pytest.raises(MailDelayed):
        await mailer_at(pool, f"smtp://127.0.0.1:{free_port()}").send(case.order(MailKind.READY))
    assert (await case.rows())["ready", NEW_MAIL]["status"] == "pending"
    assert (await mailer_at(pool, catcher.url).send(case.order(MailKind.READY))).sent == 1


async def test_a_mail_whose_acceptance_was_not_noted_is_recognisable(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher
) -> None:
    """Gives a second copy the Message-ID of the first."""
    case = await Case(pool).build()
    await mailer.send(case.order(MailKind.READY))
    await pool.execute("update control.sent_mail set status = 'pending', sent_at = null")  # the commit that was lost
    await mailer.send(case.order(MailKind.READY))
    first, second = catcher.mails()
    assert first["Message-ID"] == second["Message-ID"] == (await case.rows())["ready", NEW_MAIL]["message_id"]


async def test_only_to_sends_again_and_to_other_addresses(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher
) -> None:
    """Sends again to one address only, and to nobody who has it."""
    case = await Case(pool).build()
    await mailer.send(case.order(MailKind.READY))
    assert (await mailer.send(case.order(MailKind.READY, only_to=NEW_MAIL.upper()))).sent == 1
    assert (await mailer.send(case.order(MailKind.READY, only_to="collega@kantoor.example"))).sent == 1
    assert recipients_in(catcher) == sorted(["collega@kantoor.example", NEW_MAIL, NEW_MAIL])
    rows = await case.rows()
    assert rows["ready", NEW_MAIL]["attempts"] == 2
    assert len(rows) == 2


@pytest.mark.parametrize("address", ["geen adres", "a@b.example\r\nBcc: dief@example.com", "a@b.example\0", "<>"])
async def test_an_address_that_is_none_is_a_problem_not_a_crash(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher, address: str
) -> None:
    """Reports an unusable address as a problem."""
    case = await Case(pool).build()
    sent = await mailer.send(case.order(MailKind.READY, only_to=address))
    if address == "a@b.example\0":
        assert sent.sent == 1
    else:
        assert "not a usable e-mail address" in sent.problems[0].problem
        assert catcher.mails() == []


async def test_undone_goes_to_whoever_got_something(pool: Pool, mailer: PostgresMailer, catcher: MailCatcher) -> None:
    """Tells of the undo those who had been told of the move."""
    case = await Case(pool).build("insource")
    catcher.answers[LOGIN] = "550 5.1.1 No such user"
    await mailer.send(case.order(MailKind.TICKET_ISSUED))
    await mailer.send(case.order(MailKind.UPLOAD_ACCEPTED))
    catcher.answers.clear()
    await pool.execute("update control.environment set status = 'active' where environment_id = $1", case.old_id)
    await pool.execute("delete from control.environment where environment_id = $1", case.new_id)
    await pool.execute(f"drop schema {schema_name_of(case.new_id)} cascade")
    await case.undo()
    before = len(catcher.mails())
    assert (await mailer.send(case.order(MailKind.UNDONE))).sent == 2
    undone = catcher.mails()[before:]
    assert sorted(str(mail["To"]) for mail in undone) == sorted([OLD_MAIL, NEW_MAIL])
    for mail in undone:
        part = mail.get_body(("plain",))
        assert part is not None
        text = " ".join(str(part.get_content()).split())
        assert "na controle afgekeurd" in text
        assert "De oude klantomgeving Enyoi is weer beschrijfbaar" in text
        named = " Enyoi Nieuw" if mail["To"] == NEW_MAIL else ""
        assert f"Van de nieuwe omgeving{named} blijft niets over." in text


async def test_undone_of_a_transfer_that_never_got_far(pool: Pool, mailer: PostgresMailer) -> None:
    """Sends nothing for a transfer that ended before its first mail."""
    transfer_id = uuid4()
    await pool.execute(
        "insert into control.transfer (transfer_id, workflow_id, environment_id, state, undo_reason)"
        " values ($1, 'transfer-x', $2, 'undone', 'cancelled')",
        *(transfer_id, uuid4()),
    )
    assert (await mailer.send(SendMail(transfer_id=transfer_id, kind=MailKind.UNDONE))).sent == 0
    sent = await mailer.send(SendMail(transfer_id=transfer_id, kind=MailKind.UNDONE, only_to="x@example.nl"))
    assert sent.sent == 1


async def test_no_mail_tells_of_a_move_that_is_being_undone(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher
) -> None:
    """Refuses to send what an undo has overtaken."""
    case = await Case(pool).build()
    with pytest.raises(WrongMoment):
        await mailer.send(case.order(MailKind.UNDONE))
    await case.undo(state="undoing")
    for kind in set(MailKind) - {MailKind.UNDONE}:
        with pytest.raises(Superseded):
            await mailer.send(case.order(kind))
    assert catcher.mails() == []


async def test_reminders_are_for_their_own_state_only(pool: Pool, mailer: PostgresMailer, catcher: MailCatcher) -> None:
    """Refuses a reminder in another state than its own."""
    case = await Case(pool).build()
    assert (await mailer.send(case.order(MailKind.TICKET_REMINDER))).sent == 0
    assert (await mailer.send(case.order(MailKind.RELEASE_REMINDER))).sent == 1
    await pool.execute("update control.transfer set state = 'awaiting_upload'")
    assert (await mailer.send(case.order(MailKind.TICKET_REMINDER))).sent == 1
    assert recipients_in(catcher) == sorted([NEW_MAIL, OLD_MAIL])


@pytest.mark.parametrize("scenario", ["switch", "outsource", "insource"])
@pytest.mark.parametrize("language", ["nl", "en"])
async def test_every_kind_leaves_the_database_as_a_mail(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher, scenario: str, language: str
) -> None:
    """Sends every kind of mail to the recipients and with the facts that the steps have written."""
    case = await Case(pool).build(scenario, language=language)
    for kind in MailKind:
        state = {
            "ticket_reminder": "awaiting_upload",
            "released": "released",
            "invitation": "released",
            "mailbox_closed": "released",
            "retirement_planned": "released",
            "retired": "released",
        }.get(kind, "awaiting_release")
        if kind is MailKind.MAILBOX_CLOSED:
            await pool.execute("update control.mailbox_route set environment_id = null, closed_at = now()")
        if kind is MailKind.RETIREMENT_PLANNED:
            await pool.execute(
                "insert into control.retirement (environment_id, transfer_id, requested_by, planned_at, due_at)"
                " select environment_id, transfer_id, 'old side', now(), now() + interval '14 days'"
                " from control.transfer"
            )
        if kind is MailKind.UNDONE:
            await case.undo()
        else:
            await pool.execute("update control.transfer set state = $1, undo_reason = null", state)
        sent = await mailer.send(case.order(kind))
        assert sent.sent >= 1
        assert sent.problems == []
    kinds = {kind for kind, _ in await case.rows()}
    assert kinds == {kind.value for kind in MailKind}
    for mail in catcher.mails():
        if "@kantoor" in str(mail["To"]):
            assert mail["Content-Language"] == language


@pytest.mark.parametrize("kind", [MailKind.RELEASED, MailKind.INVITATION, MailKind.MAILBOX_CLOSED])
async def test_resend_sends_only_what_has_happened_to_those_whom_it_did_not_reach(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher, kind: MailKind
) -> None:
    """Refuses news of a release that is still to come, and does not let it keep the real news from going out."""
    case = await Case(pool).build()
    for only_to in (None, "iemand@example.nl"):
        with pytest.raises(WrongMoment, match="has not happened"):
            await mailer.send(case.order(kind).model_copy(update={"only_to": only_to}))
    assert catcher.mails() == []
    assert await case.rows() == {}
    await pool.execute("update control.transfer set state = 'released'")
    if kind is MailKind.MAILBOX_CLOSED:
        await pool.execute("update control.mailbox_route set environment_id = null, closed_at = now()")
    first = await mailer.send(case.order(kind))
    assert (first.sent >= 1, first.already) == (True, 0)
    again = await mailer.send(case.order(kind))
    assert (again.sent, again.already) == (first.sent, first.sent)
    assert len(catcher.mails()) == first.sent


async def test_an_environment_of_another_make_still_gets_its_mail(pool: Pool, mailer: PostgresMailer) -> None:
    """Sends the mail without a list when its table is missing."""
    case = await Case(pool).build()
    await pool.execute(f"drop table {schema_name_of(case.new_id)}.app_connection")
    assert (await mailer.send(case.order(MailKind.READY))).sent == 1


async def test_unknown_transfer_and_lost_database_are_said_in_the_domains_words(
    pool: Pool, mailer: PostgresMailer, dsn: str
) -> None:
    """Raises the domain's errors for an unknown transfer and a lost database."""
    with pytest.raises(TransferUnknown):
        await mailer.send(SendMail(transfer_id=uuid4(), kind=MailKind.READY))
    case = await Case(pool).build()
    blocker, killer = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    try:
        async with blocker.transaction():
            await blocker.execute("lock table control.sent_mail")
            sending = asyncio.create_task(mailer.send(case.order(MailKind.READY)))
            async with asyncio.timeout(60):
                while not await killer.fetchval(  # noqa: ASYNC110 - what it waits for is in another process
                    "select bool_or(pg_terminate_backend(pid)) from pg_stat_activity"
                    " where wait_event_type = 'Lock' and datname = current_database()"
                ):
                    await asyncio.sleep(0.02)
            with pytest.raises(Unavailable):
                await sending
    finally:
        await blocker.close()
        await killer.close()
    assert (await mailer.send(case.order(MailKind.READY))).sent == 1


async def test_an_order_that_asks_hears_what_the_server_does_not_take_yet(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher
) -> None:
    """Returns what is greylisted and what is refused, each as such."""
    case = await Case(pool).build()
    catcher.answers.update({OLD_MAIL: "450 4.2.0 Greylisted", NEW_MAIL: "550 5.1.1 No such user"})
    order = case.order(MailKind.UPLOAD_ACCEPTED).model_copy(update={"tell_delays": True})
    sent = await mailer.send(order)
    assert sent.sent == 0
    assert [(each.recipient, "Greylisted" in each.problem) for each in sent.waiting] == [(OLD_MAIL, True)]
    assert [(each.recipient, "No such user" in each.problem) for each in sent.problems] == [(NEW_MAIL, True)]
    del catcher.answers[OLD_MAIL]
    assert (await mailer.send(order)).waiting == []
    assert recipients_in(catcher) == [OLD_MAIL]
