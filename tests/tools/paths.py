"""Where this checkout is."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# What checks fetch once: Debian's programs, Chromium.
TOOLS = ROOT / ".tools"
