"""The story of a transfer, and the marks of its undo."""

from uuid import UUID

from pydantic import Field

from domain.messages.base import SENT_BY, Message
from domain.vocabulary import UndoReason


class RecordEvent(Message):
    event_key: UUID = Field(description="the same for every attempt, so that a retry does not tell the story twice")
    transfer_id: UUID
    actor: str
    kind: str
    reason: str = ""
    code: str = Field(default="", description="of a refusal: the code of the error that it is")
    sent_by: str = Field(default="", description=SENT_BY)
    item: str = Field(default="", description="the point of a check list that it is about")


class BeginUndo(Message):
    transfer_id: UUID
    environment_id: UUID
    workflow_id: str
    reason: UndoReason
    detail: str = ""
    detail_nl: str = Field(default="", description="the detail in Dutch, where it is of this service's own words")
    requested_by: str = ""
    sent_by: str = Field(default="", description=SENT_BY)


class FinishUndo(Message):
    transfer_id: UUID
