"""The README's results say what the study measured."""

import re

from dagster_project.assets.evaluation import captioner_keys
from dagster_project.docs import README
from dagster_project.study import README_PROFILE
from dagster_project.study_table import COLUMNS, results
from finecap.config import load_profile
from finecap.evaluation.labels import label

STUDY = {
    "profile": "scenes",
    "data_md5": "4a269f21aa.dir",
    "seeds": [0, 1],
    "variants": {
        "clip_s": {"cider": {"mean": 0.5, "sd": 0.25, "values": [0.25, 0.75]}},
        "mle": {
            "cider": {"mean": 2.0, "sd": 0.125, "values": [1.9, 2.1]},
            "repetition_rate": {"mean": 0.0, "sd": None, "values": [0.0]},
        },
    },
}


def test_a_row_per_variant_with_mean_and_spread():
    above, blank, head, rule, *rows = results(STUDY, 1000).splitlines()
    assert (
        above == "Profile `scenes`, data md5 4a269f21, test split, n = 1000: "
        "mean ± standard deviation over 2 seeds of the whole chain."
    )
    assert (blank, rule) == ("", "| :--- | ---: | ---: |")
    assert head == "| variant | CIDEr | repetition ↓ |"
    assert rows == ["| `mle` | 2.000 ± 0.125 | 0.000 |", "| `clip_s` | 0.500 ± 0.250 | n/a |"]


def test_one_seed_is_named_and_has_no_spread():
    row = {"mle": {"cider": {"mean": 2.0, "sd": None, "values": [2.0]}}}
    above, *_, last = results(STUDY | {"seeds": [3], "variants": row}, 1000).splitlines()
    assert above.endswith("test split, n = 1000: one seed (3).")
    assert last == "| `mle` | 2.000 |"


def test_the_readme_shows_every_variant_in_the_tables_form():
    block = re.split("<!-- results:(?:begin|end) -->", README.read_text())[1]
    head, *rows = [line for line in block.splitlines() if line.startswith("| ")]
    named = [cell.strip(" ↓") for cell in head.strip("| ").split("|")]
    assert named == ["variant", *map(label, COLUMNS)]
    variants = set(captioner_keys(load_profile(README_PROFILE)))
    assert {row.split("`")[1] for row in rows[1:]} == variants
    cell = re.compile(r"\d\.\d{3}(?: ± \d\.\d{3})?")
    assert all(
        cell.fullmatch(c.strip()) for row in rows[1:] for c in row.strip("| ").split("|")[1:]
    )
