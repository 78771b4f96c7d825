"""What is exported is read by COCO's own tools, and imported again it is the same."""

import json
import warnings

import pytest
from pycocotools.coco import COCO

from finecap.config import EvaluationConfig, ImportConfig
from finecap.data.caption_files import CaptionFileError, read_captions, read_references
from finecap.data.coco_export import export_coco
from finecap.data.importers import import_dataset
from finecap.data.records import read_records
from finecap.evaluation.scorecard import score_captions
from finecap.log import silent

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # invalid escapes in the reference package
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.eval import COCOEvalCap
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer


@pytest.fixture
def exported(data, tmp_path):
    """exported(captions) exports the twelve images: where to."""
    data.write()

    def run(captions=None):
        export_coco(data.folder, tmp_path / "coco", captions)
        return tmp_path / "coco"

    return run


def test_cocos_tools_read_annotations_and_results(exported, capsys):
    folder = exported({"images/10.png": "a boat", "11": "the sea"})
    coco = COCO(str(folder / "captions_test.json"))
    results = coco.loadRes(str(folder / "results_test.json"))
    [first, second] = coco.getImgIds()
    assert [row["caption"] for row in coco.imgToAnns[first]] == ["a boat", "the sea"]
    assert results.imgToAnns[second][0]["caption"] == "the sea"
    assert coco.loadImgs(first)[0]["file_name"] == "10.png"
    assert not (folder / "results_val.json").exists()
    capsys.readouterr()  # these tools print


def test_imported_again_it_is_the_same(exported, data, tmp_path):
    config = ImportConfig(images=str(data.folder / "images"))
    report = import_dataset("coco", exported(), tmp_path / "again", silent, config)
    before = {record.image: record for record in read_records(data.folder / "captions.jsonl")}
    after = {record.image: record for record in read_records(report.folder / "captions.jsonl")}
    assert before.keys() == after.keys()
    assert all(before[image].captions == record.captions for image, record in after.items())
    assert all(before[image].split == record.split for image, record in after.items())


def test_images_of_coco_keep_their_ids(data, tmp_path):
    for number, row in enumerate(data.rows):
        name = f"images/COCO_val2014_{100 + number:012}.jpg"
        data.image(number).rename(data.folder / name)
        row["image"] = name
    data.write()
    export_coco(data.folder, tmp_path / "coco", None)
    content = json.loads((tmp_path / "coco" / "captions_val.json").read_text())
    assert [image["id"] for image in content["images"]] == [108, 109]


def test_captions_of_unknown_or_doubtful_images_are_refused(exported, data):
    with pytest.raises(CaptionFileError, match=r"a caption of boat\.png, which is no image"):
        exported({"boat.png": "a boat"})
    data.rows[1]["image"] = "images/a/00.png"
    data.write()
    with pytest.raises(CaptionFileError, match=r"which may be images/00\.png or images/a/00\.png"):
        export_coco(data.folder, data.folder, {"00": "a boat"})


def test_pycocoevalcap_scores_an_imported_set_once_exported_as_we_do(data, tmp_path, java, capsys):
    assert java
    for number, row in enumerate(data.rows):
        row["captions"] = [f"A boat, on sea {number}.", "a man's boat on the sea"]
        name = f"images/COCO_val2014_{100 + number:012}.jpg"
        data.image(number).rename(data.folder / name)
        row["image"] = name
    data.write()
    brought = import_dataset("jsonl", data.folder / "captions.jsonl", tmp_path / "in", silent)
    train = [r.image for r in read_records(brought.folder / "captions.jsonl") if r.split == "train"]
    said = {image: f"a boat on sea {number % 3}" for number, image in enumerate(train)}
    annotations, results, *_ = export_coco(brought.folder, tmp_path / "out", said)
    theirs = _pycocoevalcap(annotations, results)
    found = score_captions(
        read_captions(results),
        read_references(annotations),
        None,
        EvaluationConfig(resamples=2, java_metrics=False),
    )
    assert sorted(theirs) == sorted(found.metrics.keys() & theirs.keys())
    for name, value in theirs.items():
        assert found.metrics[name]["value"] == pytest.approx(value, abs=1e-9)
    capsys.readouterr()


def _pycocoevalcap(annotations, results):
    """What `COCOEvalCap.evaluate` does with the scorers that need no download."""
    coco = COCO(str(annotations))
    evaluation = COCOEvalCap(coco, coco.loadRes(str(results)))
    images = evaluation.params["image_id"]
    tokenizer = PTBTokenizer()
    references = tokenizer.tokenize({i: evaluation.coco.imgToAnns[i] for i in images})
    captions = tokenizer.tokenize({i: evaluation.cocoRes.imgToAnns[i] for i in images})
    bleu, _ = Bleu(4).compute_score(references, captions, verbose=0)
    scores = {f"bleu_{order}": score for order, score in enumerate(bleu, 1)}
    scores["rouge_l"] = Rouge().compute_score(references, captions)[0]
    scores["cider"] = Cider().compute_score(references, captions)[0]
    for name, score in scores.items():
        evaluation.setEval(score, name)
    return evaluation.eval
