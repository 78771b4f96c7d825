"""The suite on the records table: every bound a data set must keep, in one list.

Each `Check` is one expectation of Great Expectations, by its class name, with the sentence that a
failing row is quarantined with. What stays out: running them (`verdicts`) and what follows from a
failure (`expectations`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from finecap.config import ValidationConfig
from finecap.data.records import SPLITS
from finecap.data.records_table import COLUMNS

# Control characters, and U+FFFD, which a decoder leaves where the encoding was wrong.
_BAD_CHARACTER = "[\x00-\x1f\x7f-\x9f\ufffd\ufffe\uffff]"


@dataclass(frozen=True)
class Check:
    """One expectation; `reason` turns a failing value into the sentence of the quarantine."""

    name: str
    title: str
    kind: str  # the class of Great Expectations
    reason: Callable[[Any], str] | None  # None: about the table, no row can be blamed
    arguments: Mapping[str, object]


def checks(config: ValidationConfig) -> list[Check]:
    """The suite, in the order the report shows it."""
    return [*_structure(), *_captions(config), *_images(config)]


def _check(
    name: str, title: str, kind: str, reason: Callable[[Any], str] | None, **arguments: object
) -> Check:
    return Check(name, title, kind, reason, arguments)


def _structure() -> list[Check]:
    """Lines, columns, names and splits."""
    return [
        _check(
            "columns",
            "The table has the columns of a record",
            "ExpectTableColumnsToMatchOrderedList",
            None,
            column_list=list(COLUMNS),
        ),
        _check(
            "all_splits",
            f"There are rows of {', '.join(SPLITS)}",
            "ExpectColumnDistinctValuesToContainSet",
            None,
            column="split",
            value_set=list(SPLITS),
        ),
        _check(
            "line_is_record",
            "Each line is a record",
            "ExpectColumnValuesToBeNull",
            str,
            column="parse_error",
        ),
        *(
            _check(
                f"{column}_present",
                f"`{column}` is never null",
                "ExpectColumnValuesToNotBeNull",
                lambda _, column=column: f'"{column}" is null',
                column=column,
            )
            for column in ("image", "split", "caption_count")
        ),
        _check(
            "split_known",
            f"`split` is {', '.join(SPLITS)}",
            "ExpectColumnValuesToBeInSet",
            lambda split: f'"split" is {split!r}, expected one of {", ".join(SPLITS)}',
            column="split",
            value_set=list(SPLITS),
        ),
    ]


def _captions(config: ValidationConfig) -> list[Check]:
    """Counts, lengths, charset."""
    least, most = config.min_captions, config.max_caption_words
    return [
        _check(
            "caption_count",
            f"{least} captions or more",
            "ExpectColumnValuesToBeBetween",
            lambda count: f"{count:g} captions, expected {least} or more",
            column="caption_count",
            min_value=least,
        ),
        _check(
            "caption_not_empty",
            "No caption without words",
            "ExpectColumnValuesToBeBetween",
            lambda words: f"a caption has {words:g} words, expected one or more",
            column="shortest_words",
            min_value=1,
        ),
        _check(
            "caption_length",
            f"No caption over {most} words",
            "ExpectColumnValuesToBeBetween",
            lambda words: f"a caption has {words:g} words, expected at most {most}",
            column="longest_words",
            max_value=most,
        ),
        _check(
            "caption_charset",
            "No control or replacement characters in text",
            "ExpectColumnValuesToNotMatchRegex",
            lambda text: f"text has control or replacement characters: {text!a:.80}",
            column="text",
            regex=_BAD_CHARACTER,
        ),
    ]


def _images(config: ValidationConfig) -> list[Check]:
    """Files, sizes, copies."""
    low, high = config.min_side, config.max_side
    return [
        _check(
            "image_unique",
            "Each image has one line",
            "ExpectColumnValuesToBeUnique",
            lambda image: f"image {image} has several lines",
            column="image",
        ),
        _check(
            "image_exists",
            "The image exists",
            "ExpectColumnValuesToBeNull",
            str,
            column="missing",
        ),
        _check(
            "image_decodes",
            "The image decodes",
            "ExpectColumnValuesToBeNull",
            lambda error: f"the image does not decode: {error}",
            column="decode_error",
        ),
        _check(
            "image_not_small",
            f"Shorter side {low} px or more",
            "ExpectColumnValuesToBeBetween",
            lambda side: f"the shorter side has {side:g} px, expected {low} or more",
            column="short_side",
            min_value=low,
        ),
        _check(
            "image_not_large",
            f"Longer side {high} px or less",
            "ExpectColumnValuesToBeBetween",
            lambda side: f"the longer side has {side:g} px, expected at most {high}",
            column="long_side",
            max_value=high,
        ),
        _check(
            "splits_disjoint",
            "No image bytes in two splits",
            "ExpectColumnValuesToBeNull",
            lambda other: f"same photo as {other}, which keeps it",
            column="copy_of",
        ),
    ]
