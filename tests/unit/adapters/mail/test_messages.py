"""Letters: every kind, language and scenario, from facts made here; no server."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from adapters.mail.messages import MailFacts, MailRenderer, Recipient, merged, recipients_of
from domain.vocabulary import CheckKind, Language, MailKind, Scenario, UndoReason
from tests.unit.adapters.mail.letters import (
    BOTH,
    NEW,
    OLD,
    STATES,
    TRANSFER,
    WRITER,
    check_of,
    facts_of,
    flat,
    words_of,
)


@pytest.mark.parametrize("scenario", list(Scenario))
@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("kind", list(MailKind))
def test_every_letter_is_whole_in_both_parts(kind: MailKind, language: Language, scenario: Scenario) -> None:
    """Writes every letter whole, in text and HTML alike."""
    for sides in (BOTH, OLD, NEW):
        recipient = Recipient(sides.address, language, sides.old_side, sides.new_side)
        letter = WRITER.write(kind, facts_of(kind, scenario), recipient)
        assert letter.subject
        assert letter.html.startswith("<!DOCTYPE html>")
        assert f'<html lang="{language}">' in letter.html
        assert str(TRANSFER) in letter.text
        assert str(TRANSFER) in letter.html
        seen = words_of(letter)
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
    """Writes a letter when facts are missing."""
    state = STATES.get(kind, "released")
    facts = MailFacts.model_validate(
        {
            "transfer": {
                "transfer_id": TRANSFER,
                "state": state,
                "undo_reason": "failed" if state == "undone" else None,
            },
            "old": {"name": None},
            "new": {},
        }
    )
    letter = WRITER.write(kind, facts, Recipient("x@example.nl", language, old_side=True, new_side=True))
    assert letter.subject == letter.subject.strip() != ""
    assert "None" not in letter.text
    assert "  " not in letter.text.splitlines()[0]


def test_letters_load_nothing_from_elsewhere() -> None:
    """Links no picture, style or script from elsewhere."""
    for kind in MailKind:
        letter = WRITER.write(kind, facts_of(kind), BOTH)
        assert not re.search(r"<(img|script|link|iframe|form|object)|url\(|@import|src=", letter.html, re.IGNORECASE)
        hosts = set(re.findall(r'href="([^"]+)"', letter.html))
        assert hosts <= {"https://oudkantoor.sb.example/enyoi", "https://nieuwkantoor.sb.example/enyoi-nieuw"}


def test_ticket_letter_tells_the_consequences_and_the_quotes_by_number_and_customer() -> None:
    """Lists the consequences, and quotes by number and customer."""
    text = flat(WRITER.write(MailKind.TICKET_ISSUED, facts_of(MailKind.TICKET_ISSUED), OLD).text)
    assert "enyoi-overdracht-ticket.avr" in text
    assert "donderdag 24 december 2026 om 10:30 uur (Amsterdamse tijd)" in text
    assert "Offerte OFF-7 voor Jansen, € 1.234,50 incl. btw (Enyoi BV)" in text
    assert "De klantomgeving krijgt een nieuwe url." in text
    assert "Het Mailbox-adres verandert (nu enyoi@oudkantoor.mailbox.sb.example)." in text
    assert "Pas mailbox-regels aan en vervang het adres op websites van leveranciers." in text
    assert "Het oude adres blijft nog 30 dagen werken." in text
    assert "Koppelingen in het App Center moeten opnieuw worden geactiveerd: Urenapp." in text
    assert "AFAS Link moet opnieuw gekoppeld worden bij alle gebruikers (1)." in text


def test_ticket_letter_names_whom_the_file_is_for() -> None:
    """Says to whom each kind of licence sends the file."""
    outsourcing = flat(
        WRITER.write(MailKind.TICKET_ISSUED, facts_of(MailKind.TICKET_ISSUED, Scenario.OUTSOURCE), OLD).text
    )
    assert "waar je de administratie (deels) aan wilt uitbesteden" in outsourcing
    assert "stuurt een incident in" not in outsourcing
    firm = flat(WRITER.write(MailKind.TICKET_ISSUED, facts_of(MailKind.TICKET_ISSUED), OLD).text)
    assert "waar je deze klant aan wilt overdragen" in firm
    assert "Stuur het bestand naar de ondernemer. Die stuurt een incident in" in firm


def test_planned_letter_gives_the_exact_start_on_the_amsterdam_clock() -> None:
    """Gives the start on the clock of Amsterdam."""
    letter = WRITER.write(MailKind.UPLOAD_ACCEPTED, facts_of(MailKind.UPLOAD_ACCEPTED), NEW)
    assert letter.subject == "Verhuizing van Enyoi gepland: dinsdag 24 november 2026 om 22:00"
    assert "dinsdag 24 november 2026 om 22:00 uur (Amsterdamse tijd)" in flat(letter.text)
    summer = facts_of(MailKind.UPLOAD_ACCEPTED).model_copy(
        update={
            "transfer": facts_of(MailKind.UPLOAD_ACCEPTED).transfer.model_copy(
                update={"starts_at": datetime(2026, 7, 1, 20, 0, tzinfo=UTC)}
            )
        }
    )
    assert "woensdag 1 juli 2026 om 22:00 uur" in flat(WRITER.write(MailKind.UPLOAD_ACCEPTED, summer, NEW).text)


@pytest.mark.parametrize("scenario", list(Scenario))
def test_ready_letter_tells_what_to_check_and_how_to_release(scenario: Scenario) -> None:
    """Gives each scenario its list and its way to release."""
    letter = WRITER.write(MailKind.READY, facts_of(MailKind.READY, scenario), NEW)
    text = flat(letter.text)
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
    """Warns of a difference."""
    facts = facts_of(
        MailKind.READY,
        report={"checks": [check_of(CheckKind.RELATIONS), check_of(CheckKind.TRIAL_BALANCE, equal=False)]},
    )
    letter = WRITER.write(MailKind.READY, facts, NEW)
    assert "wijkt er 1 af" in flat(letter.text)
    assert "Oud 54 grootboekrekeningen: debet € 12.345,67; Nieuw" in flat(letter.text)
    assert "debet € 12.345,68 (VERSCHIL)" in flat(letter.text)
    assert "8000 Omzet: Debet € 7,00 (oud), € 7,01 (nieuw)" in flat(letter.text)
    assert "zijn gelijk" not in flat(letter.text)
    assert "VERSCHIL" in words_of(letter)


def test_ready_letter_stays_readable_for_many_administrations() -> None:
    """Counts equal administrations beyond a limit, and names each difference."""
    checks = [
        check_of(kind, administration=f"Bedrijf {n:02}", equal=(n, kind) != (7, CheckKind.VAT_RETURNS))
        for n in range(60)
        for kind in CheckKind
    ]
    letter = WRITER.write(MailKind.READY, facts_of(MailKind.READY, report={"checks": checks}), NEW)
    assert len(letter.html.encode()) < 90_000
    assert "Bedrijf 07" in letter.text
    assert "Bedrijf 08" not in letter.text


@pytest.mark.parametrize(
    ("scenario", "recipient", "said", "not_said"),
    [
        (Scenario.INSOURCE, NEW, "hebben wij dit veld leeggemaakt", "licentie 10001 op"),
        (Scenario.SWITCH, NEW, "gewijzigd worden naar jullie eigen kantoor", "leeggemaakt"),
        (Scenario.INSOURCE, OLD, "Je kunt de oude klantomgeving verwijderen", "Zeg de oude licentie"),
        (Scenario.OUTSOURCE, OLD, "Zeg de oude licentie 10001 op", "klantomgeving verwijderen"),
        (Scenario.SWITCH, OLD, "De vorige klantomgeving is nog benaderbaar als alleen-lezen", "Zeg de oude licentie"),
        (Scenario.SWITCH, NEW, "Stel de Contactsoort voor belastingdienst goed in.", "klantomgeving verwijderen"),
        (Scenario.SWITCH, NEW, "tot vrijdag 25 december 2026 om 09:00 uur", "Zeg de oude licentie"),
    ],
)
def test_released_letter_has_the_scenarios_own_list(
    scenario: Scenario, recipient: Recipient, said: str, not_said: str
) -> None:
    """Gives each scenario its list after the release."""
    text = flat(WRITER.write(MailKind.RELEASED, facts_of(MailKind.RELEASED, scenario), recipient).text)
    assert said in text
    assert not_said not in text
    assert "Vervang bladwijzers" in text


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (UndoReason.EXPIRED, "het ticket is verlopen"),
        (UndoReason.CANCELLED, "de overdracht is geannuleerd. De toelichting: “Er mist een factuur”"),
        (UndoReason.REJECTED, "De toelichting: “Er mist een factuur”"),
        (UndoReason.FAILED, "Neem contact op met support"),
    ],
)
def test_undone_letter_says_why_and_what_is_true_now(reason: UndoReason, said: str) -> None:
    """Says why a move is off and what is true now."""
    facts = facts_of(MailKind.UNDONE)
    facts = facts.model_copy(update={"transfer": facts.transfer.model_copy(update={"undo_reason": reason})})
    text = flat(WRITER.write(MailKind.UNDONE, facts, OLD).text)
    assert said in text
    assert "De oude klantomgeving Enyoi is weer beschrijfbaar" in text
    assert "Van de nieuwe omgeving blijft niets over." in text
    to_new = flat(WRITER.write(MailKind.UNDONE, facts, NEW).text)
    assert "Van de nieuwe omgeving Enyoi Nieuw blijft niets over." in to_new


def test_undone_letter_quotes_the_cause_in_the_readers_language() -> None:
    """A Dutch reader reads why in Dutch, with the English words that support searches for beside it."""
    cause = {
        "undo_reason": UndoReason.FAILED,
        "undo_detail": "it hangs on the moment",
        "undo_detail_nl": "het hangt af",
    }
    facts = facts_of(MailKind.UNDONE)
    facts = facts.model_copy(update={"transfer": facts.transfer.model_copy(update=cause)})
    dutch = flat(WRITER.write(MailKind.UNDONE, facts, OLD).text)
    assert dutch.index("De oorzaak: “het hangt af”") < dutch.index(
        "In het Engels, voor support: “it hangs on the moment”"
    )
    english = flat(WRITER.write(MailKind.UNDONE, facts, replace(OLD, language=Language.ENGLISH)).text)
    assert "it hangs on the moment" in english
    assert "het hangt af" not in english


def test_undone_letter_does_not_promise_what_is_not_done_yet() -> None:
    """Promises no writable environment before it is writable."""
    facts = facts_of(MailKind.UNDONE)
    facts = facts.model_copy(update={"old": facts.old.model_copy(update={"status": "read_only"})})
    text = flat(WRITER.write(MailKind.UNDONE, facts, OLD).text)
    assert "wordt weer beschrijfbaar gemaakt" in text
    assert "is weer beschrijfbaar" not in text


def test_recipients_are_the_manuals_parties() -> None:
    """Chooses the manual's parties, each address once."""
    insource = facts_of(MailKind.READY, Scenario.INSOURCE)
    assert [r.address for r in recipients_of(insource, MailKind.READY)] == ["nieuw@example.nl", "klant@example.nl"]
    same = insource.model_copy(update={"new": insource.new.model_copy(update={"login_email": "NIEUW@Example.nl"})})
    assert [r.address for r in recipients_of(same, MailKind.READY)] == ["nieuw@example.nl"]
    switch = facts_of(MailKind.READY)
    assert [r.address for r in recipients_of(switch, MailKind.READY)] == ["nieuw@example.nl"]
    assert [r.address for r in recipients_of(switch, MailKind.TICKET_ISSUED)] == ["oud@example.nl"]
    assert [r.address for r in recipients_of(switch, MailKind.RELEASED)] == ["oud@example.nl", "nieuw@example.nl"]
    assert [r.address for r in recipients_of(switch, MailKind.INVITATION)] == ["jan@example.nl"]


def test_one_person_on_both_sides_gets_one_letter_with_both_parts() -> None:
    """Writes one letter with both parts to one address on both sides."""
    (both,) = merged([OLD, Recipient("OUD@example.nl", Language.ENGLISH, new_side=True)])
    assert both == Recipient("oud@example.nl", Language.DUTCH, old_side=True, new_side=True)
    text = flat(WRITER.write(MailKind.RELEASED, facts_of(MailKind.RELEASED, Scenario.OUTSOURCE), both).text)
    assert "Beconnummer" in text
    assert "Zeg de oude licentie 10001 op" in text


def test_english_letters_are_english() -> None:
    """Writes English, amounts and dates included."""
    reader = Recipient("old@example.com", Language.ENGLISH, old_side=True)
    text = flat(WRITER.write(MailKind.TICKET_ISSUED, facts_of(MailKind.TICKET_ISSUED), reader).text)
    assert "Quote OFF-7 for Jansen, €1,234.50 incl. VAT (Enyoi BV)" in text
    assert "Thursday 24 December 2026 at 10:30 (Amsterdam time)" in text
    assert "klantomgeving" not in text


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("kind", list(MailKind))
def test_the_old_side_learns_who_takes_over_and_nothing_else_of_the_new_side(
    kind: MailKind, language: Language
) -> None:
    """Names the new holder to the firm that a customer leaves; its url, mailbox and new name are not that firm's."""
    letter = WRITER.write(kind, facts_of(kind), Recipient("oud@example.nl", language, old_side=True))
    seen = letter.subject + letter.text + letter.html
    for hidden in ("Enyoi Nieuw", "enyoi-nieuw", "nieuwkantoor", "klant@example.nl", "20002", "nieuw@example.nl"):
        assert hidden not in seen
    if kind in (MailKind.UPLOAD_ACCEPTED, MailKind.RELEASED):
        assert "Nieuw Kantoor" in letter.text


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("kind", list(MailKind))
def test_a_sentence_ends_in_one_full_stop_and_a_moment_has_no_seconds(kind: MailKind, language: Language) -> None:
    """Ends a sentence once behind a name such as B.V., and tells moments as people do."""
    given = facts_of(kind).model_dump(mode="json")
    given["old"] |= {"holder_name": "Oud B.V.", "name": "Enyoi B.V."}
    given["new"] |= {"holder_name": "Nieuw B.V.", "name": "Enyoi N.V."}
    given["transfer"]["starts_at"] = "2026-11-24T21:00:17Z"
    given["ticket"]["expires_at"] = "2026-12-24T09:30:59Z"
    given["forward_until"] = "2026-12-25T08:00:01Z"
    letter = WRITER.write(kind, MailFacts.model_validate(given), replace(BOTH, language=language))
    for part in (letter.subject, letter.text, words_of(letter)):
        assert ".." not in part
        assert not re.search(r"\d\d:\d\d:\d\d", part)


def test_whoever_has_a_question_reads_where_to_ask() -> None:
    """Shows the contact of support in every mail, and beside each sentence that sends somebody there."""
    writer = MailRenderer(ZoneInfo("Europe/Amsterdam"), support="support@sb.example")
    for kind in MailKind:
        letter = writer.write(kind, facts_of(kind), BOTH)
        assert "Vragen? support@sb.example" in letter.text
        assert "Vragen? support@sb.example" in words_of(letter)
    assert "meld bij support (support@sb.example)" in flat(
        writer.write(MailKind.READY, facts_of(MailKind.READY), NEW).text
    )


@pytest.mark.parametrize(
    ("kind", "reader", "told"),
    [
        (MailKind.READY, NEW, "kwamen er 3 mails en 1 scan binnen. Wij bewaren ze"),
        (MailKind.RELEASED, NEW, "kwamen er 3 mails en 1 scan binnen. Die staan nu in de nieuwe omgeving."),
        (MailKind.UNDONE, OLD, "Wat intussen is binnengekomen (3 mails en 1 scan) staat in de oude klantomgeving."),
    ],
)
def test_a_letter_counts_what_came_in_meanwhile(kind: MailKind, reader: Recipient, told: str) -> None:
    """Tells where mail and scans are that came during the move, and nothing when none came."""
    letter = WRITER.write(kind, facts_of(kind, held={"mails": 3, "scans": 1, "left": 0}), reader)
    assert told in flat(letter.text)
    assert told in words_of(letter)
    assert "mails en" not in flat(WRITER.write(kind, facts_of(kind), reader).text.partition("Mailbox (")[0])


def test_what_came_along_is_counted_by_what_is_open() -> None:
    """Counts open mails and scans, not those that were processed long ago."""
    letter = flat(WRITER.write(MailKind.READY, facts_of(MailKind.READY), NEW).text)
    assert "Openstaande mails in de Mailbox (7) en facturen in de Scanbox (5) zijn meegenomen." in letter


def test_an_outsourcing_links_to_where_the_old_licence_is_cancelled() -> None:
    """Fills in the licence's number, and says it without a link when there is none."""
    facts = facts_of(MailKind.RELEASED, Scenario.OUTSOURCE)
    url = "https://sb.example/opzeggen?licentie={licence}"
    writer = MailRenderer(ZoneInfo("Europe/Amsterdam"), cancel_licence_url=url)
    assert "https://sb.example/opzeggen?licentie=10001 ." in flat(writer.write(MailKind.RELEASED, facts, OLD).text)
    assert "Zeg de oude licentie 10001 op: je administratie" in flat(WRITER.write(MailKind.RELEASED, facts, OLD).text)
