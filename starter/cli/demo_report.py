"""What came of one move of the demo, in the fields that `sb-transfer demo --json` promises."""

from collections.abc import Sequence
from email import message_from_bytes, policy
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Field

from adapters.mail.formatting import Formatter
from adapters.transfer.queries import EnvironmentRecord, MailRecord
from domain import messages as m
from domain.errors import TransferError
from domain.vocabulary import CheckKind, ConsequenceKind, EnvironmentStatus, Language, MailKind, Scenario, TransferState
from starter.client.client import TransferClient

_WORDS = Formatter(Language.ENGLISH, ZoneInfo("Europe/Amsterdam"))


class MovedEnvironment(m.Message):
    """One of the two environments, as it is now."""

    environment_id: UUID
    schema_name: str = Field(serialization_alias="schema")
    status: EnvironmentStatus
    url: str


class BankLine(m.Message):
    """What became of a bank's connections: the status on each side."""

    bank: str
    old: str
    new: str


class CheckLine(m.Message):
    """One comparison, old beside new."""

    administration: str
    check: CheckKind
    old: str
    new: str
    equal: bool


class ConsequenceLine(m.Message):
    """What the move changed, and how often."""

    kind: ConsequenceKind
    count: int


class MailLine(m.Message):
    """A mail that was caught."""

    kind: MailKind
    to: str
    subject: str


class DemoReport(m.Message):
    """One scenario, as programs read it."""

    scenario: Scenario
    transfer_id: UUID
    workflow_id: str
    state: TransferState
    starts_at: AwareDatetime = Field(description="the evening for which it was planned; the demo did not wait for it")
    old: MovedEnvironment
    new: MovedEnvironment
    tables: int
    rows: int
    mismatches: int
    clone_seconds: float
    verify_seconds: float
    banks: list[BankLine]
    checks: list[CheckLine]
    consequences: list[ConsequenceLine]
    mails: list[MailLine]
    history_events: int


async def collect(client: TransferClient, result: m.TransferResult, caught: Path) -> DemoReport:
    """Read everything back that a move left behind; mails from the files that the mail server wrote.

    Raises:
        TransferError: A step left nothing behind.
    """
    which = str(result.transfer_id)
    status = (await client.status(which)).status
    results = await client.results(which)
    if status.starts_at is None or result.scenario is None or result.new_environment_id is None:
        raise TransferError("The transfer ended without a new environment.")
    if results.banks is None or results.consequences is None or results.report is None:
        raise TransferError("The transfer ended without its banks, consequences or comparison.")
    return DemoReport(
        scenario=result.scenario,
        transfer_id=result.transfer_id,
        workflow_id=status.workflow_id,
        state=result.state,
        starts_at=status.starts_at,
        old=_side(await client.environment(str(result.old_environment_id))),
        new=_side(await client.environment(str(result.new_environment_id))),
        tables=result.tables,
        rows=result.rows,
        mismatches=result.mismatches,
        clone_seconds=result.clone_seconds,
        verify_seconds=result.verify_seconds,
        banks=[BankLine(bank=one.bank, old=one.old, new=one.new) for one in results.banks.banks],
        checks=[
            CheckLine(
                administration=one.administration,
                check=one.check,
                old=_WORDS.figures(one.check, one.old),
                new=_WORDS.figures(one.check, one.new),
                equal=one.equal,
            )
            for one in results.report.checks
        ],
        consequences=[ConsequenceLine(kind=one.kind, count=one.count) for one in results.consequences.consequences],
        mails=mails_caught(await client.mails(which), caught),
        history_events=await client.history_events(which),
    )


def problems_of(report: DemoReport) -> list[str]:
    """Return what is not as it should be, a line each; nothing when the move was good."""
    problems = []
    if report.state is not TransferState.RELEASED:
        problems.append(f"the transfer is {report.state.value}, not released")
    if report.old.status is not EnvironmentStatus.READ_ONLY:
        problems.append(f"the old environment is {report.old.status.value}, not read_only")
    if report.new.status is not EnvironmentStatus.ACTIVE:
        problems.append(f"the new environment is {report.new.status.value}, not active")
    if report.mismatches or not report.rows:
        problems.append(f"{report.mismatches} tables differ of {report.tables}, {report.rows} rows")
    unequal = [check for check in report.checks if not check.equal]
    problems += [f"{check.administration}: {check.check.value} is {check.old} against {check.new}" for check in unequal]
    if not report.checks:
        problems.append("nothing was compared")
    kinds = {mail.kind for mail in report.mails}
    problems += [f"no mail {kind.value} was caught" for kind in _EXPECTED_MAILS if kind not in kinds]
    return problems


_EXPECTED_MAILS = (
    MailKind.TICKET_ISSUED,
    MailKind.UPLOAD_ACCEPTED,
    MailKind.READY,
    MailKind.RELEASED,
    MailKind.INVITATION,
)


def mails_caught(records: Sequence[MailRecord], folder: Path) -> list[MailLine]:
    """Return the mails that arrived, recognised by their Message-ID, in the order in which they came."""
    kinds = {record.message_id: record.kind for record in records}
    caught = []
    for file in sorted(folder.glob("*.eml")):
        mail = message_from_bytes(file.read_bytes(), policy=policy.default)
        if (kind := kinds.get(str(mail["Message-ID"]).strip())) is not None:
            caught.append(MailLine(kind=kind, to=str(mail["To"]), subject=str(mail["Subject"])))
    return caught


def _side(environment: EnvironmentRecord) -> MovedEnvironment:
    return MovedEnvironment(
        environment_id=environment.environment_id,
        schema_name=environment.schema_name,
        status=environment.status,
        url=environment.url,
    )
