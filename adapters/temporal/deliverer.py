"""Starting the one workflow that keeps webhooks delivered."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError

from domain.errors import Unavailable
from domain.webhooks import WEBHOOKS_WORKFLOW, WEBHOOKS_WORKFLOW_ID, DeliverWebhooks

_SIGNAL = "endpoint_added"
_RPC_TIMEOUT = timedelta(seconds=10)


async def ensure_deliverer(client: Client, *, task_queue: str) -> None:
    """Let webhooks be delivered from now on; one that is about to end for want of endpoints goes on.

    Raises:
        Unavailable: The server does not answer.
    """
    try:
        await client.start_workflow(
            WEBHOOKS_WORKFLOW,
            DeliverWebhooks(),
            id=WEBHOOKS_WORKFLOW_ID,
            task_queue=task_queue,
            start_signal=_SIGNAL,
            static_summary="tells endpoints what happens to transfers",
            rpc_timeout=_RPC_TIMEOUT,
        )
    except RPCError as error:
        raise Unavailable(f"Temporal does not start the deliverer of webhooks: {error.message}. Try again.") from error
