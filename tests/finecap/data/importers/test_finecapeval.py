r"""`FineCapEval.csv`: five rows an image, phrases with `\;` between them, no splits."""

import pytest

from finecap.data.importers import DatasetImportError

HEADER = "image,caption,background,object,relation\n"


@pytest.fixture
def source(tmp_path, photos):
    folder = tmp_path / "FineCapEval"
    names = [f"COCO_val2014_{i:012}.jpg" for i in range(10)]
    photos(folder / "images", *names)
    rows = [
        f'{name},"A dog, number {n}, runs",a field\\;the sky,dog,dog in a field\n'
        for name in names
        for n in range(5)
    ]
    (folder / "FineCapEval.csv").write_text(HEADER + "".join(rows))
    return folder


def test_five_captions_an_image_and_splits_drawn_and_said(source, bring):
    brought = bring("finecapeval", source)
    assert brought.report.images == 10
    assert {len(record.captions) for record in brought.records} == {5}
    assert brought.records[0].captions[1] == "A dog, number 1, runs"
    assert set(brought.report.by_split) == {"train", "val", "test"}
    assert "drawn by image content (the source has none), seed 0" in brought.report.splits


def test_names_may_lack_their_suffix(source, bring):
    path = source / "FineCapEval.csv"
    path.write_text(path.read_text().replace(".jpg", ""))
    brought = bring("finecapeval", path)
    assert brought.report.images == 10
    assert brought.records[0].image == "images/COCO_val2014_000000000000.jpg"


def test_short_row_is_reported(source, bring):
    path = source / "FineCapEval.csv"
    path.write_text(path.read_text() + "COCO_val2014_000000000000.jpg,a dog\n")
    [(_, _, reason)] = bring("finecapeval", source, max_bad=0.1).faults
    assert reason.startswith("2 cells, expected 5: 'COCO_val2014_000000000000.jpg,a dog'")


def test_another_table_is_refused(source, bring):
    (source / "FineCapEval.csv").write_text("picture,caption\n")
    with pytest.raises(DatasetImportError, match="no column image, expected image, caption, back"):
        bring("finecapeval", source)
    (source / "FineCapEval.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"FineCapEval\.csv does not exist"):
        bring("finecapeval", source)
