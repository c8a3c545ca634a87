"""The task queues of the contract."""

from domain.vocabulary import HOME

TRANSFERS = "transfers"
# Heavy database work has slots of its own, so that 22:00 cannot starve signals and updates.
CLONE = "clone"
# Somebody waits for the last look before a release: a night of clones must not be in its way.
CHECKS = "checks"
# A mail server that hangs holds whoever talks to it for a minute: that must never be a slot of a freeze or a release.
MAIL = "mail"
# A look into a large environment takes seconds, and anybody may ask for one: never in a slot of a freeze either.
PREVIEWS = "previews"
# An endpoint that hangs holds up nothing but endpoints.
WEBHOOKS = "webhooks"


# Of these each cell has its own, so that the load on it is bounded by its own workers.
OF_CELLS = (CLONE, CHECKS)


def queue_of_cell(queue: str, cell: str) -> str:
    """Return a cell's own queue of this kind."""
    return queue if cell == HOME else f"{queue}-{cell}"
