"""What seeding puts into mailbox and scanbox: real mail, real files."""

import zlib
from email import message_from_bytes
from email.policy import default

from adapters.postgres.connection import Pool
from tests.integration.seeded_books import in_every_schema


async def test_mail_is_real_mail(books: Pool) -> None:
    """Makes mails that a mail library reads."""
    rows = await in_every_schema(books, "select recipient, subject, sender, raw from mailbox_message")
    for row in rows:
        message = message_from_bytes(row["raw"], policy=default)
        assert message["Subject"] == row["subject"]
        assert message["To"] == row["recipient"]
        assert row["sender"] in message["From"]
        assert message["Message-ID"]
        assert message["Date"].datetime
        (attachment,) = message.iter_attachments()
        assert attachment.get_content().startswith(b"%PDF-")
        body = message.get_body(("plain",))
        assert body is not None
        assert "€" in body.get_content()
        assert not message.defects


async def test_scans_are_real_files(books: Pool) -> None:
    """Makes PDFs and PNGs that are valid to their last offset and checksum."""
    rows = await in_every_schema(books, "select media_type, raw from scanbox_document")
    assert {row["media_type"] for row in rows} == {"application/pdf", "image/png"}
    for row in rows:
        if row["media_type"] == "application/pdf":
            check_pdf(row["raw"])
        else:
            check_png(row["raw"])


def check_pdf(raw: bytes) -> None:
    """Follow a PDF's own index: every offset leads to the object it names."""
    start = int(raw.rsplit(b"startxref\n", 1)[1].split(b"\n", 1)[0])
    lines = raw[start:].split(b"\n")
    assert lines[0] == b"xref"
    count = int(lines[1].split()[1])
    for number in range(1, count):
        entry = lines[2 + number]
        assert len(entry) == 19
        assert raw[int(entry[:10]) :].startswith(b"%d 0 obj\n" % number)
    assert raw.endswith(b"%%EOF\n")


def check_png(raw: bytes) -> None:
    """Walk a PNG's chunks: each checksum is right, and the pixels are as many as it says."""
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(raw):
        size = int.from_bytes(raw[at : at + 4])
        body = raw[at + 4 : at + 8 + size]
        assert zlib.crc32(body) == int.from_bytes(raw[at + 8 + size : at + 12 + size])
        chunks[body[:4]] = body[4:]
        at += 12 + size
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height = int.from_bytes(chunks[b"IHDR"][:4]), int.from_bytes(chunks[b"IHDR"][4:8])
    assert len(zlib.decompress(chunks[b"IDAT"])) == height * (width + 1)
