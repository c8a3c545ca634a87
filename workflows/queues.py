"""The task queues of the contract."""

TRANSFERS = "transfers"
# Heavy database work has slots of its own, so that 22:00 cannot starve signals and updates.
CLONE = "clone"
