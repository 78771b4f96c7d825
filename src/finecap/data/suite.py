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
    is_warning: bool = False  # is said, and stops nothing


def checks(config: ValidationConfig) -> list[Check]:
    """The suite, in the order the report shows it."""
    pixels = [*_images(config), *_looks(config)] if config.pixels else []
    return [*_structure(), *_captions(config), *_language(config), *_leaks(), *pixels]


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
        _check(
            "image_unique",
            "Each image has one line",
            "ExpectColumnValuesToBeUnique",
            lambda image: f"image {image} has several lines",
            column="image",
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


def _language(config: ValidationConfig) -> list[Check]:
    """English, as far as letters and common words tell: everything after reads English."""
    share, english = config.max_foreign_share, config.min_english_share
    return [
        _check(
            "caption_script",
            f"At most {share:.0%} of a record's letters are not Latin",
            "ExpectColumnValuesToBeBetween",
            lambda found: f"{found:.0%} of the letters are not Latin, expected {share:.0%} or less",
            column="foreign_share",
            max_value=share,
        ),
        Check(
            "captions_english",
            f"{english:.0%} or more of the records have a common English word",
            "ExpectColumnMeanToBeBetween",
            None,
            {"column": "is_english", "min_value": english},
            is_warning=True,
        ),
    ]


def _leaks() -> list[Check]:
    """What a caption must not repeat from its file, its web page or a person's card."""

    def without(name: str, title: str, reason: str, column: str) -> Check:
        return _check(
            name,
            title,
            "ExpectColumnValuesToBeNull",
            lambda found: f"{reason}: {found!a:.80}",
            column=column,
        )

    return [
        without("caption_html", "No markup in text", "text has markup", "has_markup"),
        without("caption_url", "No addresses in text", "text has an address", "has_address"),
        without(
            "caption_personal",
            "No mail addresses, telephone or card numbers in text",
            "text has what may be a person's details",
            "has_personal",
        ),
        _check(
            "caption_file_name",
            "No caption with its own file's name",
            "ExpectColumnValuesToBeNull",
            lambda name: f"text repeats the file's name {name}",
            column="leaked_name",
        ),
    ]


def _looks(config: ValidationConfig) -> list[Check]:
    """What pixels show."""
    aspect, spread = config.max_aspect, config.min_spread
    near = _check(
        "splits_look_different",
        "No near-duplicate images in two splits",
        "ExpectColumnValuesToBeNull",
        lambda other: f"looks the same as {other}, which keeps it",
        column="near_copy_of",
    )
    return [
        _check(
            "image_exif",
            "The image's EXIF block is whole, if it has one",
            "ExpectColumnValuesToBeNull",
            lambda error: f"the EXIF block is corrupt: {error}",
            column="exif_error",
        ),
        _check(
            "image_not_blank",
            f"Colours vary by {spread:g} levels or more",
            "ExpectColumnValuesToBeBetween",
            lambda found: (
                f"the image is blank: colours vary by {found:.2g} of 255 levels, "
                f"expected {spread:g} or more"
            ),
            column="spread",
            min_value=spread,
        ),
        _check(
            "image_aspect",
            f"The longer side is at most {aspect:g} times the shorter",
            "ExpectColumnValuesToBeBetween",
            lambda found: f"one side is {found:.3g} times the other, expected {aspect:g} at most",
            column="aspect",
            max_value=aspect,
        ),
        *([near] if config.near_duplicates else []),
    ]


def _images(config: ValidationConfig) -> list[Check]:
    """Files, sizes, copies."""
    low, high = config.min_side, config.max_side
    return [
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
