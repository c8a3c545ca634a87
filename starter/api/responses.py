"""What callers are shown: the half of a transfer that is theirs, and all of it for those who look after it."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, JsonValue, field_validator

from adapters.transfer.queries import HeldAnywhere, HeldItem, TransferEvent
from domain import messages as m
from domain.authority import Caller, Part, Role
from domain.checklist import ChecklistItem, Phase
from domain.messages import Message
from domain.naming import told_to_everybody, without_schemas
from domain.steps import StepName, StepState
from domain.vocabulary import (
    CheckKind,
    DeliveryOutcome,
    EnvironmentStatus,
    Language,
    LicenceKind,
    MailKind,
    Scenario,
    TransferState,
    UndoReason,
)
from starter.client.models import TransferSnapshot


class View(Message):
    """What is shown tells every moment in UTC, whether the database or a workflow knew it."""

    @field_validator("*")
    @classmethod
    def _in_utc(cls, value: object) -> object:
        return value.astimezone(UTC) if isinstance(value, datetime) else value


class EnvironmentView(View):
    """An environment by the names that people use."""

    environment_id: UUID
    name: str
    url: str
    licence_number: str


class EnvironmentLineView(View):
    """An environment in a list."""

    environment_id: UUID
    name: str
    url: str
    licence_number: str
    holder_name: str
    status: EnvironmentStatus


class EnvironmentPage(View):
    """Environments by licence and name."""

    items: list[EnvironmentLineView]
    next_cursor: str | None = Field(description="for the next page; null on the last one")


class LicenceView(View):
    """Who holds a licence."""

    licence_number: str
    holder_name: str
    kind: LicenceKind
    in_use: bool = Field(
        description="an environment of it is worked in, or is coming; one that is not can be cancelled"
    )
    cancelled_at: AwareDatetime | None = Field(description="when the platform said that its holder cancelled it")


class RegisteredLicenceView(View):
    """A licence as it is registered."""

    licence_number: str
    holder_name: str
    kind: LicenceKind
    host: str
    contact_email: str
    language: Language
    cancelled: bool


class RegisteredEnvironmentView(View):
    """An environment as it is registered."""

    environment_id: UUID
    licence_number: str
    name: str
    url: str
    url_part: str
    mailbox_address: str = Field(description="mail for it goes to this environment")
    login_email: str | None
    status: EnvironmentStatus


class NameProblem(View):
    """Why an upload with this name or url part would be refused."""

    field: Literal["name", "url_part"]
    type: str = Field(description="the type of the problem that an upload would meet")
    detail: str = Field(description="in the language of `Accept-Language`, ending in what to do")


class NameView(View):
    """What a name and a url part would become, and what is wrong with them."""

    name: str
    url_part: str
    url: str | None
    problems: list[NameProblem]


class UploadPreview(View):
    """What a ticket would do under a licence; it has not been used."""

    transfer_id: UUID
    environment_name: str
    holder_name: str = Field(description="whose environment it is now")
    new_holder: str = Field(description="whose it would become")
    scenario: Scenario
    expires_at: AwareDatetime


class ChecklistLine(View):
    """A point of the manual's check lists."""

    item: ChecklistItem
    phase: Phase
    ticked_by: str | None
    ticked_at: AwareDatetime | None


class ChecklistView(View):
    """Every point, in the manual's order: what to compare before the release, and what to do after it."""

    items: list[ChecklistLine]


class StepView(View):
    """One step of the story."""

    step: StepName
    state: StepState
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None


class TransferView(View):
    """Where a transfer stands. What belongs to the other side is null."""

    transfer_id: UUID
    state: TransferState
    scenario: Scenario | None
    old: EnvironmentView | None
    new: EnvironmentView | None
    new_holder: str | None = Field(description="the name of whoever takes the environment over, from the upload on")
    waiting_for: str
    ticket_expires_at: AwareDatetime | None
    starts_at: AwareDatetime | None
    steps: list[StepView]
    progress: m.CloneProgress | None = Field(description="the clone or the verification under way")
    comparison: m.ComparisonSummary | None
    mail_problems: list[m.MailProblem] | None = Field(description="null for those who do not look after mail")
    undo_reason: UndoReason | None
    undo_detail: str | None


class HeldItemView(View):
    """A mail or a scan that came while its environment moved."""

    item_id: int
    kind: Literal["mail", "scan"]
    address: str = Field(description="whom it came for")
    sender: str | None = Field(description="null while the environment's contents are not the caller's to see")
    subject: str | None = Field(description="of a scan its file name; null as `sender` is")
    received_at: AwareDatetime
    bytes: int
    set_aside: bool = Field(description="its environment refused it; it is tried again every ten minutes")


class HeldItemsView(View):
    """So many of the items that wait for the end of a transfer, in their order, and how many there are."""

    mails: int
    scans: int
    items: list[HeldItemView]
    next_after: int | None = Field(description="for the next page; null on the last one")


class HeldAnywhereView(HeldItemView):
    """The same among those of all transfers."""

    environment_id: UUID | None = Field(description="whom it came for; once that has moved, the new environment")
    environment_name: str | None
    licence_number: str | None
    transfer_id: UUID | None = Field(description="the newest transfer of this environment")


class HeldAnywherePage(View):
    """So many of the items that wait for the end of any transfer, in their order, and how many there are."""

    mails: int
    scans: int
    items: list[HeldAnywhereView]
    next_after: int | None = Field(description="for the next page; null on the last one")


class TransferLine(View):
    """A transfer in a list."""

    transfer_id: UUID
    state: TransferState
    scenario: Scenario | None
    environment_name: str | None
    new_name: str | None = Field(description="what the environment is called under the new licence, from the upload on")
    source_licence: str | None
    target_licence: str | None
    new_holder: str | None
    starts_at: AwareDatetime | None
    created_at: AwareDatetime
    undo_reason: UndoReason | None


class TransferPage(View):
    """Transfers from new to old."""

    items: list[TransferLine]
    next_cursor: str | None = Field(description="for the next page; null on the last one")


class PreviewView(m.Preview):
    """What a move will do, told before anything happens; of each list the first hundred."""

    environment: EnvironmentView  # type: ignore[assignment] # where its rows are kept is nobody's but operators'
    obstacles: list[m.Finding] = Field(  # type: ignore[assignment] # in one language, where the preview has both
        description="in the language of Accept-Language, Dutch unless it says otherwise"
    )


class ComparisonView(View):
    """So many checks of a comparison, and what there is in all."""

    made_at: AwareDatetime
    total: int
    unequal: int
    inbox: m.InboxCounts | None
    checks: list[m.Check]
    next_after: int | None = Field(description="for the next page; null on the last one")


class RetirementView(View):
    """The end of an old environment, as it is planned."""

    environment_id: UUID
    transfer_id: UUID = Field(description="whose log tells of it")
    due_at: AwareDatetime


class RetirementStandingView(View):
    """How far the end of an old environment is."""

    environment_id: UUID
    state: m.RetirementState
    due_at: AwareDatetime | None = Field(description="when it is removed; null if nothing is planned")
    retired_at: AwareDatetime | None = Field(description="when its books began to be dropped")


class CalledBackView(View):
    """An environment that stays."""

    environment_id: UUID


class DeliveryView(View):
    """What became of a mail or a scan."""

    outcome: DeliveryOutcome


class ColumnView(View):
    """A value that each row behind a check has."""

    name: str
    title: str


class ComparedRowsView(View):
    """So many of the rows behind one check, those that differ first."""

    check: CheckKind
    columns: list[ColumnView] = Field(description="what the values of a row are, in the language of `Accept-Language`")
    rows: list[m.ComparedRow]
    next_after: int | None = Field(description="for the next page; null on the last one")


class EveningView(m.Evening, View):
    """How far an evening is, or will be, and whether all of it fits in its window."""


class EventView(View):
    """One line of a transfer's audit log."""

    event_id: int
    at: AwareDatetime
    actor: str
    kind: str
    reason: str
    detail: dict[str, JsonValue] = Field(description="what else is known of it, by its kind")


class MailView(View):
    """What became of a mail that was asked for again."""

    kind: MailKind
    sent: int
    problems: list[m.MailProblem]


class PlannedView(View):
    """The evening that a move waits for."""

    transfer_id: UUID
    starts_at: AwareDatetime
    closes_at: AwareDatetime


class UploadView(View):
    """An accepted upload: where the environment will live, and exactly when its move starts."""

    transfer_id: UUID
    scenario: Scenario
    new_environment_id: UUID
    name: str
    url: str
    starts_at: AwareDatetime


class TicketView(View):
    """What is known of a transfer's ticket; the file itself is kept nowhere."""

    file_name: str
    issued_at: AwareDatetime
    expires_at: AwareDatetime
    for_licence: str | None = Field(description="the only licence that may upload it; null for any")
    made_at: AwareDatetime | None = Field(description="when the only file that works was made")
    used_at: AwareDatetime | None
    revoked_at: AwareDatetime | None


class Accepted(View):
    """Something that goes on by itself; `Location` says where to look."""

    transfer_id: UUID
    state: TransferState


# Who looks after mail reads the rest in the database; a page that holds thousands of lines is read by nobody.
_MOST_SHOWN = 100


def transfer_view(snapshot: TransferSnapshot, record: m.TransferRecord, caller: Caller) -> TransferView:
    """Return what a caller may see of a transfer; what that is, `domain.authority` says."""
    status = snapshot.status
    sees = _sees(record, status.state, caller)
    said = without_schemas if Role.OPERATOR not in caller.roles else _as_it_is
    return TransferView(
        transfer_id=status.transfer_id,
        state=status.state,
        scenario=status.scenario if sees(Part.SCENARIO) else None,
        old=_environment(status.old) if sees(Part.OLD_ENVIRONMENT) else None,
        new=_environment(status.new) if sees(Part.NEW_ENVIRONMENT) else None,
        new_holder=record.target_holder if sees(Part.NEW_HOLDER) else None,
        waiting_for=said(status.waiting_for) if sees(Part.INNER) else "",
        ticket_expires_at=status.ticket_expires_at if sees(Part.TICKET) else None,
        starts_at=status.starts_at,
        steps=[
            StepView(step=step.step, state=step.state, started_at=step.started_at, finished_at=step.finished_at)
            for step in status.steps
        ],
        progress=snapshot.clone,
        comparison=status.comparison if sees(Part.COMPARISON) else None,
        mail_problems=status.mail_problems[:_MOST_SHOWN] if sees(Part.INNER) else None,
        undo_reason=status.undo_reason,
        undo_detail=said(status.undo_detail) if sees(Part.INNER) else None,
    )


def held_view(found: list[HeldItem], limit: int, record: m.TransferRecord, caller: Caller) -> HeldItemsView:
    """Return what waits for the end of a transfer; `found` holds one more than `limit` when there are more."""
    shows = _sees(record, record.state, caller)(Part.HELD)
    page = found[:limit]
    items = []
    for one in page:
        known = {name: getattr(one, name) for name in HeldItemView.model_fields}
        items.append(HeldItemView(**(known if shows else known | {"sender": None, "subject": None})))
    return HeldItemsView(
        mails=found[0].mails if found else 0,
        scans=found[0].scans if found else 0,
        items=items,
        next_after=page[-1].item_id if len(found) > limit else None,
    )


def held_anywhere_view(found: list[HeldAnywhere], limit: int) -> HeldAnywherePage:
    """Return what waits anywhere, for those who see everything; `found` holds one more than `limit` if there are."""
    fields, page = HeldAnywhereView.model_fields, found[:limit]
    return HeldAnywherePage(
        mails=found[0].mails if found else 0,
        scans=found[0].scans if found else 0,
        items=[HeldAnywhereView(**{name: getattr(one, name) for name in fields}) for one in page],
        next_after=page[-1].item_id if len(found) > limit else None,
    )


def preview_view(preview: m.Preview, language: Language) -> PreviewView:
    """Return a preview as callers are shown it, in their language."""
    english = language is Language.ENGLISH
    obstacles = [m.Finding(**dict(one if english else one.nl)) for one in preview.obstacles]
    shown = {"environment": _environment(preview.environment), "obstacles": obstacles}
    return PreviewView(**{**dict(preview), **shown})


def event_view(event: TransferEvent, caller: Caller) -> EventView:
    """Return a line of the log; where things are kept, and which program asked, is nobody's but operators'."""
    if Role.OPERATOR in caller.roles:
        return EventView(**dict(event))
    told = {"detail": told_to_everybody(event.detail), "reason": without_schemas(event.reason)}
    return EventView(**{**dict(event), **told})


def transfer_line(record: m.TransferRecord, caller: Caller) -> TransferLine:
    """Return what a caller may see of a transfer in a list."""
    sees = _sees(record, record.state, caller)
    return TransferLine(
        transfer_id=record.transfer_id,
        state=record.state,
        scenario=record.scenario if sees(Part.SCENARIO) else None,
        environment_name=record.environment_name if sees(Part.OLD_ENVIRONMENT) else None,
        new_name=record.new_name if sees(Part.NEW_ENVIRONMENT) else None,
        source_licence=record.source_licence if sees(Part.OLD_ENVIRONMENT) else None,
        target_licence=record.target_licence if sees(Part.NEW_ENVIRONMENT) else None,
        new_holder=record.target_holder if sees(Part.NEW_HOLDER) else None,
        starts_at=record.starts_at,
        created_at=record.created_at,
        undo_reason=record.undo_reason,
    )


def _as_it_is(value: Any) -> Any:
    return value


def _sees(record: m.TransferRecord, state: TransferState, caller: Caller) -> Callable[[Part], bool]:
    return partial(caller.sees, state=state, old_licence=record.source_licence, new_licence=record.target_licence)


def _environment(summary: m.EnvironmentSummary | None) -> EnvironmentView | None:
    if summary is None:
        return None
    return EnvironmentView(
        environment_id=summary.environment_id,
        name=summary.name,
        url=summary.url,
        licence_number=summary.licence_number,
    )
