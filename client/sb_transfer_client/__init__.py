"""Speaks to the HTTP API of sb-transfer, which moves customer environments between licences.

`Client` blocks and `AsyncClient` is awaited; `errors` has a class for each refusal, `webhooks` tells whether a delivery
is genuine, and `testing` has a service in memory for a backend's own tests.
"""

from sb_transfer_client import errors, models, webhooks
from sb_transfer_client._async import AsyncClient
from sb_transfer_client._exchange import Retries, trace_headers
from sb_transfer_client._listener import Listener
from sb_transfer_client._sync import Client
from sb_transfer_client.errors import Problem, SbTransferError, UploadRefused
from sb_transfer_client.models import MailKind, Scenario, TicketFile, TransferState, TransferView, UndoReason

__all__ = [
    "AsyncClient",
    "Client",
    "Listener",
    "MailKind",
    "Problem",
    "Retries",
    "SbTransferError",
    "Scenario",
    "TicketFile",
    "TransferState",
    "TransferView",
    "UndoReason",
    "UploadRefused",
    "errors",
    "models",
    "trace_headers",
    "webhooks",
]
