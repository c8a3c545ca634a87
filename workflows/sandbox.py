"""The sandbox that workflows run in, for workers, replays and tests alike."""

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

# Each run of a workflow has modules of its own, made when it begins and again when it is read back from its history.
# Those of the domain are hundreds of pydantic classes: 80 ms and 2 MB for each transfer, four fifths of the whole. They
# are pure, and activities are only names here, so all runs share them; workflows themselves stay apart.
_SHARED = ("activities", "domain")


def sandbox(*, apart: bool = True) -> SandboxedWorkflowRunner:
    """Return a runner that keeps workflows apart from the world and from each other.

    Args:
        apart: Whether each run has the workflows' own modules for itself, in which a call that a workflow may not make
            is refused. Tests and replays do; a worker, for whom it is a third of what an evening costs, does not: no
            module of workflows keeps anything, and a test looks that it stays so.
    """
    shared = _SHARED if apart else (*_SHARED, "workflows")
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*shared))
