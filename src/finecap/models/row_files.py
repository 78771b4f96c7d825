"""Arrays on disk that grow row by row and survive a kill: `.npy` files, and how far they are good.

Rows are appended by ordinary writes. A memory map would be sparse until filled, and a full disk
would then kill the process (SIGBUS) where a write raises. `commit` makes what was written so far
safe, and a later `RowFiles` of the same key goes on after it: what lies beyond was cut short by the
kill and is cut off. What stays out: what the rows are (`features`).
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Self

import numpy as np

from finecap.models.folder import ModelFolderError

PROGRESS = "progress.json"


class RowFiles:
    """Arrays of N rows each, `<name>.npy` in one folder, written front to back.

    Attributes:
        done: rows that are safe on disk.
        written: rows there are, safe or not.
    """

    def __init__(self, folder: Path, key: str, count: int) -> None:
        """Go on with what `folder` has of `key`, or begin.

        Args:
            folder: made where it is missing.
            key: of all that the rows depend on; what another key left there is written over.
            count: N.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.key, self.count = folder, key, count
        self.done = _rows_done(folder / PROGRESS, key)
        self._files: dict[str, IO[bytes]] = {}
        self.written = self.done
        if not self.done:  # of another key: it must not stand beside what is written now
            (folder / PROGRESS).unlink(missing_ok=True)

    def append(self, rows: Mapping[str, np.ndarray]) -> None:
        """The next rows of each array, (B, ...); the same names, types and sizes every time.

        Raises:
            ModelFolderError: of those before, fewer are there than were safe.
        """
        lengths = {len(part) for part in rows.values()}
        if len(lengths) != 1:
            raise ValueError(f"arrays of {sorted(lengths)} rows, expected as many of each")
        for name, part in rows.items():
            if name not in self._files:
                self._files[name] = self._opened(name, part)
            self._files[name].write(np.ascontiguousarray(part).data)
        self.written += lengths.pop()

    def commit(self) -> None:
        """Make all rows written so far safe."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        partial = self.folder / f"{PROGRESS}.partial"
        with partial.open("w") as note:
            json.dump({"key": self.key, "rows": self.written}, note)
            note.flush()
            os.fsync(note.fileno())
        partial.replace(self.folder / PROGRESS)
        self.done = self.written

    def __enter__(self) -> Self:
        """Itself; when the block ends files are closed, and what is not safe is lost."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def _opened(self, name: str, first: np.ndarray) -> IO[bytes]:
        """The array's file, at its next row."""
        path = self.folder / f"{name}.npy"
        file = path.open("r+b" if self.done else "w+b")
        shape = (self.count, *first.shape[1:])
        header = {"descr": first.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        end = file.tell() + self.done * first[:1].nbytes
        there = file.seek(0, os.SEEK_END)
        if there < end:
            file.close()
            raise ModelFolderError(
                f"{path} has {there} bytes, expected {end} of {self.done} rows; "
                f"remove {self.folder} to begin anew"
            )
        file.truncate(end)
        file.seek(end)
        return file


def _rows_done(progress: Path, key: str) -> int:
    """How many rows of `key` are safe."""
    if not progress.is_file():
        return 0
    note = json.loads(progress.read_text())
    return int(note["rows"]) if note["key"] == key else 0
