"""What was sent to a workflow and could not be read there."""

from pydantic import Field

from domain.messages.base import Message


class OpenPayload(Message):
    """Decrypt what came under a key that the workflow's worker does not have; tried until somebody has it."""

    metadata: dict[str, str] = Field(description="the readable metadata of the payload")
    data: str = Field(description="the payload's bytes, in base64")


class UnreadSignal(Message):
    """A signal that waits for its key."""

    name: str
    why: str
    order: OpenPayload


class PayloadOpened(Message):
    """What it says, as JSON."""

    text: str
