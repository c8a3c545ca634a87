"""The mailer against a real PostgreSQL and a real SMTP server: who gets what, once."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from pydantic import SecretStr

from adapters.mail import sender as sender_module
from adapters.mail.sender import PostgresMailer
from adapters.mail.smtp import SmtpClient
from adapters.postgres.connection import Connection, Pool, connect_pool
from adapters.postgres.migrations import migrate_environment
from adapters.postgres.statements import load
from devstack.mail import MailCatcher
from devstack.ports import free_port
from domain.errors import MailDelayed, Superseded, TransferUnknown, Unavailable, WrongMoment
from domain.messages import SendMail
from domain.naming import schema_name_of
from domain.vocabulary import CheckKind, MailKind

_ZONE = ZoneInfo("Europe/Amsterdam")
_OLD_MAIL, _NEW_MAIL, _LOGIN = "oud@kantoor.example", "nieuw@kantoor.example", "Klant@bedrijf.example"


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    pool = await connect_pool(dsn, application_name="mailroom tests")
    yield pool
    await pool.close()


@pytest.fixture
async def catcher(tmp_path: Path) -> AsyncIterator[MailCatcher]:
    async with MailCatcher(tmp_path / "mail") as catcher:
        yield catcher


@pytest.fixture
def mailer(pool: Pool, catcher: MailCatcher) -> PostgresMailer:
    return _mailer(pool, catcher.url)


def _mailer(pool: Pool, url: str) -> PostgresMailer:
    return PostgresMailer(pool, SmtpClient(SecretStr(url), "SB <noreply@sb.example>"), _ZONE)


class Case:
    """One transfer in the database, as the other steps leave it."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.transfer_id, self.old_id, self.new_id = uuid4(), uuid4(), uuid4()

    async def build(self, scenario: str = "switch", state: str = "awaiting_release", **licence: str) -> "Case":
        kinds = {
            "switch": ("firm", "firm"),
            "outsource": ("self_managed", "firm"),
            "insource": ("firm", "self_managed"),
        }
        async with self.pool.acquire() as connection, connection.transaction():
            for number, mail, kind in zip(("1", "2"), (_OLD_MAIL, _NEW_MAIL), kinds[scenario], strict=True):
                await connection.execute(
                    "insert into control.licence values ($1, $2, $3, $4, $5, $6)",
                    *(number, f"Houder {number}", kind, f"host{number}", mail, licence.get("language", "nl")),
                )
            await self._environment(
                connection, environment_id=self.old_id, licence="1", name="Enyoi", status="read_only"
            )
            await self._environment(
                connection,
                environment_id=self.new_id,
                licence="2",
                name="Enyoi Nieuw",
                status="awaiting_release",
                login=_LOGIN,
            )
            await connection.execute(
                "insert into control.transfer (transfer_id, workflow_id, environment_id, environment_name, state,"
                " scenario, source_licence, target_licence, new_environment_id, new_environment, starts_at, report,"
                " banks, consequences)"
                " values ($1, $2, $3, 'Enyoi', $4, $5, '1', '2', $6, $7, $8, $9, $10, $11)",
                *(self.transfer_id, f"transfer-{self.old_id}", self.old_id, state, scenario, self.new_id),
                json.dumps({"name": "Enyoi Nieuw", "url": "https://host2.sb.example/n", "licence_number": "2"}),
                datetime(2026, 11, 24, 21, 0, tzinfo=UTC),
                json.dumps({"made_at": "2026-11-24T21:05:00Z", "checks": [_check(kind) for kind in CheckKind]}),
                json.dumps(
                    {"banks": [{"bank": "knab", "old": "active", "new": "needs_reactivation", "count": 1}]},
                ),
                json.dumps({"consequences": [{"kind": "quotes_expired", "count": 1}]}),
            )
            await connection.execute(
                "insert into control.ticket (ticket_id, transfer_id, file_name, issued_at, expires_at)"
                " values ($1, $2, 'enyoi-overdracht-ticket.avr', now(), now() + interval '30 days')",
                *(uuid4(), self.transfer_id),
            )
        return self

    async def _environment(
        self,
        connection: Connection,
        *,
        environment_id: UUID,
        licence: str,
        name: str,
        status: str,
        login: str | None = None,
    ) -> None:
        schema, part = schema_name_of(environment_id), name.lower().replace(" ", "-")
        await connection.execute(f"create schema {schema}")
        await migrate_environment(connection, schema)
        await connection.execute(
            f"with a as (insert into {schema}.administration (id, name) values ('{environment_id}', 'Enyoi BV')"
            " returning id),"
            f" r as (insert into {schema}.relation (administration_id, id, number, kind, name)"
            " select id, 1, '100', 'debtor', 'Jansen & Zn.' from a),"
            f" q as (insert into {schema}.quote (administration_id, number, relation_id, status, quoted_on,"
            " valid_until, amount, total, portal_token)"
            " select id, 'OFF-7', 1, 'open', '2026-11-01', '2026-12-01', 1000, 1210, 'geheim-token' from a),"
            f" b as (insert into {schema}.bank_connection (administration_id, bank, iban, consent_reference, status)"
            " select id, 'knab', 'NL20KNAB0255555555', 'geheim-mandaat', 'needs_reactivation' from a)"
            f" insert into {schema}.app_connection (name, status) values ('Urenapp', 'needs_reactivation')"
        )
        await connection.execute(
            f"insert into {schema}.app_user (email, full_name, role, language, invitation_status, mobile_link_status)"
            " values ('jan@bedrijf.example', 'Jan', 'owner', 'nl', 'invited', 'needs_relink'),"
            " ('ann@bedrijf.example', 'Ann', 'reader', 'en', 'invited', 'needs_relink')"
        )
        await connection.execute(
            "insert into control.environment (environment_id, licence_number, name, url_part, url, schema_name,"
            " status, mailbox_address, login_email) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            *(environment_id, licence, name, part, f"https://host{licence}.sb.example/{part}", schema, status),
            *(f"{part}@host{licence}.mailbox.sb.example", login),
        )

    def order(self, kind: MailKind, only_to: str | None = None) -> SendMail:
        return SendMail(transfer_id=self.transfer_id, kind=kind, only_to=only_to)

    async def undo(self, reason: str = "rejected", state: str = "undone") -> None:
        await self.pool.execute(
            "update control.transfer set state = $2, undo_reason = $3 where transfer_id = $1",
            *(self.transfer_id, state, reason),
        )

    async def rows(self) -> dict[tuple[str, str], asyncpg.Record]:
        rows = await self.pool.fetch("select * from control.sent_mail where transfer_id = $1", self.transfer_id)
        return {(row["kind"], row["recipient"]): row for row in rows}

    async def events(self) -> list[tuple[str, str, str]]:
        rows = await self.pool.fetch(
            "select kind, detail ->> 'mail' as mail, detail ->> 'recipient' as recipient"
            " from control.transfer_event where transfer_id = $1 order by event_id",
            self.transfer_id,
        )
        return [(row["kind"], row["mail"], row["recipient"]) for row in rows]


def _check(kind: CheckKind) -> dict[str, Any]:
    return {
        "administration_id": str(uuid4()),
        "administration": "Enyoi BV",
        "check": kind,
        "old": {"rows": 1},
        "new": {"rows": 1},
        "equal": True,
    }


def _to(catcher: MailCatcher) -> list[str]:
    return sorted(str(mail["To"]) for mail in catcher.mails())


def _text(catcher: MailCatcher, recipient: str) -> str:
    (mail,) = [mail for mail in catcher.mails() if mail["To"] == recipient]
    part = mail.get_body(("plain",))
    assert part is not None
    return " ".join(str(part.get_content()).split())


async def test_ready_goes_to_the_new_side_with_what_the_database_knows(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher
) -> None:
    """The new side finds its link, its comparison, its banks, apps and users in one mail, and no secret."""
    case = await Case(pool).build("insource")
    sent = await mailer.send(case.order(MailKind.READY))
    assert (sent.sent, sent.problems) == (2, [])
    assert _to(catcher) == sorted([_NEW_MAIL, _LOGIN])
    text = _text(catcher, _NEW_MAIL)
    assert "https://host2.sb.example/enyoi-nieuw" in text
    assert "KNAB NL20KNAB0255555555 (Enyoi BV)" in text
    assert "Urenapp" in text
    assert "ann@bedrijf.example, jan@bedrijf.example" in text
    assert f"Alle {len(CheckKind)} vergelijkingen" in text
    for mail in catcher.mails():
        assert "geheim" not in str(mail)
    rows = await case.rows()
    row = rows["ready", _LOGIN]
    assert (row["status"], row["attempts"], row["problem"]) == ("sent", 1, None)
    assert row["sent_at"] >= row["attempted_at"]
    assert await case.events() == [("mail_sent", "ready", _NEW_MAIL), ("mail_sent", "ready", _LOGIN)]


async def test_the_certificate_goes_with_the_mail_that_says_ready(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher
) -> None:
    """The receiver checks the attachment by its bytes: one that the mail has changed would be called a forgery."""
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
    assert "In de bijlage vind je het certificaat" in _text(catcher, _NEW_MAIL)
    await mailer.send(case.order(MailKind.RELEASE_REMINDER))
    assert [len(list(sent.iter_attachments())) for sent in catcher.mails()] == [1, 0]


async def test_a_retry_sends_nothing_twice(pool: Pool, mailer: PostgresMailer, catcher: MailCatcher) -> None:
    """An activity that is delivered again must not mail the customer again."""
    case = await Case(pool).build()
    for _ in range(3):
        assert (await mailer.send(case.order(MailKind.UPLOAD_ACCEPTED))).sent == 2
    assert _to(catcher) == sorted([_OLD_MAIL, _NEW_MAIL])
    assert len(await case.events()) == 2


async def test_two_senders_at_once_send_once(pool: Pool, mailer: PostgresMailer, catcher: MailCatcher) -> None:
    """A worker that was thought lost and its successor must not both mail the users."""
    case = await Case(pool).build(state="released")
    answers = await asyncio.gather(*(mailer.send(case.order(MailKind.INVITATION)) for _ in range(4)))
    assert [answer.sent for answer in answers] == [2] * 4
    assert _to(catcher) == ["ann@bedrijf.example", "jan@bedrijf.example"]
    assert "Koppel AFAS Link op je telefoon opnieuw." in _text(catcher, "jan@bedrijf.example")
    assert "Link AFAS Link on your telephone again." in _text(catcher, "ann@bedrijf.example")


async def test_many_mails_are_spread_over_attempts(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow mail server must not let an attempt run out of time and begin again from the first user."""
    monkeypatch.setattr(sender_module, "_BUDGET_SECONDS", 0.0)
    case = await Case(pool).build(state="released")
    first = await mailer.send(case.order(MailKind.INVITATION))
    assert (first.sent, first.left) == (1, 1)
    assert len(catcher.mails()) == 1
    assert (await mailer.send(case.order(MailKind.INVITATION))).sent == 2
    assert _to(catcher) == ["ann@bedrijf.example", "jan@bedrijf.example"]


async def test_a_sender_that_is_busy_is_waited_for_briefly(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher, monkeypatch: pytest.MonkeyPatch, dsn: str
) -> None:
    """A predecessor that hangs must not make its successors pile up; they come back later."""
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
    """The next user of the pooled connection must find it as it was."""
    one = await connect_pool(dsn, max_size=1, application_name="mailroom tests")
    try:
        case = await Case(one).build()
        before = await one.fetchval("show lock_timeout")
        catcher.answers[_NEW_MAIL] = "451 4.7.1 Greylisted"
        with pytest.raises(MailDelayed):
            await _mailer(one, catcher.url).send(case.order(MailKind.READY))
        assert await one.fetchval("select count(*) from pg_locks where locktype = 'advisory'") == 0
        assert await one.fetchval("show lock_timeout") == before
        assert "env_" not in await one.fetchval("show search_path")
    finally:
        await one.close()


async def test_one_refused_recipient_stops_nobody_else(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher
) -> None:
    """A typing error in one address must not keep the other party in the dark; corrected, it is sent after all."""
    case = await Case(pool).build(state="released")
    catcher.answers[_OLD_MAIL] = "550 5.1.1 No such user"
    for _ in range(2):
        sent = await mailer.send(case.order(MailKind.RELEASED))
        assert sent.sent == 1
        (problem,) = sent.problems
        assert problem.recipient == _OLD_MAIL
        assert "550 5.1.1 No such user" in problem.problem
    assert _to(catcher) == [_NEW_MAIL]
    row = (await case.rows())["released", _OLD_MAIL]
    assert (row["status"], row["attempts"], row["sent_at"]) == ("failed", 2, None)
    assert "No such user" in row["problem"]
    assert await case.events() == [("mail_failed", "released", _OLD_MAIL), ("mail_sent", "released", _NEW_MAIL)]
    del catcher.answers[_OLD_MAIL]
    assert (await mailer.send(case.order(MailKind.RELEASED))).problems == []
    assert _to(catcher) == sorted([_OLD_MAIL, _NEW_MAIL])


async def test_greylisting_is_waited_out(pool: Pool, mailer: PostgresMailer, catcher: MailCatcher) -> None:
    """A greylisting server means no failure: the one is sent later, the other is not sent again."""
    case = await Case(pool).build(state="released")
    catcher.answers[_OLD_MAIL] = "451 4.7.1 Greylisted, try again"
    with pytest.raises(MailDelayed, match="Greylisted"):
        await mailer.send(case.order(MailKind.RELEASED))
    rows = await case.rows()
    assert rows["released", _OLD_MAIL]["status"] == "pending"
    assert rows["released", _NEW_MAIL]["status"] == "sent"
    del catcher.answers[_OLD_MAIL]
    assert (await mailer.send(case.order(MailKind.RELEASED))).sent == 2
    assert _to(catcher) == sorted([_OLD_MAIL, _NEW_MAIL])
    assert (await case.rows())["released", _OLD_MAIL]["problem"] is None


async def test_a_server_that_is_down_is_waited_out(pool: Pool, catcher: MailCatcher) -> None:
    """The mail server's maintenance must cost no mail and no transfer."""
    case = await Case(pool).build()
    with pytest.raises(MailDelayed):
        await _mailer(pool, f"smtp://127.0.0.1:{free_port()}").send(case.order(MailKind.READY))
    assert (await case.rows())["ready", _NEW_MAIL]["status"] == "pending"
    assert (await _mailer(pool, catcher.url).send(case.order(MailKind.READY))).sent == 1


async def test_a_mail_whose_acceptance_was_not_noted_is_recognisable(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher
) -> None:
    """After a crash between acceptance and commit the second copy has the first one's Message-ID."""
    case = await Case(pool).build()
    await mailer.send(case.order(MailKind.READY))
    await pool.execute("update control.sent_mail set status = 'pending', sent_at = null")  # the commit that was lost
    await mailer.send(case.order(MailKind.READY))
    first, second = catcher.mails()
    assert first["Message-ID"] == second["Message-ID"] == (await case.rows())["ready", _NEW_MAIL]["message_id"]


async def test_only_to_sends_again_and_to_other_addresses(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher
) -> None:
    """Support sends a lost mail again, or to a colleague; whoever has it already is left alone."""
    case = await Case(pool).build()
    await mailer.send(case.order(MailKind.READY))
    assert (await mailer.send(case.order(MailKind.READY, only_to=_NEW_MAIL.upper()))).sent == 1
    assert (await mailer.send(case.order(MailKind.READY, only_to="collega@kantoor.example"))).sent == 1
    assert _to(catcher) == sorted(["collega@kantoor.example", _NEW_MAIL, _NEW_MAIL])
    rows = await case.rows()
    assert rows["ready", _NEW_MAIL]["attempts"] == 2
    assert len(rows) == 2


@pytest.mark.parametrize("address", ["geen adres", "a@b.example\r\nBcc: dief@example.com", "a@b.example\0", "<>"])
async def test_an_address_that_is_none_is_a_problem_not_a_crash(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher, address: str
) -> None:
    """A bad address must reach the status screen, and never become a header."""
    case = await Case(pool).build()
    sent = await mailer.send(case.order(MailKind.READY, only_to=address))
    if address == "a@b.example\0":
        assert sent.sent == 1
    else:
        assert "not a usable e-mail address" in sent.problems[0].problem
        assert catcher.mails() == []


async def test_undone_goes_to_whoever_got_something(pool: Pool, mailer: PostgresMailer, catcher: MailCatcher) -> None:
    """Whoever was told of a move is told that it is off; whoever was never reached is not bothered."""
    case = await Case(pool).build("insource")
    catcher.answers[_LOGIN] = "550 5.1.1 No such user"
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
    assert sorted(str(mail["To"]) for mail in undone) == sorted([_OLD_MAIL, _NEW_MAIL])
    for mail in undone:
        part = mail.get_body(("plain",))
        assert part is not None
        text = " ".join(str(part.get_content()).split())
        assert "na controle afgekeurd" in text
        assert "De oude klantomgeving Enyoi is weer beschrijfbaar" in text
        named = " Enyoi Nieuw" if mail["To"] == _NEW_MAIL else ""
        assert f"Van de nieuwe omgeving{named} blijft niets over." in text


async def test_undone_of_a_transfer_that_never_got_far(pool: Pool, mailer: PostgresMailer) -> None:
    """A transfer that ended before its first mail has nobody to tell, and no row to stumble over."""
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
    """An attempt left over from a lost worker must not announce an environment that is being dropped."""
    case = await Case(pool).build()
    with pytest.raises(WrongMoment):
        await mailer.send(case.order(MailKind.UNDONE))
    await case.undo(state="undoing")
    for kind in set(MailKind) - {MailKind.UNDONE}:
        with pytest.raises(Superseded):
            await mailer.send(case.order(kind))
    assert catcher.mails() == []


async def test_reminders_are_for_their_own_state_only(pool: Pool, mailer: PostgresMailer, catcher: MailCatcher) -> None:
    """A reminder to release must not arrive after the release."""
    case = await Case(pool).build()
    assert (await mailer.send(case.order(MailKind.TICKET_REMINDER))).sent == 0
    assert (await mailer.send(case.order(MailKind.RELEASE_REMINDER))).sent == 1
    await pool.execute("update control.transfer set state = 'awaiting_upload'")
    assert (await mailer.send(case.order(MailKind.TICKET_REMINDER))).sent == 1
    assert _to(catcher) == sorted([_NEW_MAIL, _OLD_MAIL])


@pytest.mark.parametrize("scenario", ["switch", "outsource", "insource"])
@pytest.mark.parametrize("language", ["nl", "en"])
async def test_every_kind_leaves_the_database_as_a_mail(
    pool: Pool, mailer: PostgresMailer, catcher: MailCatcher, scenario: str, language: str
) -> None:
    """Every kind must find its recipients and its facts in what the other steps really write."""
    case = await Case(pool).build(scenario, language=language)
    for kind in MailKind:
        state = {
            "ticket_reminder": "awaiting_upload",
            "released": "released",
            "invitation": "released",
            "mailbox_closed": "released",
        }.get(kind, "awaiting_release")
        if kind is MailKind.MAILBOX_CLOSED:
            await pool.execute("update control.mailbox_route set environment_id = null, closed_at = now()")
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
    """A missing table costs a list in the mail, never the mail."""
    case = await Case(pool).build()
    await pool.execute(f"drop table {schema_name_of(case.new_id)}.app_connection")
    assert (await mailer.send(case.order(MailKind.READY))).sent == 1


async def test_unknown_transfer_and_lost_database_are_said_in_the_domains_words(
    pool: Pool, mailer: PostgresMailer, dsn: str
) -> None:
    """The activity decides by these types whether to try again."""
    with pytest.raises(TransferUnknown):
        await mailer.send(SendMail(transfer_id=uuid4(), kind=MailKind.READY))
    case = await Case(pool).build()
    blocker, killer = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    try:
        async with blocker.transaction():
            await blocker.execute("lock table control.sent_mail")
            sending = asyncio.create_task(mailer.send(case.order(MailKind.READY)))
            async with asyncio.timeout(10):
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
    """One side's greylisting would hide, for days, that the other side's address is refused."""
    case = await Case(pool).build()
    catcher.answers.update({_OLD_MAIL: "450 4.2.0 Greylisted", _NEW_MAIL: "550 5.1.1 No such user"})
    order = case.order(MailKind.UPLOAD_ACCEPTED).model_copy(update={"tell_delays": True})
    sent = await mailer.send(order)
    assert sent.sent == 0
    assert [(each.recipient, "Greylisted" in each.problem) for each in sent.waiting] == [(_OLD_MAIL, True)]
    assert [(each.recipient, "No such user" in each.problem) for each in sent.problems] == [(_NEW_MAIL, True)]
    del catcher.answers[_OLD_MAIL]
    assert (await mailer.send(order)).waiting == []
    assert _to(catcher) == [_OLD_MAIL]
