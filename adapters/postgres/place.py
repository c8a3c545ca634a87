"""Where an environment lives, and from where to where one moves."""

from dataclasses import dataclass
from typing import Protocol, Self

from domain.vocabulary import HOME


class _Order(Protocol):
    """A message that names both sides of a move."""

    @property
    def source_schema(self) -> str: ...
    @property
    def target_schema(self) -> str: ...
    @property
    def source_cell(self) -> str: ...
    @property
    def target_cell(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Place:
    """A schema, and the shard whose database it is in."""

    schema: str
    shard: str = HOME


@dataclass(frozen=True, slots=True)
class Move:
    """The old environment's place and the new one's."""

    old: Place
    new: Place

    @classmethod
    def of(cls, order: _Order) -> Self:
        """Return the move that a message is about."""
        return cls(Place(order.source_schema, order.source_cell), Place(order.target_schema, order.target_cell))

    @property
    def across(self) -> bool:
        """Tell whether the two are in different databases."""
        return self.old.shard != self.new.shard
