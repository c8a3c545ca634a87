"""The server with time that can be skipped, as the workflow tests have it."""

from tests.workflows.conftest import skipping

__all__ = ["skipping"]
