"""Letters: every kind, language and scenario, from facts made here; no server."""

import html
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from adapters.mail.messages import MailFacts, MailRenderer, Recipient, RenderedMail, merged, recipients_of, unlinked
from domain.vocabulary import CheckKind, Language, MailKind, Scenario, UndoReason

_WRITER = MailRenderer(ZoneInfo("Europe/Amsterdam"))
_TRANSFER = UUID("11111111-2222-4333-8444-555555555555")
_ADMINISTRATION = UUID("aaaaaaaa-2222-4333-8444-555555555555")
_KINDS = {
    Scenario.SWITCH: ("firm", "firm"),
    Scenario.OUTSOURCE: ("self_managed", "firm"),
    Scenario.INSOURCE: ("firm", "self_managed"),
}
_STATES = {
    MailKind.TICKET_ISSUED: "awaiting_upload",
    MailKind.TICKET_REMINDER: "awaiting_upload",
    MailKind.UPLOAD_ACCEPTED: "scheduled",
    MailKind.READY: "awaiting_release",
    MailKind.RELEASE_REMINDER: "awaiting_release",
    MailKind.UNDONE: "undone",
}
_BOTH = Recipient("beide@example.nl", Language.DUTCH, old_side=True, new_side=True, full_name="Beide Zijden")
_OLD = Recipient("oud@example.nl", Language.DUTCH, old_side=True)
_NEW = Recipient("nieuw@example.nl", Language.DUTCH, new_side=True)


def _facts(kind: MailKind, scenario: Scenario = Scenario.SWITCH, **changes: Any) -> MailFacts:
    old_kind, new_kind = _KINDS[scenario]
    state = _STATES.get(kind, "released")
    given: dict[str, Any] = {
        "transfer": {
            "transfer_id": _TRANSFER,
            "state": state,
            "scenario": scenario,
            "undo_reason": "rejected" if state == "undone" else None,
            "undo_detail": "Er mist een factuur",
            "starts_at": datetime(2026, 11, 24, 21, 0, tzinfo=UTC),
        },
        "old": {
            "name": "Enyoi",
            "url": "https://oudkantoor.sb.example/enyoi",
            "mailbox_address": "enyoi@oudkantoor.mailbox.sb.example",
            "schema_name": "env_a",
            "status": "active",
            "licence_number": "10001",
            "holder_name": "Oud Kantoor",
            "kind": old_kind,
            "contact_email": "oud@example.nl",
        },
        "new": {
            "name": "Enyoi Nieuw",
            "url": "https://nieuwkantoor.sb.example/enyoi-nieuw",
            "mailbox_address": "enyoi-nieuw@nieuwkantoor.mailbox.sb.example",
            "schema_name": "env_b",
            "status": "awaiting_release",
            "login_email": "klant@example.nl",
            "licence_number": "20002",
            "holder_name": "Nieuw Kantoor",
            "kind": new_kind,
            "contact_email": "nieuw@example.nl",
        },
        "ticket": {"file_name": "enyoi-overdracht-ticket.avr", "expires_at": datetime(2026, 12, 24, 9, 30, tzinfo=UTC)},
        "forward_until": datetime(2026, 12, 25, 8, 0, tzinfo=UTC),
        "report": {"checks": [_check(check) for check in CheckKind]},
        "banks": [
            {"bank": "rabobank", "old": "active", "new": "active", "count": 2},
            {"bank": "abn_amro", "old": "active", "new": "needs_reactivation", "count": 1},
            {"bank": "triodos", "old": "active", "new": "needs_reactivation", "count": 1},
        ],
        "consequences": [
            {"kind": "quotes_expired", "count": 3},
            {"kind": "mailbox_messages_carried", "count": 7},
            {"kind": "scanbox_documents_carried", "count": 5},
        ],
        "contents": {
            "administrations": ["Enyoi BV", "Enyoi Holding BV"],
            "quotes": [{"administration": "Enyoi BV", "number": "OFF-7", "customer": "Jansen", "total": "1234.50"}],
            "apps": ["Urenapp"],
            "users": [{"email": "jan@example.nl", "full_name": "Jan"}],
            "connections": [
                {
                    "administration": "Enyoi BV",
                    "bank": "abn_amro",
                    "iban": "NL91ABNA0417164300",
                    "status": "needs_reactivation",
                }
            ],
        },
    }
    return MailFacts.model_validate(given | changes)


def _check(kind: CheckKind, *, equal: bool = True, administration: str = "Enyoi BV") -> dict[str, Any]:
    return {
        "administration_id": _ADMINISTRATION,
        "administration": administration,
        "check": kind,
        "old": {"rows": 54, "totals": {"debit": "12345.67"}},
        "new": {"rows": 54, "totals": {"debit": "12345.67" if equal else "12345.68"}},
        "equal": equal,
        "differences": []
        if equal
        else [{"item": "8000 Omzet", "old": {"debit": "7.00"}, "new": {"debit": "7.01"}, "equal": False}],
    }


def _flat(text: str) -> str:
    return " ".join(text.split())


def _words_of(letter: RenderedMail) -> str:
    """What a reader sees of the HTML part."""
    body = letter.html.split("<body>")[1]
    return _flat(html.unescape(re.sub(r"<[^>]+>", " ", body)))


@pytest.mark.parametrize("scenario", list(Scenario))
@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("kind", list(MailKind))
def test_every_letter_is_whole_in_both_parts(kind: MailKind, language: Language, scenario: Scenario) -> None:
    """A forgotten word or a fact that is only in one part would leave a customer with half a letter."""
    for sides in (_BOTH, _OLD, _NEW):
        recipient = Recipient(sides.address, language, sides.old_side, sides.new_side)
        letter = _WRITER.write(kind, _facts(kind, scenario), recipient)
        assert letter.subject
        assert letter.html.startswith("<!DOCTYPE html>")
        assert f'<html lang="{language}">' in letter.html
        assert str(_TRANSFER) in letter.text
        assert str(_TRANSFER) in letter.html
        seen = _words_of(letter)
        for paragraph in letter.text.split("\n\n")[1:]:
            if len(paragraph.splitlines()) == 1 and paragraph.endswith(".") and not re.match(r"[-!\d]", paragraph):
                assert re.sub(r"\s", "", paragraph) in re.sub(r"\s", "", seen)
        assert not re.search(r"\{\{|\{%|None|Undefined|&amp;amp;", letter.text + seen)
        assert not re.search(r"\s[.,;:]\s", letter.text)
        assert not re.search(r"[a-z][.:;,][A-Z]", letter.text)
        assert max(map(len, letter.text.splitlines())) < 200


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("kind", list(MailKind))
def test_a_letter_survives_facts_that_are_missing(kind: MailKind, language: Language) -> None:
    """An undo before the upload knows of no new environment; its mail must go out all the same."""
    state = _STATES.get(kind, "released")
    facts = MailFacts.model_validate(
        {
            "transfer": {
                "transfer_id": _TRANSFER,
                "state": state,
                "undo_reason": "failed" if state == "undone" else None,
            },
            "old": {"name": None},
            "new": {},
        }
    )
    letter = _WRITER.write(kind, facts, Recipient("x@example.nl", language, old_side=True, new_side=True))
    assert letter.subject == letter.subject.strip() != ""
    assert "None" not in letter.text
    assert "  " not in letter.text.splitlines()[0]


def test_letters_load_nothing_from_elsewhere() -> None:
    """A remote picture would tell a stranger who reads the customer's mail, and show as a broken square."""
    for kind in MailKind:
        letter = _WRITER.write(kind, _facts(kind), _BOTH)
        assert not re.search(r"<(img|script|link|iframe|form|object)|url\(|@import|src=", letter.html, re.IGNORECASE)
        hosts = set(re.findall(r'href="([^"]+)"', letter.html))
        assert hosts <= {"https://oudkantoor.sb.example/enyoi", "https://nieuwkantoor.sb.example/enyoi-nieuw"}


def test_ticket_letter_tells_the_consequences_and_the_quotes_by_number_and_customer() -> None:
    """The old side must know what gets lost before it sends the ticket on (manual, Let op)."""
    text = _flat(_WRITER.write(MailKind.TICKET_ISSUED, _facts(MailKind.TICKET_ISSUED), _OLD).text)
    assert "enyoi-overdracht-ticket.avr" in text
    assert "donderdag 24 december 2026 om 10:30 uur (Amsterdamse tijd)" in text
    assert "Offerte OFF-7 voor Jansen, € 1.234,50 incl. btw (Enyoi BV)" in text
    assert "De klantomgeving krijgt een nieuwe url." in text
    assert "Het Mailbox-adres verandert (nu enyoi@oudkantoor.mailbox.sb.example)." in text
    assert "Het oude adres blijft nog 30 dagen werken." in text
    assert "Koppelingen in het App Center moeten opnieuw worden geactiveerd: Urenapp." in text
    assert "AFAS Link moet opnieuw gekoppeld worden bij alle gebruikers (1)." in text


def test_ticket_letter_names_whom_the_file_is_for() -> None:
    """A self-managed holder has a firm to send it to; a firm may also send it to the entrepreneur."""
    outsourcing = _flat(
        _WRITER.write(MailKind.TICKET_ISSUED, _facts(MailKind.TICKET_ISSUED, Scenario.OUTSOURCE), _OLD).text
    )
    assert "waar je de administratie (deels) aan wilt uitbesteden" in outsourcing
    assert "stuurt een incident in" not in outsourcing
    firm = _flat(_WRITER.write(MailKind.TICKET_ISSUED, _facts(MailKind.TICKET_ISSUED), _OLD).text)
    assert "waar je deze klant aan wilt overdragen" in firm
    assert "Die stuurt een incident in" in firm


def test_planned_letter_gives_the_exact_start_on_the_amsterdam_clock() -> None:
    """Whoever works late must know until when the plan can change."""
    letter = _WRITER.write(MailKind.UPLOAD_ACCEPTED, _facts(MailKind.UPLOAD_ACCEPTED), _NEW)
    assert letter.subject == "Verhuizing van Enyoi gepland: dinsdag 24 november 2026 om 22:00"
    assert "dinsdag 24 november 2026 om 22:00 uur (Amsterdamse tijd)" in _flat(letter.text)
    summer = _facts(MailKind.UPLOAD_ACCEPTED).model_copy(
        update={
            "transfer": _facts(MailKind.UPLOAD_ACCEPTED).transfer.model_copy(
                update={"starts_at": datetime(2026, 7, 1, 20, 0, tzinfo=UTC)}
            )
        }
    )
    assert "woensdag 1 juli 2026 om 22:00 uur" in _flat(_WRITER.write(MailKind.UPLOAD_ACCEPTED, summer, _NEW).text)


@pytest.mark.parametrize("scenario", list(Scenario))
def test_ready_letter_tells_what_to_check_and_how_to_release(scenario: Scenario) -> None:
    """Each scenario has its own list and its own way to the button (manual, Afronden van de verhuizing)."""
    letter = _WRITER.write(MailKind.READY, _facts(MailKind.READY, scenario), _NEW)
    text = _flat(letter.text)
    assert "https://nieuwkantoor.sb.example/enyoi-nieuw" in text
    assert f"Alle {len(CheckKind)} vergelijkingen van oud en nieuw" in text
    assert "- Kolommenbalans: 54 grootboekrekeningen: debet € 12.345,67 (gelijk)" in letter.text
    assert "Activeer deze bankkoppelingen opnieuw in de nieuwe administratie: ABN AMRO, Triodos." in text
    assert "ABN AMRO NL91ABNA0417164300 (Enyoi BV)" in text
    assert "Urenapp" in text
    assert "jan@example.nl" in text
    release = text[text.index("Geef de omgeving na controle vrij") :]
    if scenario is Scenario.INSOURCE:
        assert "- Btw-aangiften - Vaste activa" in text
        assert "Ga met de zoekhulp (Ctrl+Spatie) naar Administraties. 2. Klik op de Meer-knop." in release
        assert "Admin Center" not in release
    else:
        assert "- Bankmutaties - Kolommenbalans - Te verzenden verkoopfacturen" in text
        assert "1. Open het Admin Center (F8). 2. Open de vrij te geven Klant" in release


def test_ready_letter_warns_of_a_difference() -> None:
    """A report that is not all equal must never read as if it were."""
    facts = _facts(
        MailKind.READY,
        report={"checks": [_check(CheckKind.RELATIONS), _check(CheckKind.TRIAL_BALANCE, equal=False)]},
    )
    letter = _WRITER.write(MailKind.READY, facts, _NEW)
    assert "wijkt er 1 af" in _flat(letter.text)
    assert "Oud 54 grootboekrekeningen: debet € 12.345,67; Nieuw" in _flat(letter.text)
    assert "debet € 12.345,68 (VERSCHIL)" in _flat(letter.text)
    assert "8000 Omzet: Debet € 7,00 (oud), € 7,01 (nieuw)" in _flat(letter.text)
    assert "zijn gelijk" not in _flat(letter.text)
    assert "VERSCHIL" in _words_of(letter)


def test_ready_letter_stays_readable_for_many_administrations() -> None:
    """Mailboxes cut a mail off at about 100 kB: hundreds of equal lines become a count, a difference stays."""
    checks = [
        _check(kind, administration=f"Bedrijf {n:02}", equal=(n, kind) != (7, CheckKind.VAT_RETURNS))
        for n in range(60)
        for kind in CheckKind
    ]
    letter = _WRITER.write(MailKind.READY, _facts(MailKind.READY, report={"checks": checks}), _NEW)
    assert len(letter.html.encode()) < 90_000
    assert "Bedrijf 07" in letter.text
    assert "Bedrijf 08" not in letter.text


@pytest.mark.parametrize(
    ("scenario", "recipient", "said", "not_said"),
    [
        (Scenario.INSOURCE, _NEW, "hebben wij dit veld leeggemaakt", "licentie 10001 op"),
        (Scenario.SWITCH, _NEW, "gewijzigd worden naar jullie eigen kantoor", "leeggemaakt"),
        (Scenario.INSOURCE, _OLD, "Je kunt de oude klantomgeving verwijderen", "Zeg de oude licentie"),
        (Scenario.OUTSOURCE, _OLD, "Zeg de oude licentie 10001 op", "klantomgeving verwijderen"),
        (Scenario.SWITCH, _OLD, "De vorige klantomgeving is nog benaderbaar als alleen-lezen", "Zeg de oude licentie"),
        (Scenario.SWITCH, _NEW, "Stel de Contactsoort voor belastingdienst goed in.", "klantomgeving verwijderen"),
        (Scenario.SWITCH, _NEW, "tot vrijdag 25 december 2026 om 09:00 uur", "Zeg de oude licentie"),
    ],
)
def test_released_letter_has_the_scenarios_own_list(
    scenario: Scenario, recipient: Recipient, said: str, not_said: str
) -> None:
    """Only the outsourcing entrepreneur cancels a licence; only the firm left behind may delete the environment."""
    text = _flat(_WRITER.write(MailKind.RELEASED, _facts(MailKind.RELEASED, scenario), recipient).text)
    assert said in text
    assert not_said not in text


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (UndoReason.EXPIRED, "het ticket is verlopen"),
        (UndoReason.CANCELLED, "de overdracht is geannuleerd"),
        (UndoReason.REJECTED, "De toelichting: “Er mist een factuur”"),
        (UndoReason.FAILED, "Neem contact op met support"),
    ],
)
def test_undone_letter_says_why_and_what_is_true_now(reason: UndoReason, said: str) -> None:
    """People who were told of a move must learn that it is off, and that they can work again."""
    facts = _facts(MailKind.UNDONE)
    facts = facts.model_copy(update={"transfer": facts.transfer.model_copy(update={"undo_reason": reason})})
    text = _flat(_WRITER.write(MailKind.UNDONE, facts, _OLD).text)
    assert said in text
    assert "De oude klantomgeving Enyoi is weer beschrijfbaar" in text
    assert "Van de nieuwe omgeving blijft niets over." in text
    to_new = _flat(_WRITER.write(MailKind.UNDONE, facts, _NEW).text)
    assert "Van de nieuwe omgeving Enyoi Nieuw blijft niets over." in to_new


def test_undone_letter_does_not_promise_what_is_not_done_yet() -> None:
    """While the environment is still fenced, "writable again" would be a lie."""
    facts = _facts(MailKind.UNDONE)
    facts = facts.model_copy(update={"old": facts.old.model_copy(update={"status": "read_only"})})
    text = _flat(_WRITER.write(MailKind.UNDONE, facts, _OLD).text)
    assert "wordt weer beschrijfbaar gemaakt" in text
    assert "is weer beschrijfbaar" not in text


@pytest.mark.parametrize("kind", list(MailKind))
def test_what_customers_type_stays_text(kind: MailKind) -> None:
    """A name is a name: it may not become markup, a header, a new line, or turn the text around."""
    evil = '<script>alert(1)</script>" onload="x\r\nBcc: dief@example.com\r\n\r\n{{ 7 * 7 }} \u202egnp.exe\u2028'
    base = _facts(kind).model_dump(mode="json")
    for place in ("old", "new"):
        base[place] |= {"name": evil, "holder_name": evil, "url": f"javascript:{evil}"}
    base["contents"] |= {"administrations": [evil], "apps": [evil]}
    base["contents"]["quotes"][0] |= {"customer": evil, "number": evil}
    base["contents"]["connections"][0] |= {"administration": evil, "bank": evil}
    base["banks"][1]["bank"] = evil
    base["report"]["checks"][0] |= {"administration": evil, "old": {"rows": 1, "tally": {evil: 1}}}
    base["transfer"]["undo_detail"] = evil
    base["contents"]["users"] = [{"email": "a@example.nl", "full_name": evil}]
    facts = MailFacts.model_validate(base)
    (user,) = recipients_of(facts, MailKind.INVITATION)
    letter = _WRITER.write(kind, facts, replace(user, old_side=True))
    assert "<script" not in letter.html.lower()
    assert "javascript:" not in " ".join(re.findall(r'href="([^"]*)"', letter.html))
    assert '" onload' not in letter.html
    assert not re.search(r"^Bcc:", letter.text, re.MULTILINE)
    assert "\n" not in letter.subject
    assert "\r" not in letter.subject
    for made in (letter.subject, letter.text, letter.html):
        assert "\u202e" not in made
        assert "\u2028" not in made
        assert "49" not in re.findall(r"Bcc: dief@example\.com (\S+)", made)


def test_recipients_are_the_manuals_parties() -> None:
    """The new side of an insourcing is the licence's contact and whoever logs in; each address once."""
    insource = _facts(MailKind.READY, Scenario.INSOURCE)
    assert [r.address for r in recipients_of(insource, MailKind.READY)] == ["nieuw@example.nl", "klant@example.nl"]
    same = insource.model_copy(update={"new": insource.new.model_copy(update={"login_email": "NIEUW@Example.nl"})})
    assert [r.address for r in recipients_of(same, MailKind.READY)] == ["nieuw@example.nl"]
    switch = _facts(MailKind.READY)
    assert [r.address for r in recipients_of(switch, MailKind.READY)] == ["nieuw@example.nl"]
    assert [r.address for r in recipients_of(switch, MailKind.TICKET_ISSUED)] == ["oud@example.nl"]
    assert [r.address for r in recipients_of(switch, MailKind.RELEASED)] == ["oud@example.nl", "nieuw@example.nl"]
    assert [r.address for r in recipients_of(switch, MailKind.INVITATION)] == ["jan@example.nl"]


def test_one_person_on_both_sides_gets_one_letter_with_both_parts() -> None:
    """Somebody who holds both licences must not miss the old side's list because the addresses are equal."""
    (both,) = merged([_OLD, Recipient("OUD@example.nl", Language.ENGLISH, new_side=True)])
    assert both == Recipient("oud@example.nl", Language.DUTCH, old_side=True, new_side=True)
    text = _flat(_WRITER.write(MailKind.RELEASED, _facts(MailKind.RELEASED, Scenario.OUTSOURCE), both).text)
    assert "Beconnummer" in text
    assert "Zeg de oude licentie 10001 op" in text


def test_english_letters_are_english() -> None:
    """A licence with language en reads English, amounts and dates included."""
    reader = Recipient("old@example.com", Language.ENGLISH, old_side=True)
    text = _flat(_WRITER.write(MailKind.TICKET_ISSUED, _facts(MailKind.TICKET_ISSUED), reader).text)
    assert "Quote OFF-7 for Jansen, €1,234.50 incl. VAT (Enyoi BV)" in text
    assert "Thursday 24 December 2026 at 10:30 (Amsterdam time)" in text
    assert "klantomgeving" not in text


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("kind", list(MailKind))
def test_the_old_side_learns_who_takes_over_and_nothing_else_of_the_new_side(
    kind: MailKind, language: Language
) -> None:
    """Names the new holder to the firm that a customer leaves; its url, mailbox and new name are not that firm's."""
    letter = _WRITER.write(kind, _facts(kind), Recipient("oud@example.nl", language, old_side=True))
    seen = letter.subject + letter.text + letter.html
    for hidden in ("Enyoi Nieuw", "enyoi-nieuw", "nieuwkantoor", "klant@example.nl", "20002", "nieuw@example.nl"):
        assert hidden not in seen
    if kind in (MailKind.UPLOAD_ACCEPTED, MailKind.RELEASED):
        assert "Nieuw Kantoor" in letter.text


# What mail clients make a link of: a scheme, a host with a stop in it, an address, a server's share.
_LINK = re.compile(r"(?i)[a-z][a-z0-9+.-]*:[^\s\u200b]|www[.]\w|[\w-]+[.\u3002\uff0e\uff61][^\W\d_]{2,}|\w@\w|\\\\\w")


@pytest.mark.parametrize(
    "name",
    [
        *("https://evil.example", "evil.example", "www.evil.example/x", "Klik HTTP://evil.example?a=1 nu"),
        *("mailto:dief@evil.example", "dief@evil.example", "javascript:alert(1)", "\\\\evil\\share"),
        *("evil\u3002example", "evil.xn--p1ai", "пример.рф", "Booking.com B.V."),
    ],
)
@pytest.mark.parametrize("kind", list(MailKind))
def test_links_in_names_do_not_become_links_in_mails(kind: MailKind, name: str) -> None:
    """Breaks whatever a client would link in a name that somebody chose: the mail comes from us."""
    assert _LINK.search(name), "the pattern finds it as it was typed"
    given = _facts(kind).model_dump(mode="json")
    for place in ("old", "new"):
        given[place] |= {"name": name, "holder_name": name}
    given["transfer"] |= {"undo_detail": name}
    given["contents"] |= {
        "administrations": [name],
        "quotes": [{"administration": name, "number": name, "customer": name, "total": "1.00"}],
        "apps": [name],
        # An address of a user is one that the mail speaks of; only what is none is text.
        "users": [{"email": "jan@example.nl" if name.startswith("dief@") else name, "full_name": name}],
        "connections": [{"administration": name, "bank": name, "iban": name, "status": "needs_reactivation"}],
    }
    given["report"] = {
        "checks": [
            _check(CheckKind.RELATIONS, administration=name)
            | {
                "old": {"rows": 1, "tally": {name: 1}},
                "differences": [{"item": name, "old": {"city": name}, "new": None, "equal": False}],
            }
        ]
    }
    ours = re.compile(
        r"https://(oud|nieuw)kantoor\.sb\.example/[a-z-]+|enyoi[a-z-]*@(oud|nieuw)kantoor\.mailbox\.sb\.example"
        r"|(enyoi|url)-overdracht-ticket\.avr|\S+@example\.nl"
    )
    letter = _WRITER.write(kind, MailFacts.model_validate(given), _BOTH)
    for part in (letter.subject, letter.text, _words_of(letter)):
        assert not _LINK.search(ours.sub("", part))
    assert "href" not in re.sub(r'href="https://(oud|nieuw)kantoor\.sb\.example/[a-z-]+"', "", letter.html)


def test_a_name_that_looks_like_no_link_stays_as_it_is() -> None:
    """Leaves legal forms, numbers and amounts alone: programs and people compare them."""
    for name in ("Jansen & Zn. B.V.", "v.o.f. De Boer", "Nr. 2.1", "1.234,56", "Afd. Noord", "10:30 uur"):
        assert unlinked(name) == name


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("kind", list(MailKind))
def test_a_sentence_ends_in_one_full_stop_and_a_moment_has_no_seconds(kind: MailKind, language: Language) -> None:
    """Ends a sentence once behind a name such as B.V., and tells moments as people do."""
    given = _facts(kind).model_dump(mode="json")
    given["old"] |= {"holder_name": "Oud B.V.", "name": "Enyoi B.V."}
    given["new"] |= {"holder_name": "Nieuw B.V.", "name": "Enyoi N.V."}
    given["transfer"]["starts_at"] = "2026-11-24T21:00:17Z"
    given["ticket"]["expires_at"] = "2026-12-24T09:30:59Z"
    given["forward_until"] = "2026-12-25T08:00:01Z"
    letter = _WRITER.write(kind, MailFacts.model_validate(given), replace(_BOTH, language=language))
    for part in (letter.subject, letter.text, _words_of(letter)):
        assert ".." not in part
        assert not re.search(r"\d\d:\d\d:\d\d", part)


def test_whoever_has_a_question_reads_where_to_ask() -> None:
    """Shows the contact of support in every mail, and beside each sentence that sends somebody there."""
    writer = MailRenderer(ZoneInfo("Europe/Amsterdam"), support="support@sb.example")
    for kind in MailKind:
        letter = writer.write(kind, _facts(kind), _BOTH)
        assert "Vragen? support@sb.example" in letter.text
        assert "Vragen? support@sb.example" in _words_of(letter)
    assert "meld bij support (support@sb.example)" in _flat(
        writer.write(MailKind.READY, _facts(MailKind.READY), _NEW).text
    )
