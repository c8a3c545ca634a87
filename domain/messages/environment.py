"""An environment as a transfer speaks of it."""

from uuid import UUID

from pydantic import Field

from domain.messages.base import Message
from domain.vocabulary import HOME


class EnvironmentSummary(Message):
    """An environment as a transfer speaks of it."""

    environment_id: UUID
    name: str
    url: str
    licence_number: str
    schema_name: str
    mailbox_address: str
    cell: str = Field(default=HOME, description="the database that its schema is in")
