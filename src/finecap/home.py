"""The folder that commands find state in."""

import os
from pathlib import Path


def home_folder() -> Path:
    """Where state lives: `$FINECAP_HOME`, by default `./var`."""
    return Path(os.environ.get("FINECAP_HOME") or "var")
