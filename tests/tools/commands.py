"""Commands of `sb-transfer`, each a process of its own that does not import all of it once more.

A second of work goes before a command that does a tenth. They are forked from a process that has imported it and done
nothing else yet: folder, variables, output, signals and exit code are each command's own.
"""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["starter.cli.main"])


def run_command(
    words: Sequence[str], *, folder: Path, variables: Mapping[str, str], timeout_seconds: float = 120
) -> subprocess.CompletedProcess[str]:
    """Type a command in a folder, with these variables and no others, and wait for its end.

    Raises:
        subprocess.TimeoutExpired: It has not ended in time; it is killed.
    """
    with TemporaryDirectory() as name:
        streams = (Path(name) / "stdout", Path(name) / "stderr")
        command = _FORKS.Process(target=_become, args=(list(words), folder, dict(variables), streams))
        command.start()
        command.join(timeout_seconds)
        if command.exitcode is None:
            command.kill()
            command.join()
            raise subprocess.TimeoutExpired(["sb-transfer", *words], timeout_seconds)
        output, errors = (stream.read_text() for stream in streams)
        done = subprocess.CompletedProcess(["sb-transfer", *words], command.exitcode, output, errors)
        command.close()
        return done


def _become(words: list[str], folder: Path, variables: dict[str, str], streams: tuple[Path, Path]) -> None:
    from starter.cli.main import main  # noqa: PLC0415 - there already, and nothing for whoever types commands

    for number, stream in enumerate(streams, start=1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT, 0o600), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = ["sb-transfer", *words]
    main()
