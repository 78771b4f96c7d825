"""A real browser, headless, for tests of pages: what a page's DOM is once its scripts have run.

`.ci/setup --browser` installs it. On a machine of one's own a test without a browser is skipped,
with the reason; where `CI` is set it fails.
"""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_TIMEOUT_S = 240


@dataclass(frozen=True)
class Browser:
    """A browser that reaches this machine and nothing else."""

    program: str

    def dom(self, address: str, *, width: int = 1280, wait_ms: int = 3_000) -> str:
        """The page's DOM after so much of its own time."""
        return self._run(address, width, 1_000, wait_ms, "--dump-dom").stdout

    def picture(
        self,
        address: str,
        file: Path,
        *,
        width: int = 1280,
        height: int = 1_000,
        wait_ms: int = 3_000,
        options: tuple[str, ...] = (),
    ) -> Path:
        """A PNG of the page as it is seen."""
        self._run(address, width, height, wait_ms, f"--screenshot={file}", *options)
        return file

    def _run(
        self, address: str, width: int, height: int, wait_ms: int, *options: str
    ) -> "subprocess.CompletedProcess[str]":
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as own:
            command = [
                self.program,
                "--headless",
                "--no-sandbox",  # as root, which CI is, it starts in no other way
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
                "--no-first-run",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
                f"--user-data-dir={own}",
                f"--window-size={width},{height}",
                f"--virtual-time-budget={wait_ms}",
                *options,
                address,
            ]
            return subprocess.run(
                command, capture_output=True, text=True, check=True, timeout=_TIMEOUT_S
            )


def find_browser() -> Browser:
    """The machine's browser; without one the test is skipped, and fails in CI."""
    for name in NAMES:
        program = shutil.which(name)
        if program is not None:
            return Browser(program)
    missing = f"no browser ({', '.join(NAMES)}): .ci/setup --browser installs one where it may"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
