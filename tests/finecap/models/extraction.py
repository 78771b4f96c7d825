"""A process that extracts features and dies at it: `kill -9`, some time after its n-th shard."""

import os
import signal
import sys
import threading
from pathlib import Path

from finecap.config import FeaturesConfig
from finecap.data.records import read_records
from finecap.models.features import extract

SMALL = {"batch_size": 4, "shard_images": 8, "pixel_size": 16}


def main() -> None:
    """Arguments: data folder, encoder, destination, checkpoints, shard, seconds after it."""
    folder, encoder, destination, checkpoints = map(Path, sys.argv[1:5])
    shard, delay_s = int(sys.argv[5]), float(sys.argv[6])
    seen: list[str] = []

    def log(message: str, *_: object, **__: object) -> None:
        seen.append(message)
        if len(seen) == shard:
            threading.Timer(delay_s, os.kill, (os.getpid(), signal.SIGKILL)).start()

    records = read_records(folder / "captions.jsonl")
    config = FeaturesConfig.model_validate(SMALL)
    extract(folder, records, encoder, config, destination, log, checkpoints)


if __name__ == "__main__":
    main()
