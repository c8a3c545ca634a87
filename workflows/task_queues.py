"""The task queues of the contract."""

from domain.vocabulary import HOME

TRANSFERS = "transfers"
# Heavy database work has slots of its own, so that 22:00 cannot starve signals and updates.
CLONE = "clone"
# A mail server that hangs holds whoever talks to it for a minute: that must never be a slot of a freeze or a release.
MAIL = "mail"
# A look into a large environment takes seconds, and anybody may ask for one: never in a slot of a freeze either.
PREVIEWS = "previews"
# An endpoint that hangs holds up nothing but endpoints.
WEBHOOKS = "webhooks"


def clone_queue(cell: str) -> str:
    """Return the queue of a cell's heavy work, so that the load on each is bounded by its own workers."""
    return CLONE if cell == HOME else f"{CLONE}-{cell}"
