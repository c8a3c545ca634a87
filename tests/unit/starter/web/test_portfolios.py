"""Many customers at once, pressed through the pages."""

import io
import re
import zipfile
from datetime import timedelta
from http import HTTPStatus

import pytest

from starter.web.portfolios import Decision
from tests.unit.starter.web.conftest import Place
from tests.unit.starter.web.test_moves import FIRM, OPERATOR, SUPPORT

WHY = "incident 4711"


async def made(place: Place, **typed: str) -> str:
    """Let support ask for everything of 10001 to go to 10002, and return the portfolio's path."""
    support = await place.as_(SUPPORT, "/portfolios/new")
    words = {"from_licence": "10001", "licence": "10002", "reason": WHY}
    page = await support.send("/portfolios/new", file=None, **{**words, **typed})
    assert re.fullmatch(r"/portfolios/[0-9a-f-]{36}", page.url.path), page.text
    return page.url.path


async def test_support_takes_a_whole_licence_over(place: Place) -> None:
    """Tells who cannot move and why before anything happens, then begins, releases what is equal, and counts."""
    for name in ("Enyoi", "Hofman", "Bezet"):
        place.environment("10001", name)
    place.environment("10002", "Bezet bij Bakker")
    path = await made(place, name_pattern="{name} bij Bakker", per_night="1")
    support = await place.as_(SUPPORT, path)
    page = await support.open(path)
    assert "Wie niet mee kan, en waarom" in page.text
    assert "Kies een andere naam" in page.text
    assert page.text.count("Kan mee</span>") == 2
    assert "Avond 3" in page.text
    assert "release" not in page.text
    await support.open(f"{path}/begin")
    page = await support.send(f"{path}/begin", reason=WHY)
    assert page.url.path == path
    assert "Doorgegeven: verhuizing beginnen" in page.text
    for _ in range(3):
        page = await support.open(path)
    assert page.text.count("Ingepland</span>") == 2
    transfers = re.findall(r'href="(/transfers/[^"]+)"', page.text)
    assert len(transfers) == 2
    assert "Enyoi bij Bakker" in (await support.open(transfers[0])).text
    place.fake.clock.advance(timedelta(days=4))
    for _ in range(3):
        page = await support.open(path)
    assert page.text.count("Staat klaar</span> gelijk") == 2
    await support.open(f"{path}/release")
    page = await support.send(f"{path}/release", reason=WHY)
    assert page.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert 'id="e-sure"' in page.text
    await support.send(f"{path}/release", sure="yes", reason=WHY)
    page = await support.open(f"{path}?state=released")
    assert page.text.count("Vrijgegeven</span>") == 2
    assert "3 klanten: 1 kan niet mee, 2 vrijgegeven" in (await support.open("/portfolios")).text.replace(
        "2 vrijgegeven, 1 kan niet mee", "1 kan niet mee, 2 vrijgegeven"
    )


async def test_one_is_tried_again_and_the_rest_cancelled_with_a_reason(place: Place) -> None:
    """Looks again at the one that was named, and begins nothing more once somebody says why."""
    busy = place.environment("10001", "Enyoi")
    place.environment("10001", "Hofman")
    path = await made(place)
    support = await place.as_(SUPPORT, path)
    with place.fake.client("backend") as backend:
        transfer = backend.start_transfer(busy)
    await support.open(f"{path}/begin")
    await support.send(f"{path}/begin", reason=WHY)
    link = re.search(r'href="([^"]+/retry\?number=1)"', (await support.open(path)).text)
    assert link
    page = await support.open(link[1])
    assert "Opnieuw proberen: Enyoi" in page.text
    with place.fake.client("backend") as backend:
        backend.cancel_transfer(transfer.transfer_id)
    await support.send(f"{path}/retry", reason=WHY)
    assert "Wie niet mee kan" not in (await support.open(path)).text
    page = await support.open(f"{path}/cancel")
    page = await support.send(f"{path}/cancel")
    assert page.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert 'id="e-reason"' in page.text
    page = await support.send(f"{path}/cancel", reason="de fusie gaat niet door")
    page = await support.open(path)
    assert page.text.count("Ongedaan gemaakt</span>") == 2
    assert f"{path}/cancel" not in page.text


async def test_one_is_rejected_and_the_others_are_released(place: Place) -> None:
    """Undoes the one whose figures somebody does not like, with a reason, and leaves all others as they were."""
    for name in ("Enyoi", "Hofman"):
        place.environment("10001", name)
    path = await made(place)
    support = await place.as_(SUPPORT, path)
    await support.open(f"{path}/begin")
    await support.send(f"{path}/begin", reason=WHY)
    for _ in range(3):
        page = await support.open(path)
    assert f"{path}/reject" not in page.text
    page = await support.open(f"{path}/reject?number=1")
    page = await support.send(f"{path}/reject", reason=WHY)
    assert page.status_code == HTTPStatus.CONFLICT  # there is nothing to compare yet
    place.fake.clock.advance(timedelta(days=4))
    for _ in range(3):
        page = await support.open(path)
    assert page.text.count(f"{path}/reject?number=") == 2
    page = await support.open(f"{path}/reject?number=2")
    assert "Afkeuren: Hofman" in page.text
    page = await support.send(f"{path}/reject")
    assert page.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert 'id="e-reason"' in page.text
    await support.send(f"{path}/reject", reason="de cijfers van 2019 ontbreken")
    page = await support.open(path)
    assert page.text.count("Ongedaan gemaakt</span>") == 1
    assert f"{path}/retry?number=2" in page.text
    page = await support.open(f"{path}/reject?number=99")
    page = await support.send(f"{path}/reject", reason=WHY)
    assert page.status_code == HTTPStatus.NOT_FOUND
    await support.open(f"{path}/release")
    await support.send(f"{path}/release", sure="yes", reason=WHY)
    assert (await support.open(f"{path}?state=released")).text.count("Vrijgegeven</span>") == 1


async def test_tickets_are_one_file_when_the_new_side_uploads(place: Place) -> None:
    """Offers a zip only of a portfolio whose tickets are not uploaded by themselves; says so when there are none."""
    place.environment("10001", "Enyoi")
    place.environment("10001", "Enyoi Beheer")
    place.environment("10001", "Hofman")
    path = await made(place, only="enyoi*", by_new_side="yes", first_evening="2026-12-24")
    support = await place.as_(SUPPORT, f"{path}/tickets")
    page = await support.send(f"{path}/tickets", reason=WHY)
    assert page.status_code == HTTPStatus.CONFLICT
    assert 'role="alert"' in page.text
    await support.open(f"{path}/begin")
    await support.send(f"{path}/begin", reason=WHY)
    page = await support.open(path)
    assert "donderdag 24 december 2026" in page.text
    await support.open(f"{path}/tickets")
    file = await support.send(f"{path}/tickets", reason=WHY)
    assert file.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(file.content)) as packed:
        assert [name[:10] for name in packed.namelist()] == ["0001-enyoi", "0002-enyoi"]


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ({"licence": ""}, "licence"),
        ({"licence": "99999"}, "licence"),
        ({"from_licence": "20001"}, "from_licence"),
        ({"only": "niemand*"}, "only"),
        ({"name_pattern": "allemaal"}, "name_pattern"),
        ({"per_night": "-1"}, "per_night"),
        ({"first_evening": "morgen"}, "first_evening"),
        ({"first_evening": "2099-01-01"}, "first_evening"),
        ({"reason": ""}, "reason"),
    ],
)
async def test_what_is_wrong_with_a_new_portfolio_stands_at_its_field(
    place: Place, typed: dict[str, str], wrong: str
) -> None:
    """Keeps what was typed, and makes nothing."""
    place.environment("10001", "Enyoi")
    support = await place.as_(SUPPORT, "/portfolios/new")
    words = {"from_licence": "10001", "licence": "10002", "reason": WHY}
    page = await support.send("/portfolios/new", file=None, **{**words, **typed})
    assert 400 <= page.status_code < 500
    assert f'id="e-{wrong}"' in page.text
    assert "nog geen portefeuilles" in (await support.open("/portfolios")).text


async def test_operators_look_and_firms_have_no_such_page(place: Place) -> None:
    """Shows an operator everything and no button, and a firm nothing; a portfolio that is none is not found."""
    place.environment("10001", "Enyoi")
    path = await made(place)
    operator = await place.as_(OPERATOR, "/portfolios")
    page = await operator.open("/portfolios")
    assert f'href="{path}"' in page.text
    assert "Nieuwe portefeuille" not in page.text
    page = await operator.open(path)
    assert "Enyoi" in page.text
    assert not [one for one in Decision if f"{path}/{one}" in page.text]
    assert (await operator.open("/portfolios/new")).status_code == HTTPStatus.NOT_FOUND
    csrf = operator.form("/logout").values["csrf"]
    answer = await operator.http.post(f"{path}/begin", data={"csrf": csrf})
    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert (await operator.http.post(f"{path}/begin", data={})).status_code == HTTPStatus.FORBIDDEN
    firm = await place.as_(FIRM)
    assert "/portfolios" not in (await firm.open("/")).text
    for where in ("/portfolios", path, f"{path}/cancel"):
        assert (await firm.open(where)).status_code == HTTPStatus.FORBIDDEN
    assert (await operator.open("/portfolios/0d3c9f8e-6a51-4b0e-9f0e-5d2f6f1b7a10")).status_code == HTTPStatus.NOT_FOUND
