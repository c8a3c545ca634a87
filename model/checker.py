"""Checks the model: `python -m model.checker`, or `make model`."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from model import tools
from tests.tools.debian import ToolMissing

MODEL = Path(__file__).parent / "transfer.pml"
# Far above what any run here needs; a search that is cut off at its depth has proved nothing and counts as a failure.
_DEPTH = 5_000_000
_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Search:
    """A size of the model, and a mutation of it if one is given."""

    name: str
    moves: int = 1
    evenings: int = 1
    workers: int = 2
    writes: int = 1
    faults: int | None = None
    mutation: str = ""

    def defines(self) -> list[str]:
        """Return the settings as SPIN takes them; a number of faults asks whether the transfer always ends."""
        settings = {"MOVES": self.moves, "EVENINGS": self.evenings, "WORKERS": self.workers, "WRITES": self.writes}
        given = [f"-D{name}={value}" for name, value in settings.items()]
        given += [] if self.faults is None else [f"-DFAULTS={self.faults}"]
        return [*given, f"-D{self.mutation}"] if self.mutation else given


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an exhaustive search found: how many states, and what was violated first, with the way there."""

    states: int
    violation: str = ""
    trail: str = ""


SEARCHES = (
    Search("one move, a clone that takes two evenings", evenings=2, writes=0),
    Search("an undone move, and a second one of the same environment", moves=2),
    Search("it always ends, when workers that are lost come back", writes=0, faults=1),
)
LARGE = (
    Search("two moves and two evenings", moves=2, evenings=2),
    Search("one move, three attempts at once", workers=3),
    Search("it always ends, two evenings, two faults", evenings=2, faults=2),
)
MUTATIONS = (
    Search("the old environment is opened before the new one is gone", mutation="UNFREEZE_FIRST"),
    Search("forward steps do not look whether the undo has begun", mutation="NO_BAR"),
    Search("a compensation is registered after its step", mutation="COMPENSATE_AFTER"),
    Search("a compensation is tried once", mutation="COMPENSATE_ONCE"),
    Search("a copier does not look whether it was replaced", mutation="NO_TOKEN"),
    Search("an early release is remembered", mutation="EARLY_RELEASE_REMEMBERED"),
    Search("compensations do not look whether it was released", mutation="UNDO_AFTER_RELEASE"),
    Search("a cancel is heeded while the release is on its way", mutation="CANCEL_BEATS_RELEASE"),
    Search("the freeze does not wait for writers in flight", mutation="FREEZE_DOES_NOT_WAIT"),
    Search("a lifted fence is dropped without looking again", moves=2, mutation="BLIND_SWEEP"),
)


class CheckFailed(Exception):
    """The search itself did not work, so nothing is known about the model."""


def check(search: Search) -> Outcome:
    """Search every state of the model and return what was found.

    Raises:
        ToolMissing: SPIN or a C compiler is not to be had.
        CheckFailed: The model does not compile, or the search was cut off before its end.
    """
    spin, compiler = tools.spin(), tools.compiler()
    liveness = search.faults is not None
    with tempfile.TemporaryDirectory(prefix="sb-transfer-model-") as name:
        folder = Path(name)
        preprocessor = f"-P{' '.join(compiler)} -E -x c"
        _run([spin, preprocessor, "-a", *search.defines(), str(MODEL)], folder)
        kind = ["-DNFAIR=3"] if liveness else ["-DSAFETY"]
        # Not optimised: the searches are short, and compiling would take longer than they do.
        _run([*compiler, "-O1" if search in LARGE else "-O0", "-w", *kind, "-o", "pan", "pan.c"], folder)
        report = _run(
            ["./pan", f"-m{_DEPTH}", f"-w{20 if search.mutation else 24}", *(["-a", "-f"] if liveness else [])], folder
        )
        return _outcome(search, report, spin, preprocessor, folder)


def _outcome(search: Search, report: str, spin: str, preprocessor: str, folder: Path) -> Outcome:
    errors = re.search(r"errors: (\d+)", report)
    states = re.search(r"(\d+) states, stored", report)
    if not (errors and states) or "max search depth too small" in report or "out of memory" in report:
        raise CheckFailed(f"The search for {search.name!r} was cut off:\n{report[-2000:]}")
    if errors[1] == "0":
        return Outcome(int(states[1]))
    violation = re.search(r"pan:\d+: (.*)", report)
    trail = _run([spin, preprocessor, "-t", "-g", *search.defines(), str(MODEL)], folder, passes=False)
    return Outcome(int(states[1]), violation[1] if violation else "violated", trail)


def _run(command: list[str], folder: Path, *, passes: bool = True) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=_SECONDS)
    if passes and done.returncode:
        raise CheckFailed(f"{command[0]} failed:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    return done.stdout + done.stderr


def _report(searches: Iterable[Search], *, violated: bool) -> int:
    """Print a line for each search and return how many did not end as they should."""
    wrong = 0
    for search in searches:
        outcome = check(search)
        as_it_should = bool(outcome.violation) is violated
        wrong += not as_it_should
        found = f"violated: {outcome.violation[:70]}" if outcome.violation else "holds"
        print(f"{'ok ' if as_it_should else 'NOT'} {search.name}: {outcome.states} states, {found}", flush=True)  # noqa: T201
        if outcome.violation and not violated:
            print(outcome.trail)  # noqa: T201
    return wrong


def main() -> int:
    """Check everything, the large sizes too."""
    try:
        return bool(_report((*SEARCHES, *LARGE), violated=False) + _report(MUTATIONS, violated=True))
    except (ToolMissing, CheckFailed) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2


if __name__ == "__main__":
    sys.exit(main())
