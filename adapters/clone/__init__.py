"""Copying an environment exactly, driven by the catalog."""

from adapters.clone.engine import PostgresCloneEngine
from adapters.clone.grants import apply_schema_grants

__all__ = ["PostgresCloneEngine", "apply_schema_grants"]
