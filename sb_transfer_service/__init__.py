"""The name under which the service is installed: nothing else of it is at the top of an environment.

The wheel is an application and no library. Its packages (`domain`, `adapters`, …) lie in a folder `application` beside
this file, where its own programs alone find them: a platform may have a `domain` of its own in the same environment.
In the repository they lie at the top, and there is no such folder.
"""

import gc
import os
import sys
from pathlib import Path
from typing import NoReturn

_APPLICATION = Path(__file__).with_name("application")


def main() -> NoReturn:
    """Run `sb-transfer` of this process; programs that it becomes or starts find the same packages."""
    if _APPLICATION.is_dir():
        sys.path.insert(0, str(_APPLICATION))
        others = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(_APPLICATION), *([others] if others else [])])
    # What is imported stays until the end: to look through it for garbage, again and again, is a fifth of a start.
    gc.disable()
    from starter.cli.main import main as command_line  # noqa: PLC0415 - it is found from here on

    gc.freeze()
    gc.enable()
    command_line()
