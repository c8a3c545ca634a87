"""Sending mail."""

from uuid import UUID

from pydantic import Field

from domain.messages.base import Message
from domain.messages.status import MailProblem
from domain.vocabulary import MailKind


class SendMail(Message):
    """Send one kind of mail to everybody it is for, or to one address only; who and what is read from the database."""

    transfer_id: UUID
    kind: MailKind
    only_to: str | None = None
    occurrence: int = Field(default=1, ge=1, description="counts the mails of one kind: a reminder comes again")
    tell_delays: bool = Field(default=False, description="return what is to be tried again instead of failing")


class MailSent(Message):
    sent: int = Field(description="how many of those it is for have it now")
    already: int = Field(default=0, description="how many of them had it before: they do not get it once more")
    problems: list[MailProblem] = Field(default=[])
    waiting: list[MailProblem] = Field(default=[], description="not taken yet: the same order again may deliver it")
