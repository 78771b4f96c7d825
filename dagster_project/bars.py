"""Progress bars of the steps that run, on a terminal; elsewhere `progress` writes plain lines.

Steps run in processes of their own, and only one process can draw. They append their lines to a
file that the environment names, and the process that started the run follows it: a line that says
`step 25 of 180` moves its asset's bar, any other is printed above the bars.
"""

import json
import os
import re
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

FILE = "FINECAP_PROGRESS_FILE"
"""Environment variable: where steps append their lines, one JSON object each."""
STARTED, ENDED = "started", "ended"
_POLL_S = 0.2
_STEP = re.compile(r"step (\d+) of (\d+),? ?(.*)", re.DOTALL)


@contextmanager
def bars(console: Console) -> Generator[None]:
    """Draw bars of the steps that run inside, if the console is a terminal."""
    if not console.is_terminal:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="finecap-") as folder:
        file = Path(folder) / "progress"
        file.touch()
        os.environ[FILE] = str(file)
        done = threading.Event()
        with Bars(console) as drawn:
            thread = threading.Thread(target=_follow, args=(file, drawn, done), daemon=True)
            thread.start()
            try:
                yield
            finally:
                done.set()
                thread.join()
                del os.environ[FILE]


class Bars:
    """One bar per asset that is being made."""

    def __init__(self, console: Console) -> None:
        """Bars on `console`."""
        columns = (
            TextColumn("{task.description:<36}"),
            BarColumn(24),
            TextColumn("{task.fields[at]}"),
        )
        self.progress = Progress(*columns, console=console, transient=True)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bars":
        """Begin to draw."""
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Wipe the bars; the lines above them stay."""
        self.progress.stop()

    def take(self, line: str) -> None:
        """Show what a step has written: a JSON object of `asset`, `kind`, `text`, `line`."""
        said = json.loads(line)
        asset, kind = said["asset"], said["kind"]
        moved = _STEP.match(said["text"])
        if kind == STARTED:
            self._tasks[asset] = self.progress.add_task(asset, total=None, at="")
        if moved and asset in self._tasks:
            at = f"{moved[1]}/{moved[2]}  {moved[3]}"
            self.progress.update(
                self._tasks[asset], completed=int(moved[1]), total=int(moved[2]), at=at
            )
            return
        if kind == ENDED and asset in self._tasks:
            self.progress.remove_task(self._tasks.pop(asset))
        self.progress.console.print(said["line"], markup=False, highlight=False, soft_wrap=True)


def append(asset: str, kind: str, text: str, line: str) -> bool:
    """Tell the process that draws; False when there is none."""
    file = os.environ.get(FILE)
    if not file or not Path(file).is_file():
        return False
    said = json.dumps({"asset": asset, "kind": kind, "text": text, "line": line}) + "\n"
    with Path(file).open("a") as stream:
        stream.write(said)
    return True


def _follow(file: Path, drawn: Bars, done: threading.Event) -> None:
    """Hand each line on as it comes, until the run is over and the file read."""
    with file.open() as stream:
        waiting = ""
        while True:
            is_last = done.is_set()
            *lines, waiting = (waiting + stream.read()).split("\n")
            for line in lines:
                drawn.take(line)
            if is_last:
                return
            done.wait(_POLL_S)
