"""Names, url parts and addresses: "Vul een unieke Naam in … het gewenste Unieke klantdeel url" (manual)."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from domain.errors import LoginEmailInvalid, NameInvalid, UrlInvalid, UrlReserved

MAX_NAME_LENGTH = 100
_MAX_LABEL_LENGTH = 63  # RFC 1035, 2.3.4: a url part must also serve as the label of a mailbox host
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)

_FOR_OPERATORS = frozenset({"subject", "sent_by", "started_by"})
_SCHEMA = re.compile(r"\"?\benv_[0-9a-f]{32}\b\"?\.?")
_RESERVED = """
account admin afas api app apps assets auth beheer billing blog cdn dashboard demo dev docs download email ftp health
help imap incident info login logout mail mailbox mx ns ns1 ns2 oauth pop portal postmaster public root sb scanbox
security sftp smtp sso static status support system test ticket transfer upload webmail www
"""
RESERVED_URL_PARTS = frozenset(_RESERVED.split())
TRANSFER_PREFIX = "transfer-"
MAILBOX_PREFIX = "mailbox-"
RETIREMENT_PREFIX = "retirement-"


def normalised_name(name: str) -> str:
    """Return the name with surrounding and doubled spaces gone, in Unicode's composed form.

    Raises:
        NameInvalid: Empty, longer than 100 characters, or holding control or other invisible characters.
    """
    cleaned = " ".join(unicodedata.normalize("NFC", name).split())
    if not cleaned or len(cleaned) > MAX_NAME_LENGTH:
        raise NameInvalid
    if any(unicodedata.category(character)[0] == "C" for character in cleaned):
        raise NameInvalid
    return cleaned


def default_url_part(name: str) -> str:
    """Return the url part that follows from a name: "Dit is standaard de Naam, maar met kleine letters".

    Accents are dropped and whatever a DNS label cannot hold becomes a hyphen.
    """
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_MAX_LABEL_LENGTH].strip("-")


def checked_url_part(url_part: str | None, *, name: str) -> str:
    """Return the url part asked for, or the name's own, in lower case.

    Raises:
        UrlInvalid: Not a DNS label.
        UrlReserved: A word that the platform keeps for itself, or the marker of an encoded label (`xn--`).
    """
    part = default_url_part(name) if url_part is None or not url_part.strip() else url_part.strip().lower()
    if not _LABEL.fullmatch(part):
        raise UrlInvalid
    if part in RESERVED_URL_PARTS or part[2:4] == "--":
        raise UrlReserved
    return part


def checked_email(address: str) -> str:
    """Return the address without surrounding space.

    Raises:
        LoginEmailInvalid: Not one plain address (RFC 5321's Mailbox without quoting or address literals).
    """
    stripped = address.strip()
    if not _EMAIL.fullmatch(stripped) or ".." in stripped:
        raise LoginEmailInvalid
    return stripped


def workflow_id_of(environment_id: UUID) -> str:
    """Return the workflow id of an environment's transfer: Temporal allows one live workflow per id."""
    return f"{TRANSFER_PREFIX}{environment_id}"


def environment_id_in(workflow_id: str) -> UUID | None:
    """Return whose transfer a workflow id is, None when it is none of ours."""
    try:
        found = UUID(workflow_id.removeprefix(TRANSFER_PREFIX))
    except ValueError:
        return None
    return found if workflow_id_of(found) == workflow_id else None


def mailbox_workflow_id_of(transfer_id: UUID) -> str:
    """Return the id of the workflow that closes the old mailbox address after 30 days."""
    return f"{MAILBOX_PREFIX}{transfer_id}"


def retirement_workflow_id_of(environment_id: UUID) -> str:
    """Return the id of the workflow that removes an old environment."""
    return f"{RETIREMENT_PREFIX}{environment_id}"


def schema_name_of(environment_id: UUID) -> str:
    """Return the name of the schema that holds an environment."""
    return f"env_{environment_id.hex}"


def without_schemas(value: Any) -> Any:
    """Return a text, or JSON, without the names of schemas: where books are kept is operators' to know."""
    if isinstance(value, str):
        return _SCHEMA.sub("", value)
    if isinstance(value, dict):
        return {name: without_schemas(one) for name, one in value.items()}
    return [without_schemas(one) for one in value] if isinstance(value, list | tuple) else value


def told_to_everybody(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an event says beside its reason, without where things are kept and which program asked for it."""
    return {name: without_schemas(value) for name, value in detail.items() if name not in _FOR_OPERATORS}


def ticket_file_name(url_part: str) -> str:
    """Return the ticket's file name: `<url>-overdracht-ticket.avr` (manual, Overdragen voorbereiden)."""
    return f"{url_part}-overdracht-ticket.avr"


def certificate_file_name(url_part: str) -> str:
    """Return the certificate's file name, after the ticket's."""
    return f"{url_part}-overdracht-certificaat.json"


def url_of(*, host: str, base_domain: str, url_part: str) -> str:
    """Return an environment's address."""
    return f"https://{host}.{base_domain}/{url_part}"


def mailbox_address_of(*, host: str, base_domain: str, url_part: str) -> str:
    """Return an environment's mailbox address; it follows the url, so it changes with a move."""
    return f"{url_part}@{host}.mailbox.{base_domain}"


def licence_spelling(number: str) -> str:
    """Return a licence's number in its one spelling, in which it is stored, compared, counted and limited."""
    return number.strip() if number.isprintable() else "".join(filter(str.isprintable, number)).strip()
