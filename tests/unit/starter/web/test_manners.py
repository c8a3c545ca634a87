"""What every page keeps to: logins, forms that cannot be forged, what was typed, languages, headers, silence."""

import re
import time
from http import HTTPStatus
from pathlib import Path

import pytest
from starlette.responses import Response

from adapters.settings import Settings
from domain.authority import Caller, Role
from starter.web.new_side import _url_part_in
from starter.web.pages import local
from starter.web.sessions import Session, Sessions, new_secret
from tests.unit.starter.web.conftest import Place
from tests.unit.starter.web.test_moves import FIRM, OTHER_FIRM, SUPPORT, begun

TEMPLATES = Path(__file__).parents[4] / "starter" / "web" / "templates"


def expired(settings: Settings, session: Session) -> str:
    """Return the cookie of a session whose tokens are of no use any more."""
    dead = session.model_copy(update={"expires_at": time.time() - 1, "refresh_token": None})
    return Sessions(settings.web_session_keys)._sealed(dead)


def session_of(settings: Settings, cookies: dict[str, str]) -> Session:
    found = Sessions(settings.web_session_keys).session(cookies)
    assert found
    return found


async def test_whoever_is_not_logged_in_goes_to_the_login_and_comes_back(place: Place) -> None:
    """Leads to the identity provider and back to the page that was asked for, with a cookie of the strict kind."""
    browser = place.somebody()
    page = await browser.open("/transfers?search=enyoi")
    assert page.url.host == "identity.example"
    assert page.url.params["code_challenge_method"] == "S256"
    page = await browser.send("/authorize", person=FIRM)
    assert str(page.url).endswith("/transfers?search=enyoi")
    cookies = [value for one in page.history for value in one.headers.get_list("set-cookie") if "_transfer=" in value]
    assert re.search(r"^__Host-sb_transfer=", cookies[-1])
    for word in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
        assert word in cookies[-1]


async def test_a_login_that_is_not_ours_is_refused(place: Place) -> None:
    """Takes no code without the login that asked for it, and none twice."""
    browser = place.somebody()
    assert (await browser.open("/login/callback?code=x&state=y")).status_code == HTTPStatus.UNAUTHORIZED
    await browser.open("/login")
    page = await browser.send("/authorize", person=FIRM)
    back = next(str(one.url) for one in page.history if one.url.path == "/login/callback")
    assert (await browser.open(back)).status_code == HTTPStatus.UNAUTHORIZED


async def test_a_form_from_elsewhere_does_nothing(place: Place) -> None:
    """Refuses a form without this session's token, or that another site has sent."""
    environment = place.environment("10001", "Enyoi")
    browser = await place.as_(FIRM)
    where = f"/environments/{environment}/transfer"
    await browser.open(where)
    good = browser.form("").values
    for sent, headers in (
        ({**good, "csrf": "x", "understood": "yes"}, {}),
        ({"understood": "yes"}, {}),
        ({**good, "understood": "yes"}, {"Sec-Fetch-Site": "cross-site"}),
    ):
        answer = await browser.http.post(where, data=sent, headers=headers)
        assert answer.status_code == HTTPStatus.FORBIDDEN
    assert place.fake.status_of(environment) == "active"


async def test_a_button_pressed_twice_works_once(place: Place) -> None:
    """Sends the page's own Idempotency-Key: two presses are one transfer."""
    environment = place.environment("10001", "Enyoi")
    browser = await place.as_(FIRM)
    where = f"/environments/{environment}/transfer"
    await browser.open(where)
    sent = {**browser.form("").values, "understood": "yes"}
    answers = [await browser.http.post(where, data=sent) for _ in range(2)]
    assert answers[0].headers["location"] == answers[1].headers["location"]


async def test_what_was_typed_stays_with_a_sentence_at_the_field(place: Place) -> None:
    """Answers bad input with a 4xx, the sentence at its field, and everything that was typed."""
    place.environment("10002", "Bezet")
    _, ticket = await begun(place, FIRM, "10001", "Enyoi")
    new = await place.as_(OTHER_FIRM, "/upload")
    for file in (b"", b"no ticket", b"x" * 5000):
        await new.open("/upload")
        page = await new.send("/upload", file=file)
        assert 400 <= page.status_code < 500
        assert 'id="e-ticket"' in page.text
    await new.open("/upload")
    page = await new.send("/upload", file=ticket)
    # What is asked while somebody types stands in an address: the ticket must not.
    assert "hx-include=\"[name='name'], [name='url_part'], [name='licence'], [name='transfer']\"" in page.text
    for typed, name in (
        ({"name": "Bezet", "url_part": "iets"}, "name"),
        ({"name": "", "url_part": "iets"}, "name"),
        ({"name": "Vrij", "url_part": "bezet"}, "url_part"),
        ({"name": "Vrij", "url_part": "a b"}, "url_part"),
        ({"name": "Vrij", "url_part": "login"}, "url_part"),
    ):
        page = await new.send("/upload/confirm", file=None, **typed)
        assert 400 <= page.status_code < 500, typed
        assert f'id="e-{name}"' in page.text, typed
        assert new.form("/upload/confirm").values["name"] == typed["name"]
        assert new.form("/upload/confirm").values["url_part"] == typed["url_part"]


async def test_an_incident_says_what_is_missing_and_for_whom_it_cannot_be(place: Place) -> None:
    """Names each empty field, an unknown licence, and a firm's."""
    _, ticket = await begun(place, FIRM, "10001", "Enyoi")
    support = await place.as_(SUPPORT, "/incident")
    page = await support.send("/incident", file=b"")
    assert page.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    for name in ("licence", "name", "url_part", "login_email", "reason", "ticket"):
        assert f'id="e-{name}"' in page.text
    five = {"name": "Smit", "url_part": "smit", "login_email": "a@smit.example", "reason": "1"}
    for licence in ("10002", "99999"):
        page = await support.send("/incident", file=ticket, licence=licence, **five)
        assert 'id="e-licence"' in page.text
        assert support.form("/incident").values["name"] == "Smit"


async def test_a_login_that_ran_out_loses_nothing(place: Place, web_settings: tuple[Path, Settings]) -> None:
    """Keeps what was typed while somebody logs in again, and gives it to nobody else."""
    path, _ = await begun(place, FIRM, "10001", "Enyoi")
    browser = await place.as_(FIRM, f"{path}/cancel")
    cookies = {cookie.name: cookie.value or "" for cookie in browser.http.cookies.jar}
    dead = expired(web_settings[1], session_of(web_settings[1], cookies))
    browser.http.cookies.set("__Host-sb_transfer", dead, domain="pages.example", path="/")
    page = await browser.send("", reason="de klant bedacht zich")
    assert page.status_code == HTTPStatus.UNAUTHORIZED
    link = re.search(r'class="button primary" href="(/login[^"]+)"', page.text)
    assert link
    await browser.open(link[1])
    page = await browser.send("/authorize", person=FIRM)
    assert page.url.path == f"{path}/cancel"
    assert "de klant bedacht zich" in page.text


async def test_tokens_are_refreshed_without_a_word(place: Place, web_settings: tuple[Path, Settings]) -> None:
    """Exchanges a token that has run out while somebody reads on, and keeps the new one."""
    browser = await place.as_(FIRM)
    cookies = {cookie.name: cookie.value or "" for cookie in browser.http.cookies.jar}
    session = session_of(web_settings[1], cookies)
    old = session.model_copy(update={"expires_at": time.time() - 1})
    sealed = Sessions(web_settings[1].web_session_keys)._sealed(old)
    browser.http.cookies.set("__Host-sb_transfer", sealed, domain="pages.example", path="/")
    page = await browser.open("/")
    assert page.status_code == HTTPStatus.OK
    assert not page.history
    cookies = {cookie.name: cookie.value or "" for cookie in browser.http.cookies.jar}
    fresh = session_of(web_settings[1], cookies)
    assert fresh.expires_at > time.time()
    assert fresh.csrf == session.csrf


async def test_pages_carry_the_headers_that_keep_them_harmless(place: Place) -> None:
    """Allows no inline script or style, no frame and no cache; what a customer typed is text."""
    place.environment("10001", "<img src=x onerror=alert(1)>")
    browser = await place.as_(FIRM)
    page = await browser.open("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert "<img" not in page.text
    assert "&lt;img" in page.text
    for path in ("/static/style.css", "/static/htmx-2.0.11.min.js", "/static/icon.svg"):
        assert (await browser.open(path)).status_code == HTTPStatus.OK


def test_no_template_has_a_style_or_a_script_in_it() -> None:
    """Leaves nothing that the policy would block."""
    for file in TEMPLATES.glob("*.html"):
        text = file.read_text()
        assert not re.search(r"\sstyle=|<style|\son\w+=|javascript:|<script(?! src=)", text), file.name
        assert "| safe" not in text


async def test_both_languages(place: Place) -> None:
    """Speaks Dutch first, the browser's English when asked, and what was chosen above all."""
    browser = await place.as_(FIRM)
    assert "Mijn omgevingen" in (await browser.open("/")).text
    english = await browser.open("/", **{"Accept-Language": "en-GB,en;q=0.9"})
    assert "My environments" in english.text
    assert '<html lang="en">' in english.text
    page = await browser.open("/language/en?next=/transfers")
    assert page.url.path == "/transfers"
    assert "Transfers" in page.text
    assert browser.form("/logout")


async def test_nobody_s_page_is_found_and_nothing_is_lost_when_the_api_is_away(place: Place) -> None:
    """Says in a page that there is nothing here, or that the service does not answer for a moment."""
    path, _ = await begun(place, FIRM, "10001", "Enyoi")
    stranger = await place.as_(OTHER_FIRM)
    for where in (path, "/transfers/nonsense", "/nowhere", f"{path}/events"):
        page = await stranger.open(where)
        assert 400 <= page.status_code < 500
        assert "<h1>" in page.text
    place.api.away = True
    page = await stranger.open("/")
    assert page.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert "Even niet bereikbaar" in page.text


async def test_a_name_is_judged_while_it_is_typed(place: Place) -> None:
    """Shows the url that will be, free or taken, as a part of the page."""
    place.environment("10001", "Bezet")
    browser = await place.as_(FIRM)
    assert "devries" not in (await browser.open("/upload/name?name=")).text
    assert "https://de.sb.example/vrij-en-blij" in (await browser.open("/upload/name?name=Vrij en blij")).text
    assert 'class="error"' in (await browser.open("/upload/name?name=bezet")).text


async def test_the_api_hears_whose_request_it_is(place: Place) -> None:
    """Passes on where a person comes from, and the person's own token."""
    browser = await place.as_(FIRM)
    await browser.open("/")
    assert place.api.seen[-1].headers["x-forwarded-for"] == "127.0.0.1"


@pytest.mark.parametrize(
    "where", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "", "/\x00", "javascript:alert(1)"]
)
def test_a_login_leads_nowhere_else(where: str) -> None:
    """Comes back to a page of ours, whatever the address says."""
    assert local(where) == "/"


@pytest.mark.parametrize(
    ("pasted", "part"),
    [
        ("smit", "smit"),
        (" Smit ", "Smit"),
        ("https://molenaar.sb.example/smit", "smit"),
        ("molenaar.sb.example/smit/", "smit"),
        ("https://molenaar.sb.example/smit?x=1#y", "smit"),
    ],
)
def test_a_pasted_url_is_understood(pasted: str, part: str) -> None:
    """Takes the customer's part, or finds it in the whole address."""
    assert _url_part_in(pasted) == part


def test_a_large_session_is_kept_in_parts(web_settings: tuple[Path, Settings]) -> None:
    """Splits what one cookie cannot hold, and reads it back."""
    sessions = Sessions(web_settings[1].web_session_keys)
    caller = Caller(subject="a", name="Anna", roles=frozenset({Role.SUPPORT}))
    session = Session(
        caller=caller,
        access_token="".join(new_secret() for _ in range(80)),
        refresh_token=new_secret(),
        expires_at=time.time() + 60,
        began_at=time.time(),
        csrf=new_secret(),
    )
    response = Response()
    sessions.keep(response, session)
    cookies = dict(
        value.split(";")[0].split("=", 1)
        for value in response.headers.getlist("set-cookie")
        if "Max-Age=0" not in value
    )
    assert len(cookies) > 1
    assert all(len(value) < 4000 for value in cookies.values())
    assert sessions.session(cookies) == session
    assert "access_token" not in repr(session)
