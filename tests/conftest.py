"""Property tests draw the same examples every time, so that a change alone makes one fail.

`HYPOTHESIS_PROFILE=search` looks for new counterexamples, far longer.
"""

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True)
settings.register_profile("search", max_examples=5_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
