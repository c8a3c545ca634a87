"""A transfer that turned back before its ticket, told to whoever asked for it."""

from uuid import UUID

import pytest

from domain.errors import Refused, all_errors
from domain.messages import TransferStatus
from domain.vocabulary import TransferState, UndoReason
from starter.client.preparing import until_ticket
from starter.client.workflow_handle import RemoteTransfer


async def written() -> TransferState | None:
    return TransferState.UNDONE


REFUSALS = [kind for kind in all_errors().values() if issubclass(kind, Refused)]


class Undone(RemoteTransfer):
    """A transfer that was undone for one error."""

    def __init__(self, code: str) -> None:
        self.code = code

    async def status(self) -> TransferStatus:
        return TransferStatus(
            transfer_id=UUID(int=1),
            workflow_id="transfer-x",
            state=TransferState.UNDONE,
            undo_reason=UndoReason.FAILED,
            undo_code=self.code,
            undo_detail="x",
        )


@pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.__name__)
async def test_it_is_the_refusal_whose_code_it_carries_whatever_its_words(kind: type[Refused]) -> None:
    """Raises the class itself, so that a form shows the right remedy in any language."""
    with pytest.raises(kind) as caught:
        await until_ticket(Undone(kind.code()), None, written)
    assert type(caught.value) is kind
    assert caught.value.dutch_text == kind.dutch


async def test_what_is_no_refusal_says_that_nothing_has_changed() -> None:
    """Raises a plain refusal for an error that callers cannot mend."""
    with pytest.raises(Refused, match="Nothing has changed"):
        await until_ticket(Undone("SomethingNew"), None, written)
