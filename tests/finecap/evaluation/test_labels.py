"""Names and order that a reader sees."""

from finecap.evaluation.labels import better, label, ordered


def test_variants_stand_in_pipeline_order_and_controls_last():
    assert ordered(["mle_alt_text", "clip_s", "a_control", "mle", "clip_s_grammar_attribute"]) == [
        "mle", "clip_s", "clip_s_grammar_attribute", "a_control", "mle_alt_text",
    ]  # fmt: skip


def test_metric_without_a_label_reads_as_words():
    assert label("judge_t2i_r1") == "judge R@1"
    assert label("second_object_colour_recall") == "second object colour recall"


def test_the_better_direction_is_higher_lower_or_neither():
    assert better("judge_t2i_r1") == "higher"
    assert better("judge_i2t_median_rank") == better("stutter_rate") == "lower"
    assert better("vocabulary") == better("distinct_2") == "neither"
