"""What comes from outside: signals, updates and starts, of any number, encoding, size and shape.

An input that raises in the middle of a workflow task fails the task, again and again: the workflow is stuck, whoever
sent it. So handlers take whatever comes (`*given`), and ask here for the message that it ought to be.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json, to_json
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError

from activities.payloads import PayloadActivities
from domain import messages as m
from domain.errors import InputMalformed, PayloadKeyUnknown
from domain.vocabulary import UNREADABLE
from workflows import policies
from workflows.activity_calls import is_cancel, perform
from workflows.markdown import fenced
from workflows.renewal import REFUSED, grow

_Message = TypeVar("_Message", bound=m.Message)
# Far above any ticket, and so small that thousands of them do no harm.
_LARGEST_BYTES: Final = 32_000
# A run that goes on has what the one before it knew, as much as a payload has room for.
_LARGEST_MEMORY_BYTES: Final = 250_000
_LONGEST_WHY: Final = 200
# Each one that waits for its key is an activity that is tried until the key is there.
_WAITING_AT_ONCE: Final = 3


def read(given: tuple[Any, ...], kind: type[_Message]) -> _Message:
    """Return the message that was sent; nothing at all counts as a message without fields.

    Raises:
        InputMalformed: It is none; the message says why, in few words of which none is the sender's.
        PayloadKeyUnknown: It is encrypted with a key that is not there.
    """
    if len(given) > 1:
        raise InputMalformed(f"{InputMalformed.default_english()} There are {len(given)} inputs, and one is asked for.")
    value = given[0] if given else {}
    if isinstance(value, RawValue):
        note = value.payload.metadata.get(UNREADABLE, b"").decode("utf-8", "replace")
        code, _, why = note.partition(": ")
        if code == PayloadKeyUnknown.code():
            raise PayloadKeyUnknown(why)
        raise InputMalformed(f"{InputMalformed.default_english()} It cannot be decoded.")
    try:
        size = len(to_json(value))
        largest = _LARGEST_BYTES if workflow.info().continued_run_id is None else _LARGEST_MEMORY_BYTES
        if size > largest:
            raise InputMalformed(
                f"{InputMalformed.default_english()} It has {size:,} bytes, and {largest:,} are allowed."
            )
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"] if str(part) in kind.model_fields)
        why = f"{where}: {first['msg']}" if where else first["msg"]
        raise InputMalformed(f"{InputMalformed.default_english()} {why[:_LONGEST_WHY]}") from None
    except (TypeError, ValueError, RecursionError):  # a value that has no JSON
        raise InputMalformed from None


class Inbox:
    """Reads what comes to one workflow; refuses what is malformed, and lets what is under an unknown key wait."""

    def __init__(
        self,
        refuse: Callable[[str, str, str, str], Awaitable[None]],
        deliver: Callable[[str, Any], Awaitable[None]],
        show: Callable[[], None],
    ) -> None:
        """Take what a workflow does with signals.

        Args:
            refuse: Refuses one: its name, who sent it, why, and the error's code.
            deliver: Handles one, by its name, that could not be read when it came.
            show: Refreshes the page.
        """
        self._refuse = refuse
        self._deliver = deliver
        self._show = show
        self._number = 0
        self._unread: list[m.UnreadSignal] = []
        # Tasks that nobody holds are collected.
        self._opening: list[asyncio.Task[None]] = []
        self._start_waits = ""

    @property
    def waiting(self) -> list[str]:
        """Return what cannot be read yet, in words."""
        return [
            *([self._start_waits] if self._start_waits else []),
            *(f"{one.name}: {one.why}" for one in self._unread),
        ]

    def remember(self) -> dict[str, Any]:
        """Return what the next run has to know: the signals that wait for their key."""
        return {"unread": list(self._unread)}

    def resume(self, memory: m.TransferMemory) -> None:
        """Go on where an earlier run stopped."""
        for signal in memory.unread:
            self._wait_for_key(signal)

    async def signal(self, name: str, given: tuple[Any, ...], kind: type[_Message]) -> _Message | None:
        """Return a signal's message, or nothing: it is refused then, and written down, or it waits for its key."""
        try:
            message, sealed = self._read(given, kind)
        except InputMalformed as error:
            grow(REFUSED)
            await self._refuse(name, "", error.english, error.code())
            return None
        grow(REFUSED if sealed else 1)
        if sealed is None:
            return message
        if len(self._unread) >= _WAITING_AT_ONCE:
            why = f"{InputMalformed.default_english()} Others wait for their keys already."
            await self._refuse(name, "", why, InputMalformed.code())
        else:
            self._wait_for_key(m.UnreadSignal(name=name, why=sealed.why, order=sealed.order))
        return None

    def _wait_for_key(self, signal: m.UnreadSignal) -> None:
        """Handle a signal when somebody has its key; nobody waits for that."""
        self._unread.append(signal)
        self._opening = [one for one in self._opening if not one.done()]
        self._opening.append(asyncio.create_task(self._deliver_when_opened(signal)))
        self._show()

    async def start(self, given: tuple[Any, ...], kind: type[_Message]) -> _Message:
        """Return a start's message, when somebody has its key.

        Raises:
            InputMalformed: It is none.
        """
        message, sealed = self._read(given, kind)
        if sealed is not None:
            self._start_waits = f"start: {sealed.why}"
            workflow.set_current_details(f"### It cannot be read yet\n\n{fenced(sealed.why)}")
            message = read((await self._opened(sealed.order, "start"),), kind)
            self._start_waits = ""
        if message is None:
            raise AssertionError("it is readable, or waits for its key")
        return message

    def _read(self, given: tuple[Any, ...], kind: type[_Message]) -> tuple[_Message | None, "_Sealed | None"]:
        self._number += 1
        message: _Message | None = None
        problem: InputMalformed | PayloadKeyUnknown | None = None
        try:
            message = read(given, kind)
        except (InputMalformed, PayloadKeyUnknown) as error:
            problem = error
        key_unknown = isinstance(problem, PayloadKeyUnknown)
        # The key may be there when the history is read again, and every reading must go the same way: what was
        # unreadable when it came is marked as such in the history.
        if (key_unknown or workflow.unsafe.is_replaying()) and workflow.patched(f"unreadable-{self._number}"):
            return None, _sealed(given, problem)
        if isinstance(problem, InputMalformed):
            raise problem
        if problem is not None:
            raise RuntimeError(str(problem))  # of a history, which cannot go on without its key
        return message, None

    async def _deliver_when_opened(self, signal: m.UnreadSignal) -> None:
        try:
            value = await self._opened(signal.order, signal.name)
        except InputMalformed as error:
            self._unread.remove(signal)
            await self._refuse(signal.name, "", error.english, error.code())
        else:
            self._unread.remove(signal)
            await self._deliver(signal.name, value)
        self._show()

    async def _opened(self, order: m.OpenPayload, what: str) -> Any:
        try:
            opened = await perform(PayloadActivities.open_payload, order, policies.RECORD, f"{what}: wait for its key")
        except ActivityError as error:
            if is_cancel(error):
                raise
            raise InputMalformed from error
        return from_json(opened.text)


@dataclass(frozen=True)
class _Sealed:
    """What is encrypted with an unknown key."""

    why: str
    order: m.OpenPayload


def _sealed(given: tuple[Any, ...], problem: Exception | None) -> _Sealed:
    payload = given[0].payload if given and isinstance(given[0], RawValue) else None
    if payload is None:  # the key is there by now, and what was asked then is answered in the history
        return _Sealed(PayloadKeyUnknown.default_english(), m.OpenPayload(metadata={}, data=""))
    metadata = {
        name: value.decode("ascii", "replace") for name, value in payload.metadata.items() if name != UNREADABLE
    }
    return _Sealed(str(problem), m.OpenPayload(metadata=metadata, data=base64.b64encode(payload.data).decode()))
