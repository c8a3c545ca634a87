"""What every message is."""

from pydantic import BaseModel, ConfigDict

SENT_BY = "who sent the signal or update, or asked for the cancel, that it is for, as Temporal knows it; for operators"


class Message(BaseModel):
    """Frozen, so that nobody changes what is already in a history; unknown fields are ignored, so that it may grow."""

    model_config = ConfigDict(frozen=True)
