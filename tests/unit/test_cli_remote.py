"""Temporal's errors in the domain's words: what a caller of the client gets to catch."""

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import (
    AlreadyInTransfer,
    Misconfigured,
    TransferError,
    TransferUnknown,
    Unavailable,
    UrlTaken,
    WrongMoment,
    all_errors,
)
from starter.remote import as_domain_error, domain_errors


@pytest.mark.parametrize("kind", all_errors().values(), ids=lambda kind: kind.__name__)
def test_every_error_survives_the_journey_through_a_history(kind: type[TransferError]) -> None:
    """A refusal that came back as another class would send the customer to the wrong remedy."""
    sent = kind("English.", dutch="Nederlands.")
    arrived = as_domain_error(ApplicationError(str(sent), sent.english, sent.dutch_text, type=kind.code()))
    assert type(arrived) is kind
    assert (arrived.english, arrived.dutch_text) == ("English.", "Nederlands.")


def test_an_unknown_error_is_still_one_of_ours() -> None:
    """A newer worker may know refusals that this client does not."""
    arrived = as_domain_error(ApplicationError("No room. Try later.", type="NoRoom"))
    assert type(arrived) is TransferError
    assert arrived.english == "No room. Try later."


def test_a_failed_update_is_the_refusal_it_carries() -> None:
    """The new side must read that the url is taken, not that an update failed."""
    cause = ApplicationError("x", "Taken.", "Bezet.", type="UrlTaken")
    with pytest.raises(UrlTaken, match="Taken"), domain_errors():
        raise WorkflowUpdateFailedError(cause)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (WorkflowAlreadyStartedError("transfer-x", "TransferWorkflow"), AlreadyInTransfer),
        (RPCError("workflow not found for ID", RPCStatusCode.NOT_FOUND, b""), TransferUnknown),
        (RPCError("workflow execution already completed", RPCStatusCode.NOT_FOUND, b""), WrongMoment),
        (RPCError("no mapping defined for search attribute X", RPCStatusCode.INVALID_ARGUMENT, b""), Misconfigured),
        (RPCError("tcp connect error", RPCStatusCode.UNAVAILABLE, b""), Unavailable),
        (RPCError("Timeout expired", RPCStatusCode.DEADLINE_EXCEEDED, b""), Unavailable),
        (RPCError("no", RPCStatusCode.PERMISSION_DENIED, b""), Misconfigured),
    ],
)
def test_the_servers_words_become_the_domains(error: Exception, kind: type[TransferError]) -> None:
    """The platform's backend catches the domain's errors only; a raw RPC error would become its error 500."""
    with pytest.raises(kind) as caught, domain_errors():
        raise error
    assert caught.value.__cause__ is error
