"""Settings of the data, its validation, and the negatives made of its captions."""

from typing import Literal

from pydantic import Field

from finecap.config.stage import Stage


class DataConfig(Stage):
    """Where the data set lies and, for the drawn world, how much of it there is."""

    folder: str = Field(
        default="data", description="holds captions.jsonl or captions/*.parquet, and images/"
    )
    pointer: str = Field(
        default="data.dvc", description="the DVC file that names the folder's version"
    )
    drawn: bool = Field(
        default=True, description="draw the default world when the folder is missing"
    )
    seed: int = Field(default=0, ge=0, description="of the drawn world")
    clip_images: int = Field(default=10_000, ge=0, description="train images of part `clip`")
    judge_images: int = Field(default=8_000, ge=0, description="train images of part `judge`")
    captioner_images: int = Field(
        default=4_000, ge=0, description="train images of part `captioner`"
    )
    val_images: int = Field(default=500, ge=1)
    test_images: int = Field(default=1_000, ge=1)


class ImportConfig(Stage):
    """How a foreign data set becomes a data folder."""

    link: bool = Field(default=False, description="link images instead of copying them")
    in_shards: bool = Field(
        default=False, description="of `webdataset`: images stay in its tars, which come in whole"
    )
    parquet: bool = Field(
        default=False, description="records as Parquet shards, for millions of images"
    )
    max_bad: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="share of images and lines that may be bad; above it nothing is changed",
    )
    images: str | None = Field(default=None, description="folder of the photos; None: the source")
    columns: dict[str, list[str]] = Field(
        default={}, description="of tables: image, caption, split, alt_text to columns' names"
    )
    splits: Literal["own", "fill", "new"] = Field(
        default="own",
        description="own: the source's, all drawn where it has none; fill: those it lacks are "
        "drawn; new: all are drawn",
    )
    seed: int = Field(default=0, ge=0, description="of drawn splits")
    val_share: float = Field(default=0.1, gt=0, lt=0.5, description="of drawn splits")
    test_share: float = Field(default=0.1, gt=0, lt=0.5, description="of drawn splits")


class ValidationConfig(Stage):
    """Bounds of the Great Expectations suite; rows outside them are quarantined."""

    min_captions: int = Field(default=1, ge=1, description="per image")
    max_caption_words: int = Field(default=60, ge=1)
    min_side: int = Field(default=32, ge=1, description="pixels")
    max_side: int = Field(default=8192, ge=1, description="pixels")
    pixels: bool = Field(default=True, description="read the images too, not only their records")
    max_aspect: float = Field(default=8.0, ge=1, description="longer side by shorter side")
    min_spread: float = Field(
        default=1.0,
        ge=0,
        description="standard deviation of the colour that varies most, in levels of 255",
    )
    near_bits: int = Field(
        default=6, ge=0, le=7, description="of 64 that near-duplicates may differ in"
    )
    # Copies recompressed or resized differ by 2 or less; the nearest of 23,500 drawn scenes by more
    # than 3.
    near_difference: float = Field(
        default=3.0, ge=0, description="of near-duplicates' colours, in levels of 255"
    )
    near_duplicates: bool = Field(
        default=True, description="look for near-duplicate images across splits"
    )
    max_foreign_share: float = Field(
        default=0.5, ge=0, le=1, description="of a record's letters that are not Latin"
    )
    min_english_share: float = Field(
        default=0.3, ge=0, le=1, description="of records with a common English word; warns below"
    )
    max_psi: float = Field(
        default=0.2,
        gt=0,
        description="population stability index against the data accepted last; warns above",
    )
    max_quarantined_share: float = Field(
        default=0.01, ge=0, le=1, description="above it the run stops"
    )


class GrammarNegativesConfig(Stage):
    """Corruptions of correct captions (design: repeat, remove, insert, swap, shuffle, cut off)."""

    seed: int = Field(default=0, ge=0)
    per_caption: int = Field(default=4, ge=1, description="corruptions drawn for each caption")
    max_captions: int = Field(
        default=60_000, ge=1, description="captions corrupted, in seeded order"
    )


class AttributeNegativesConfig(Stage):
    """Captions with the words of one attribute removed, or swapped for another value."""

    seed: int = Field(default=0, ge=0)
    attributes: list[str] = Field(default=["colour", "background", "size", "relation"])
    lexicon_folder: str | None = Field(
        default=None, description="own lexicons, added to the built-in ones"
    )


class SpoiltNegativesConfig(Stage):
    """Captions that a bare CLIP reward has spoilt, as negatives of the grammar head."""

    max_images: int = Field(default=4_000, ge=1, description="train images, in seeded order")
    samples_per_image: int = Field(
        default=4, ge=0, description="captions drawn of each, beside its greedy one"
    )
    temperature: float = Field(default=1.0, gt=0)
    max_tokens: int = Field(default=28, ge=2, description="words and EOS")
    batch_size: int = Field(default=256, ge=1, description="images decoded at a time")
    threads: int = Field(default=1, ge=0)
    seed: int = Field(default=0, ge=0)
