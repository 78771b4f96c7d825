"""Property tests draw the same examples every time, so that a change alone makes one fail.

`HYPOTHESIS_PROFILE=search` looks for new counterexamples, far longer.
"""

import os
import shutil

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True)
settings.register_profile("search", max_examples=5_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(scope="session")
def java() -> str:
    """Path of Java. Without it a test is left out, and says so; never in CI."""
    found = shutil.which("java")
    if found is None and os.environ.get("CI"):
        pytest.fail("CI has no Java, so what is compared with Java would not be: .ci/setup --java")
    if found is None:
        pytest.skip(
            "NOT TESTED WITHOUT JAVA: put `java` on PATH, or run `.ci/setup --java` as root"
        )
    return found
