"""Which of the manual's three moves two licences make."""

import pytest

from domain.errors import SameLicence, ScenarioNotOffered
from domain.scenario import scenario_of
from domain.vocabulary import LicenceKind, Scenario

FIRM = LicenceKind.FIRM
SELF = LicenceKind.SELF_MANAGED


@pytest.mark.parametrize(
    ("old", "new", "scenario"),
    [(FIRM, FIRM, Scenario.SWITCH), (SELF, FIRM, Scenario.OUTSOURCE), (FIRM, SELF, Scenario.INSOURCE)],
)
def test_the_three_moves_of_the_manual(old: LicenceKind, new: LicenceKind, scenario: Scenario) -> None:
    """Finds the scenario from the two licences."""
    assert scenario_of(old_licence="1", old_kind=old, new_licence="2", new_kind=new) is scenario


@pytest.mark.parametrize("kind", [FIRM, SELF])
def test_a_move_to_the_same_licence_is_refused(kind: LicenceKind) -> None:
    """Refuses a move to the same licence."""
    with pytest.raises(SameLicence):
        scenario_of(old_licence="1", old_kind=kind, new_licence="1", new_kind=kind)


def test_self_managed_to_self_managed_is_refused() -> None:
    """Refuses a move between two self-managed licences."""
    with pytest.raises(ScenarioNotOffered):
        scenario_of(old_licence="1", old_kind=SELF, new_licence="2", new_kind=SELF)
