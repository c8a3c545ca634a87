"""Where a running stack is: what `sb-transfer up` tells other programs in `stack.json`."""

import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.fernet import Fernet
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from devstack import processes
from devstack.lock import FolderLock

DEFAULT_FOLDER = Path(".sb-transfer")
_STACK_FILE = "stack.json"
_KEYS_FILE = "ticket-keys"


class StackInfo(BaseModel):
    """The addresses of one running stack; those with a password are left out when it is printed."""

    model_config = ConfigDict(frozen=True)

    database_url: str = Field(repr=False)
    app_database_url: str | None = Field(default=None, repr=False)
    temporal_address: str
    ui_url: str | None = None
    smtp_url: str = Field(repr=False)
    mail_dir: Path | None = None
    api_url: str | None = None
    pids: Mapping[str, int] = Field(default_factory=dict, description="by name: up, postgres, temporal, mail, worker")

    def settings(self, key_ring: str) -> dict[str, str]:
        """Return the environment variables with which a program uses this stack."""
        found = {
            "SB_TRANSFER_DATABASE_URL": self.database_url,
            "SB_TRANSFER_SMTP_URL": self.smtp_url,
            "SB_TRANSFER_TICKET_KEYS": key_ring,
            "TEMPORAL_ADDRESS": self.temporal_address,
        }
        if self.mail_dir is not None:
            found["SB_TRANSFER_MAIL_DIR"] = str(self.mail_dir)
        if "temporal" in self.pids:
            # Whatever somebody's own profile says of namespaces, keys and certificates is about another server.
            found |= {"TEMPORAL_NAMESPACE": "default", "TEMPORAL_CONFIG_FILE": os.devnull}
        return found

    def write(self, folder: Path) -> None:
        """Write `stack.json`, which only its owner may read, whole or not at all."""
        processes.write_private(folder / _STACK_FILE, self.model_dump_json(indent=2) + "\n")

    @staticmethod
    def remove(folder: Path) -> None:
        """Say that the stack is gone."""
        (folder / _STACK_FILE).unlink(missing_ok=True)

    @classmethod
    def read(cls, folder: Path) -> "StackInfo | None":
        """Return where the stack of a folder is, or `None` when none runs: a killed one leaves its file behind."""
        if not FolderLock(folder).is_held():
            return None
        try:
            return cls.model_validate_json((folder / _STACK_FILE).read_text())
        except (FileNotFoundError, ValidationError):
            return None  # it is still starting


def ticket_keys(folder: Path) -> str:
    """Return a folder's key ring; it is made once and then kept."""
    file = folder / _KEYS_FILE
    if not file.exists():
        processes.write_private(file, Fernet.generate_key().decode() + "\n")
    return file.read_text().strip()


def environment_of(folder: Path = DEFAULT_FOLDER) -> dict[str, str] | None:
    """Return the settings with which a program uses the stack that runs in a folder, or `None` when none runs."""
    info = StackInfo.read(folder)
    return info.settings(os.environ.get("SB_TRANSFER_TICKET_KEYS") or ticket_keys(folder)) if info else None
