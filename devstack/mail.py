"""A real SMTP server that delivers nothing: every mail it accepts becomes an .eml file.

In tests it runs inside the process and can refuse, as real servers do. `sb-transfer up` runs it as a process:
`python -m devstack.mail --port 2525 --dir .sb-transfer/mail`.
"""

import argparse
import asyncio
import secrets
import signal
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Literal, Self, cast
from urllib.parse import quote

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

Security = Literal["none", "starttls", "tls"]
_SCHEMES: dict[Security, str] = {"none": "smtp", "starttls": "smtp+starttls", "tls": "smtps"}


class MailFolder:
    """A folder of .eml files whose names sort in the order of arrival."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._newest = datetime.min.replace(tzinfo=UTC)

    def store(self, sender: str | None, recipients: Sequence[str], content: bytes) -> Path:
        """Write a mail, whole or not at all, with its envelope in front as a delivering server does (RFC 5321, 4.4)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # Two mails within one tick of the clock still sort as they came.
        self._newest = max(datetime.now(UTC), self._newest + timedelta(microseconds=1))
        file = self.folder / f"{self._newest:%Y%m%dT%H%M%S.%f}Z-{secrets.token_hex(3)}.eml"
        envelope = [f"Return-Path: <{sender or ''}>", *(f"Delivered-To: {recipient}" for recipient in recipients)]
        draft = file.with_name(f".{file.name}.incoming")
        draft.write_bytes("".join(f"{line}\r\n" for line in envelope).encode() + content)
        draft.replace(file)
        return file

    def mails(self) -> list[EmailMessage]:
        """Return every mail, oldest first."""
        files = sorted(self.folder.glob("*.eml"))
        return [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]


class MailCatcher:
    """An SMTP server on loopback, in this process's event loop.

    `answers` may be changed while it runs: it holds the reply to give for a recipient instead of taking the mail, e.g.
    `catcher.answers["full@example.nl"] = "452 4.2.2 Mailbox full"`. `answer_to_data` is the reply to every mail after
    its content has come, `None` to take it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        security: Security = "none",
        tls: ssl.SSLContext | None = None,
        login: tuple[str, str] | None = None,
        smtputf8: bool = True,
    ) -> None:
        """Prepare a server.

        Args:
            folder: Where the mails go; made when the first one comes.
            host: The address to listen on.
            port: 0 takes any free one.
            security: `starttls` refuses mail until the connection is encrypted, `tls` is encrypted from the first byte.
            tls: The server's certificate; needed unless `security` is `none`.
            login: User and password without which nothing is accepted.
            smtputf8: Whether addresses may have letters beyond ASCII (RFC 6531).
        """
        if (tls is None) != (security == "none"):
            raise ValueError("a certificate goes with security starttls or tls, and only with those")
        self.box = MailFolder(folder)
        self.answers: dict[str, str] = {}
        self.answer_to_data: str | None = None
        self.port = port
        self._host = host
        self._security = security
        self._tls = tls
        self._login = login
        self._smtputf8 = smtputf8
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Return the address as in SB_TRANSFER_SMTP_URL; it holds the password when a login is needed."""
        login = "{}:{}@".format(*(quote(word, safe="") for word in self._login)) if self._login else ""
        return f"{_SCHEMES[self._security]}://{login}{self._host}:{self.port}"

    def mails(self) -> list[EmailMessage]:
        """Return every mail that was accepted, oldest first."""
        return self.box.mails()

    async def start(self) -> None:
        """Listen."""
        context = self._tls if self._security == "tls" else None
        self._server = await asyncio.get_running_loop().create_server(
            self._protocol, self._host, self.port, ssl=context
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening; the mails stay."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _protocol(self) -> SMTP:
        return SMTP(
            self,
            hostname="mail.localhost",
            enable_SMTPUTF8=self._smtputf8,
            tls_context=self._tls if self._security == "starttls" else None,
            require_starttls=self._security == "starttls",
            authenticator=self._authenticate,
            # aiosmtpd does not see that TLS from the first byte is TLS; who needs a login is checked in handle_MAIL.
            auth_require_tls=self._security == "starttls",
            loop=asyncio.get_running_loop(),
        )

    def _authenticate(self, _: SMTP, __: Session, ___: Envelope, ____: str, given: object) -> AuthResult:
        user, password = self._login or ("", "")
        genuine = (
            isinstance(given, LoginPassword)
            and secrets.compare_digest(given.login, user.encode())
            and secrets.compare_digest(given.password, password.encode())
        )
        return AuthResult(success=genuine, handled=False)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, _: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._login and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Sender OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if refusal := self.answers.get(address):
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Recipient OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        if self.answer_to_data:
            return self.answer_to_data
        self.box.store(envelope.mail_from, envelope.rcpt_tos, cast("bytes", envelope.original_content))
        return "250 2.0.0 Mail taken"


async def serve(folder: Path, host: str, port: int) -> None:
    """Catch mail until SIGTERM or Ctrl-C."""
    stopping = asyncio.Event()
    for how in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(how, stopping.set)
    async with MailCatcher(folder, host=host, port=port):
        await stopping.wait()


def main() -> None:
    """Read the command line and catch mail."""
    parser = argparse.ArgumentParser(prog="python -m devstack.mail", description="Catch mail as .eml files.")
    parser.add_argument("--dir", type=Path, required=True, help="where the mails go")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    given = parser.parse_args()
    asyncio.run(serve(given.dir, given.host, given.port))


if __name__ == "__main__":
    main()
