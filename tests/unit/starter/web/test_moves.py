"""The three moves of the manual, pressed through the pages."""

import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from sb_transfer_client.testing._rules import ZONE, opening_after

from tests.unit.starter.web.conftest import Place

FIRM, OTHER_FIRM, SUPPORT, OPERATOR = "firm:10001", "firm:10002", "support", "operator"


async def begun(place: Place, person: str, licence: str, name: str) -> tuple[str, bytes]:
    """Press "Omgeving overdragen" and download the ticket; return the transfer's path and the file."""
    environment = place.environment(licence, name)
    old = await place.as_(person)
    assert name in (await old.open("/")).text
    page = await old.open(f"/environments/{environment}/transfer")
    assert "Wat verloren gaat" in page.text
    page = await old.send("", understood="yes")
    path = page.url.path
    assert path.startswith("/transfers/")
    page = await old.open(path)
    assert "Het ticket" in page.text
    ticket = await old.send(f"{path}/ticket")
    assert ticket.headers["content-disposition"].endswith('-overdracht-ticket.avr"')
    return path, ticket.content


async def test_a_firm_hands_a_customer_over_and_another_takes_it(place: Place) -> None:
    """Lets both firms do everything that the manual says by pages: ticket, look, upload, checks, release, to-do's."""
    path, ticket = await begun(place, FIRM, "10001", "Enyoi")
    new = await place.as_(OTHER_FIRM, "/upload")
    seen = await new.send("/upload", file=ticket)
    assert "Dit zit in het ticket" in seen.text
    assert "De Vries &amp; Partners" in seen.text
    assert new.form("/upload/confirm").values["url_part"] == "enyoi"
    page = await new.send("/upload/confirm", name="Enyoi BV", url_part="enyoi-bv")
    assert page.url.path == path
    assert "Ingepland" in page.text
    assert "https://bakker.sb.example/enyoi-bv" in page.text
    assert f'<a href="{path}">Enyoi BV</a>' in (await new.open("/")).text
    place.fake.clock.turn_to("22:00")
    for _ in range(2):
        page = await new.open(path)
    assert page.text.count("Afvinken") == 5
    page = await new.send(f"{path}/checklist")
    assert "1 van 5 afgevinkt" in page.text
    assert "Bram Bakker (10002)" in page.text
    page = await new.open(f"{path}/release")
    assert "Nog niet afgevinkt" in page.text
    page = await new.send("")
    assert page.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "Zet een vinkje" in page.text
    page = await new.send("", sure="yes", note="steekproef gedaan")
    assert "Vrijgegeven" in page.text
    assert "Nog te doen na het vrijgeven" in page.text
    assert "Beconnummer" in page.text


async def test_support_submits_an_incident_for_who_goes_on_alone(place: Place) -> None:
    """Shows whose licence it is before it counts, understands a pasted url, and offers the eight checks."""
    path, ticket = await begun(place, FIRM, "10001", "Smit")
    support = await place.as_(SUPPORT, "/incident")
    five = {"licence": "20001", "name": "Smit", "login_email": "sanne@smit.example", "reason": "incident 4711"}
    page = await support.send("/incident", file=ticket, url_part="https://molenaar.sb.example/smit/", **five)
    assert "Molenaar</strong> (20001, zelfstandig)" in page.text
    assert "https://molenaar.sb.example/smit" in page.text
    page = await support.send("/incident/confirm")
    assert page.url.path == path
    assert f'href="{path}/hurry"' in (await support.open(path)).text
    page = await support.open(f"{path}/hurry")
    page = await support.send("", reason="incident 4712")
    assert page.url.path == path
    page = await support.open(f"{path}/start-now")
    page = await support.send("", reason="incident 4711")
    page = await support.open(path)
    assert "Openstaande posten (crediteur)" in page.text
    assert "0 van 8 afgevinkt" in page.text
    log = (await support.open(f"{path}/events")).text
    assert "Support: incident ingediend" in log
    assert "Support: voorrang gegeven" in log
    assert "incident 4711" in log
    assert "Sanne Kok (support)" in log


async def test_a_firm_rejects_and_the_old_side_reads_so(place: Place) -> None:
    """Undoes a move with a reason, and shows the old side that its environment can be worked in again."""
    path, ticket = await begun(place, "firm:20001", "20001", "Molenaar Bouw")
    new = await place.as_(FIRM, "/upload")
    await new.send("/upload", file=ticket)
    await new.send("/upload/confirm")
    place.fake.clock.turn_to("22:00")
    for _ in range(2):
        await new.open(path)
    page = await new.open(f"{path}/comparison")
    assert "controles zijn gelijk" in page.text
    link = re.search(r'href="([^"]+/comparison/rows[^"]+)"', page.text)
    assert link
    assert "oud = nieuw" in (await new.open(link[1].replace("&amp;", "&"))).text
    page = await new.open(f"{path}/reject")
    assert (await new.send("", reason=" ")).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    await new.send("", reason="de cijfers van 2019 ontbreken")
    old = await place.as_("firm:20001", path)
    assert "Er kan weer in de omgeving worden gewerkt" in (await old.open(path)).text


async def test_the_old_side_cancels(place: Place) -> None:
    """Asks once more, then undoes."""
    path, _ = await begun(place, FIRM, "10001", "Hofman")
    old = await place.as_(FIRM, f"{path}/cancel")
    page = await old.send("", reason="toch niet")
    assert "ngedaan gemaakt" in page.text


async def test_a_planned_move_gets_another_evening(place: Place) -> None:
    """Takes the evening that was chosen with the upload, and refuses one that is over at its field."""
    path, ticket = await begun(place, FIRM, "10001", "Enyoi")
    new = await place.as_(OTHER_FIRM, "/upload")
    await new.send("/upload", file=ticket)
    page = await new.send("/upload/confirm", evening="2020-01-01")
    assert page.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert 'id="e-evening"' in page.text
    assert "Ingepland" in (await new.open(path)).text
    page = await new.send(f"{path}/evening", evening="morgen")
    assert "Kies een datum" in page.text


async def test_a_slip_of_the_pen_is_corrected_until_the_evening(place: Place) -> None:
    """Takes another name and url on the transfer's page, at its field says which is taken, and asks support why."""
    place.environment("10002", "Bezet")
    path, ticket = await begun(place, FIRM, "10001", "Enyoi")
    new = await place.as_(OTHER_FIRM, "/upload")
    await new.send("/upload", file=ticket)
    await new.send("/upload/confirm")
    page = await new.send(f"{path}/correct", name="Enyoi BV", url_part="enyoi-bv")
    assert "<h1>Enyoi BV</h1>" in page.text
    assert "https://bakker.sb.example/enyoi-bv" in page.text
    page = await new.send(f"{path}/correct", name="Bezet")
    assert page.status_code == HTTPStatus.CONFLICT
    assert 'id="e-name"' in page.text
    page = await new.send(f"{path}/correct", name="", url_part="")
    assert "Vul in wat er anders moet" in page.text
    support = await place.as_(SUPPORT, path)
    page = await support.send(f"{path}/correct", name="Enyoi", reason="incident 4711")
    assert "<h1>Enyoi</h1>" in page.text
    log = (await support.open(f"{path}/events")).text
    assert "Upload gecorrigeerd" in log
    assert "gecorrigeerd" not in (await (await place.as_(FIRM, path)).open(path)).text
    place.fake.clock.turn_to("22:00")
    for _ in range(2):
        page = await new.open(path)
    assert f"{path}/correct" not in page.text


async def test_each_half_sees_what_is_held_for_a_move(place: Place) -> None:
    """Shows the old side who sent what until the release, the new one that something came, and support everything."""
    path, ticket = await begun(place, FIRM, "10001", "Enyoi")
    raw = b"From: Cafe <info@cafe.example>\r\nSubject: Factuur 12\r\n\r\nhoi"
    with place.fake.client("backend") as backend:
        backend.deliver_mail("enyoi@de.mailbox.sb.example", raw, received_at=datetime.now(UTC))
    new = await place.as_(OTHER_FIRM, "/upload")
    await new.send("/upload", file=ticket)
    await new.send("/upload/confirm")
    for person, sees in ((FIRM, True), (SUPPORT, True), (OTHER_FIRM, False)):
        browser = await place.as_(person, path)
        assert f'href="{path}/held"' in (await browser.open(path)).text
        page = await browser.open(f"{path}/held")
        assert ("Factuur 12" in page.text, "Cafe &lt;info@cafe.example&gt;" in page.text) == (sees, sees)
        assert "Ontvangen" in page.text
    assert (await (await place.as_("firm:20001", "/")).open(f"{path}/held")).status_code == HTTPStatus.NOT_FOUND


async def test_support_sees_what_is_held_anywhere(place: Place) -> None:
    """Lists the mail of every customer who moves, each with a link to its transfer; no firm has the page."""
    for number, name in (("10001", "Enyoi"), ("10002", "Hofman")):
        await begun(place, FIRM if number == "10001" else OTHER_FIRM, number, name)
    with place.fake.client("backend") as backend:
        for address in ("enyoi@de.mailbox.sb.example", "hofman@bakker.mailbox.sb.example"):
            raw = f"From: a@b.example\r\nSubject: voor {address}\r\n\r\nhoi".encode()
            assert backend.deliver_mail(address, raw, received_at=datetime.now(UTC)).outcome == "held"
    for person in (SUPPORT, OPERATOR):
        browser = await place.as_(person, "/held")
        page = await browser.open("/held")
        assert page.text.index("voor enyoi@") < page.text.index("voor hofman@")
        assert len(re.findall(r'href="/transfers/[0-9a-f-]{36}/held"', page.text)) == 2
        assert "Er wordt niets aangehouden." in (await browser.open("/held?after=99")).text
        assert (await browser.open("/held?after=x")).status_code == HTTPStatus.NOT_FOUND
    firm = await (await place.as_(FIRM, "/")).open("/held")
    assert firm.status_code == HTTPStatus.FORBIDDEN
    assert "voor enyoi@" not in firm.text


async def test_support_finds_everything_and_operators_find_the_temporal_ui(place: Place) -> None:
    """Finds environments and transfers by a part of a name, url or licence, and leads to the Temporal UI."""
    path, _ = await begun(place, FIRM, "10001", "Enyoi")
    for person in (SUPPORT, OPERATOR):
        browser = await place.as_(person)
        for word in ("enyo", "10001", path.rpartition("/")[2]):
            page = await browser.open(f"/search?q={word}")
            assert f'href="{path}"' in page.text, word
        assert "https://temporal.example/namespaces/default/workflows/transfer-" in (await browser.open(path)).text
    assert "Geen omgeving gevonden" in (await browser.open("/search?q=niemand")).text


async def test_support_and_operators_see_how_an_evening_goes(place: Place) -> None:
    """Counts the moves of an evening by licence, and finds the evenings around it; firms have no such page."""
    _, ticket = await begun(place, FIRM, "10001", "Enyoi")
    new = await place.as_(OTHER_FIRM, "/upload")
    await new.send("/upload", file=ticket)
    await new.send("/upload/confirm")
    evening = opening_after(place.fake.clock.now).astimezone(ZONE).date()
    for person in (SUPPORT, OPERATOR):
        browser = await place.as_(person)
        page = await browser.open(f"/tonight?evening={evening}")
        assert "Per licentie" in page.text
        assert "10002</a> Bakker" in page.text
        assert (await browser.open("/tonight")).status_code == HTTPStatus.OK
        assert (await browser.open("/tonight?evening=0001-01-01")).status_code == HTTPStatus.NOT_FOUND
    assert (await new.open("/tonight")).status_code == HTTPStatus.FORBIDDEN


async def test_a_firm_removes_its_old_environment_and_keeps_it_after_all(place: Place) -> None:
    """Leads from the released transfer to the removal, asks once more, says what the API refuses, and calls it back."""
    path, ticket = await begun(place, FIRM, "10001", "Enyoi")
    new = await place.as_(OTHER_FIRM, "/upload")
    await new.send("/upload", file=ticket)
    await new.send("/upload/confirm")
    place.fake.clock.turn_to("22:00")
    for _ in range(2):
        await new.open(path)
    await new.open(f"{path}/release")
    await new.send("", sure="yes")
    old = await place.as_(FIRM, path)
    link = re.search(r'href="(/environments/[^"]+/retire)"', (await old.open(path)).text)
    assert link
    await old.open(link[1])
    assert (await old.send(link[1])).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    page = await old.send(link[1], sure="yes")
    assert page.status_code == HTTPStatus.CONFLICT
    assert "forwarded" in page.text
    place.fake.clock.advance(timedelta(days=31))
    page = await old.send(link[1], sure="yes")
    assert "De omgeving wordt verwijderd op" in page.text
    assert "De oude omgeving wordt verwijderd op" in (await old.open(path)).text
    page = await old.open(link[1])
    page = await old.send(f"{link[1]}/call-back")
    assert "De omgeving blijft bestaan" in page.text
    page = await old.open(link[1])
    await old.send(link[1], sure="yes")
    place.fake.clock.advance(timedelta(days=15))
    assert "De oude omgeving is verwijderd" in (await old.open(path)).text
    assert "Naam en url zijn weer vrij" in (await old.open(link[1])).text
