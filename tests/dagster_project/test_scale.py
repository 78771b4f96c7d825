"""The sums on paper are sums: each slope times the images, in units that people read."""

import subprocess
import sys

import pytest

from dagster_project.scale import PARTS, Part, cost, table


def test_cost_is_the_slope_times_the_images():
    part = Part("captions", seconds=0.36, bytes=2_000, runs_on="it")
    assert cost(part, 1_000_000) == "100 core hours, 2 GB"
    assert cost(part, 100_000_000) == "10,000 core hours, 200 GB"


def test_parts_that_keep_nothing_say_nothing_of_bytes():
    assert cost(Part("epoch", seconds=0.0036, bytes=0, runs_on="it"), 1_000_000) == "1 core hours"


@pytest.mark.parametrize(
    ("bytes_", "said"), [(1, "1 kB"), (1_500, "1.5 MB"), (15_000_000, "15 GB"), (1e11, "100 TB")]
)
def test_sizes_are_in_units_that_people_read(bytes_: float, said: str):
    assert cost(Part("x", seconds=0, bytes=bytes_, runs_on="it"), 1_000).endswith(said)


def test_every_part_is_a_row_and_a_query_too():
    rows = table((1_000,)).splitlines()
    assert len(rows) == 2 + len(PARTS) + 2
    assert len({row.count("|") for row in rows}) == 1


def test_numbers_of_images_are_arguments():
    command = [sys.executable, "-m", "dagster_project.scale", "5e3"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == f"{table((5_000,))}\n"
