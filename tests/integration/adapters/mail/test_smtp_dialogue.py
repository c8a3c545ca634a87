"""What a server says in the middle of a dialogue, and whom it is about."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapters.mail import smtp as mail_module
from adapters.mail.smtp import MailServerAway
from tests.integration.outgoing_mail import MAIL, smtp_client


@asynccontextmanager
async def _scripted(*answers: str | None, closes: bool = False) -> AsyncIterator[int]:
    """A server that greets with the first answer and gives the next one to each command; None stays silent."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            if answer is None:
                await reader.read()
                break
            writer.write(answer.encode() + b"\r\n")
            await writer.drain()
            line = await reader.readline()
            if not line:
                break
            if answer.startswith("354"):
                while line not in {b".\r\n", b""}:
                    line = await reader.readline()
        if not closes:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def test_a_silent_server_does_not_hold_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives up on a server that says nothing within the time-out."""
    monkeypatch.setattr(mail_module, "_REPLY_TIMEOUT_SECONDS", 0.2)
    async with _scripted(None) as port:
        with pytest.raises(MailServerAway):
            await smtp_client(f"smtp://127.0.0.1:{port}").send(MAIL)


async def test_a_server_that_turns_us_away_says_nothing_about_the_recipient() -> None:
    """Takes a 5xx greeting as temporary."""
    async with _scripted("554 5.7.1 Your network is not welcome") as port:
        with pytest.raises(MailServerAway, match="not welcome"):
            await smtp_client(f"smtp://127.0.0.1:{port}").send(MAIL)


async def test_an_accepted_mail_is_accepted_although_the_goodbye_fails() -> None:
    """Counts a mail as sent once it was accepted, whatever the goodbye."""
    script = ("220 hello", "250 hello", "250 sender", "250 recipient", "354 go", "250 taken")
    async with _scripted(*script, closes=True) as port:
        await smtp_client(f"smtp://127.0.0.1:{port}").send(MAIL)


async def test_a_connection_that_breaks_before_the_acceptance_is_tried_again() -> None:
    """Tries again when the connection breaks before the acceptance."""
    script = ("220 hello", "250 hello", "250 sender", "250 recipient", "354 go")
    async with _scripted(*script, closes=True) as port:
        with pytest.raises(MailServerAway):
            await smtp_client(f"smtp://127.0.0.1:{port}").send(MAIL)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            ("220 hello", "250 hello", "553 5.7.1 Sender not allowed", "250 reset", "221 bye"),
            "does not accept our sender",
        ),
        (("220 hello", "250 hello", "451 4.7.1 Try later", "250 reset", "221 bye"), "Try later"),
    ],
)
async def test_a_refused_sender_is_not_the_recipients_fault(script: tuple[str, ...], told: str) -> None:
    """Takes a refused sender as temporary."""
    async with _scripted(*script) as port:
        with pytest.raises(MailServerAway, match=told):
            await smtp_client(f"smtp://127.0.0.1:{port}").send(MAIL)


async def test_starttls_that_fails_is_not_the_recipients_fault() -> None:
    """Takes a failed STARTTLS as temporary."""
    async with _scripted("220 hello", "250-hello\r\n250 STARTTLS", "554 5.3.3 TLS is broken") as port:
        with pytest.raises(MailServerAway, match="TLS is broken"):
            await smtp_client(f"smtp+starttls://127.0.0.1:{port}").send(MAIL)
