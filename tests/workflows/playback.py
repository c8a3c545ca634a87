"""Histories played back on code."""

from temporalio.converter import DataConverter
from temporalio.worker import Replayer

from workflows.sandbox import sandbox


def replayer(*workflows: type, data_converter: DataConverter) -> Replayer:
    """Return what plays histories back on these workflows, in the sandbox as the worker has it.

    In debug mode, which knows no deadlocks: two seconds of a busy machine's clock would be taken for a history that
    cannot be played. Beside that it only lets `breakpoint()` through, and plays on the thread of the event loop.
    """
    return Replayer(workflows=workflows, workflow_runner=sandbox(), data_converter=data_converter, debug_mode=True)
