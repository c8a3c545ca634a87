"""What the pages call things."""

import pytest
from sb_transfer_client import errors

from domain.authority import Action
from domain.checklist import ChecklistItem
from domain.events import EventKind
from domain.portfolio import ItemState
from domain.steps import StepName, StepState
from domain.vocabulary import (
    ConsequenceKind,
    EnvironmentStatus,
    LicenceKind,
    MailKind,
    Scenario,
    TransferState,
    UndoReason,
)
from starter.web import words


@pytest.mark.parametrize(
    ("told", "kinds"),
    [
        (words.EVENTS, {*EventKind, *ConsequenceKind}),
        (words.MAILS, {*MailKind}),
        (words.STATES, {*TransferState}),
        (words.ITEM_STATES, {*ItemState}),
        (words.NOW_OLD, {*TransferState}),
        (words.STATUSES, {*EnvironmentStatus}),
        (words.SCENARIOS, {*Scenario}),
        (words.KINDS, {*LicenceKind}),
        (words.UNDONE, {*UndoReason}),
        (words.STEPS, {*StepName}),
        (words.STEP_STATES, {*StepState}),
        (words.POINTS, {*ChecklistItem}),
    ],
)
def test_everything_has_a_name_in_both_languages(told: dict[str, words.Pair], kinds: set[str]) -> None:
    """Shows nobody a word of the database's."""
    assert {str(kind) for kind in kinds} <= told.keys()
    assert all(dutch and english for dutch, english in told.values())


def test_what_support_does_is_told_by_its_own_words() -> None:
    """Tells an action of support's in words, and a kind of a newer service by its own name."""
    assert words.event(f"support_{Action.RELEASE}") == ("Support: vrijgegeven", "Support: released")
    assert words.event("something_new") == ("something new", "something new")


def test_every_refusal_of_an_upload_stands_at_a_field() -> None:
    """Leaves no refusal of an upload without the field that it is about."""
    kinds = {kind for kind in errors.UploadRefused.__subclasses__() if kind.type_uri}
    assert kinds - words.FIELDS.keys() <= {
        errors.UploadRefused.by_type().get("urn:sb-transfer:problem:cell-cannot-hold")
    }
