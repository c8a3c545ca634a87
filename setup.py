"""What pyproject.toml cannot say: the wheel's packages lie under `sb_transfer_service/application` (see there)."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

_NAME = "sb_transfer_service"


class Application(build_py):
    """Collects the packages as they lie in the repository, and puts them together in one folder for a wheel."""

    def run(self) -> None:
        """Build; an editable installation leaves everything where it is."""
        super().run()
        if self.editable_mode:
            return
        built = Path(self.build_lib)
        inside = built / _NAME / "application"
        shutil.rmtree(inside, ignore_errors=True)
        inside.mkdir(parents=True)
        for part in [one for one in built.iterdir() if one.name != _NAME]:
            part.rename(inside / part.name)


class ApplicationWheel(bdist_wheel):
    """Tells of the wheel's one name."""

    def write_wheelfile(self, wheelfile_base: str, **words: str) -> None:
        """Write what describes the wheel."""
        super().write_wheelfile(wheelfile_base, **words)
        (Path(wheelfile_base) / "top_level.txt").write_text(f"{_NAME}\n")


setup(cmdclass={"build_py": Application, "bdist_wheel": ApplicationWheel})
