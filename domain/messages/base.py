"""What every message is."""

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """Frozen, so that nobody changes what is already in a history; unknown fields are ignored, so that it may grow."""

    model_config = ConfigDict(frozen=True)
