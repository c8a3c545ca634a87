"""Where a program finds its settings: in its environment, else at the stack that runs in this folder or another."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.settings import SECRETS, Settings, settings_of
from domain.errors import Misconfigured

STACK_FOLDER = "SB_TRANSFER_DIR"
"""Names the folder that `sb-transfer up --dir` keeps its data in; `.sb-transfer` here, if left out."""

_DEFAULT_FOLDER = ".sb-transfer"
# Naming a server means: not the stack in this folder. Half of one system and half of another would lose transfers.
_SERVERS = (
    "SB_TRANSFER_DATABASE_URL",
    "SB_TRANSFER_DATABASE_URL_FILE",
    "TEMPORAL_ADDRESS",
    "TEMPORAL_PROFILE",
    "TEMPORAL_CONFIG_FILE",
    "SB_TRANSFER_WEB_API_URL",
)


@dataclass(frozen=True)
class Surroundings:
    """Where a program works."""

    settings: Settings
    environment: dict[str, str]
    """All variables, for programs that are started from here and for Temporal's own configuration."""


def surroundings(
    environment: Mapping[str, str] | None = None, *, needs: Collection[str] = SECRETS, database: bool = True
) -> Surroundings:
    """Read the settings; when no server is named, those of the stack that `sb-transfer up` runs here.

    Args:
        environment: Variables to read instead of this process's own.
        needs: What has no default and the program cannot do without.
        database: Whether it needs one.

    Raises:
        Misconfigured: A setting is missing or unusable.
    """
    variables = dict(os.environ if environment is None else environment)
    if not any(variables.get(name) for name in _SERVERS):
        variables |= _running_stack(Path(variables.get(STACK_FOLDER) or _DEFAULT_FOLDER))
    return Surroundings(settings=settings_of(variables, needs, database=database), environment=variables)


def _running_stack(folder: Path) -> dict[str, str]:
    """Return the settings of the stack that has its data in a folder.

    Raises:
        Misconfigured: None does.
    """
    found = None
    if (folder / "stack.json").exists():
        from devstack.info import environment_of  # noqa: PLC0415 - an extra that production does without

        found = environment_of(folder)
    if found is None:
        raise Misconfigured(
            f"No server is named and no stack runs in {folder}. Run `sb-transfer up` here, name the folder of one that "
            f"runs by {STACK_FOLDER}, or set "
            "SB_TRANSFER_DATABASE_URL, SB_TRANSFER_SMTP_URL, SB_TRANSFER_TICKET_KEYS, SB_TRANSFER_CERTIFICATE_KEYS, "
            "SB_TRANSFER_PAYLOAD_KEYS and TEMPORAL_ADDRESS."
        )
    return found
