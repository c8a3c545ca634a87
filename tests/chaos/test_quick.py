"""The most telling faults, on every run of the tests; `make chaos` injects all of them."""

import random
from pathlib import Path

from domain.steps import ActivityName
from domain.vocabulary import TransferState
from tests.chaos.faults import Boundary, Fault, Manner, Victim, draw, every_fault
from tests.chaos.lane import Work, lane
from tests.chaos.reckoning import Score

# A clone that is cut in two, an answer that is lost, an undo whose database goes away, a release that is given twice:
# each is where a shortcut would lose or double something. In two transfers: one is rejected, one is released.
TELLING = (
    Fault(Victim.TEMPORAL, Manner.KILLED, ActivityName.FREEZE_ENVIRONMENT, Boundary.AFTER),
    Fault(Victim.POSTGRES, Manner.KILLED, ActivityName.CLONE_ADMINISTRATIONS, Boundary.HALF_WAY),
    Fault(Victim.WORKER, Manner.KILLED, ActivityName.VERIFY_CLONE, Boundary.HALF_WAY),
    Fault(Victim.POSTGRES, Manner.SHUT_DOWN, ActivityName.DROP_CLONE, Boundary.BEFORE),
    Fault(Victim.MAIL, Manner.KILLED, state=TransferState.RELEASED),
    Fault(Victim.WORKER, Manner.STOPPED, ActivityName.RELEASE_ENVIRONMENT, Boundary.AFTER),
)


def test_every_boundary_and_every_state_is_in_the_list() -> None:
    """Lists a fault for every activity's boundary and every state."""
    faults = list(every_fault())
    assert len(faults) == len(set(faults)) >= 200
    assert {fault.activity for fault in faults if fault.boundary is Boundary.BEFORE} == set(ActivityName)
    assert {fault.activity for fault in faults if fault.boundary is Boundary.AFTER} == set(ActivityName)
    assert {fault.state for fault in faults if fault.state} == set(TransferState)
    assert {fault.victim for fault in faults} == set(Victim)


def test_every_fault_is_drawn_exactly_once() -> None:
    """Draws each fault once, whatever the shuffle."""
    open_faults = list(every_fault())
    drawn: list[Fault] = []
    dice = random.Random(1)  # noqa: S311 - a draw that can be repeated
    while open_faults:
        ending, faults = draw(open_faults, dice, 12)
        assert faults
        assert all(ending in fault.endings for fault in faults)
        drawn += faults
    assert sorted(map(str, drawn)) == sorted(map(str, every_fault()))


async def test_the_telling_faults_lose_nothing(tmp_path: Path) -> None:
    """Loses and doubles nothing when a server dies at the moments that matter most."""
    score = Score()
    work = Work(list(TELLING), random.Random(1), len(TELLING))  # noqa: S311 - a draw that can be repeated
    async with lane(1, tmp_path / "stack", score, journal_lines=20_000) as one:
        await one.work_off(work)
    print(score)  # noqa: T201 - how much was proved
    assert score.violations == []
    assert (score.rows_lost, score.rows_doubled) == (0, 0)
    assert sorted(score.faults) == sorted(map(str, TELLING))
