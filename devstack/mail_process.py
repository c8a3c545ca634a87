"""The mail catcher as a process of its own."""

import sys
from collections.abc import Sequence
from pathlib import Path

from adapters.private_files import make_private_folder
from devstack.server_process import ServerProcess


class MailProcess(ServerProcess):
    """`python -m devstack.mail` for one folder, which keeps its port and its mails between starts."""

    def __init__(self, folder: Path) -> None:
        """Prepare the server; the folder is made when it is missing and holds `mails/`."""
        super().__init__("mail catcher", folder, "port")
        self.mail_dir = self.folder / "mails"

    @property
    def url(self) -> str:
        """Return the address as in SB_TRANSFER_SMTP_URL."""
        return f"smtp://127.0.0.1:{self.ports['port']}"

    def command(self) -> Sequence[str]:
        """Return the catcher's command."""
        make_private_folder(self.mail_dir)
        return [sys.executable, "-P", "-m", "devstack.mail", f"--port={self.ports['port']}", f"--dir={self.mail_dir}"]
