"""E-mail addresses as they go on an envelope: the domain by IDNA 2008, the mailbox as it is spelled."""

import re
import unicodedata
from dataclasses import dataclass

import idna

_MAILBOX = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]")
_DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]")
_MAILBOX_OCTETS, _DOMAIN_OCTETS = 64, 253  # RFC 5321, 4.5.3.1


class AddressUnusable(ValueError):
    """This is not a usable e-mail address."""


@dataclass(frozen=True, slots=True)
class EnvelopeAddress:
    """One plain address: no quoting, no address literal, no display name."""

    mailbox: str
    domain: str

    @property
    def needs_smtputf8(self) -> bool:
        """Tell whether only a server with SMTPUTF8 (RFC 6531) can be given it."""
        return not self.mailbox.isascii()

    def __str__(self) -> str:
        return f"{self.mailbox}@{self.domain}"


def envelope_address(given: str) -> EnvelopeAddress:
    """Return an address whose domain is as the name system knows it.

    The domain is mapped by UTS 46 without its transitional processing, as browsers and registries do: `straße.example`
    is a domain of its own, and not `strasse.example`, which may be a stranger's.

    Raises:
        AddressUnusable: Not one plain address, or its domain is none that IDNA 2008 allows.
    """
    mailbox, _, domain = unicodedata.normalize("NFC", given.strip()).rpartition("@")
    return EnvelopeAddress(_checked_mailbox(mailbox), _encoded_domain(domain))


def address_key(given: str) -> str:
    """Return what two spellings of one address have in common; case counts in neither half, as mail servers have it."""
    try:
        return str(envelope_address(given)).lower()
    except AddressUnusable:
        return given.strip().lower()


def _checked_mailbox(mailbox: str) -> str:
    dots = mailbox.startswith(".") or mailbox.endswith(".") or ".." in mailbox
    if not mailbox or dots or len(mailbox.encode("utf-8", "replace")) > _MAILBOX_OCTETS:
        raise AddressUnusable
    for character in mailbox:
        # Beyond ASCII: letters, their marks and digits; nothing that hides, turns text around or looks like a stop.
        if not (_MAILBOX.fullmatch(character) if character.isascii() else unicodedata.category(character)[0] in "LMN"):
            raise AddressUnusable
    return mailbox


def _encoded_domain(domain: str) -> str:
    encoded = domain
    if not domain.isascii() or "xn--" in domain.lower():
        try:
            encoded = idna.encode(domain, uts46=True, std3_rules=True, transitional=False).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            raise AddressUnusable from None
    if len(encoded) > _DOMAIN_OCTETS or not _DOMAIN.fullmatch(encoded):
        raise AddressUnusable
    return encoded
