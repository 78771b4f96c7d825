"""The tables: which columns show, which score is best, how numbers read."""

from finecap.evaluation.labels import VARIANTS
from finecap.evaluation.results import Metric, not_computed, not_defined
from finecap.evaluation.tables import SUMMARY, absences, blocks, brief, markdown, summary


def measured(value: float) -> Metric:
    return {"value": value, "ci_low": value, "ci_high": value, "n": 9}


def best(name: str, **values: Metric) -> set[str]:
    (block,) = blocks({variant: {name: metric} for variant, metric in values.items()})
    return {variant for variant, cells in block.rows if cells[0].is_best}


def test_best_is_the_highest_or_lowest_as_the_metric_asks():
    assert best("cider", mle=measured(0.5), cider=measured(0.7)) == {"cider"}
    assert best("repetition_rate", mle=measured(0.1), cider=measured(0.0)) == {"cider"}


def test_scores_equal_as_printed_share_the_best_and_a_full_tie_has_none():
    close = {"mle": measured(0.50001), "cider": measured(0.5), "clip_s": measured(0.4)}
    assert best("cider", **close) == {"mle", "cider"}
    assert best("cider", mle=measured(0.0), cider=measured(0.0)) == set()


def test_no_length_is_best():
    assert best("mean_length", mle=measured(5.0), clip_s=measured(12.0)) == set()


def test_metric_missing_for_one_variant_shows_as_not_available():
    table = {"mle": {"cider": measured(0.5)}, "clip_s": {"cider": not_computed("crash")}}
    assert "| `clip_s` | n/a |" in markdown(table)
    assert absences(table) == []


def test_metric_missing_for_all_is_no_column_but_a_line_with_the_reason():
    table = {"mle": {"cider": measured(0.5), "grammatical_rate": not_defined("photos")}}
    assert "grammar rate" not in markdown(table)
    assert absences(table) == ["grammar rate: not defined on this data: photos"]


def test_rates_show_three_decimals_and_counts_none():
    table = {"mle": {"mean_length": measured(11.42), "vocabulary": measured(1403.0)}}
    assert "| `mle` | 11.4 [11.4, 11.4] | 1403 [1403, 1403] |" in markdown(table)


def test_the_summary_is_one_table_of_what_a_reader_compares_first():
    table = {"mle": {"cider": measured(0.5), "judge_t2i_r1": measured(0.1), "t2i_r1": measured(1)}}
    block = summary(table)
    assert block.columns == ("judge_t2i_r1", "cider")
    assert markdown(table).startswith("### Summary\n\n| variant | judge R@1 | CIDEr |")


def test_a_brief_table_of_all_variants_is_shown_at_once_by_dagster():
    """Markdown of 1,000 characters or more is behind a link there."""
    table = {v: dict.fromkeys(SUMMARY, measured(0.123)) for v in (*VARIANTS, "mle_alt_text")}
    text = brief(summary(table))
    assert text.splitlines()[2].startswith("| mle | 0.123 | 0.123 |")
    assert len(text) < 1_000
