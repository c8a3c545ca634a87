"""Copying an environment exactly, driven by the catalog."""

from adapters.clone.engine import PostgresCloneEngine
from adapters.clone.grants import apply_schema_grants
from adapters.clone.throttle import Limits, require_sight

__all__ = ["Limits", "PostgresCloneEngine", "apply_schema_grants", "require_sight"]
