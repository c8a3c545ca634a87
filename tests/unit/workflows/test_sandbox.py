"""Runs share the workflows' modules in a worker, so no module may keep anything of a run."""

import importlib
import pkgutil
from collections.abc import MutableMapping, MutableSequence, MutableSet

import pytest

import workflows

MODULES = [module.name for module in pkgutil.iter_modules(workflows.__path__, "workflows.")]


@pytest.mark.parametrize("name", MODULES)
def test_no_module_of_workflows_keeps_anything(name: str) -> None:
    """What one transfer wrote there, all others of the worker would read, and a replay would not."""
    kept = [
        word
        for word, value in vars(importlib.import_module(name)).items()
        if not word.startswith("__") and isinstance(value, MutableMapping | MutableSequence | MutableSet)
    ]
    assert kept == []
