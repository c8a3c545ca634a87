"""Mail and scans as real bytes: MIME messages a mail program opens, PDF and PNG files a viewer shows."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from random import Random

_FIRST_DAY = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
_LINE_PITCH, _LINE_HEIGHT = 8, 3  # pixels of a receipt's printed lines
_SUPPLIERS = (
    ("Energie Noord", "facturen@energienoord.example", "Uw factuur voor gas en stroom"),
    ("Tankpas Centraal", "noreply@tankpas.example", "Verzamelfactuur brandstof"),
    ("Kantoorkamer", "verkoop@kantoorkamer.example", "Factuur €\u00a0kantoorartikelen"),
    ("Netwerk & Zo", "billing@netwerkenzo.example", "Factuur telefonie en internet"),
    ("Verzekeraar Zuid", "polis@verzekeraarzuid.example", "Prolongatie bedrijfsverzekering"),
    ("Drukkerij Böhmer", "post@boehmer.example", "Rechnung / factuur drukwerk"),
)


@dataclass(frozen=True, slots=True)
class Mail:
    """A message in an environment's mailbox."""

    received_at: datetime
    sender: str
    recipient: str
    subject: str
    status: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Scan:
    """A document in an environment's scanbox."""

    received_at: datetime
    file_name: str
    media_type: str
    status: str
    raw: bytes


def mails(dice: Random, count: int, recipient: str) -> Iterator[Mail]:
    """Yield messages to a mailbox address: text, HTML, and a PDF invoice attached; two in three still open."""
    for position in range(count):
        name, address, subject = _SUPPLIERS[position % len(_SUPPLIERS)]
        received = _FIRST_DAY + timedelta(hours=7 * position, minutes=dice.randrange(300))
        number = f"{dice.randrange(10**6):06d}"
        amount = f"{dice.randrange(20, 900)},{dice.randrange(100):02d}"
        message = EmailMessage(policy=SMTP)
        message["From"] = f"{name} <{address}>"
        message["To"] = recipient
        message["Subject"] = f"{subject} {number}"
        message["Date"] = format_datetime(received)
        message["Message-ID"] = f"<{number}.{position}@{address.partition('@')[2]}>"
        message.set_content(
            f"Beste relatie,\n\nHierbij factuur {number} van € {amount}.\n\nMet vriendelijke groet,\n{name}\n"
        )
        message.add_alternative(
            f"<html><body><p>Beste relatie,</p><p>Factuur <b>{number}</b> van &euro; {amount}.</p></body></html>",
            subtype="html",
        )
        message.add_attachment(
            pdf(f"{name} - factuur {number}", f"Te betalen: EUR {amount}"),
            maintype="application",
            subtype="pdf",
            filename=f"factuur-{number}.pdf",
        )
        # The generator would invent boundaries; the same seed value must give the same bytes.
        for depth, part in enumerate(part for part in message.walk() if part.is_multipart()):
            part.set_boundary(f"=_{number}_{position}_{depth}")
        yield Mail(
            received,
            address,
            recipient,
            str(message["Subject"]),
            _status(position),
            bytes(message),
        )


def scans(dice: Random, count: int) -> Iterator[Scan]:
    """Yield scanned documents: PDF and PNG in turn; two in three still open."""
    for position in range(count):
        received = _FIRST_DAY + timedelta(hours=11 * position, minutes=dice.randrange(300))
        number = f"{dice.randrange(10**6):06d}"
        status = _status(position)
        if position % 2:
            yield Scan(received, f"bon-{number}.png", "image/png", status, png(dice, width=96, height=160))
        else:
            yield Scan(
                received, f"scan-{number}.pdf", "application/pdf", status, pdf(f"Inkoopfactuur {number}", "Voldaan")
            )


def pdf(title: str, line: str) -> bytes:
    """Return a one-page A4 document with two lines of text (ISO 32000-1, annex H: the smallest complete file)."""
    text = f"BT /F1 18 Tf 72 760 Td ({_pdf_text(title)}) Tj 0 -28 Td /F1 12 Tf ({_pdf_text(line)}) Tj ET"
    stream = text.encode("cp1252", "replace")
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources 6 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Font << /F1 5 0 R >> >>",
    )
    body = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(body)
    body += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    body += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    body += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(body)


def png(dice: Random, *, width: int, height: int) -> bytes:
    """Return a grey image of `width` by `height` pixels, white with dark lines as a till receipt has."""
    rows = bytearray()
    for y in range(height):
        printed = y % _LINE_PITCH < _LINE_HEIGHT
        length = dice.randrange(width // 3, width - 8) if printed else 0
        row = bytearray(b"\xff" * width)
        row[4 : 4 + length] = b"\x30" * length
        rows += b"\x00" + row  # each scan line starts with its filter: none (PNG specification, 9.2)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        + _chunk(b"IDAT", zlib.compress(bytes(rows), 9))
        + _chunk(b"IEND", b"")
    )


def _status(position: int) -> str:
    return ("open", "open", "processed")[position % 3]


def _pdf_text(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
