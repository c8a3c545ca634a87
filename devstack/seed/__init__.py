"""The seed: believable books for demo, tests and measurements."""

from devstack.seed.environments import SHOW_MOVES, ShowMove
from devstack.seed.seeding import SeededEnvironment, SeedReport, seed

__all__ = ["SHOW_MOVES", "SeedReport", "SeededEnvironment", "ShowMove", "seed"]
