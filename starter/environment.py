"""Where a program finds its settings: in its environment, else at the stack that runs in this folder."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.settings import SECRETS, Settings, settings_of
from domain.errors import Misconfigured

_STACK_FILE = Path(".sb-transfer") / "stack.json"
# Naming a server means: not the stack in this folder. Half of one system and half of another would lose transfers.
_SERVERS = (
    "SB_TRANSFER_DATABASE_URL",
    "SB_TRANSFER_DATABASE_URL_FILE",
    "TEMPORAL_ADDRESS",
    "TEMPORAL_PROFILE",
    "TEMPORAL_CONFIG_FILE",
)


@dataclass(frozen=True)
class Surroundings:
    """Where a program works."""

    settings: Settings
    environment: dict[str, str]
    """All variables, for programs that are started from here and for Temporal's own configuration."""


def surroundings(environment: Mapping[str, str] | None = None, *, needs: Collection[str] = SECRETS) -> Surroundings:
    """Read the settings; when no server is named, those of the stack that `sb-transfer up` runs in this folder.

    Args:
        environment: Variables to read instead of this process's own.
        needs: Which of `SECRETS` the program cannot do without.

    Raises:
        Misconfigured: A setting is missing or unusable.
    """
    variables = dict(os.environ if environment is None else environment)
    if not any(variables.get(name) for name in _SERVERS):
        variables |= _running_stack()
    return Surroundings(settings=settings_of(variables, needs), environment=variables)


def _running_stack() -> dict[str, str]:
    """Return the settings of the stack that runs in the current folder.

    Raises:
        Misconfigured: None does.
    """
    found = None
    if _STACK_FILE.exists():
        from devstack.info import environment_of  # noqa: PLC0415 - an extra that production does without

        found = environment_of(_STACK_FILE.parent)
    if found is None:
        raise Misconfigured(
            "No server is named and no stack runs in this folder. Run `sb-transfer up` here, or set "
            "SB_TRANSFER_DATABASE_URL, SB_TRANSFER_SMTP_URL, SB_TRANSFER_TICKET_KEYS, SB_TRANSFER_CERTIFICATE_KEYS, "
            "SB_TRANSFER_PAYLOAD_KEYS and TEMPORAL_ADDRESS."
        )
    return found
