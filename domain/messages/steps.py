"""What a step of a transfer is asked, and answers, when the table of steps says all there is to say of it."""

from uuid import UUID

from pydantic import Field

from domain.messages.base import Message
from domain.messages.scheduling import EVENING
from domain.vocabulary import HOME


class TakeStep(Message):
    """Take a step, or undo what it has done, if it has done anything; each activity takes of it what it needs."""

    transfer_id: UUID
    environment_id: UUID
    evening: int = Field(default=1, description=EVENING)
    source_schema: str = ""
    target_schema: str = ""
    source_cell: str = HOME
    target_cell: str = HOME


class StepTaken(Message):
    """That it is done, with what people are shown of it."""

    detail: str = ""
