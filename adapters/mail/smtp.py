"""Mail over SMTP: one message to one recipient, and what the server's answer means for another try."""

import asyncio
import hashlib
import re
import socket
import ssl
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from email.header import Header
from email.headerregistry import Address, HeaderRegistry, UniqueUnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.policy import EmailPolicy, Policy
from email.utils import format_datetime, localtime, parseaddr
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote, urlsplit

import aiosmtplib
from pydantic import SecretStr

from adapters.mail.addresses import AddressUnusable, EnvelopeAddress, envelope_address
from domain.errors import LoginEmailInvalid, MailDelayed, MailRejected, Misconfigured
from domain.naming import checked_email

_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_REPLY_TIMEOUT_SECONDS = 20.0
# A server that answers every command just in time must not hold a worker for ever.
_MAIL_TIMEOUT_SECONDS = 60.0
_QUESTION_TIMEOUT_SECONDS = 3.0
# RFC 4954: authentication required, too weak, refused, encryption needed. Our login is at fault, not the recipient.
_LOGIN_CODES = frozenset({530, 534, 535, 538})
# RFC 3463, at the start of a reply: class, subject and detail.
_ENHANCED = re.compile(r"5\.(?P<subject>[1-7])\.\d{1,3}(?!\d)")
_ABOUT_NON_ASCII = ("5.6.7", "5.6.9")  # RFC 6531: this recipient cannot be given an address beyond ASCII
_MAILBOX_CODES = (550, 551, 552, 553)  # RFC 5321, 4.2.3: unavailable, not local, full, not allowed
_URL_FORMS = (
    "SB_TRANSFER_SMTP_URL must be smtp://host:port (no encryption), smtp+starttls://user:password@host:port or "
    "smtps://user:password@host:port, with special characters in the login percent-encoded"
)


class _Subject(UniqueUnstructuredHeader):
    """A subject that comes back as it was: the standard folding loses spaces next to letters beyond ASCII."""

    @classmethod
    def parse(cls, string: str, kwds: dict[str, Any]) -> None:
        """Take the text as it is: a name that looks like an encoded word is no encoded word."""
        super().parse(string, kwds)
        kwds["decoded"] = string

    def fold(self, *, policy: Policy) -> str:
        """Return the header's lines; what could be taken for an encoded word is encoded itself."""
        text = str(self)
        charset = "us-ascii" if text.isascii() and "=?" not in text else "utf-8"
        encoded = Header(text, charset, maxlinelen=76, header_name="Subject").encode(linesep=policy.linesep)
        return f"Subject: {encoded}{policy.linesep}"


def _policy() -> "EmailPolicy[EmailMessage]":
    registry = HeaderRegistry()
    registry.map_to_type("subject", _Subject)  # type: ignore[arg-type] # mixed into BaseHeader by the registry
    return SMTP_POLICY.clone(header_factory=registry)


_POLICY = _policy()


class MailRefusedToUs(MailDelayed):
    """The mail server refuses this for a reason that lies with us. Correct what it objects to; it is tried again."""


class MailServerAway(MailDelayed):
    """The mail server takes no mail from us at all now, whoever it is for. It is tried again by itself."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A JSON file that goes with a mail, byte for byte."""

    file_name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class OutgoingMail:
    """A mail to one recipient, ready but for the sender's own headers."""

    recipient: str
    message_id: str
    language: str
    subject: str
    text: str
    html: str
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class _Server:
    host: str
    port: int
    scheme: str
    user: str | None
    password: SecretStr | None


class SmtpClient:
    """Sends mail through one SMTP server, a connection per mail.

    `smtp://` never encrypts and is for a server on the same machine or private network; a login over it is taken for a
    loopback address only. `smtp+starttls://` sends nothing before STARTTLS succeeded; `smtps://` is TLS from the
    first byte. Certificates are checked.
    """

    def __init__(
        self, url: SecretStr, mail_from: str, *, reply_to: str = "", tls: ssl.SSLContext | None = None
    ) -> None:
        """Read the configuration; nothing is connected yet.

        Args:
            url: See the class; the login is percent-decoded.
            mail_from: `Name <address>` or an address.
            reply_to: Who gets what people answer, likewise; the sender, when left out.
            tls: Whom to trust; the system's certificate authorities when left out.

        Raises:
            Misconfigured: The url or the sender is unusable. The message holds neither.
        """
        self._server = _server_of(url)
        self._sender = _mailbox_of("SB_TRANSFER_MAIL_FROM", mail_from)
        self._reply_to = _mailbox_of("SB_TRANSFER_MAIL_REPLY_TO", reply_to) if reply_to.strip() else None
        self._tls = tls
        self._client_name: str | None = None

    def message_id(self, *parts: str) -> str:
        """Return the Message-ID that follows from the parts: the same parts, the same id, on every attempt."""
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        return f"<{digest[:40]}@{self._sender.domain}>"

    def compose(self, mail: OutgoingMail) -> EmailMessage:
        """Return the message as it goes over the line.

        Raises:
            MailRejected: The recipient is not one plain address.
        """
        recipient = _checked_recipient(mail.recipient)
        message = EmailMessage(policy=_POLICY.clone(utf8=True) if recipient.needs_smtputf8 else _POLICY)
        message["From"] = self._sender
        if self._reply_to is not None:
            message["Reply-To"] = self._reply_to
        message["To"] = Address(username=recipient.mailbox, domain=recipient.domain)
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(localtime())
        message["Message-ID"] = mail.message_id
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies, please
        # Quoted-printable keeps lines short and ASCII, so a server without 8BITMIME changes nothing.
        message.set_content(mail.text, cte="quoted-printable")
        message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
        for attached in mail.attachments:
            # Base64, the default for bytes: no line end on the way may become another.
            message.add_attachment(attached.content, "application", "json", filename=attached.file_name)
        message["Content-Language"] = mail.language  # last: making a part takes the Content headers there are with it
        return message

    async def send(self, mail: OutgoingMail) -> None:
        """Hand a mail to the server; returning means that the server has taken it.

        Raises:
            MailRejected: The server refuses this address for good, or it is none.
            MailRefusedToUs: (a MailDelayed) The server refuses what we send or how, whoever it is for.
            MailDelayed: The server asks to try later.
            MailServerAway: (a MailDelayed) No server, no connection, no login: other mail would fare no better.
        """
        message = self.compose(mail)
        recipient = _checked_recipient(mail.recipient)
        client = await self._client()
        connected = False
        try:
            async with asyncio.timeout(_MAIL_TIMEOUT_SECONDS):
                await client.connect()
                connected = True
                await client.send_message(message, sender=self._sender.addr_spec, recipients=[str(recipient)])
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
            raise self._meaning_of(error, connected=connected) from None  # the cause may quote what was sent
        else:
            # The mail is accepted; a server that says goodbye badly must not make us send it again.
            with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                await client.quit(timeout=2)
        finally:
            client.close()

    async def takes_smtputf8(self) -> bool:
        """Tell whether the server can be given a mailbox with letters beyond ASCII; false when it is away."""
        client = await self._client()
        try:
            async with asyncio.timeout(_QUESTION_TIMEOUT_SECONDS):
                await client.connect()
                await client.ehlo()
                return client.supports_extension("smtputf8")
        except (aiosmtplib.SMTPException, OSError, TimeoutError):
            return False
        finally:
            client.close()

    async def _client(self) -> aiosmtplib.SMTP:
        if self._client_name is None:
            self._client_name = await asyncio.to_thread(socket.getfqdn)
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.scheme == "smtps",
            start_tls=server.scheme == "smtp+starttls",
            username=server.user,
            password=server.password.get_secret_value() if server.password else None,
            tls_context=None if server.scheme == "smtp" else self._tls,
            local_hostname=self._client_name,
            timeout=_REPLY_TIMEOUT_SECONDS,
        )

    def _meaning_of(self, error: Exception, *, connected: bool) -> MailRejected | MailDelayed:
        """Return what an error means; before the connection stands, none is about the recipient."""
        match error:
            case aiosmtplib.SMTPException() if not connected:
                pass
            case aiosmtplib.SMTPRecipientsRefused(recipients=[first, *_]):
                return _verdict(first.code, first.message, at_recipient=True)
            case aiosmtplib.SMTPResponseException() if not self._is_about_us(error):
                return _verdict(error.code, error.message, at_recipient=False)
            case aiosmtplib.SMTPNotSupported():
                return MailRejected(
                    "This address has letters that our mail server cannot pass on: it offers no SMTPUTF8. "
                    "Give an address without them, and send it again."
                )
            case ValueError() if not isinstance(error, OSError):
                return MailRejected(f"The mail cannot be sent as it is ({type(error).__name__}). Correct the address.")
        where = f"{self._server.host}:{self._server.port}"
        return MailServerAway(f"The mail server {where} {_trouble(error)}. The mail is tried again by itself.")

    @staticmethod
    def _is_about_us(error: aiosmtplib.SMTPResponseException) -> bool:
        """Tell whether the server turns this service away, whatever the mail."""
        return error.code in _LOGIN_CODES or isinstance(
            error,
            aiosmtplib.SMTPConnectResponseError
            | aiosmtplib.SMTPHeloError
            | aiosmtplib.SMTPAuthenticationError
            | aiosmtplib.SMTPSenderRefused,
        )


def _trouble(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, ssl.SSLCertVerificationError) else error
    match cause:
        case aiosmtplib.SMTPSenderRefused() if 500 <= cause.code <= 599 and cause.code not in _LOGIN_CODES:  # noqa: PLR2004
            return f"does not accept our sender ({_one_line(cause)}); correct SB_TRANSFER_MAIL_FROM"
        case aiosmtplib.SMTPAuthenticationError(code=454):
            return f"cannot check our login now: {_one_line(cause)}"
        case aiosmtplib.SMTPAuthenticationError() | aiosmtplib.SMTPResponseException(code=530 | 534 | 535 | 538):
            return "does not accept our login; correct SB_TRANSFER_SMTP_URL"
        case ssl.SSLCertVerificationError():
            return f"has a certificate that is not trusted ({cause.verify_message}); correct it or the host's name"
    return f"cannot be used now: {_one_line(error)}"


def _verdict(code: int, reply: str, *, at_recipient: bool) -> MailRejected | MailDelayed:
    said = f"{code} {_one_line(reply)}".strip()
    if code == 421:  # noqa: PLR2004 - RFC 5321, 4.2.1: service not available, closing transmission channel
        return MailServerAway(f"The mail server is closing: {said}. Tried again by itself.")
    if not 500 <= code <= 599:  # noqa: PLR2004 - RFC 5321, 4.2.1: permanent
        return MailDelayed(f"The mail server does not take this mail yet: {said}. Tried again by itself.")
    if _is_about_the_address(code, reply, at_recipient=at_recipient):
        return MailRejected(f"The mail server refuses this address: {said}. Correct it and send the mail again.")
    return MailRefusedToUs(
        f"The mail server refuses what we send, whoever it is for: {said}. Correct what it objects to; "
        "tried again by itself."
    )


def _is_about_the_address(code: int, reply: str, *, at_recipient: bool) -> bool:
    """Tell whether a permanent refusal says something of the recipient's address, and not of us or of what we send.

    RFC 3463: the second number of an enhanced code names the subject. Addressing (1), mailbox (2) and routing (4) are
    the address's; mail system (3), protocol (5), content (6) and policy (7) are not. Without one only a mailbox that is
    refused at its own command is: what comes after the content may be about anything.
    """
    if enhanced := _ENHANCED.match(reply.strip()):
        return enhanced["subject"] in "124" or enhanced[0] in _ABOUT_NON_ASCII
    return at_recipient and code in _MAILBOX_CODES


def _one_line(said: object) -> str:
    """Return a server's words as one short line: they end up in a status, a log and a terminal."""
    printable = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in str(said))
    return " ".join(printable.split())[:300] or type(said).__name__


def _checked_recipient(address: str) -> EnvelopeAddress:
    try:
        return envelope_address(address)
    except AddressUnusable:
        raise MailRejected("This is not a usable e-mail address. Correct the address and send it again.") from None


def _mailbox_of(setting: str, given: str) -> Address:
    name, address = parseaddr(given)
    if re.search(r"[\r\n\0]", given):
        raise Misconfigured(f"{setting} must be one line.")
    try:
        return Address(display_name=name, addr_spec=checked_email(address))
    except LoginEmailInvalid:
        raise Misconfigured(f"{setting} must be an address such as SB <noreply@sb.example>.") from None


def _server_of(url: SecretStr) -> _Server:
    try:
        parts = urlsplit(url.get_secret_value().strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Misconfigured(f"{_URL_FORMS}: this one cannot be read.") from None
    if parts.scheme not in _PORTS:
        raise Misconfigured(f"{_URL_FORMS}: this one begins differently.")
    if not host or port == 0 or re.search(r"[\s\0]", url.get_secret_value().strip()):
        raise Misconfigured(f"{_URL_FORMS}: this one names no usable host and port.")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise Misconfigured(f"{_URL_FORMS}: this one has more behind the port; is a / in the password not encoded?")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(user) != bool(password):
        raise Misconfigured(f"{_URL_FORMS}: a login needs both a user and a password.")
    if user and parts.scheme == "smtp" and not _is_loopback(host):
        raise Misconfigured(f"{_URL_FORMS}: a login over smtp:// would cross the network readable by everyone.")
    return _Server(
        host,
        port or _PORTS[parts.scheme],
        parts.scheme,
        user or None,
        SecretStr(password) if password else None,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
