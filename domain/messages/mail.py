"""Sending mail."""

from uuid import UUID

from pydantic import Field

from domain.messages.base import Message
from domain.messages.status import MailProblem
from domain.vocabulary import MailKind

# Of mails that did not arrive; nobody reads more of them.
MOST_NAMED = 100


class SendMail(Message):
    """Send one kind of mail to everybody it is for, or to one address only; who and what is read from the database."""

    transfer_id: UUID
    kind: MailKind
    only_to: str | None = None
    occurrence: int = Field(default=1, ge=1, description="counts the mails of one kind: a reminder comes again")
    tell_delays: bool = Field(default=False, description="return what is to be tried again instead of failing")


class MailSent(Message):
    """What became of a kind of mail; of problems it names as many as a list has room for."""

    sent: int = Field(description="how many of those it is for have it now")
    already: int = Field(default=0, description="how many of them had it before: they do not get it once more")
    problems: list[MailProblem] = Field(default=[])
    waiting: list[MailProblem] = Field(default=[], description="not taken yet: the same order again may deliver it")
    left_out: int = Field(default=0, description="how many more there are than the two lists name")
    left: int = Field(default=0, description="for how many there was no time: the same order again sends theirs")

    def followed_by(self, after: "MailSent") -> "MailSent":
        """Return what became of it in two attempts, of which the second went on where the first one stopped."""
        problems, waiting = [*self.problems, *after.problems], [*self.waiting, *after.waiting]
        left_out = sum(max(len(some) - MOST_NAMED, 0) for some in (problems, waiting))
        return after.model_copy(
            update={
                "problems": problems[:MOST_NAMED],
                "waiting": waiting[:MOST_NAMED],
                "left_out": self.left_out + after.left_out + left_out,
            }
        )
