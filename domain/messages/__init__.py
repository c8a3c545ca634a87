"""What crosses a boundary: one frozen message per workflow, signal, update, query and activity, by capability.

Times are aware datetimes, durations are seconds in a field that says so, money is `Decimal`. No message carries a
secret: a ticket travels sealed (see `Upload.sealed_ticket`).
"""

from domain.messages.base import Message
from domain.messages.certification import (
    CertificateIssued,
    CheckUnchanged,
    FrozenHashed,
    HashFrozen,
    IssueCertificate,
    UnchangedChecked,
)
from domain.messages.clone import (
    CloneAdministrations,
    CloneFinished,
    DropClone,
    TableDifference,
    Verification,
    VerifyClone,
)
from domain.messages.environment import EnvironmentSummary
from domain.messages.event_log import BeginUndo, FinishUndo, RecordEvent
from domain.messages.freeze_release import (
    CloseMailboxForwarding,
    EnvironmentFrozen,
    EnvironmentReleased,
    FreezeEnvironment,
    MailboxForwardingInput,
    OpenedForInspection,
    OpenForInspection,
    ReleaseEnvironment,
    UnfreezeEnvironment,
)
from domain.messages.mail import MailSent, SendMail
from domain.messages.memory import PendingMail, ResumedTransfer, TransferMemory
from domain.messages.payloads import OpenPayload, PayloadOpened, UnreadSignal
from domain.messages.preview import (
    MOST_SHOWN,
    BankToReactivate,
    Obstacle,
    Preview,
    QuoteLost,
    UnreachableAddress,
)
from domain.messages.scheduling import PostponeStart, RescheduleStart, StartPlanned
from domain.messages.status import CloneProgress, MailProblem, StepSeen, StepStatus, TransferRecord, TransferStatus
from domain.messages.steps import StepTaken, TakeStep
from domain.messages.target_setup import (
    ApplyConsequences,
    BankOutcome,
    BanksReconnected,
    Check,
    CompareEnvironments,
    ComparisonReport,
    ComparisonSummary,
    Consequence,
    ConsequencesApplied,
    ReconnectBanks,
)
from domain.messages.tickets import (
    AcceptUpload,
    IssueTicket,
    ReleaseReservation,
    ReservationMade,
    RevokeTicket,
    TicketIssued,
)
from domain.messages.transfer import (
    ExplainCancel,
    Reject,
    Release,
    Reschedule,
    ResendMail,
    StartNow,
    TransferInput,
    TransferResult,
    Upload,
    UploadAccepted,
)

__all__ = [
    "MOST_SHOWN",
    "AcceptUpload",
    "ApplyConsequences",
    "BankOutcome",
    "BankToReactivate",
    "BanksReconnected",
    "BeginUndo",
    "CertificateIssued",
    "Check",
    "CheckUnchanged",
    "CloneAdministrations",
    "CloneFinished",
    "CloneProgress",
    "CloseMailboxForwarding",
    "CompareEnvironments",
    "ComparisonReport",
    "ComparisonSummary",
    "Consequence",
    "ConsequencesApplied",
    "DropClone",
    "EnvironmentFrozen",
    "EnvironmentReleased",
    "EnvironmentSummary",
    "ExplainCancel",
    "FinishUndo",
    "FreezeEnvironment",
    "FrozenHashed",
    "HashFrozen",
    "IssueCertificate",
    "IssueTicket",
    "MailProblem",
    "MailSent",
    "MailboxForwardingInput",
    "Message",
    "Obstacle",
    "OpenForInspection",
    "OpenPayload",
    "OpenedForInspection",
    "PayloadOpened",
    "PendingMail",
    "PostponeStart",
    "Preview",
    "QuoteLost",
    "ReconnectBanks",
    "RecordEvent",
    "Reject",
    "Release",
    "ReleaseEnvironment",
    "ReleaseReservation",
    "Reschedule",
    "RescheduleStart",
    "ResendMail",
    "ReservationMade",
    "ResumedTransfer",
    "RevokeTicket",
    "SendMail",
    "StartNow",
    "StartPlanned",
    "StepSeen",
    "StepStatus",
    "StepTaken",
    "TableDifference",
    "TakeStep",
    "TicketIssued",
    "TransferInput",
    "TransferMemory",
    "TransferRecord",
    "TransferResult",
    "TransferStatus",
    "UnchangedChecked",
    "UnfreezeEnvironment",
    "UnreachableAddress",
    "UnreadSignal",
    "Upload",
    "UploadAccepted",
    "Verification",
    "VerifyClone",
]
