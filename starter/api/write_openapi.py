"""Write the API's description, for `make openapi`: `python -m starter.api.write_openapi > docs/openapi.json`."""

import json
import sys
from contextlib import AbstractAsyncContextManager
from typing import Any

from starter.api.application import build_app
from starter.api.dependencies import ApiContext


def _nobody() -> AbstractAsyncContextManager[ApiContext]:
    raise RuntimeError("a description serves nobody")


def description() -> dict[str, Any]:
    """Return the OpenAPI document; nothing is connected."""
    return build_app(_nobody).openapi()


def text() -> str:
    """Return the document as it is checked in."""
    return json.dumps(description(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
