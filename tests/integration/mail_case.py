"""One transfer whose mails are sent, and what arrives of them."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import asyncpg
from pydantic import SecretStr

from adapters.mail.sender import PostgresMailer
from adapters.mail.smtp import SmtpClient
from adapters.postgres.connection import Connection, Pool
from adapters.postgres.migrations import migrate_environment
from devstack.mail import MailCatcher
from domain.messages import SendMail
from domain.naming import schema_name_of
from domain.vocabulary import CheckKind, MailKind

ZONE = ZoneInfo("Europe/Amsterdam")


OLD_MAIL, NEW_MAIL, LOGIN = "oud@kantoor.example", "nieuw@kantoor.example", "Klant@bedrijf.example"


def mailer_at(pool: Pool, url: str, **words: Any) -> PostgresMailer:
    return PostgresMailer(pool, SmtpClient(SecretStr(url), "SB <noreply@sb.example>"), ZONE, **words)


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
            for number, mail, kind in zip(("1", "2"), (OLD_MAIL, NEW_MAIL), kinds[scenario], strict=True):
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
                login=LOGIN,
            )
            await connection.execute(
                "insert into control.transfer (transfer_id, workflow_id, environment_id, environment_name, state,"
                " scenario, source_licence, target_licence, new_environment_id, new_environment, starts_at, report,"
                " banks, consequences)"
                " values ($1, $2, $3, 'Enyoi', $4, $5, '1', '2', $6, $7, $8, $9, $10, $11)",
                *(self.transfer_id, f"transfer-{self.old_id}", self.old_id, state, scenario, self.new_id),
                json.dumps({"name": "Enyoi Nieuw", "url": "https://host2.sb.example/n", "licence_number": "2"}),
                datetime(2026, 11, 24, 21, 0, tzinfo=UTC),
                json.dumps({"made_at": "2026-11-24T21:05:00Z", "checks": [check_of(kind) for kind in CheckKind]}),
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


def check_of(kind: CheckKind) -> dict[str, Any]:
    return {
        "administration_id": str(uuid4()),
        "administration": "Enyoi BV",
        "check": kind,
        "old": {"rows": 1},
        "new": {"rows": 1},
        "equal": True,
    }


def recipients_in(catcher: MailCatcher) -> list[str]:
    return sorted(str(mail["To"]) for mail in catcher.mails())


def text_to(catcher: MailCatcher, recipient: str) -> str:
    (mail,) = [mail for mail in catcher.mails() if mail["To"] == recipient]
    part = mail.get_body(("plain",))
    assert part is not None
    return " ".join(str(part.get_content()).split())
