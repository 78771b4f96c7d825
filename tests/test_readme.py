"""The README says what the code does, and a reader finds the main things early."""

import re
import subprocess
from pathlib import Path

import pytest

from dagster_project.definitions import all_assets
from dagster_project.docs import BLOCKS, BlockError, commands, generated, settings
from finecap.config import Profile, load_profile, profile_names

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
LINES = README.splitlines()


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(LINES, start=1) if text in line)


def test_generated_parts_are_current():
    assert generated(README) == README, "run `make docs`"


def test_writing_the_generated_parts_again_changes_nothing():
    assert generated(generated(README)) == generated(README)


def test_outdated_block_is_written_anew_and_the_rest_is_left_alone():
    old = README.replace("| search | `caption_index`", "| search | `gone`")
    assert old != README
    assert generated(old) == README


@pytest.mark.parametrize("name", BLOCKS)
def test_missing_block_is_named(name: str):
    with pytest.raises(BlockError, match=f"{name}:end"):
        generated(README.replace(f"<!-- {name}:end -->", ""))


def test_every_asset_is_listed():
    for asset in all_assets(load_profile("scenes")):
        for key in asset.keys:
            assert f"`{key.to_user_string()}`" in README


def test_what_can_be_left_out_of_a_command_stands_in_brackets():
    text = commands()
    assert "finecap search QUERY [--json]" in text
    assert "finecap import KIND --source SOURCE --into INTO" in text


def test_every_stage_of_a_profile_is_listed():
    stages = [name for name in Profile.model_fields if name not in {"name", "optional"}]
    assert [line.split("`")[1] for line in settings().splitlines()[2:]] == stages


def test_every_profile_is_named():
    assert all(f"`{name}`" in README for name in profile_names())


def test_first_command_stands_in_the_first_twenty_lines():
    assert line_of("make run") <= 20


def test_picture_and_results_stand_in_the_first_forty_lines():
    assert line_of("```mermaid") < line_of("<!-- results:begin -->") <= 40
    assert line_of("<!-- results:begin -->") < line_of("<!-- results:end -->")


def test_every_make_target_named_exists():
    declared = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"run", "test", "up"} <= named <= declared


def test_every_folder_and_file_on_the_map_exists():
    named = re.findall(r"^\| (`[^|]+`) \|", README.split("## Map")[1].split("##")[0], re.MULTILINE)
    assert named
    for row in named:
        first, *more = re.findall(r"`([^`]+)`", row)
        parent = Path(first).parent
        assert (ROOT / first).exists(), first
        assert all((ROOT / parent / name).exists() for name in more), more


def test_links_to_files_lead_somewhere():
    links = re.findall(r"\]\((?!http)([^)]+)\)", README)
    assert links
    assert all((ROOT / link).is_file() for link in links)


def test_nothing_names_a_machine_or_a_package_host():
    listed = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.splitlines()
    hosts = re.compile(
        "|".join(["/" + "work/", "/" + "opt/", r"pypi\." + "org", "download.py" + "torch"])
    )
    found = [
        name
        for name in files
        if (ROOT / name).is_file() and hosts.search((ROOT / name).read_text(errors="replace"))
    ]
    assert found == []
