"""What an evening has to reach, on two cores with nothing else on them and with a thousand moves."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure by its key, and between what it has to be; a figure that is not there reaches nothing."""

    figure: str
    at_most: float = math.inf
    at_least: float = -math.inf

    def is_reached(self, found: Mapping[str, Any]) -> bool:
        figure = found.get(self.figure)
        return figure is not None and self.at_least <= figure <= self.at_most

    def __str__(self) -> str:
        bound = f"at most {self.at_most:g}" if math.isfinite(self.at_most) else f"at least {self.at_least:g}"
        return f"{self.figure.replace('_', ' ')} {bound}"


_WHOLE = [Bar(name, at_most=0) for name in ("violations", "lost", "doubled")]
_COSTS = [Bar("worker_mb", at_most=600), Bar("prepare_s", at_most=0.35)]
_EVENING = [
    Bar("first_ready_s", at_most=10),
    Bar("start_lag_s", at_most=2),
    Bar("ratio_to_loop", at_least=0.7),
    Bar("smallest_firm_by_evening", at_most=0.05),
    Bar("status_p99_by_rest_p50", at_most=3),
]
_WINDOW = [Bar("dropped", at_most=0), Bar("kept_by_loop", at_least=0.95)]


def bars_of(*, window: bool, kill: bool) -> list[Bar]:
    """Return what a measurement has to reach: one whose servers are killed makes no evening to be measured."""
    return [*_WHOLE, *_COSTS, *(_WINDOW if window else [] if kill else _EVENING)]
