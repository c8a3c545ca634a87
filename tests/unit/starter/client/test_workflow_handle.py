"""Temporal's errors in the domain's words: what a caller of the client gets to catch."""

import asyncio
from unittest.mock import AsyncMock, Mock

import pytest
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import (
    AlreadyInTransfer,
    Misconfigured,
    TransferError,
    TransferUnknown,
    Unavailable,
    UrlTaken,
    all_errors,
)
from starter.client import workflow_handle as remote
from starter.client.errors import NoWorker, as_domain_error, domain_errors


@pytest.mark.parametrize("kind", all_errors().values(), ids=lambda kind: kind.__name__)
def test_every_error_survives_the_journey_through_a_history(kind: type[TransferError]) -> None:
    """Makes every error of its code again."""
    sent = kind("English.", dutch="Nederlands.")
    arrived = as_domain_error(ApplicationError(str(sent), sent.english, sent.dutch_text, type=kind.code()))
    assert type(arrived) is kind
    assert (arrived.english, arrived.dutch_text) == ("English.", "Nederlands.")


def test_an_unknown_error_is_still_one_of_ours() -> None:
    """Makes a plain error of an unknown code."""
    arrived = as_domain_error(ApplicationError("No room. Try later.", type="NoRoom"))
    assert type(arrived) is TransferError
    assert arrived.english == "No room. Try later."


def test_a_failed_update_is_the_refusal_it_carries() -> None:
    """Raises the refusal that an update carries."""
    cause = ApplicationError("x", "Taken.", "Bezet.", type="UrlTaken")
    with pytest.raises(UrlTaken, match="Taken"), domain_errors():
        raise WorkflowUpdateFailedError(cause)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (WorkflowAlreadyStartedError("transfer-x", "TransferWorkflow"), AlreadyInTransfer),
        (RPCError("workflow not found for ID", RPCStatusCode.NOT_FOUND, b""), TransferUnknown),
        (RPCError("tcp connect error", RPCStatusCode.UNAVAILABLE, b""), Unavailable),
        (RPCError("Timeout expired", RPCStatusCode.DEADLINE_EXCEEDED, b""), Unavailable),
        (RPCError("no", RPCStatusCode.PERMISSION_DENIED, b""), Misconfigured),
    ],
)
def test_the_servers_words_become_the_domains(error: Exception, kind: type[TransferError]) -> None:
    """Raises the domain's errors for the server's."""
    with pytest.raises(kind) as caught, domain_errors():
        raise error
    assert caught.value.__cause__ is error


def given_up(cause: BaseException) -> WorkflowUpdateRPCTimeoutOrCancelledError:
    error = WorkflowUpdateRPCTimeoutOrCancelledError()
    error.__cause__ = cause
    return error


async def test_an_update_that_the_server_gives_up_goes_out_again_as_the_same() -> None:
    """Sends a dropped update again under the same id."""
    ids: list[str] = []

    async def send(update_id: str) -> str:
        ids.append(update_id)
        if len(ids) == 1:
            raise given_up(RPCError("deadline", RPCStatusCode.DEADLINE_EXCEEDED, b""))
        return "accepted"

    assert await remote.answered(send) == "accepted"
    assert len(ids) == 2
    assert len(set(ids)) == 1


async def test_without_a_worker_an_update_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends an update that no worker takes."""
    monkeypatch.setattr(remote, "_UPDATE_TIMEOUT_SECONDS", 0.1)

    async def silent(_: str) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            raise given_up(error) from error

    async def busy(_: str) -> None:
        raise given_up(RPCError("deadline", RPCStatusCode.DEADLINE_EXCEEDED, b""))

    for send in (silent, busy):
        with pytest.raises(NoWorker):
            await remote.answered(send)


@pytest.mark.parametrize("code", [RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.FAILED_PRECONDITION])
async def test_without_a_worker_a_query_says_so(code: RPCStatusCode) -> None:
    """Raises what lets callers read the database instead, whether the workers have just gone or long ago."""
    client = AsyncMock(namespace="default")
    client.get_workflow_handle_for = Mock()
    client.get_workflow_handle_for.return_value.query = AsyncMock(side_effect=RPCError("no poller seen", code, b""))
    client.workflow_service.describe_workflow_execution.return_value = DescribeWorkflowExecutionResponse()
    with pytest.raises(NoWorker):
        await remote.RemoteTransfer(client, "transfer-x").status()


async def test_a_caller_who_goes_away_is_cancelled() -> None:
    """Cancels with its caller."""
    begun = asyncio.Event()

    async def send(_: str) -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            raise given_up(error) from error

    caller = asyncio.create_task(remote.answered(send))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
