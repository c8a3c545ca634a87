"""What a transfer and its recovery have in common: whoever reaches Temporal may start and send them anything."""

import asyncio
from typing import Any, Final, NoReturn, TypeVar
from uuid import UUID

from temporalio import workflow

from domain import messages as m
from domain.errors import InputMalformed, NotItsTransfer, TransferError
from domain.naming import workflow_id_of
from domain.reconciliation import RecoverTransfer
from workflows.event_log import TransferLog
from workflows.inbox import Inbox
from workflows.mail import MailDispatcher
from workflows.progress import TransferProgress
from workflows.refusals import refusal
from workflows.renewal import REFUSED, grow
from workflows.saga import Saga

_NOBODY: Final = UUID(int=0)
_Message = TypeVar("_Message", bound=m.Message)
_Order = TypeVar("_Order", m.ResumedTransfer, RecoverTransfer)


class EnvironmentWorkflow:
    """A workflow under the id of an environment's transfer: what it works with, and how it reads what it is sent."""

    def __init__(self) -> None:
        self._inbox = Inbox(self._refuse, self._deliver, self._show)
        self._has_begun = self._is_turned_away = False
        self._arrange(TransferProgress(_NOBODY, _NOBODY))  # until its order has been read

    def _arrange(self, progress: TransferProgress) -> None:
        self._progress = progress
        self._log = TransferLog(progress)
        self._saga = Saga(progress, self._log)
        self._mail = MailDispatcher(progress)

    async def _read_order(self, given: tuple[Any, ...], kind: type[_Order]) -> _Order:
        """Return what this run is to do.

        Raises:
            ApplicationError: It is no such order, or this is not the workflow that carries it out.
        """
        try:
            order = await self._inbox.start(given, kind)
        except InputMalformed as error:
            await self._turn_away(error)
        if workflow.info().workflow_id != workflow_id_of(order.environment_id):
            await self._turn_away(NotItsTransfer())
        return order

    async def _turn_away(self, error: TransferError) -> NoReturn:
        """End a run that is none of a transfer, once nobody who has sent it something waits any more.

        Raises:
            ApplicationError: Always.
        """
        self._is_turned_away = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        raise refusal(error)

    async def _received(self, name: str, given: tuple[Any, ...], kind: type[_Message]) -> _Message | None:
        """Return what a signal says, or nothing: it is refused then, and written down."""
        if not await self._has_order():
            return None
        return await self._inbox.signal(name, given, kind)

    async def _has_order(self) -> bool:
        """Wait until its order has been read, and tell whether it is one: without, there is no story to write in."""
        # An update that came with a signal is accepted first, whichever of the two is handed over first: a history that
        # is read again may have them the other way round.
        await asyncio.sleep(0)
        if not self._has_begun:
            await workflow.wait_condition(lambda: self._has_begun or self._is_turned_away)
        return self._has_begun

    async def _require_order(self) -> None:
        """Wait until its order has been read.

        Raises:
            ApplicationError: It is none, so there is nothing to ask for.
        """
        if not await self._has_order():
            raise refusal(NotItsTransfer())

    @workflow.signal(description="Not for people: another move of the environment begins, and only mail is left here.")
    async def make_way(self, *given: Any) -> None:  # noqa: ARG002 - whatever it says
        """Give up the news of an undo that does not get out: whoever begins another move knows of it."""
        grow(REFUSED)
        await self._mail.make_way(self._log)

    @workflow.query(description="Where the transfer stands, what it waits for and what came before.")
    def status(self, *given: Any) -> m.TransferStatus:  # noqa: ARG002 - whatever is asked, this is the answer
        """Return everything there is to know."""
        return self._progress.status()

    async def _finish_open_ends(self) -> None:
        """Let mail and callers get their answers before the workflow closes."""
        await self._mail.finish()
        self._log.counted += len(self._inbox.waiting)
        await self._log.tell_counted()
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def _refuse(self, what: str, actor: str, why: str, code: str) -> None:
        await self._log.refuse(what, actor, why, code)

    async def _deliver(self, name: str, value: Any) -> None:
        await getattr(self, name)(value)

    def _show(self) -> None:
        self._progress.show()
