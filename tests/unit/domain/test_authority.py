"""What each role sees of each half in each state: written out on purpose, and not derived from the rules."""

import pytest

from domain.authority import Action, Caller, Part, Role
from domain.vocabulary import EnvironmentStatus, TransferState

OLD, NEW, OTHER = "10001", "10002", "10003"
OPENED = {TransferState.AWAITING_RELEASE, TransferState.RELEASED}
WHO = {
    "old side": Caller(subject="1", name="a", roles=frozenset({Role.FIRM}), licence_number=OLD),
    "new side": Caller(subject="2", name="b", roles=frozenset({Role.FIRM}), licence_number=NEW),
    "another firm": Caller(subject="3", name="c", roles=frozenset({Role.FIRM}), licence_number=OTHER),
    "support": Caller(subject="4", name="d", roles=frozenset({Role.SUPPORT})),
    "operator": Caller(subject="5", name="e", roles=frozenset({Role.OPERATOR})),
    "backend": Caller(subject="6", name="f", roles=frozenset({Role.BACKEND})),
}
STAFF = {"support", "operator", "backend"}
SEES = {
    "old side": {Part.OLD_ENVIRONMENT, Part.NEW_HOLDER, Part.TICKET, Part.HELD},
    "new side": {Part.NEW_ENVIRONMENT, Part.NEW_HOLDER, Part.SCENARIO, Part.COMPARISON, Part.HELD},
    "another firm": set(),
}


@pytest.mark.parametrize("who", list(WHO))
@pytest.mark.parametrize("state", list(TransferState))
def test_who_sees_which_part_in_which_state(who: str, state: TransferState) -> None:
    """Shows the old side who takes over and no more; comparison and mail are whose the environment is to look into."""
    caller = WHO[who]
    seen = {part for part in Part if caller.sees(part, state=state, old_licence=OLD, new_licence=NEW)}
    closed = {Part.COMPARISON, Part.HELD} if who == "new side" and state not in OPENED else set()
    gone = {Part.HELD} if who == "old side" and state is TransferState.RELEASED else set()
    expected = set(Part) if who in STAFF else SEES[who] - closed - gone
    assert seen == expected


@pytest.mark.parametrize("who", list(WHO))
@pytest.mark.parametrize("state", list(TransferState))
@pytest.mark.parametrize("action", [Action.COMPARE, Action.CERTIFICATE])
def test_the_contents_are_read_when_they_are_open(who: str, state: TransferState, action: Action) -> None:
    """Refuses the new side the comparison and the certificate before the opening, and after an undo."""
    caller = WHO[who]
    assert caller.may(action, old_licence=OLD, new_licence=NEW) is (who in STAFF | {"new side"})
    assert caller.may_now(action, state) is (who in STAFF or state in OPENED)


@pytest.mark.parametrize("status", list(EnvironmentStatus))
@pytest.mark.parametrize("action", [Action.PREVIEW, Action.PREPARE])
def test_a_clone_is_not_its_holders_before_the_release(status: EnvironmentStatus, action: Action) -> None:
    """Refuses the new side a preview, and a move, of an environment that has not been released to it."""
    own = status not in {EnvironmentStatus.BUILDING, EnvironmentStatus.AWAITING_RELEASE}
    assert WHO["new side"].may_with_environment(action, licence=NEW, status=status) is own
    assert not WHO["old side"].may_with_environment(action, licence=NEW, status=status)
    assert WHO["support"].may_with_environment(action, licence=NEW, status=status)
