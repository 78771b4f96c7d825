"""Settings of what is done with captioners: evaluation, captions of a gallery, the index."""

from pydantic import Field

from finecap.config.stage import Stage


class EvaluationConfig(Stage):
    """How captions are drawn and scored for the table: greedy, one length limit."""

    max_tokens: int = Field(default=28, ge=2)
    resamples: int = Field(default=1000, ge=1, description="of the bootstrap over images")
    confidence: float = Field(default=0.95, gt=0, lt=1)
    java_metrics: bool = Field(
        default=True, description="METEOR and SPICE, where their Java programs are there"
    )
    java_timeout_s: float = Field(
        default=900, gt=0, description="for each of them on one split; METEOR starts in some 8"
    )
    threads: int = Field(default=1, ge=0)
    seed: int = Field(default=0, ge=0)


class CaptionsConfig(Stage):
    """Captioning of the gallery that search serves."""

    splits: list[str] = Field(
        default=["val", "test"], description="of the data set, in the gallery"
    )
    max_tokens: int = Field(default=28, ge=2)
    beams: int = Field(default=1, ge=1, description="followed at a time; 1: greedy")
    length_penalty: float = Field(
        default=0.0, description="of beams: above 0 favours long captions (GNMT), below 0 short"
    )
    no_repeat_ngram: int = Field(
        default=0, ge=0, description="tokens of an n-gram said once at most; 0: any may recur"
    )
    batch_size: int = Field(default=256, ge=1)
    threads: int = Field(default=2, ge=0)


class IndexConfig(Stage):
    """The caption index: what a build must show before it goes live."""

    min_recall: float = Field(default=0.95, ge=0, le=1, description="recall@10 against brute force")
    recall_queries: int = Field(default=50, ge=1)
    keep_builds: int = Field(default=3, ge=1, description="older ones are dropped")
