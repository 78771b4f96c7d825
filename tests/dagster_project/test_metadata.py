"""Markdown that people see."""

from pathlib import Path

from PIL import Image

from dagster_project import metadata


def test_table_escapes_what_would_break_a_row():
    assert (
        metadata.table([{"a": "x|y\nz", "b": 0.123456}])
        == "| a | b |\n|---|---|\n| x\\|y z | 0.1235 |"
    )


def test_empty_table_says_so():
    assert metadata.table([]) == "(nothing)"


def test_curves_are_an_inline_picture_of_metrics_with_two_points():
    history = [{"step": float(i), "loss": 1.0 / (i + 1), "once": 1.0} for i in range(5)]
    assert metadata.curves(history).startswith("![curves](data:image/png;base64,")
    assert metadata.curves([{"step": 0.0, "loss": 1.0}]) == ""


def test_curves_survive_a_diverged_loss():
    history = [{"step": 0.0, "loss": 1.0}, {"step": 1.0, "loss": float("nan")}]
    assert metadata.curves(history) == ""


def test_long_training_is_thinned():
    history = [{"step": float(i), "loss": 0.0} for i in range(5000)]
    steps, _ = metadata._series(history)["loss"]
    assert len(steps) <= 417


def test_samples_stand_beside_small_inline_images(tmp_path: Path):
    Image.new("RGB", (500, 300)).save(tmp_path / "1.png")
    text = metadata.captioned(tmp_path, [("1.png", {"caption": "a boat"})])
    assert "data:image/jpeg;base64," in text
    assert "| a boat |" in text


def test_a_sample_that_does_not_open_is_said_to_be_so(tmp_path: Path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no image")
    rows = [("broken.png", {"caption": "a cat"}), ("missing.png", {"caption": "a dog"})]
    shown = metadata.captioned(tmp_path, rows).splitlines()
    assert shown[2:] == [
        "| (broken.png does not open) | a cat |",
        "| (missing.png does not open) | a dog |",
    ]
