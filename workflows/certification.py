"""Nothing may change unseen between the freeze and the release: the looks at both environments that make sure of it."""

import asyncio
from dataclasses import dataclass

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.certification import CertificationActivities
from domain import messages as m
from domain.errors import AlreadyReleased, EnvironmentChanged, WrongMoment
from domain.steps import StepName, StepState
from domain.vocabulary import TransferState
from workflows.activity_calls import failed_with, is_cancel, perform_step, root_cause
from workflows.progress import TransferProgress


@dataclass(frozen=True, slots=True)
class Objection:
    """Why an environment is not released: in words, and as the code of the refusal."""

    why: str
    code: str


class Certification:
    """One transfer's looks: at what was frozen, at what is opened, and at both before the release.

    That both are equal after the clone is for the verification to say, which holds the old one against the freeze too.
    """

    def __init__(self, progress: TransferProgress) -> None:
        self._progress = progress
        self._hashing: asyncio.Task[None] | None = None

    def start_hashing(self) -> None:
        """Look at what has been frozen and hash it, beside the waits that follow: nobody's ticket waits for it."""
        self._hashing = asyncio.create_task(self._hash_what_is_frozen())

    async def wait_until_hashed(self) -> None:
        """Wait until that is done.

        Raises:
            ActivityError: It could not be done.
        """
        hashing = self._hashing
        if hashing is None:  # an earlier run has seen its end
            return
        await workflow.wait_condition(hashing.done)
        await hashing

    @property
    def has_refused(self) -> bool:
        """Tell whether the frozen environment has turned out to be none that can be moved."""
        hashing = self._hashing
        return hashing is not None and hashing.done() and not hashing.cancelled() and hashing.exception() is not None

    async def raise_refusal(self) -> None:
        """Raise why the frozen environment cannot be moved, if so: nobody stays frozen until the evening for that.

        Raises:
            ActivityError: It cannot.
        """
        if self.has_refused:
            await self.wait_until_hashed()

    def stop_hashing(self) -> None:
        """Stop it: the transfer is being undone. It only reads, so nobody has to wait for its end."""
        if self._hashing is not None:
            self._hashing.cancel()
            self._hashing.add_done_callback(_take_note)

    @property
    def ends_the_evening(self) -> bool:
        """Tell whether only the certificate is missing, or what this run does when it hears that it is there."""
        begun = self._progress.runs_since(StepName.CERTIFY) or self._progress.is_done(StepName.CERTIFY)
        return bool(begun) and self._progress.state is TransferState.CLONING

    async def certify(self, evening: int, *, ahead: int) -> None:
        """Hash what has been opened, which is what will be released, and sign what is proved; see `perform_step`."""
        old, new = self._both()
        with self._progress.step(StepName.CERTIFY):
            issued = await perform_step(
                CertificationActivities.issue_certificate,
                m.IssueCertificate(
                    transfer_id=self._progress.transfer_id,
                    source_schema=old.schema_name,
                    target_schema=new.schema_name,
                    source_cell=old.cell,
                    target_cell=new.cell,
                    evening=evening,
                ),
                of=new,
                ahead=ahead,
            )
            self._progress.detail(StepName.CERTIFY, f"signed with key {issued.key_id}")

    async def check_before_release(self, release: m.Release) -> Objection | None:
        """Look at both environments once more and return why they cannot be released, if so.

        Raises:
            ActivityError: The transfer was cancelled meanwhile, or is released: the run was reset to before that.
        """
        old, new = self._both()
        self._progress.mark(StepName.CHECK, StepState.RUNNING, "")
        try:
            checked = await perform_step(
                CertificationActivities.check_unchanged,
                m.CheckUnchanged(
                    transfer_id=self._progress.transfer_id,
                    source_schema=old.schema_name,
                    target_schema=new.schema_name,
                    source_cell=old.cell,
                    target_cell=new.cell,
                    requested_by=release.released_by,
                    event_key=workflow.uuid4(),
                ),
                of=new,
            )
        except ActivityError as error:
            if is_cancel(error) or failed_with(error, AlreadyReleased):
                self._progress.mark(StepName.CHECK, StepState.FAILED)
                raise
            why = f"it could not be checked whether anything has changed: {root_cause(error)}"
            objection = Objection(why, WrongMoment.code())
        else:
            if not checked.drift:
                self._progress.mark(StepName.CHECK, StepState.DONE, f"{checked.rows:,} rows as they were")
                return None
            objection = Objection(f"something has changed: {checked.drift}", EnvironmentChanged.code())
        self._progress.mark(StepName.CHECK, StepState.FAILED, objection.why)
        return objection

    async def _hash_what_is_frozen(self) -> None:
        old = self._progress.old
        if old is None:
            raise AssertionError("the freeze tells what it froze")
        with self._progress.step(StepName.HASH):
            hashed = await perform_step(
                CertificationActivities.hash_frozen,
                m.HashFrozen(transfer_id=self._progress.transfer_id, schema_name=old.schema_name, cell=old.cell),
                of=old,
            )
            self._progress.detail(StepName.HASH, f"{hashed.tables} tables, {hashed.rows:,} rows")

    def _both(self) -> tuple[m.EnvironmentSummary, m.EnvironmentSummary]:
        if self._progress.old is None or self._progress.new is None:
            raise AssertionError("the freeze and the upload come before the clone")
        return self._progress.old, self._progress.new


def _take_note(hashing: "asyncio.Task[None]") -> None:
    """Read what became of a task that nobody awaits any more, or asyncio complains of it."""
    if not hashing.cancelled():
        hashing.exception()
