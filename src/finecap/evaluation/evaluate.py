"""One captioner, every metric: greedy captions of val and test, scored by base encoder and judge.

All variants are read alike: the same cached grid, one length limit, no n-gram blocking, the same
encoders, the same bootstrap seed, so that tables compare captioners and nothing else. val serves
decisions, test the table. What is not here: formulas (`metrics/`), intervals (`bootstrap`), which
metric rests on what (`scoring`), comparing variants (`report`, `promotion`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from finecap.config import EvaluationConfig
from finecap.data.image_files import image_bytes
from finecap.data.records import Record
from finecap.evaluation import contact_sheet, scoring
from finecap.evaluation.contact_sheet import Sample
from finecap.evaluation.results import (
    SCORED_SPLITS,
    Evaluation,
    EvaluationError,
    Metric,
    write_bytes,
    write_evaluation,
)
from finecap.evaluation.scoring import encode_distinct
from finecap.evaluation.sheet import ScoreSheet
from finecap.evaluation.vector_cache import VectorCache
from finecap.log import Log
from finecap.models.captioner import Captioner, load_captioner
from finecap.models.captions import greedy_captions
from finecap.models.clip import ClipEncoder, load_encoder
from finecap.models.device import best_device
from finecap.models.features import Features, open_features
from finecap.models.folder import WEIGHTS
from finecap.models.grammar import GrammarNetwork, load_grammar_network

SAMPLES = "samples.png"
SAMPLE_COUNT = 6


@dataclass(frozen=True)
class Bench:
    """What scores every split: models and features, loaded once, and where images lie."""

    captioner: Captioner
    features: Features
    folder: Path
    base: ClipEncoder
    judge: ClipEncoder
    weights: dict[str, bytes]  # digest of each encoder's weights, by prefix of its metrics
    digest: bytes  # of what, besides images and references, decides scores
    cache: VectorCache
    grammar_head: GrammarNetwork | None
    config: EvaluationConfig


@dataclass(frozen=True)
class ScoredSplit:
    """One split's part of an evaluation."""

    metrics: dict[str, Metric]
    yardstick: str
    rows: pd.DataFrame  # image, split, caption, and a column per metric that is a mean over images


def evaluate(
    captioner: Path,
    features: Path,
    folder: Path,
    records: Sequence[Record],
    clip: Path,
    judge: Path,
    config: EvaluationConfig,
    destination: Path,
    log: Log,
    *,
    grammar_head: Path | None = None,
    judge_cache: Path | None = None,
) -> Evaluation:
    """Every metric of the captioner on val and on test.

    Writes `evaluation.json`, `captions.parquet`, `per_image.parquet` and `samples.png`.

    Args:
        captioner: its folder.
        features: folder of grid features and vectors, made by `clip`.
        folder: the data folder that records' image paths are relative to.
        records: the validated records.
        clip: folder of the base encoder.
        judge: folder of an encoder that no reward has seen.
        config: length limit, bootstrap, whether Java programs are asked.
        destination: existing folder.
        log: progress.
        grammar_head: folder of a grammar network that no reward used.
        judge_cache: folder in which the judge's image vectors and both encoders' vectors of
            references are kept from call to call; they are the same for every captioner.

    Raises:
        EvaluationError: no val or test images, or features by another encoder than `clip`.
        ModelFolderError: a model or the features are missing or incomplete.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    device = best_device()
    bench = Bench(
        load_captioner(captioner).to(device),
        open_features(features),
        folder,
        load_encoder(clip).to(device),
        load_encoder(judge).to(device),
        {prefix: _digest_file(f / WEIGHTS) for prefix, f in (("", clip), ("judge_", judge))},
        _digest_models(judge, grammar_head, config),
        VectorCache(judge_cache),
        load_grammar_network(grammar_head).to(device) if grammar_head else None,
        config,
    )
    _check_encoder(bench, features, clip)
    by_split = {split: _records_of(records, split) for split in SCORED_SPLITS}
    scored = {split: _score(bench, own, log) for split, own in by_split.items()}
    rows = pd.concat([part.rows for part in scored.values()], ignore_index=True)
    evaluation = Evaluation(
        {split: part.metrics for split, part in scored.items()},
        rows[["image", "split", "caption"]],
        rows.drop(columns="caption"),
        {split: part.yardstick for split, part in scored.items()},
        facts=all(r.facts is not None for own in by_split.values() for r in own),
    )
    write_bytes(destination / SAMPLES, _samples(evaluation, folder, by_split["test"]))
    write_evaluation(evaluation, destination)
    return evaluation


def _score(bench: Bench, records: Sequence[Record], log: Log) -> ScoredSplit:
    """All metrics of one split's records."""
    split, config = records[0].split, bench.config
    names = [record.image for record in records]
    captions = greedy_captions(bench.captioner, bench.features, names, config.max_tokens)
    log(f"captioned {len(captions)} images of {split}")
    yardstick = _yardstick(bench, records)
    sheet = ScoreSheet(len(records), config)
    scoring.score_references(sheet, records, captions, config)
    vectors = bench.features.vectors_of(_positions(bench, records))  # (N, D)
    _score_by(bench, sheet, "", records, captions, vectors)
    judged = _judge_vectors(bench, records, yardstick)
    _score_by(bench, sheet, "judge_", records, captions, judged)
    scoring.score_facts(sheet, records, captions, config.seed)
    scoring.score_grammar_head(sheet, records, captions, bench.grammar_head)
    scoring.score_fluency(sheet, captions)
    _report(sheet, split, log)
    rows = pd.DataFrame({"image": names, "split": split, "caption": captions, **sheet.per_image})
    return ScoredSplit(sheet.metrics, yardstick, rows)


def _score_by(
    bench: Bench,
    sheet: ScoreSheet,
    prefix: str,
    records: Sequence[Record],
    captions: Sequence[str],
    vectors: Tensor,
) -> None:
    """What one encoder says of captions, their images (`vectors`, (N, D)) and references."""
    encoder = bench.judge if prefix else bench.base
    said = encode_distinct(encoder, captions)  # (N, D)
    references = [caption for record in records for caption in record.captions]
    encoded = repr((encoder.prompt, references)).encode()
    key = hashlib.sha256(bench.weights[prefix] + encoded).hexdigest()
    known = bench.cache.vectors(key, lambda: encode_distinct(encoder, references))
    scoring.score_retrieval(sheet, prefix, said, vectors)
    scoring.score_ref_clip_s(sheet, prefix, records, said, vectors, known)


def _records_of(records: Sequence[Record], split: str) -> list[Record]:
    """The split's records, sorted by image so that bootstrap pairs align across variants."""
    found = sorted((r for r in records if r.split == split), key=lambda record: record.image)
    if not found:
        raise EvaluationError(f"no images of split {split}; an evaluation needs val and test")
    return found


def _check_encoder(bench: Bench, features: Path, clip: Path) -> None:
    length = bench.features.vectors.shape[1]
    if length != bench.base.dim:
        raise EvaluationError(
            f"{features}: image vectors of length {length}, but {clip} makes {bench.base.dim}; "
            "extract the features with that encoder"
        )


def _positions(bench: Bench, records: Sequence[Record]) -> NDArray[np.int64]:
    return bench.features.positions([record.image for record in records])


def _digest_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _digest_models(judge: Path, grammar_head: Path | None, config: EvaluationConfig) -> bytes:
    """The judge, the grammar head and the length limit.

    The base encoder is left out: each training makes it anew, and no decision reads its scores.
    """
    digest = hashlib.sha256(_digest_file(judge / WEIGHTS))
    if grammar_head:
        digest.update(_digest_file(grammar_head / WEIGHTS))
    digest.update(str(config.max_tokens).encode())
    return digest.digest()


def _yardstick(bench: Bench, records: Sequence[Record]) -> str:
    """What the split is scored with: the judge, and its images' bytes, references and facts."""
    digest = hashlib.sha256(bench.digest)
    for record in records:
        digest.update(repr((record.image, record.captions, record.facts)).encode())
        digest.update(hashlib.sha256(image_bytes(bench.folder / record.image)).digest())
    return digest.hexdigest()


def _judge_vectors(bench: Bench, records: Sequence[Record], yardstick: str) -> Tensor:
    """Unit vectors (N, D) of the images by the judge."""
    images = [bench.folder / record.image for record in records]
    return bench.cache.vectors(yardstick, lambda: bench.judge.encode_images(images))


def _report(sheet: ScoreSheet, split: str, log: Log) -> None:
    """One line with the numbers a person follows."""
    shown = ("judge_t2i_r1", "t2i_r1", "cider", "grammatical_rate", "repetition_rate")
    values = {name: sheet.metrics[name]["value"] for name in shown}
    known = {f"{split}_{name}": value for name, value in values.items() if value is not None}
    log(f"scored {split}", None, **known)


def _samples(evaluation: Evaluation, folder: Path, records: Sequence[Record]) -> bytes:
    """Some test images with their captions, as a PNG for the run's page."""
    rows = evaluation.captions[evaluation.captions["split"] == "test"]
    captions = dict(zip(rows["image"], rows["caption"], strict=True))
    by_image = {record.image: record for record in records}
    return contact_sheet.draw(
        [
            Sample(folder / i, by_image[i].captions[0], {"caption": captions[i]})
            for i in contact_sheet.spread(list(captions), SAMPLE_COUNT)
        ]
    )
