"""The SMTP mailer against real servers: plain, STARTTLS, TLS, with a login, and servers that say no."""

import logging
import traceback
from email import message_from_bytes, policy
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters.mail.smtp import MailRefusedToUs, MailServerAway, SmtpClient
from devstack.certificates import Certificates, make_certificates
from devstack.mail import MailCatcher
from devstack.ports import free_port
from domain.errors import MailDelayed, MailRejected, Misconfigured
from tests.integration.outgoing_mail import MAIL, altered, smtp_client

_PASSWORD = "p@ss:/w%rd €"
_ENCODED = "p%40ss%3A%2Fw%25rd%20%E2%82%AC"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


async def test_a_mail_arrives_as_it_was_written(tmp_path: Path) -> None:
    """Delivers accents, long lines and a lone full stop unchanged."""
    async with MailCatcher(tmp_path) as catcher:
        await smtp_client(catcher.url).send(MAIL)
        (got,) = catcher.mails()
    assert got["Return-Path"] == "<noreply@sb.example>"
    assert got["Delivered-To"] == "jan@bedrijf.example"
    assert got["From"] == "Ünïted SB <noreply@sb.example>"
    assert got["To"] == "jan@bedrijf.example"
    assert got["Subject"] == MAIL.subject
    assert got["Message-ID"] == "<abc@sb.example>"
    assert got["Auto-Submitted"] == "auto-generated"
    assert got["Content-Language"] == "nl"
    assert parsedate_to_datetime(str(got["Date"])).tzinfo is not None
    assert got.get_content_type() == "multipart/alternative"
    text, html = got.get_body(("plain",)), got.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().splitlines() == MAIL.text.splitlines()
    assert str(html.get_content()).strip() == MAIL.html
    assert list(got.iter_attachments()) == []
    assert got.defects == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_encrypted_with_a_login(tmp_path: Path, certificates: Certificates, security: str) -> None:
    """Sends over TLS with a login, whatever characters the password holds."""
    async with MailCatcher(
        tmp_path,
        security="starttls" if security == "starttls" else "tls",
        tls=certificates.server_context(),
        login=("sb", _PASSWORD),
    ) as catcher:
        scheme = "smtp+starttls" if security == "starttls" else "smtps"
        await smtp_client(f"{scheme}://sb:{_ENCODED}@localhost:{catcher.port}", certificates).send(MAIL)
        assert len(catcher.mails()) == 1
        with pytest.raises(MailServerAway, match="certificate that is not trusted"):
            await smtp_client(f"{scheme}://sb:{_ENCODED}@localhost:{catcher.port}").send(MAIL)
        with pytest.raises(MailServerAway, match="does not accept our login"):
            await smtp_client(f"{scheme}://localhost:{catcher.port}", certificates).send(MAIL)
        assert len(catcher.mails()) == 1


async def test_a_wrong_password_is_told_without_the_password(
    tmp_path: Path, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    """Names the refused login without the password."""
    caplog.set_level(logging.DEBUG)
    async with MailCatcher(
        tmp_path, security="tls", tls=certificates.server_context(), login=("sb", _PASSWORD)
    ) as catcher:
        mailer = smtp_client(f"smtps://sb:verkeerd-geheim@localhost:{catcher.port}", certificates)
        with pytest.raises(MailServerAway, match="does not accept our login; correct SB_TRANSFER_SMTP_URL") as caught:
            await mailer.send(MAIL)
    told = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(mailer) + repr(vars(mailer))
    assert "verkeerd-geheim" not in told
    assert catcher.mails() == []


async def test_starttls_is_required_when_it_is_asked_for(tmp_path: Path, certificates: Certificates) -> None:
    """Refuses to go on in the clear when STARTTLS is not offered."""
    async with MailCatcher(tmp_path) as catcher:
        mailer = smtp_client(f"smtp+starttls://sb:geheim@localhost:{catcher.port}", certificates)
        with pytest.raises(MailDelayed, match="cannot be used now"):
            await mailer.send(MAIL)
        assert catcher.mails() == []


@pytest.mark.parametrize(
    ("answer", "verdict", "away"),
    [
        ("550 5.1.1 No such user", MailRejected, False),
        ("553 5.1.3 Bad address", MailRejected, False),
        ("450 4.2.0 Greylisted", MailDelayed, False),
        ("452 4.2.2 Mailbox full", MailDelayed, False),
        ("421 4.3.2 Shutting down", MailDelayed, True),
    ],
)
@pytest.mark.parametrize("moment", ["recipient", "content"])
async def test_a_refusal_means_what_its_code_means(
    tmp_path: Path, moment: str, answer: str, verdict: type[Exception], *, away: bool
) -> None:
    """Takes 5xx as final and 4xx as temporary."""
    async with MailCatcher(tmp_path) as catcher:
        if moment == "recipient":
            catcher.answers[MAIL.recipient] = answer
        else:
            catcher.answer_to_data = answer
        with pytest.raises(verdict, match=answer[4:]) as caught:
            await smtp_client(catcher.url).send(MAIL)
        assert isinstance(caught.value, MailServerAway) is away
        assert catcher.mails() == []


@pytest.mark.parametrize(
    ("moment", "answer"),
    [
        *(("recipient", "504 Command parameter not implemented"), ("content", "504 5.5.4 Not implemented")),
        *(("recipient", "550 5.7.1 Relaying denied"), ("content", "550 5.7.1 Message rejected due to SPF")),
        *(("recipient", "554 5.7.1 Client host blocked"), ("content", "554 5.7.26 Unauthenticated mail")),
        *(("recipient", "501 5.5.4 Syntax"), ("recipient", "503 5.5.1 Bad sequence"), ("recipient", "555 Parameters")),
        *(("content", "552 5.3.4 Too big"), ("content", "554 5.6.0 Content"), ("content", "554 Transaction failed")),
        *(("recipient", "550 5.3.0 Mail system"), ("content", "550 Looks like spam"), ("recipient", "554 No thanks")),
    ],
)
async def test_a_refusal_of_us_is_tried_again_and_no_address_is_marked_as_bad(
    tmp_path: Path, moment: str, answer: str
) -> None:
    """Takes a refusal of this service as temporary and marks no address."""
    async with MailCatcher(tmp_path) as catcher:
        if moment == "recipient":
            catcher.answers[MAIL.recipient] = answer
        else:
            catcher.answer_to_data = answer
        with pytest.raises(MailRefusedToUs, match="refuses what we send"):
            await smtp_client(catcher.url).send(MAIL)


@pytest.mark.parametrize(
    ("moment", "answer"),
    [
        *(("recipient", "550 No such user"), ("recipient", "551 5.1.6 Moved"), ("recipient", "552 5.2.2 Full")),
        *(("recipient", "550 5.4.1 No route"), ("content", "550 5.1.1 No such user"), ("content", "552 5.2.2 Full")),
        ("recipient", "553 5.6.7 Non-ASCII addresses not permitted"),
    ],
)
async def test_a_refusal_of_an_address_is_for_good(tmp_path: Path, moment: str, answer: str) -> None:
    """Takes a refusal of address, mailbox or route as final."""
    async with MailCatcher(tmp_path) as catcher:
        if moment == "recipient":
            catcher.answers[MAIL.recipient] = answer
        else:
            catcher.answer_to_data = answer
        with pytest.raises(MailRejected, match="refuses this address"):
            await smtp_client(catcher.url).send(MAIL)


async def test_a_server_that_is_not_there_is_tried_again() -> None:
    """Says that the server is away, and where it should be."""
    port = free_port()
    with pytest.raises(MailServerAway, match=f"127.0.0.1:{port}"):
        await smtp_client(f"smtp://127.0.0.1:{port}").send(MAIL)


@pytest.mark.parametrize(
    "address",
    [
        *("", "jan", "jan@", "@bedrijf.example", "jan@bedrijf", "a@b.example, c@d.example", "Jan <jan@b.example>"),
        *("jan@b.example\r\nBcc: dief@c.example", "jan@b.example\nRCPT TO:<dief@c.example>", "jan piet@b.example"),
        *('"jan piet"@b.example', "jan@[127.0.0.1]", "jan@b..example", "jan\0@b.example", ".jan@b.example"),
        *("jan\u202e@b.example", "jan@ex\u2024ample..nl", "jan@💩.example", "jan@xn--a.example", "jan@a_b.example"),
    ],
)
def test_only_one_plain_address_is_written_to(address: str) -> None:
    """Refuses whatever is not one plain address."""
    with pytest.raises(MailRejected, match="not a usable e-mail address"):
        smtp_client("smtp://localhost").compose(altered(recipient=address))


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("info@café.example", "info@xn--caf-dma.example"),
        ("info@straße.example", "info@xn--strae-oqa.example"),  # not strasse.example, which is a stranger's
        ("info@faß.de", "info@xn--fa-hia.de"),
        ("info@βόλος.example", "info@xn--nxasmm1c.example"),
        ("info@bücher。example", "info@xn--bcher-kva.example"),
        ("Info@Bedrijf.Example", "Info@Bedrijf.Example"),
        ("info@xn--strae-oqa.example", "info@xn--strae-oqa.example"),
    ],
)
async def test_mail_for_a_domain_with_other_letters_goes_to_that_domain_and_to_no_strangers(
    tmp_path: Path, address: str, written: str
) -> None:
    """Encodes a domain by IDNA 2008, without the older rules that make another domain of it."""
    async with MailCatcher(tmp_path, smtputf8=False) as catcher:
        await smtp_client(catcher.url).send(altered(recipient=address))
        (got,) = catcher.mails()
    assert (got["Delivered-To"], got["To"]) == (written, written)


async def test_a_mailbox_with_other_letters_is_reached_where_the_server_offers_it(tmp_path: Path) -> None:
    """Uses SMTPUTF8 when it is offered, and tells what to do when it is not; other mail goes on."""
    mail = altered(recipient="jän@straße.example")
    async with MailCatcher(tmp_path / "new") as catcher:
        assert await smtp_client(catcher.url).takes_smtputf8()
        await smtp_client(catcher.url).send(mail)
        (got,) = catcher.mails()
        assert got["Subject"] == MAIL.subject
        (raw,) = (tmp_path / "new").glob("*.eml")
        assert "To: jän@xn--strae-oqa.example" in raw.read_text()
    async with MailCatcher(tmp_path / "old", smtputf8=False) as catcher:
        assert not await smtp_client(catcher.url).takes_smtputf8()
        with pytest.raises(MailRejected, match="offers no SMTPUTF8"):
            await smtp_client(catcher.url).send(mail)
        await smtp_client(catcher.url).send(MAIL)
    assert not await smtp_client(f"smtp://127.0.0.1:{free_port()}").takes_smtputf8()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@example("=?utf-8?q?nep?=")
@example("0000000¡¡¡¡¡¡ࠀ ¡")
@given(st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1, max_size=120))
def test_any_name_survives_in_a_subject(name: str) -> None:
    """Gives a subject in any script back as it went in."""
    subject = " ".join(f"Klaar om te controleren: {name}".split())
    raw = bytes(smtp_client("smtp://localhost").compose(altered(subject=subject)))
    assert max(map(len, raw.split(b"\r\n"))) <= 78
    head = raw.split(b"\r\n\r\n")[0]
    assert head.isascii()
    assert len(head.split(b"\r\nSubject:")) == 2
    back = message_from_bytes(raw, policy=policy.default)
    assert back["Subject"] == subject
    assert back["To"] == MAIL.recipient


async def test_an_answer_goes_to_whom_the_settings_name(tmp_path: Path) -> None:
    """Sends replies to the address of the settings."""
    async with MailCatcher(tmp_path) as catcher:
        client = SmtpClient(SecretStr(catcher.url), "SB <noreply@sb.example>", reply_to="SB support <hulp@sb.example>")
        await client.send(MAIL)
        await smtp_client(catcher.url).send(MAIL)
        asked, plain = catcher.mails()
    assert asked["Reply-To"] == "SB support <hulp@sb.example>"
    assert plain["Reply-To"] is None
    with pytest.raises(Misconfigured, match="SB_TRANSFER_MAIL_REPLY_TO"):
        SmtpClient(SecretStr(catcher.url), "SB <noreply@sb.example>", reply_to="geen adres")


def test_a_subject_with_a_line_end_is_refused() -> None:
    """Refuses a subject with a line end."""
    with pytest.raises(ValueError, match="linefeed"):
        smtp_client("smtp://localhost").compose(altered(subject="x\r\nBcc: dief@example.com"))


def test_the_message_id_follows_from_its_parts() -> None:
    """Makes one Message-ID for one transfer, kind and recipient, in any process."""
    mailer, other = smtp_client("smtp://localhost"), smtp_client("smtps://elsewhere.example")
    first = mailer.message_id("t", "ready", "a@b.example")
    assert first == other.message_id("t", "ready", "a@b.example")
    assert first.startswith("<")
    assert first.endswith("@sb.example>")
    assert (
        len({first, mailer.message_id("t", "ready", "c@b.example"), mailer.message_id("t", "rea", "dya@b.example")})
        == 3
    )


@pytest.mark.parametrize(
    ("url", "why"),
    [
        *(("", "begins differently"), ("localhost:25", "begins differently"), ("http://x:25", "begins differently")),
        *(("smtp://", "no usable host"), ("smtp://:25", "no usable host"), ("smtp://x:0", "no usable host")),
        *(
            ("smtp://x:99999", "cannot be read"),
            ("smtp://x:geheim", "cannot be read"),
            ("smtp://[::1", "cannot be read"),
        ),
        *(("smtps://u:geheim/x@host:465", "cannot be read"), ("smtps://host/geheim", "not encoded")),
        *(("smtps://u:geheim#x@host", "cannot be read"), ("smtps://host?geheim=1", "not encoded")),
        *(("smtps://u@host", "both a user and a password"), ("smtps://:geheim@host", "both a user and a password")),
        *(("smtp://u:geheim@mail.example", "readable by everyone"), ("smtps://ho st:465", "no usable host")),
    ],
)
def test_an_unusable_url_is_told_at_once_and_without_its_secret(url: str, why: str) -> None:
    """Refuses an unusable url at the start, without its password."""
    with pytest.raises(Misconfigured, match=why) as caught:
        smtp_client(url)
    assert "geheim" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("mail_from", ["", "geen adres", "SB <>", "SB <noreply@sb.example>\r\nBcc: x@y.example"])
def test_an_unusable_sender_is_told_at_once(mail_from: str) -> None:
    """Refuses an unusable sender at the start."""
    with pytest.raises(Misconfigured, match="SB_TRANSFER_MAIL_FROM"):
        SmtpClient(SecretStr("smtp://localhost"), mail_from)


@pytest.mark.parametrize(
    ("url", "port"),
    [("smtp://127.0.0.1", 25), ("smtp+starttls://mail.example", 587), ("SMTPS://mail.example/", 465)],
)
def test_a_url_without_a_port_means_the_usual_one(url: str, port: int) -> None:
    """Uses the usual port of the scheme when the url has none."""
    assert smtp_client(url)._server.port == port
