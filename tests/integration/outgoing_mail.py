"""A mail as customers get it, and the client that sends it."""

from collections.abc import Callable

from pydantic import SecretStr

from adapters.mail.smtp import OutgoingMail, SmtpClient
from devstack.certificates import Certificates

MAIL = OutgoingMail(
    recipient="jan@bedrijf.example",
    message_id="<abc@sb.example>",
    language="nl",
    subject="Gereed: Café Ünïcode & Zn. — " + "een lange naam, " * 8 + "einde",
    text="Beste Jan,\n\n" + "Een zin met € en één accent. " * 60 + "\n.\nEinde\n",
    html="<!DOCTYPE html><html><body>" + "<p>€ &amp; één</p>" * 200 + "</body></html>",
)


def smtp_client(url: str, certificates: Certificates | None = None) -> SmtpClient:
    tls = certificates.client_context() if certificates else None
    return SmtpClient(SecretStr(url), "Ünïted SB <noreply@sb.example>", tls=tls)


def altered(**changes: str) -> OutgoingMail:
    made: Callable[..., OutgoingMail] = OutgoingMail
    return made(
        **{
            "recipient": MAIL.recipient,
            "message_id": MAIL.message_id,
            "language": MAIL.language,
            "subject": MAIL.subject,
            "text": MAIL.text,
            "html": MAIL.html,
        }
        | changes
    )
