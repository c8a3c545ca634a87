"""The seed: believable books for demo, tests and measurements."""

from adapters.books.catalogue import SHOW_MOVES, ShowMove
from adapters.books.seeding import SeededEnvironment, SeedReport, seed

__all__ = ["SHOW_MOVES", "SeedReport", "SeededEnvironment", "ShowMove", "seed"]
