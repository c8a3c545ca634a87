"""Which of the manual's three moves two licences make."""

from domain.errors import SameLicence, ScenarioNotOffered
from domain.vocabulary import LicenceKind, Scenario

_SCENARIOS = {
    (LicenceKind.FIRM, LicenceKind.FIRM): Scenario.SWITCH,
    (LicenceKind.SELF_MANAGED, LicenceKind.FIRM): Scenario.OUTSOURCE,
    (LicenceKind.FIRM, LicenceKind.SELF_MANAGED): Scenario.INSOURCE,
}


def scenario_of(*, old_licence: str, old_kind: LicenceKind, new_licence: str, new_kind: LicenceKind) -> Scenario:
    """Return the scenario that follows from the two licences.

    Raises:
        SameLicence: Old and new are one licence.
        ScenarioNotOffered: From self-managed to self-managed, which the manual does not offer.
    """
    if old_licence == new_licence:
        raise SameLicence
    scenario = _SCENARIOS.get((old_kind, new_kind))
    if scenario is None:
        raise ScenarioNotOffered
    return scenario
