"""Asset checks: what must hold before the next asset may use a result, or before people trust it.

Each reads an artifact that its asset has handed over; nothing here trains, scores or builds. Those
that block do so where what follows would be wrong: data that failed, an image in two splits, a
gallery without captions. The others warn, for a person to look.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import dagster as dg

from dagster_project.artifacts import Artifact
from dagster_project.resources import materialized_version
from dagster_project.stages import Stages
from finecap.config import Profile

COLLAPSED = 0.8
"""A reward that ends below this share of where it started has collapsed."""
MOST_SILENT, MOST_REPEATED, MOST_ALIKE = 0.01, 0.5, 0.5
"""Shares of a gallery's captions: empty, with a bigram twice, and equal to the commonest."""
SILENT = 0.5
"""Share of empty captions from which on an index of them would answer nothing."""
GOLDEN = 20
"""Captions of the gallery that must find themselves."""


@dg.asset_check(asset="validated_dataset", blocking=True, description="Nothing failed validation.")
def data_is_valid(validated_dataset: Artifact) -> dg.AssetCheckResult:
    """Block training on data that did not pass; quarantined rows are shown."""
    metrics = validated_dataset.metrics
    counts = {name: metrics[name] for name in ("records", "quarantined")}
    return dg.AssetCheckResult(passed=bool(metrics["success"]), metadata=counts)


@dg.asset_check(
    asset="validated_dataset", blocking=True, description="No image is in two splits, by its bytes."
)
def splits_share_no_image(validated_dataset: Artifact) -> dg.AssetCheckResult:
    """Block training on images that val or test would be scored with."""
    import pandas as pd

    table = pd.read_parquet(validated_dataset.path / "splits.parquet")
    splits = table.groupby("md5")["split"].nunique()
    shared = table[table["md5"].isin(splits[splits > 1].index)].sort_values(["md5", "image"])
    first = [f"{row.image} ({row.split})" for row in shared.head(10).itertuples()]
    return dg.AssetCheckResult(
        passed=shared.empty, metadata={"images": len(shared), "first": ", ".join(first)}
    )


@dg.asset_check(
    asset="captions", blocking=True, description="The gallery's captions say something."
)
def captions_are_not_degenerate(captions: Artifact) -> dg.AssetCheckResult:
    """Block an index of silence; warn of captions that repeat themselves or one another."""
    from finecap.metrics.fluency import repetition_rate
    from finecap.search.gallery import read_gallery

    texts = [str(text) for text in read_gallery(captions.path).table["caption"]]
    (commonest, count) = Counter(texts).most_common(1)[0]
    silent = sum(not text.strip() for text in texts) / len(texts)
    repeated, alike = repetition_rate(texts), count / len(texts)
    limits = ((silent, MOST_SILENT), (repeated, MOST_REPEATED), (alike, MOST_ALIKE))
    is_silent = silent > SILENT
    return dg.AssetCheckResult(
        passed=all(share <= most for share, most in limits),
        severity=dg.AssetCheckSeverity.ERROR if is_silent else dg.AssetCheckSeverity.WARN,
        metadata={
            "empty": silent,
            "repetition_rate": repeated,
            "commonest": commonest,
            "commonest_share": alike,
        },
    )


@dg.asset_check(
    asset="caption_index",
    additional_ins={"captions": dg.AssetIn()},
    description="Captions of the gallery are found by their own words, and filters hold.",
)
def index_answers_golden_queries(
    caption_index: Artifact, captions: Artifact, stages: Stages
) -> dg.AssetCheckResult:
    """Ask the live build for captions it should hold: a hit of the first ten must say the same."""
    from finecap.search.gallery import read_gallery
    from finecap.search.searcher import Searcher

    del caption_index  # which its asset has made live
    searcher = Searcher.open(stages.home.path)
    asked = golden_queries([str(text) for text in read_gallery(captions.path).table["caption"]])
    lost: list[str] = []
    for query, text in asked.items():
        hits = searcher.search(query, mode="words")
        if text not in {hit.caption for hit in hits}:
            lost.append(query)
            continue
        for field, values in hits[0].attributes.items():
            for value in values:
                filtered = f'{field}:"{value}"'
                kept = searcher.search(filtered)
                if not kept or any(value not in hit.attributes.get(field, ()) for hit in kept):
                    lost.append(filtered)
    return dg.AssetCheckResult(
        passed=not lost,
        metadata={"asked": len(asked), "lost": len(lost), "first": ", ".join(lost[:3])},
    )


def golden_queries(captions: Sequence[str]) -> dict[str, str]:
    """Up to `GOLDEN` captions, evenly spread over the distinct ones, by the words to ask for.

    Captions without a word that search counts have none to be found by.
    """
    from finecap.search.query import STOP_WORDS, WORD

    asked: dict[str, str] = {}
    for text in sorted(set(captions)):
        words = WORD.findall(text)
        if any(word.lower() not in STOP_WORDS for word in words):
            asked.setdefault(" ".join(words), text)
    step = max(1, -(-len(asked) // GOLDEN))
    return dict(list(asked.items())[::step])


@dg.asset_check(
    asset="caption_index",
    additional_ins={"captions": dg.AssetIn()},
    description="The live build holds the whole gallery.",
)
def index_holds_the_gallery(caption_index: Artifact, captions: Artifact) -> dg.AssetCheckResult:
    """As many rows in the index as captions in the table."""
    rows, images = caption_index.metrics["rows"], captions.metrics["images"]
    return dg.AssetCheckResult(passed=rows == images, metadata={"rows": rows, "captions": images})


def rewards_did_not_collapse(profile: Profile) -> dg.AssetChecksDefinition:
    """One check per self-critical captioner, all in one step."""
    name = "reward_did_not_collapse"
    keys = [dg.AssetKey(["scst", reward]) for reward in profile.scst]

    @dg.multi_asset_check(
        name=name,
        specs=[dg.AssetCheckSpec(name, asset=key) for key in keys],
        can_subset=True,  # else a captioner could not be materialized without the others
    )
    def rewards_did_not_collapse(context: dg.AssetCheckExecutionContext, stages: Stages):
        chosen = {check.asset_key for check in context.selected_asset_check_keys}
        for key in [key for key in keys if key in chosen]:
            version = materialized_version(context.instance, key, context.run.run_id)
            artifact = stages.store.get("/".join(key.path), version or "")
            first, last = reward_ends(artifact.history)
            yield dg.AssetCheckResult(
                asset_key=key,
                check_name=name,
                passed=math.isfinite(last) and last >= COLLAPSED * first,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"first": first, "last": last},
            )

    return rewards_did_not_collapse


def rewards_and_judge_agree(profile: Profile) -> dg.AssetChecksDefinition:
    """Both encoders say the captions fit better than those of `mle`, or both say worse.

    Where they do not, the reward was exploited: it rose, and the images are not described better.
    """
    name = "reward_and_judge_agree"
    keys = {dg.AssetKey(["evaluation", reward]): reward for reward in profile.scst}
    first = dg.AssetKey(["evaluation", "mle"])

    @dg.multi_asset_check(
        name=name,
        specs=[dg.AssetCheckSpec(name, asset=key, additional_deps=[first]) for key in keys],
        can_subset=True,
    )
    def rewards_and_judge_agree(context: dg.AssetCheckExecutionContext, stages: Stages):
        def scores(key: dg.AssetKey) -> Mapping[str, float]:
            version = materialized_version(context.instance, key, context.run.run_id)
            found = stages.store.find("/".join(key.path), version or "")
            return {} if found is None else found.metrics

        chosen = {check.asset_key for check in context.selected_asset_check_keys}
        before = scores(first)
        for key in [key for key in keys if key in chosen]:
            after, both = scores(key), ("val/clip_s", "val/judge_clip_s")
            reward, judge = (after.get(m, math.nan) - before.get(m, math.nan) for m in both)
            yield dg.AssetCheckResult(
                asset_key=key,
                check_name=name,
                passed=reward * judge >= 0,  # not where one is missing: NaN is not
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"reward_encoder_rise": reward, "judge_rise": judge},
            )

    return rewards_and_judge_agree


def reward_ends(history: Sequence[Mapping[str, float]]) -> tuple[float, float]:
    """The reward on val before training and at its last look; NaN where it was never looked at."""
    seen = [row["val_reward"] for row in history if "val_reward" in row]
    return (seen[0], seen[-1]) if seen else (math.nan, math.nan)


def checks(profile: Profile) -> list[dg.AssetChecksDefinition]:
    """All checks of the graph."""
    return [
        data_is_valid,
        splits_share_no_image,
        rewards_did_not_collapse(profile),
        rewards_and_judge_agree(profile),
        captions_are_not_degenerate,
        index_holds_the_gallery,
        index_answers_golden_queries,
    ]
