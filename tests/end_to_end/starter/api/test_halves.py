"""One move as both sides, support and operators see it: nobody reads what belongs to the other half."""

import asyncio
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from io import BytesIO
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from openpyxl import load_workbook

from devstack.stack import Stack
from domain.authority import Role
from domain.vocabulary import CheckKind, TransferState
from starter.client.client import TransferClient
from starter.client.polling import snapshots
from tests.end_to_end.starter.api.conftest import NEW, OTHER, Callers

# The new side's words, as they could do harm in SQL, HTML, headers and mail.
HOSTILE_NAME = "<script>alert(1)</script>'; drop table control.transfer; --"
NEW_URL = "nieuwe-klant-url"
OLD_SIDE, NEW_SIDE = OTHER, NEW


class FollowedMove:
    """A move from OLD_SIDE to NEW_SIDE that awaits its release, and what was heard of it meanwhile."""

    def __init__(self, transfer_id: str) -> None:
        self.transfer_id = transfer_id
        self.id = UUID(transfer_id)
        self.path = f"/v1/transfers/{transfer_id}"
        self.heard: list[dict[str, Any]] = []
        self.heard_the_first = asyncio.Event()
        self.heard_the_end = asyncio.Event()


@pytest.fixture(scope="module")
async def move(callers: Callers, client: TransferClient, stack: Stack) -> AsyncIterator[FollowedMove]:
    """The move, made through the API; the new side listens from its upload on."""
    environment = await client.environment(f"{OLD_SIDE}/Linden Tandartsen")
    async with callers.session(Role.FIRM, licence=OLD_SIDE) as old:
        begun = await old.post("/v1/transfers", json={"environment_id": str(environment.environment_id)})
        made = FollowedMove(begun.json()["transfer_id"])
        async for _ in snapshots(client, made.transfer_id, lambda s: s.state is TransferState.AWAITING_UPLOAD):
            continue
        ticket = await old.post(f"{made.path}/ticket", json={})
        assert ticket.headers["cache-control"] == "no-store"
        assert ticket.headers["content-disposition"].endswith('-overdracht-ticket.avr"')
    async with callers.session(Role.FIRM, licence=NEW_SIDE) as new:
        assert (await new.get(made.path)).status_code == HTTPStatus.NOT_FOUND
        form = {"name": HOSTILE_NAME, "url_part": NEW_URL}
        taken = await new.post("/v1/uploads", data=form, files={"ticket": ("t.avr", ticket.content)})
        assert taken.status_code == HTTPStatus.ACCEPTED, taken.text
    assert stack.info.api_url is not None
    token = callers.token(Role.FIRM, licence=NEW_SIDE)
    listening = asyncio.create_task(listen(f"{stack.info.api_url}{made.path}/progress", token, made))
    await made.heard_the_first.wait()
    async with callers.session(Role.SUPPORT, name="Sanne") as support:
        refused = await support.post(f"{made.path}/start-now", json={})
        assert refused.json()["type"].endswith(":reason-missing")
        await support.post(f"{made.path}/start-now", json={"reason": "incident 4711\r\nX-Evil: 1'; --"})
    async for _ in snapshots(client, made.transfer_id, lambda s: s.state is TransferState.AWAITING_RELEASE):
        continue
    await made.heard_the_end.wait()
    yield made
    await client.cancel(made.transfer_id, by="test")
    await listening


async def listen(url: str, token: str, move: FollowedMove) -> None:
    """Keep every status of a live stream until it ends."""
    headers = {"Authorization": f"Bearer {token}"}
    forever = httpx.Timeout(10, read=None)  # it ends with the move
    async with httpx.AsyncClient(timeout=forever) as session, session.stream("GET", url, headers=headers) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data:"):
                status = json.loads(line.removeprefix("data:"))
                move.heard.append(status)
                move.heard_the_first.set()
                if status["state"] == TransferState.AWAITING_RELEASE:
                    move.heard_the_end.set()


async def test_the_old_side_never_reads_of_the_new_side(callers: Callers, move: FollowedMove) -> None:
    """Shows the old side nothing of the new one in any answer."""
    async with callers.session(Role.FIRM, licence=OLD_SIDE) as session:
        status = await session.get(move.path)
        listed = (await session.get("/v1/transfers")).json()["items"]
    # Its own: in others this firm may be the new side.
    mine = [item for item in listed if item["transfer_id"] == move.transfer_id]
    said = status.text + json.dumps(mine)
    assert len(mine) == 1
    assert status.json()["scenario"] is None
    for secret in ("script", "drop table", NEW_URL, f'"{NEW_SIDE}"', "switch"):
        assert secret not in said


async def test_the_new_side_never_reads_of_the_old_side(callers: Callers, move: FollowedMove) -> None:
    """Shows the new side nothing of the old one in any answer."""
    async with callers.session(Role.FIRM, licence=NEW_SIDE) as session:
        said = (await session.get(move.path)).text
        listed = (await session.get("/v1/transfers", params={"state": "awaiting_release"})).text
    assert move.transfer_id in listed
    for secret in ("Linden Tandartsen", f'"{OLD_SIDE}"', "incident 4711", "Sanne"):
        assert secret not in said + listed
    assert json.loads(said)["old"] is None
    assert json.loads(said)["ticket_expires_at"] is None


async def test_those_who_look_after_it_see_both(callers: Callers, move: FollowedMove) -> None:
    """Shows support and operators both halves."""
    async with callers.session(Role.SUPPORT) as session:
        seen = (await session.get(move.path)).json()
    assert seen["old"]["licence_number"] == OLD_SIDE
    assert seen["new"]["name"] == HOSTILE_NAME
    assert seen["new"]["url"].endswith(NEW_URL)


async def test_the_audit_log_names_support_and_its_reason(callers: Callers, move: FollowedMove) -> None:
    """Writes support's name and reason into the log of the transfer."""
    async with callers.session(Role.OPERATOR) as session:
        events = (await session.get(f"{move.path}/events")).json()
    told = [event for event in events if event["kind"] == "support_start_now"]
    assert [(event["actor"], event["reason"]) for event in told] == [
        ("Sanne (support)", "incident 4711\r\nX-Evil: 1'; --")
    ]
    assert [event["event_id"] for event in events] == sorted(event["event_id"] for event in events)
    assert next(event for event in events if event["kind"] == "environment_frozen")["detail"]["tables"] > 10


async def test_the_comparison_is_a_page_in_which_names_are_text(callers: Callers, move: FollowedMove) -> None:
    """Escapes names in the comparison's page."""
    async with callers.session(Role.FIRM, licence=NEW_SIDE) as session:
        page = await session.get(f"{move.path}/comparison", headers={"Accept": "text/html,*/*;q=0.8"})
        english = await session.get(f"{move.path}/comparison", headers={"Accept": "text/html", "Accept-Language": "en"})
        figures = await session.get(f"{move.path}/comparison")
    assert page.headers["content-type"].startswith("text/html")
    assert "Alles is gelijk." in page.text
    assert "Everything is equal." in english.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "<script" not in page.text
    assert figures.json()["checks"]
    assert "Linden Tandartsen, https://" in page.text
    assert str(move.id) in page.text


async def test_the_rows_behind_a_check_are_read_in_parts(callers: Callers, move: FollowedMove) -> None:
    """An accountant would see a total and not what it is made of."""
    async with callers.session(Role.FIRM, licence=NEW_SIDE) as session:
        checks = (await session.get(f"{move.path}/comparison")).json()["checks"]
        (check,) = [one for one in checks if one["check"] == "trial_balance"][:1]
        which = {"administration": check["administration_id"], "check": check["check"], "limit": 50}
        first = (await session.get(f"{move.path}/comparison/rows", params=which)).json()
        rest = await session.get(f"{move.path}/comparison/rows", params={**which, "after": first["next_after"]})
        wrong = await session.get(f"{move.path}/comparison/rows", params={**which, "check": "nothing"})
    assert [column["title"] for column in first["columns"]] == ["Boekjaar", "Beginbalans", "Debet", "Credit", "Saldo"]
    assert len(first["rows"]) == 50
    assert len(first["rows"]) + len(rest.json()["rows"]) == check["old"]["rows"]
    assert rest.json()["next_after"] is None
    assert all(row["equal"] and row["old"] == row["new"] for row in first["rows"])
    assert wrong.status_code == HTTPStatus.UNPROCESSABLE_ENTITY


async def test_the_comparison_is_a_file_for_a_spreadsheet(callers: Callers, move: FollowedMove) -> None:
    """Somebody who checks a move would copy figures from a page by hand."""
    async with callers.session(Role.FIRM, licence=NEW_SIDE) as session:
        table = await session.get(f"{move.path}/comparison/file")
        book = await session.get(f"{move.path}/comparison/file", params={"format": "xlsx"})
    async with callers.session(Role.FIRM, licence=OLD_SIDE) as other:
        refused = await other.get(f"{move.path}/comparison/file")
    assert refused.status_code == HTTPStatus.FORBIDDEN
    lines = table.content.decode("utf-8-sig").splitlines()
    assert lines[0] == "Administratie;Controle;Regel;Gegeven;Oud;Nieuw;Uitkomst"
    assert {line.rsplit(";", 1)[1] for line in lines[1:]} == {"gelijk", "zoals verwacht"}
    sheets = load_workbook(BytesIO(book.content))
    assert len(sheets.worksheets) == 1 + len(CheckKind)
    assert "vergelijking.xlsx" in book.headers["content-disposition"]


async def test_the_books_of_both_sides_are_auditfiles(callers: Callers, move: FollowedMove) -> None:
    """An accountant who files the move would have to ask an operator for the books."""
    async with callers.session(Role.FIRM, licence=NEW_SIDE) as session:
        years = (await session.get(f"{move.path}/auditfiles")).json()
        path = f"{move.path}/auditfiles/{years[0]['administration_id']}/{years[0]['year']}"
        old, new = [await session.get(path, params={"side": side}) for side in ("old", "new")]
        unknown = await session.get(f"{move.path}/auditfiles/{years[0]['administration_id']}/1999")
    async with callers.session(Role.FIRM, licence=OLD_SIDE) as other:
        refused = await other.get(path)
    assert (old.status_code, unknown.status_code, refused.status_code) == (200, 404, 403)
    assert old.content.count(b"<trLine>") == years[0]["lines"]
    assert old.content.partition(b"</header>")[2] == new.content.partition(b"</header>")[2] != b""


async def test_progress_is_live_and_of_ones_own_half(move: FollowedMove) -> None:
    """Streams progress to the new side, with its own half only."""
    states = [status["state"] for status in move.heard]
    assert states[0] == "scheduled"
    assert states[-1] == "awaiting_release"
    assert all(status["old"] is None for status in move.heard)


async def test_a_long_comparison_is_paged_and_holds_nobody_up(
    callers: Callers, move: FollowedMove, stack: Stack
) -> None:
    """Gives 30,000 checks in parts and as a page, and answers others meanwhile."""
    connection = await asyncpg.connect(stack.info.database_url)
    kept = await connection.fetchval("select report::text from control.transfer where transfer_id = $1", move.id)
    await connection.execute(
        "update control.transfer set report = jsonb_set(report, '{checks}', (select jsonb_agg(c) from "
        "jsonb_array_elements(report -> 'checks') c, "
        "generate_series(1, 30000 / jsonb_array_length(report -> 'checks')))) where transfer_id = $1",
        move.id,
    )
    try:
        async with callers.session(Role.FIRM, licence=NEW_SIDE) as session:
            first = (await session.get(f"{move.path}/comparison")).json()
            last = (await session.get(f"{move.path}/comparison", params={"after": first["total"] - 1})).json()
            page = asyncio.create_task(session.get(f"{move.path}/comparison", headers={"Accept": "text/html"}))
            answered = 0
            while not page.done():
                assert (await session.get("/livez")).status_code == HTTPStatus.OK
                answered += not page.done()  # how many there is time for is the machine's
                await asyncio.sleep(0.01)
            assert "Alles is gelijk." in (await page).text
    finally:
        await connection.execute("update control.transfer set report = $2 where transfer_id = $1", move.id, kept)
        await connection.close()
    assert (len(first["checks"]), first["next_after"], first["unequal"]) == (1_000, 1_000, 0)
    assert first["total"] > 25_000
    assert (len(last["checks"]), last["next_after"]) == (1, None)
    assert answered
