"""Finds Chromium, or fetches Debian's: what opens the Temporal UI in a test, and takes its pictures for the docs."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.tools.debian import ToolMissing, fetch, library_path
from tests.tools.paths import TOOLS

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_SECONDS = 60
# A machine without fonts has no configuration for them either; without both, no letter is drawn.
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{root}/usr/share/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>{root}/var/cache/fontconfig</cachedir>
</fontconfig>
"""


@dataclass(frozen=True)
class Chromium:
    """A browser that starts."""

    program: Path
    environment: dict[str, str]
    """Variables that it needs beyond the machine's own."""

    def version(self) -> str:
        """Return what it says of itself.

        Raises:
            ToolMissing: It does not start; the message is what it said.
        """
        command = [str(self.program), "--version"]
        try:
            said = subprocess.run(
                command,
                env={**os.environ, **self.environment},
                capture_output=True,
                text=True,
                check=False,
                timeout=_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ToolMissing(f"{self.program} does not start: {error}") from error
        if said.returncode or "Chrom" not in said.stdout:
            raise ToolMissing(f"{self.program} does not start: {said.stderr.strip()[-500:]}")
        return said.stdout.strip()


def chromium() -> Chromium:
    """Return the machine's own browser, the one fetched before, or one that is fetched now into `.tools/`.

    Raises:
        ToolMissing: There is none and Debian's package could not be had; the message says what to install.
    """
    for name in _NAMES:
        if found := shutil.which(name):
            own = Chromium(Path(found), {})
            try:
                own.version()
            except ToolMissing:  # on some systems the name is only a stand-in that asks for another installer
                continue
            return own
    fetched = _unpacked(fetch("chromium", TOOLS / "chromium", with_dependencies=True))
    try:
        fetched.version()
    except ToolMissing as error:
        raise ToolMissing(f"{error} Install a browser: apt-get install chromium") from error
    return fetched


def _unpacked(root: Path) -> Chromium:
    """Return the browser in a folder of unpacked packages, whose libraries and fonts lie beside it."""
    fonts = root / "fonts.conf"
    fonts.write_text(_FONTS.format(root=root))
    variables = {"LD_LIBRARY_PATH": library_path(root), "FONTCONFIG_FILE": str(fonts)}
    return Chromium(root / "usr/lib/chromium/chromium", variables)
