"""The manual's three moves through the pages in a real browser, without a terminal, and axe-core on every page."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect
from sb_transfer_client import AsyncClient

from devstack.issuer import EmbeddedIssuer
from devstack.stack import Stack
from domain.authority import Caller, Role
from tests.browser.portal import Portal
from tests.tools.api_generators import generators

DE_VRIES, BAKKER, NORTHGATE = "firm:10001", "firm:10002", "firm:10003"
MOLENAAR, SMIT = "firm:20001", "firm:20002"
SUPPORT, OPERATOR = "support", "operator"
UNDER_WAY = "Lopende overdrachten"
# For what takes a worker: a freeze, a clone, a portfolio's look.
LONG_MS = 120_000


@pytest.fixture(scope="module")
def axe() -> Path:
    """The script that judges a page; installed the first time, before anything waits for it."""
    return generators().axe


@pytest.fixture(scope="module")
async def portal(axe: Path, page: Page, stack: Stack) -> Portal:
    assert stack.info.web_url
    return Portal(page, stack.info.web_url, axe)


async def hand_over(portal: Portal, person: str, environment: str, folder: Path) -> tuple[str, Path]:
    """Press "Omgeving overdragen" and download the ticket; return the transfer's path and the file."""
    await portal.log_in(person)
    begin = f"Omgeving overdragen {environment}"
    # An earlier move of it may still be undone.
    under_way = portal.page.locator("section").filter(has=portal.page.get_by_role("heading", name=UNDER_WAY))
    await portal.until_gone(under_way.get_by_text(environment))
    await portal.until(portal.page.get_by_role("link", name=begin))
    await portal.look("mijn-omgevingen")
    await portal.press(begin)
    await portal.reads("Wat verloren gaat", "Offerte", "Wat opnieuw moet worden ingesteld", "regels in")
    await portal.press("Omgeving overdragen")
    await portal.reads("Zet een vinkje")
    await portal.look("omgeving-overdragen")
    await portal.page.get_by_label("Ik heb gelezen").check()
    await portal.press("Omgeving overdragen")
    await expect(portal.page.get_by_role("button", name="Ticket downloaden")).to_be_visible(timeout=LONG_MS)
    await portal.look("ticket")
    async with portal.page.expect_download() as downloads:
        await portal.press("Ticket downloaden")
    file = await downloads.value
    assert file.suggested_filename.endswith("-overdracht-ticket.avr")
    await file.save_as(folder / file.suggested_filename)
    return portal.page.url.removeprefix(portal.url), folder / file.suggested_filename


async def take_over(portal: Portal, person: str, ticket: Path, name: str, url_part: str) -> None:
    """Press "Omgeving overdracht uploaden", look at what the ticket holds, name the environment, press "Uploaden"."""
    await portal.log_in(person, "/upload")
    await portal.look("upload")
    await portal.page.get_by_label("Overdracht bestand").set_input_files(ticket)
    await portal.press("Bekijken")
    await portal.reads("Dit zit in het ticket", "Geldig tot")
    await portal.page.get_by_label("Naam", exact=False).first.fill(name)
    await portal.page.get_by_label("Unieke klantdeel url").fill(url_part)
    await expect(portal.page.locator("#name-state")).to_contain_text(f"/{url_part}")
    await portal.look("overnemen")
    await portal.press("Uploaden")
    await portal.reads("Ingepland", url_part)
    await portal.look("ingepland")


async def do_not_wait(portal: Portal, path: str) -> None:
    """Let support start the move before the evening."""
    await portal.log_in(SUPPORT, path)
    await portal.press("Nu starten")
    await portal.look("nu-starten")
    await portal.page.get_by_label("Reden").fill("incident 4711")
    await portal.press("Nu starten")


async def release(portal: Portal, points: int) -> None:
    """Tick the points of the check list, press "Vrijgeven", and say that it is meant."""
    for _ in range(points):
        await portal.press("Afvinken")
    await portal.reads(f"{points} van {points} afgevinkt")
    await portal.press("Vrijgeven")
    await portal.page.get_by_label("Ja, ik heb de gegevens gecontroleerd").check()
    await portal.press("Vrijgeven")
    await portal.reads("Nog te doen na het vrijgeven")


def platform(stack: Stack) -> AsyncClient:
    """What the platform's backend speaks to the API with."""
    caller = Caller(subject="backend", name="backend", roles=frozenset({Role.BACKEND}))
    return AsyncClient(str(stack.info.api_url), EmbeddedIssuer(stack.folder).token(caller, timedelta(minutes=10)))


async def test_a_customer_moves_to_another_firm(portal: Portal, tmp_path: Path) -> None:
    """Moves by the pages alone: ticket, upload, progress by itself, comparison, five points, release, to-do list."""
    path, ticket = await hand_over(portal, NORTHGATE, "Linden Tandartsen", tmp_path)
    await take_over(portal, DE_VRIES, ticket, "Linden", "linden-tandartsen")
    await do_not_wait(portal, path)
    await portal.log_in(DE_VRIES, path)
    await expect(portal.page.get_by_role("link", name="Vrijgeven")).to_be_visible(timeout=LONG_MS)
    await portal.look("staat-klaar")
    await portal.press("Vergelijking bekijken")
    await portal.reads("controles zijn gelijk", "Kolommenbalans")
    await portal.look("vergelijking")
    await portal.press("Regels Kolommenbalans")
    await portal.look("regels")
    await portal.open(path)
    for _ in range(5):
        await portal.press("Afvinken")
    await portal.reads("5 van 5 afgevinkt", "(10001)")
    await portal.press("Vrijgeven")
    await portal.press("Vrijgeven")
    await portal.reads("Zet een vinkje")
    await portal.look("vrijgeven")
    await portal.page.get_by_label("Ja, ik heb de gegevens gecontroleerd").check()
    await portal.press("Vrijgeven")
    await portal.reads("Nog te doen na het vrijgeven", "Beconnummer", "Contactsoort voor belastingdienst")
    await portal.look("vrijgegeven")
    await portal.log_in(NORTHGATE, path)
    await portal.reads("De oude omgeving blijft te lezen")
    await portal.look("overgedragen")
    await portal.press("Oude omgeving verwijderen")
    await portal.look("verwijderen")


async def test_an_entrepreneur_hands_over_and_the_firm_rejects_by_keyboard(portal: Portal, tmp_path: Path) -> None:
    """Undoes a move with a reason, without a mouse."""
    path, ticket = await hand_over(portal, MOLENAAR, "Molenaar Bouw", tmp_path)
    await take_over(portal, BAKKER, ticket, "Molenaar Bouw", "molenaar-bouw")
    await do_not_wait(portal, path)
    await portal.log_in(BAKKER, path)
    await expect(portal.page.get_by_role("link", name="Afkeuren")).to_be_visible(timeout=LONG_MS)
    page = portal.page
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Naar de inhoud")).to_be_focused()
    await page.keyboard.press("Enter")
    await portal.tab_to(page.get_by_role("link", name="Afkeuren"))
    await page.keyboard.press("Enter")
    await portal.tab_to(page.get_by_label("Waarom keur je de overdracht af?"))
    await page.keyboard.type("de cijfers van 2019 ontbreken")
    await portal.look("afkeuren")
    await portal.tab_to(page.get_by_role("button", name="Afkeuren"))
    await page.keyboard.press("Enter")
    await portal.reads("ngedaan gemaakt")
    await portal.log_in(MOLENAAR, path)
    await portal.reads("De nieuwe kant heeft de overdracht afgekeurd")


async def test_an_entrepreneur_outsources_and_the_old_licence_is_cancelled(
    portal: Portal, stack: Stack, tmp_path: Path
) -> None:
    """Releases what was moved, leads to where the licence is cancelled, and says so once the platform does."""
    path, ticket = await hand_over(portal, MOLENAAR, "Molenaar Bouw", tmp_path)
    await take_over(portal, BAKKER, ticket, "Molenaar", "molenaar")
    await do_not_wait(portal, path)
    await portal.log_in(BAKKER, path)
    await expect(portal.page.get_by_role("link", name="Vrijgeven")).to_be_visible(timeout=LONG_MS)
    await release(portal, 5)
    await portal.log_in(MOLENAAR, path)
    await portal.reads("Oude licentie 20001", "is nog niet opgezegd")
    link = portal.page.get_by_role("link", name="Zeg de oude licentie op via deze link")
    await expect(link).to_have_attribute("href", "https://www.sb.example/opzeggen?licentie=20001")
    await portal.look("licentie-verlaten")
    async with platform(stack) as backend:
        words: dict[str, Any] = {"holder_name": "Molenaar Bouw B.V.", "kind": "self_managed", "host": "molenaar"}
        await backend.register_licence("20001", **words, contact_email="info@molenaarbouw.example", cancelled=True)
    await portal.open(path)
    await portal.reads("Deze licentie is opgezegd op")
    await expect(link).to_have_count(0)
    await portal.log_in(SUPPORT, f"{path}/events")
    await portal.reads("Oude licentie opgezegd")


async def test_a_customer_goes_on_alone_by_an_incident(portal: Portal, stack: Stack, tmp_path: Path) -> None:
    """Takes the incident's five things, shows licence and holder before it counts, and tells the story in words."""
    path, ticket = await hand_over(portal, BAKKER, "Bloemisterij Smit", tmp_path)
    await portal.log_in(SUPPORT, "/incident")
    await portal.press("Controleren")
    await portal.look("incident")
    page = portal.page
    for label, text in (
        ("Nieuw licentienummer", "20002"),
        ("Gewenste klantnaam", "Smit"),
        ("Nieuwe url", "https://smit.sb.example/bloemen/"),
        ("E-mailadres waarmee de klant inlogt", "sanne@bloemsmit.example"),
        ("Reden", "incident 4713"),
    ):
        await page.get_by_label(label).fill(text)
    await page.get_by_label("Bijlage").set_input_files(ticket)
    await portal.press("Controleren")
    await portal.reads("Bloemisterij Smit", "20002, zelfstandig", "https://smit.sb.example/bloemen")
    await portal.look("incident-controleren")
    await portal.press("Aanmaken")
    await portal.reads("Ingepland")
    await page.get_by_text("Upload corrigeren").first.click()
    await page.get_by_label("Naam", exact=False).first.fill("Bloemen Smit")
    await page.get_by_role("group").filter(has_text="Upload corrigeren").get_by_label("Reden").fill("incident 4713")
    await portal.press("Upload corrigeren")
    await portal.reads("Bloemen Smit")
    await portal.look("ingepland-support")
    async with platform(stack) as backend:
        raw = b"From: Kwekerij <info@kwekerij.example>\r\nSubject: Factuur 31\r\n\r\nbloembollen"
        address = "bloemisterij-smit@bakker.mailbox.sb.example"
        assert (await backend.deliver_mail(address, raw, received_at=datetime.now(UTC))).outcome == "held"
    await portal.open("/held")
    await portal.reads("Factuur 31", "Bloemisterij Smit")
    await portal.look("aangehouden")
    await portal.fits_a_phone()
    await portal.open(path)
    for question in ("held", "cancel", "hurry", "start-now"):
        await portal.open(f"{path}/{question}")
        await portal.look(question)
    await page.get_by_label("Reden").fill("incident 4713")
    await portal.press("Nu starten")
    await expect(page.get_by_role("heading", name="Controleer voor het vrijgeven")).to_be_visible(timeout=LONG_MS)
    await portal.reads("van 8 afgevinkt")
    await portal.press("Logboek")
    await portal.reads("Support: incident ingediend", "incident 4713", "Sanne Kok (support)")
    await portal.look("logboek")
    await portal.open("/search?q=bloemen")
    await portal.look("zoeken")
    await portal.log_in(OPERATOR, path)
    link = page.get_by_role("link", name="Temporal UI")
    assert "/namespaces/default/workflows/transfer-" in str(await link.get_attribute("href"))
    await portal.open(f"{path}/mails")
    await portal.look("mail-opnieuw")
    await portal.log_in(SMIT, path)
    await release(portal, 8)
    await portal.look("zelfstandig")


async def test_support_looks_whether_a_whole_licence_can_move(portal: Portal) -> None:
    """Asks for all of a licence, reads who cannot move and why, and cancels what has not begun."""
    await portal.log_in(SUPPORT, "/portfolios/new")
    page = portal.page
    for label, text in (
        ("Van licentie", "10001"),
        ("Naar licentie", "10003"),
        ("Hoe ze daar heten", "{name} " + "x" * 120),
        ("Reden", "incident 4714"),
    ):
        await page.get_by_label(label).fill(text)
    await portal.look("nieuwe-portefeuille")
    await portal.press("Bekijken wie mee kan")
    await expect(page.get_by_role("heading", name="Wie niet mee kan, en waarom")).to_be_visible(timeout=LONG_MS)
    path = page.url.removeprefix(portal.url)
    await expect(page.locator("#c-waiting")).to_have_count(0, timeout=LONG_MS)
    await portal.look("portefeuille")
    for question in ("begin", "release", "retry?number=1", "reject?number=1", "tickets", "cancel"):
        await portal.open(f"{path}/{question}")
        await portal.look(question)
    await page.get_by_label("Reden").fill("incident 4714")
    await portal.press("Annuleren wat niet is begonnen")
    await expect(page.locator("#c-cancelled")).to_be_visible(timeout=LONG_MS)
    await portal.open("/portfolios")
    await portal.reads("geannuleerd", "incident 4714")
    await portal.look("portefeuilles")


async def test_every_page_reads_well_in_english_too(portal: Portal) -> None:
    """Finds nothing wrong with any page that was looked at, nor with those that only read, in the other language."""
    more = {DE_VRIES: ("/transfers", "/nowhere"), SUPPORT: ("/tonight", "/incident"), OPERATOR: ("/transfers",)}
    by_person: dict[str, list[str]] = {}
    for path, person in portal.looked.items():
        by_person.setdefault(person, []).append(path)
    for person in by_person | more:
        paths = dict.fromkeys((*by_person.get(person, ()), *more.get(person, ())))
        await portal.log_in(person, language="en")
        for path in paths:
            await portal.open(path)
            await expect(portal.page.locator("html")).to_have_attribute("lang", "en")
            await portal.look(f"{path} in English")
