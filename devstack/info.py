"""Where a running stack is: what `sb-transfer up` tells other programs in `stack.json`."""

import base64
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.private_files import write_private
from devstack.lock import FolderLock

DEFAULT_FOLDER = Path(".sb-transfer")
_STACK_FILE = "stack.json"
# Setting -> file. Each is 32 random bytes in base64: a Fernet key, the seed of an Ed25519 key, an AES-256 key.
_KEY_RINGS = {
    "SB_TRANSFER_TICKET_KEYS": "ticket-keys",
    "SB_TRANSFER_CERTIFICATE_KEYS": "certificate-keys",
    "SB_TRANSFER_PAYLOAD_KEYS": "payload-keys",
}

_SESSION_KEYS = "SB_TRANSFER_WEB_SESSION_KEYS"


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
    codec_url: str | None = None
    web_url: str | None = None
    identity_url: str | None = Field(default=None, description="where people of the embedded stack log in")
    metrics_url: str | None = Field(default=None, description="the worker's")
    api_metrics_url: str | None = None
    pids: Mapping[str, int] = Field(
        default_factory=dict, description="by name: up, postgres, temporal, mail, worker, api, codec, identity, web"
    )

    def settings(self, key_rings: Mapping[str, str]) -> dict[str, str]:
        """Return the environment variables with which a program uses this stack."""
        found = {
            "SB_TRANSFER_DATABASE_URL": self.database_url,
            "SB_TRANSFER_SMTP_URL": self.smtp_url,
            "TEMPORAL_ADDRESS": self.temporal_address,
            **key_rings,
        }
        if self.mail_dir is not None:
            found["SB_TRANSFER_MAIL_DIR"] = str(self.mail_dir)
        if "temporal" in self.pids:
            # Whatever somebody's own profile says of namespaces, keys and certificates is about another server.
            found |= {"TEMPORAL_NAMESPACE": "default", "TEMPORAL_CONFIG_FILE": os.devnull}
        return found

    def write(self, folder: Path) -> None:
        """Write `stack.json`, which only its owner may read, whole or not at all."""
        write_private(folder / _STACK_FILE, self.model_dump_json(indent=2) + "\n")

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


def key_rings(folder: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that hold keys: those given, else a folder's own, which are made once and then kept."""
    return {setting: given.get(setting) or _kept(folder / file) for setting, file in _KEY_RINGS.items()}


def session_keys(folder: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Return the setting that holds the keys of the pages' sessions, which no other program gets."""
    return {_SESSION_KEYS: given.get(_SESSION_KEYS) or _kept(folder / "session-keys")}


def _kept(file: Path) -> str:
    if not file.exists():
        write_private(file, base64.urlsafe_b64encode(os.urandom(32)).decode() + "\n")
    return file.read_text().strip()


def environment_of(folder: Path = DEFAULT_FOLDER) -> dict[str, str] | None:
    """Return the settings with which a program uses the stack that runs in a folder, or `None` when none runs."""
    info = StackInfo.read(folder)
    return info.settings(key_rings(folder, os.environ)) if info else None
