"""The mail catcher answers as real mail servers do, so that a test of the mailer proves something."""

import asyncio
import signal
import ssl
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import pytest

from devstack import processes
from devstack.certificates import Certificates, make_certificates
from devstack.mail import MailCatcher, MailFolder
from devstack.mail_process import MailProcess


def letter(number: int = 1) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "SB <noreply@sb.example>"
    message["To"] = "lezer@kantoor.example"
    message["Subject"] = f"Klaar voor één {number}"
    message.set_content("Beste lezer,\n\n.een regel met een punt\nde klantomgeving is gereed.\n")
    return message


def sizes(folder: Path, pattern: str = "*.eml") -> list[int]:
    return [file.stat().st_size for file in folder.glob(pattern)]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A certificate for localhost by an authority that only these tests trust."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


async def test_a_mail_is_kept_as_it_came(tmp_path: Path) -> None:
    """Keeps a mail byte for byte with its recipient."""
    async with MailCatcher(tmp_path) as catcher:
        await aiosmtplib.send(
            letter(), recipients=["a@x.example", "b@x.example"], hostname="127.0.0.1", port=catcher.port
        )
        [mail] = catcher.mails()
    assert mail["Subject"] == "Klaar voor één 1"
    assert mail["Return-Path"] == "<noreply@sb.example>"
    assert mail.get_all("Delivered-To") == ["a@x.example", "b@x.example"]
    assert mail.get_content().splitlines() == letter().get_content().splitlines()


async def test_names_sort_in_the_order_of_arrival(tmp_path: Path) -> None:
    """Names files in the order of arrival."""
    async with MailCatcher(tmp_path) as catcher:
        for number in range(20):
            await aiosmtplib.send(letter(number), hostname="127.0.0.1", port=catcher.port)
        assert [mail["Subject"] for mail in catcher.mails()] == [f"Klaar voor één {number}" for number in range(20)]
    box = MailFolder(tmp_path / "at once")
    names = [box.store("a@x.example", ["b@x.example"], b"\r\n").name for _ in range(500)]
    assert names == sorted(names)


async def test_a_reader_never_sees_half_a_mail(tmp_path: Path) -> None:
    """Shows a mail only once it is whole."""
    large = letter()
    large.add_attachment(b"x" * 2_000_000, maintype="application", subtype="octet-stream")
    seen: set[int] = set()
    async with MailCatcher(tmp_path) as catcher:
        sending = asyncio.create_task(aiosmtplib.send(large, hostname="127.0.0.1", port=catcher.port))
        while not sending.done():
            seen.update(sizes(tmp_path))
            await asyncio.sleep(0)
        await sending
    assert seen <= set(sizes(tmp_path))
    assert len(sizes(tmp_path)) == len(sizes(tmp_path, "*")) == 1


@pytest.mark.parametrize(("reply", "code"), [("452 4.2.2 Mailbox full", 452), ("550 5.1.1 No such user", 550)])
async def test_a_recipient_can_be_refused_and_taken_again(tmp_path: Path, reply: str, code: int) -> None:
    """Refuses a recipient for good or for now, and takes it again."""
    async with MailCatcher(tmp_path) as catcher:
        catcher.answers["lezer@kantoor.example"] = reply
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
            await aiosmtplib.send(letter(), hostname="127.0.0.1", port=catcher.port)
        assert [refusal.code for refusal in refused.value.recipients] == [code]
        await aiosmtplib.send(letter(), recipients=["other@x.example"], hostname="127.0.0.1", port=catcher.port)
        del catcher.answers["lezer@kantoor.example"]
        await aiosmtplib.send(letter(), hostname="127.0.0.1", port=catcher.port)
        assert [mail["Delivered-To"] for mail in catcher.mails()] == ["other@x.example", "lezer@kantoor.example"]


async def test_the_content_can_be_refused(tmp_path: Path) -> None:
    """Refuses a mail after its content, and keeps nothing of it."""
    async with MailCatcher(tmp_path) as catcher:
        catcher.answer_to_data = "554 5.7.1 Looks like spam"
        with pytest.raises(aiosmtplib.SMTPDataError, match="spam"):
            await aiosmtplib.send(letter(), hostname="127.0.0.1", port=catcher.port)
        assert catcher.mails() == []


async def test_starttls_is_demanded_and_encrypts(tmp_path: Path, certificates: Certificates) -> None:
    """Demands STARTTLS before a mail."""
    context = certificates.server_context()
    async with MailCatcher(tmp_path, security="starttls", tls=context, login=("sb", "p@ss/woord")) as catcher:
        assert catcher.url == f"smtp+starttls://sb:p%40ss%2Fwoord@127.0.0.1:{catcher.port}"
        with pytest.raises(aiosmtplib.SMTPException):
            await aiosmtplib.send(letter(), hostname="127.0.0.1", port=catcher.port, start_tls=False)
        await aiosmtplib.send(
            letter(),
            hostname="127.0.0.1",
            port=catcher.port,
            start_tls=True,
            tls_context=certificates.client_context(),
            username="sb",
            password="p@ss/woord",
        )
        assert len(catcher.mails()) == 1


async def test_tls_from_the_first_byte_with_a_login(tmp_path: Path, certificates: Certificates) -> None:
    """Serves TLS from the first byte and refuses a wrong password."""
    async with MailCatcher(
        tmp_path, security="tls", tls=certificates.server_context(), login=("sb", "goed")
    ) as catcher:

        async def send(password: str | None) -> None:
            await aiosmtplib.send(
                letter(),
                hostname="localhost",
                port=catcher.port,
                use_tls=True,
                tls_context=certificates.client_context(),
                username="sb" if password else None,
                password=password,
            )

        await send("goed")
        with pytest.raises(aiosmtplib.SMTPAuthenticationError):
            await send("fout")
        with pytest.raises(aiosmtplib.SMTPSenderRefused, match="Authentication required"):
            await send(None)
        assert len(catcher.mails()) == 1


@pytest.mark.parametrize("trouble", ["unknown authority", "expired", "other name"])
async def test_a_bad_certificate_is_noticed(tmp_path: Path, certificates: Certificates, trouble: str) -> None:
    """Serves certificates that a checking client refuses when they are wrong."""
    match trouble:
        case "expired":
            own = make_certificates(tmp_path / "own", valid=-timedelta(days=1))
        case "other name":
            own = make_certificates(tmp_path / "own", names=("mail.elsewhere.example",))
        case _:
            own = make_certificates(tmp_path / "own")
    trusted = certificates if trouble == "unknown authority" else own
    async with MailCatcher(tmp_path / "mails", security="tls", tls=own.server_context()) as catcher:
        with pytest.raises((ssl.SSLCertVerificationError, aiosmtplib.SMTPConnectError)) as refused:
            await aiosmtplib.send(
                letter(), hostname="localhost", port=catcher.port, use_tls=True, tls_context=trusted.client_context()
            )
        assert "CERTIFICATE_VERIFY_FAILED" in f"{refused.value!r} {refused.value.__cause__!r}"
        assert catcher.mails() == []


async def test_the_process_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """Serves as a process until SIGTERM."""
    server = MailProcess(tmp_path)
    await server.start()
    try:
        host, port = server.url.removeprefix("smtp://").split(":")
        await aiosmtplib.send(letter(), hostname=host, port=int(port))
        process = server._process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(processes.ended(process), 60) == 0
    finally:
        await server.stop()
    assert len(MailFolder(server.mail_dir).mails()) == 1
