"""The seed: believable books for demo, tests and measurements."""

from devstack.seed.environments import SHOW_MOVES, ShowMove
from devstack.seed.seeding import SeededEnvironment, SeedReport, make_books, seed

__all__ = ["SHOW_MOVES", "SeedReport", "SeededEnvironment", "ShowMove", "make_books", "seed"]
