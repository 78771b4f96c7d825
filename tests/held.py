"""Another process that has hold of something, as a second run has."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_CODE = """
import sys, time
from pathlib import Path
from {module} import {name}
with {name}(Path(sys.argv[1]){more}):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def another_process(
    module: str, name: str, path: Path, more: str = ""
) -> Generator["subprocess.Popen[str]"]:
    """A process that is inside that module's context manager of `path`, until it is killed."""
    code = _CODE.format(module=module, name=name, more=more)
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()
