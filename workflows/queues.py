"""The task queues of the contract."""

TRANSFERS = "transfers"
# Heavy database work has slots of its own, so that 22:00 cannot starve signals and updates.
CLONE = "clone"
# A mail server that hangs holds whoever talks to it for a minute: that must never be a slot of a freeze or a release.
MAIL = "mail"
