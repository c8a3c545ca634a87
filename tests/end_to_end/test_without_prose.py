"""No program decides by a sentence: with every English and Dutch one replaced by `x`, the same is decided."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from devstack.seed import make_books
from devstack.stack import Stack
from domain.errors import (
    AlreadyInTransfer,
    EnvironmentChanged,
    EnvironmentUnknown,
    LoginEmailMissing,
    NameTaken,
    Refused,
    SameLicence,
    TicketNotGenuine,
    TicketRevoked,
    TicketUsed,
    TransferError,
    TransferUnknown,
    UrlReserved,
    WrongMoment,
)
from domain.vocabulary import TransferState, UndoReason
from starter.client.client import TransferClient
from starter.client.connect import connect, settings_of
from starter.client.models import PreparedTransfer
from starter.client.polling import snapshots

OTHERS = ("SB_TRANSFER_", "TEMPORAL_")
# Python runs it as each program of the stack starts.
SILENCE = """
from domain.errors import TransferError

def silent(self, english=None, *, dutch=None):
    self.english = self.dutch_text = "x"
    Exception.__init__(self, "x")

TransferError.__init__ = silent
TransferError.default_english = classmethod(lambda cls: "x")
"""
NO_PROSE_IN_THE_LOG = """
create function control.test_without_prose() returns trigger language plpgsql as $$
begin
    if new.reason is not null then new.reason := 'x'; end if;
    return new;
end $$;
create trigger without_prose before insert on control.transfer_event
for each row execute function control.test_without_prose();
"""


@pytest.fixture(scope="module", autouse=True)
def no_sentences_here() -> Iterator[None]:
    """This process too raises errors that say nothing."""
    patch = pytest.MonkeyPatch()

    def silent(self: TransferError, _english: str | None = None, *, dutch: str | None = None) -> None:  # noqa: ARG001 - they are what is silenced
        self.english = self.dutch_text = "x"
        Exception.__init__(self, "x")

    patch.setattr(TransferError, "__init__", silent)
    patch.setattr(TransferError, "default_english", classmethod(lambda _: "x"))
    yield
    patch.undo()


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack whose programs know no sentences, and whose log keeps none."""
    folder: Path = tmp_path_factory.mktemp("silence")
    (folder / "sitecustomize.py").write_text(SILENCE)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
    environment["PYTHONPATH"] = str(folder)
    async with Stack(tmp_path_factory.mktemp("stack"), environment=environment) as running:
        connection = await asyncpg.connect(running.info.database_url)
        await connection.execute(NO_PROSE_IN_THE_LOG)
        await connection.close()
        await make_books(settings_of(running.process_environment()), journal_lines=2_000)
        yield running


@pytest.fixture(scope="module")
async def client(stack: Stack) -> AsyncIterator[TransferClient]:
    variables = stack.process_environment()
    async with connect(settings_of(variables), environment=variables) as connected:
        yield connected


async def reach(client: TransferClient, which: str, state: TransferState) -> None:
    async for _ in snapshots(client, which, lambda status: status.state is state or status.state.is_final):
        continue
    assert (await client.status(which)).status.state is state


@pytest.fixture(scope="module")
async def awaiting_upload(client: TransferClient) -> PreparedTransfer:
    return await client.prepare("10001/enyoi", requested_by="old side")


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"name": "linden TANDARTSEN"}, NameTaken),
        ({"url_part": "admin"}, UrlReserved),
        ({"licence": "20001"}, LoginEmailMissing),
        ({"licence": "10001"}, SameLicence),
        ({"ticket": b"AAAA"}, TicketNotGenuine),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
async def test_an_upload_is_refused_as_what_it_is(
    client: TransferClient,
    awaiting_upload: PreparedTransfer,
    changed: dict[str, object],
    refusal: type[Refused],
) -> None:
    """Refuses with the class that a form shows beside the right field."""
    given = {"ticket": awaiting_upload.ticket, "licence": "10003", "name": "Zonder woorden", "uploaded_by": "new side"}
    with pytest.raises(refusal) as caught:
        await client.upload(**{**given, **changed})  # type: ignore[arg-type] # of each field its own type
    assert type(caught.value) is refusal
    assert str(caught.value) == "x"


async def test_decisions_are_taken_and_refused_as_what_they_are(
    client: TransferClient, stack: Stack, awaiting_upload: PreparedTransfer
) -> None:
    """Tells a wrong moment, a changed environment and a transfer that has ended apart."""
    which = str(awaiting_upload.transfer_id)
    with pytest.raises(AlreadyInTransfer):
        await client.prepare("10001/enyoi", requested_by="old side")
    with pytest.raises(EnvironmentUnknown):
        await client.prepare("nobody", requested_by="old side")
    with pytest.raises(TransferUnknown):
        await client.status("nobody")
    with pytest.raises(WrongMoment):
        await client.release(which, by="too early")
    accepted = await client.upload(
        awaiting_upload.ticket, licence="10003", name="Zonder woorden", uploaded_by="new side"
    )
    with pytest.raises(TicketUsed):
        await client.upload(awaiting_upload.ticket, licence="10003", name="Zonder", uploaded_by="new side")
    await client.start_now(which, by="new side")
    await reach(client, which, TransferState.AWAITING_RELEASE)
    schema = (await client.environment(str(accepted.new_environment_id))).schema_name
    owner = await asyncpg.connect(stack.info.database_url)
    try:
        await owner.execute(f'alter table "{schema}".relation disable trigger sb_transfer_fence')
        await owner.execute(f'update "{schema}".relation set name = name || $$!$$')
        await owner.execute(f'alter table "{schema}".relation enable always trigger sb_transfer_fence')
    finally:
        await owner.close()
    with pytest.raises(EnvironmentChanged):
        await client.release(which, by="new side")
    undone = await client.reject(which, by="new side", reason="it has changed")
    assert undone.status.state in (TransferState.UNDOING, TransferState.UNDONE)
    assert (await client.result(which)).undo_reason is UndoReason.REJECTED
    with pytest.raises(TicketRevoked):
        await client.upload(awaiting_upload.ticket, licence="10003", name="Zonder woorden", uploaded_by="new side")
    for late in (client.release(which, by="x"), client.start_now(which, by="x"), client.cancel(which, by="x")):
        with pytest.raises(WrongMoment):
            await late
