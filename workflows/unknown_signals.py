"""Signals that a workflow does not know: whoever reaches Temporal may send them, without end."""

from collections.abc import Sequence

from temporalio import workflow
from temporalio.common import RawValue

from workflows.renewal import REFUSED, grow


class LeavesUnknownSignals:
    """A workflow that takes no notice of them, but for the history that they make long."""

    @workflow.signal(dynamic=True, description="Not for anybody: what has no handler is left where it is.")
    async def unknown(self, name: str, args: Sequence[RawValue]) -> None:  # noqa: ARG002 - whatever it says
        """Leave it; a history that such signals have made long is left behind in time."""
        grow(REFUSED)
