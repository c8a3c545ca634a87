"""Names, url parts and addresses as people type them."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import LoginEmailInvalid, NameInvalid, UrlInvalid, UrlReserved, UrlTaken
from domain.naming import (
    RESERVED_URL_PARTS,
    checked_email,
    checked_url_part,
    default_url_part,
    mailbox_address_of,
    mailbox_workflow_id_of,
    normalised_name,
    schema_name_of,
    ticket_file_name,
    told_to_everybody,
    url_of,
    without_schemas,
    workflow_id_of,
)

ID = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Enyoi", "Enyoi"),
        ("  Enyoi \t Beheer  ", "Enyoi Beheer"),
        ("Cafe\u0301", "Caf\u00e9"),
        ("a" * 100, "a" * 100),
        ("'t Hoekje & Zn.", "'t Hoekje & Zn."),
    ],
)
def test_a_name_is_kept_as_people_see_it(typed: str, kept: str) -> None:
    """Normalises a name to what people see."""
    assert normalised_name(typed) == kept


@pytest.mark.parametrize("typed", ["", "  ", "a" * 101, "a\x00b", "a\u200bb", "a\u202eb", "a\ud800b", "a\x1bb"])
def test_a_name_that_cannot_be_shown_is_refused(typed: str) -> None:
    """Refuses a name with characters that cannot be shown."""
    with pytest.raises(NameInvalid):
        normalised_name(typed)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("Enyoi", "enyoi"),
        ("ENYOI Beheer B.V.", "enyoi-beheer-b-v"),
        ("Café Ærø", "cafe-r"),
        ("Straße", "strasse"),
        ("--Jansen--", "jansen"),
        ("x" * 80, "x" * 63),
    ],
)
def test_the_default_url_is_the_name_in_lower_case(name: str, part: str) -> None:
    """Makes the url of the name in lower case."""
    assert default_url_part(name) == part
    assert checked_url_part(None, name=name) == part
    assert checked_url_part("  ", name=name) == part


@pytest.mark.parametrize("part", ["a", "enyoi", "a-b", "2b", "a" * 63, " Enyoi ", "a\n"])
def test_a_url_that_is_asked_for_is_taken(part: str) -> None:
    """Accepts a good url."""
    assert checked_url_part(part, name="x") == part.strip().lower()


@pytest.mark.parametrize("part", ["-a", "a-", "a_b", "a.b", "a/b", "a b", "a" * 64, "é", "a\nb", "../x", "a%2f"])
def test_a_url_that_is_no_label_is_refused(part: str) -> None:
    """Refuses a url that is no label."""
    with pytest.raises(UrlInvalid):
        checked_url_part(part, name="x")


@pytest.mark.parametrize("name", ["!!!", "日本"])
def test_a_name_that_gives_no_url_asks_for_one(name: str) -> None:
    """Asks for a url when the name gives none."""
    with pytest.raises(UrlInvalid):
        checked_url_part(None, name=name)


@pytest.mark.parametrize("part", [*sorted(RESERVED_URL_PARTS), "Admin", "xn--caf-dma"])
def test_words_of_the_platform_are_refused(part: str) -> None:
    """Refuses reserved words."""
    with pytest.raises(UrlReserved):
        checked_url_part(part, name="x")


@given(st.text(max_size=120))
def test_whatever_is_typed_gives_a_label_or_a_refusal(text: str) -> None:
    """Gives a label or a refusal for any input."""
    try:
        part = checked_url_part(text, name=text)
    except (UrlInvalid, UrlReserved):
        return
    assert 1 <= len(part) <= 63
    assert part == part.lower()
    assert set(part) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not part.startswith("-")
    assert not part.endswith("-")


@given(st.text(max_size=120))
def test_a_name_that_was_accepted_stays_as_it_is(text: str) -> None:
    """Leaves an accepted name as it is."""
    try:
        name = normalised_name(text)
    except NameInvalid:
        return
    assert normalised_name(name) == name


@pytest.mark.parametrize("address", ["a@b.nl", "Jan.Jansen+sb@mail.example.com", " a@b.nl "])
def test_an_address_is_taken(address: str) -> None:
    """Accepts a good address."""
    assert checked_email(address) == address.strip()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "a@b",
        "a@@b.nl",
        "a b@c.nl",
        "a@b..nl",
        "a@-b.nl",
        "a@b.nl, c@d.nl",
        "A <a@b.nl>",
        "a@b.nl\r\nBcc: x@y.nl",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    """Refuses what is no address."""
    with pytest.raises(LoginEmailInvalid):
        checked_email(address)


def test_names_that_other_systems_call() -> None:
    """Makes the names of the contract."""
    assert ticket_file_name("enyoi") == "enyoi-overdracht-ticket.avr"
    assert schema_name_of(ID) == "env_0f8fad5bd9cb469fa16570867728950e"
    assert workflow_id_of(ID) == f"transfer-{ID}"
    assert mailbox_workflow_id_of(ID) == f"mailbox-{ID}"
    assert url_of(host="zuid", base_domain="sb.example", url_part="enyoi") == "https://zuid.sb.example/enyoi"
    assert (
        mailbox_address_of(host="zuid", base_domain="sb.example", url_part="enyoi") == "enyoi@zuid.mailbox.sb.example"
    )


def test_refusals_say_what_to_do() -> None:
    """Ends each refusal in what to do."""
    assert "Choose another url" in str(UrlTaken())
    assert "Kies een andere url" in UrlTaken().dutch_text


def test_where_books_are_kept_is_not_said() -> None:
    """A backend would build on the names of schemas, which are operators' alone."""
    schema = schema_name_of(UUID(int=7))
    assert without_schemas(f'In the way: {schema}.journal_line, "{schema}"."Odd" of {schema}') == (
        'In the way: journal_line, "Odd" of '
    )
    assert without_schemas({"a": [schema + ".x", 1, None], "b": {"c": "environment"}}) == {
        "a": ["x", 1, None],
        "b": {"c": "environment"},
    }
    detail = {"why": f"{schema}.x", "subject": schema, "sent_by": "17@worker", "started_by": "jwt anna"}
    assert told_to_everybody(detail) == {"why": "x"}
