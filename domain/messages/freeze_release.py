"""Freezing, opening for inspection, releasing, and the old mailbox address after that."""

from uuid import UUID

from pydantic import AwareDatetime, Field

from domain.messages.base import SENT_BY, Message
from domain.messages.environment import EnvironmentSummary
from domain.messages.scheduling import EVENING


class FreezeEnvironment(Message):
    transfer_id: UUID
    environment_id: UUID
    workflow_id: str
    requested_by: str
    started_by: str = Field(default="", description="who started the workflow, as Temporal knows it; for operators")


class EnvironmentFrozen(Message):
    environment: EnvironmentSummary
    frozen_at: AwareDatetime
    administrations: int
    tables: int


class UnfreezeEnvironment(Message):
    transfer_id: UUID
    environment_id: UUID


class OpenForInspection(Message):
    transfer_id: UUID
    evening: int = Field(default=1, description=EVENING)


class OpenedForInspection(Message):
    opened_at: AwareDatetime
    remind_every_seconds: int = Field(
        default=7 * 24 * 3600, ge=1, description="how often the new side is reminded of the release"
    )


class ReleaseEnvironment(Message):
    transfer_id: UUID
    released_by: str
    note: str
    released_at: AwareDatetime
    sent_by: str = Field(default="", description=SENT_BY)


class EnvironmentReleased(Message):
    old_mailbox_address: str
    new_mailbox_address: str
    forward_until: AwareDatetime
    users_invited: int


class MailboxForwardingInput(Message):
    """Start of `MailboxForwardingWorkflow`: the old address goes on working for 30 days (manual, Let op)."""

    transfer_id: UUID
    old_mailbox_address: str
    forward_until: AwareDatetime
    runbook_url: str = ""


class CloseMailboxForwarding(Message):
    transfer_id: UUID
    old_mailbox_address: str
