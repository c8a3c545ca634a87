"""Copying an environment exactly, driven by the catalog."""

from adapters.clone.engine import PostgresCloneEngine
from adapters.clone.throttle import Limits, require_sight

__all__ = ["Limits", "PostgresCloneEngine", "require_sight"]
