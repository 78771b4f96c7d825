"""What the UI shows of a verdict: expectations, and failing rows with their pictures."""

from pathlib import Path

import numpy as np
from PIL import Image

from dagster_project import shown
from finecap.config import ValidationConfig
from finecap.data.expectations import validate
from finecap.data.records import Record, write_records
from finecap.log import silent


def test_failing_rows_are_shown_with_their_picture(tmp_path: Path):
    data, verdict = tmp_path / "data", tmp_path / "verdict"
    (data / "images").mkdir(parents=True)
    verdict.mkdir()
    rng = np.random.default_rng(0)
    records = []
    for n, split in enumerate(["train", "train", "val", "test"]):
        pixels = rng.integers(0, 255, (40, 400 if n == 1 else 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(data / "images" / f"{n}.png")
        records.append(Record(f"images/{n}.png", split, ("a boat on the sea",)))
    write_records(data / "captions.jsonl", records)
    validate(data, ValidationConfig(max_quarantined_share=0.5), verdict, silent)
    found = shown.validation(verdict)
    assert "| image_aspect | False | error | 4 | 1 |" in found["expectations"]
    assert "![images/1.png](data:image/png;base64," in found["quarantine"]
    assert "one side is 10 times the other" in found["quarantine"]
    assert str(verdict / "report.html") in found["quarantine"]
