"""A run full of marks: whatever a customer may type, or be called, says so, so that it can be looked for afterwards."""

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import asyncpg
import httpx

from devstack.issuer import EmbeddedIssuer
from devstack.mail import MailCatcher
from devstack.stack import Stack
from domain import messages as m
from domain.authority import Caller, Role
from domain.errors import LoginEmailInvalid, WrongMoment
from domain.naming import workflow_id_of
from domain.vocabulary import MailKind, TransferState
from starter.client.client import TransferClient
from starter.client.polling import snapshots


class Marks:
    """Words that occur nowhere else: lower case and digits, so that names, urls and addresses may hold them."""

    def __init__(self) -> None:
        self._base = f"zwaluw{secrets.token_hex(3)}"
        self._by_word: dict[str, str] = {}

    def __call__(self, what: str) -> str:
        """Return the mark for a kind of data; a mark is no part of another."""
        return self._by_word.setdefault(what, f"{self._base}{len(self._by_word):02d}z")

    def found_in(self, text: bytes) -> set[str]:
        """Return which kinds of data a text holds, in capitals too."""
        lowered = text.lower()
        return {what for what, mark in self._by_word.items() if mark.encode() in lowered}


@dataclass
class Run:
    """What a marked run left behind."""

    marks: Marks
    environments: list[UUID] = field(default_factory=list)

    @property
    def workflow_ids(self) -> list[str]:
        return [workflow_id_of(environment_id) for environment_id in self.environments]


_ENVIRONMENT = """
update control.environment set name = $2, url_part = $3, url = 'https://' || $3 || '.sb.example/' || $3,
    mailbox_address = $3 || '@mail.sb.example', login_email = $4 where environment_id = $1
"""
# It looks harmless while all are in a good mood: afterwards whoever adds the constraint again, as a clone does, hears
# of the rows.
_QUARRELSOME = """
create table public.mood (bad boolean not null);
insert into public.mood values (false);
create function {schema}.judge(words text) returns boolean immutable language plpgsql as $$
begin
    if (select bad from public.mood) then
        raise exception 'nobody likes %', words;
    end if;
    return true;
end
$$;
create table {schema}.remark (id integer primary key, words text not null check ({schema}.judge(words)));
grant all on {schema}.remark to sb_app;
insert into {schema}.remark values (1, '{words}');
"""


class MarkedRun:
    """Transfers that end in every manner: released with detours, rejected, cancelled, failed in somebody's words."""

    def __init__(self, stack: Stack, client: TransferClient, mail: MailCatcher) -> None:
        self._stack = stack
        self._client = client
        self._mail = mail
        self._run = Run(Marks())

    async def play(self) -> Run:
        await self._mark_books()
        await self._released()
        await self._rejected()
        await self._cancelled()
        await self._failed()
        return self._run

    async def _mark_books(self) -> None:
        """Put marks where books are about people."""
        mark = self._run.marks
        owner = await asyncpg.connect(self._stack.info.database_url)
        try:
            wanted = (("10002", "Bloemisterij Smit"), ("10001", "enyoi"), ("10003", "Linden Tandartsen"))
            for number, (licence, name) in enumerate(wanted):
                record = await self._client.environment(f"{licence}/{name}")
                self._run.environments.append(record.environment_id)
                named = mark(f"environment name {number}")
                await owner.execute(
                    _ENVIRONMENT,
                    *(record.environment_id, named, mark(f"url {number}")),
                    f"{mark(f'old login {number}')}@example.com",
                )
                await owner.execute(f"update {record.schema_name}.administration set name = $1", mark("administration"))
                await owner.execute(
                    f"update {record.schema_name}.relation set name = $1, email = $2",
                    *(mark("relation"), f"{mark('relation mail')}@example.com"),
                )
            await owner.execute(_QUARRELSOME.format(schema=record.schema_name, words=mark("words in an error")))
            for licence in ("10001", "10002", "20002"):
                address = f"{mark(f'holder mail {licence}')}@example.com"
                await owner.execute(
                    "update control.licence set holder_name = $2, contact_email = $3 where licence_number = $1",
                    *(licence, mark(f"holder {licence}"), address),
                )
            # Of two kinds: one that is refused for good, and one that is to wait.
            self._mail.answers[address] = f"550 5.1.1 {mark('answer of a mail server')} is unknown here"
        finally:
            await owner.close()

    async def _released(self) -> None:
        """To a self-managed licence, whose holder's mail is refused."""
        mark = self._run.marks
        which = await self._uploaded(0, "20002", login_email=f"{mark('login mail')}@example.com")
        await self._client.start_now(which, by=mark("who starts"))
        with suppress(WrongMoment):
            await self._client.reject(which, by=mark("who comes too early"), reason=mark("reason too early"))
        await self._reach(which, TransferState.AWAITING_RELEASE)
        await self._client.resend_mail(
            which, kind=MailKind.READY, to=f"{mark('another mail')}@example.com", by=mark("who resends")
        )
        await self._client.release(which, by=mark("who releases"), note=mark("note"))

    async def _rejected(self) -> None:
        mark = self._run.marks
        which = await self._uploaded(1, "10002")
        await self._client.start_now(which, by=mark("who starts"))
        await self._reach(which, TransferState.AWAITING_RELEASE)
        await self._client.reject(which, by=mark("who rejects"), reason=mark("reason to reject"))
        await self._reach(which, TransferState.UNDONE)

    async def _cancelled(self) -> None:
        """Over HTTP, by somebody of support."""
        mark = self._run.marks
        which = await self._uploaded(2, "10002")
        caller = Caller(subject=mark("token"), name=mark("name in a token"), roles=frozenset({Role.SUPPORT}))
        token = EmbeddedIssuer(self._stack.folder).token(caller, timedelta(minutes=5))
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "once"}
        async with httpx.AsyncClient(base_url=str(self._stack.info.api_url), headers=headers, timeout=60) as api:
            answer = await api.post(f"/v1/transfers/{which}/cancel", json={"reason": mark("reason to cancel")})
            assert answer.is_success, answer.text
        await self._reach(which, TransferState.UNDONE)

    async def _failed(self) -> None:
        """By a clone that fails in the words of a customer."""
        mark = self._run.marks
        which = await self._uploaded(2, "10002")
        owner = await asyncpg.connect(self._stack.info.database_url)
        await owner.execute("update public.mood set bad = true")
        await owner.close()
        with suppress(WrongMoment):  # what was frozen has been looked at once more, and refused already
            await self._client.start_now(which, by=mark("who starts"))
        await self._reach(which, TransferState.UNDONE)

    async def _uploaded(self, number: int, licence: str, *, login_email: str | None = None) -> str:
        mark = self._run.marks
        prepared = await self._client.prepare(str(self._run.environments[number]), requested_by=mark("who prepares"))
        if login_email:
            with suppress(LoginEmailInvalid):
                await self._upload(prepared.ticket, licence, number, f"{mark('bad login')}@")
        await self._upload(prepared.ticket, licence, number, login_email)
        return str(prepared.transfer_id)

    async def _upload(self, ticket: bytes, licence: str, number: int, login_email: str | None) -> m.UploadAccepted:
        mark = self._run.marks
        return await self._client.upload(
            ticket,
            licence=licence,
            name=mark(f"new name {number}"),
            url_part=mark(f"new url {number}"),
            login_email=login_email,
            uploaded_by=mark("who uploads"),
        )

    async def _reach(self, which: str, state: TransferState) -> None:
        async with asyncio.timeout(60):
            async for sight in snapshots(self._client, which, lambda seen: seen.state is state, poll_seconds=0.1):
                last = sight
        assert last.status.state is state, last
