"""Settings of what is done with captioners: evaluation, captions, the index, its server."""

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


class ServeConfig(Stage):
    """The search page and its REST interface: where it listens, what it lets others ask."""

    host: str = Field(default="127.0.0.1", description="0.0.0.0: whoever reaches this machine")
    port: int = Field(default=8000, ge=0, le=65535, description="0: any that is free")
    hosts: list[str] = Field(
        default=[],
        description="names it may be asked by, besides this machine's own; `*` in it: any",
    )
    page_size: int = Field(default=24, ge=1, le=100, description="hits of a page")
    reach: int = Field(
        default=240, ge=100, le=10_000, description="places of each ranking that hybrid joins"
    )
    upload_mb: float = Field(default=20, gt=0, le=32, description="of one image sent, MB")
    decode_timeout_s: float = Field(
        default=10, gt=0, description="for reading one image sent; a 60-megapixel JPEG takes 2"
    )
    uploads_kept: int = Field(
        default=64, ge=1, description="captions and thumbnails of images sent, in memory"
    )
    requests_per_minute: int = Field(
        default=12_000, ge=0, description="of one address; a page with its images is 25; 0: any"
    )
    captions_per_minute: int = Field(
        default=60, ge=0, description="images that one address may send; 0: any number"
    )
    connections: int = Field(default=512, ge=1, description="open at once; further ones get 503")
    workers: int = Field(default=4, ge=1, description="searches at once")
    threads: int = Field(default=1, ge=0, description="of the models; 0: one for each core")
    remembered: int = Field(
        default=1_000, ge=1, description="vectors of texts, answers, and counts kept in memory"
    )
    thumbnails_kept: int = Field(default=2_000, ge=1, description="in memory, some 20 kB each")
