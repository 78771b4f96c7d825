"""The simulated fleet: the sum where nothing goes wrong, and never better than it."""

import math
import statistics
from dataclasses import replace

import pytest

from dagster_project import fleet
from dagster_project.fleet import Fleet, Outcome, simulate, table
from dagster_project.scale import main

CALM = Fleet(10_050, 1, 100, row_s=0.001, image_s=0.25, spread=0.0, start_s=0.0, life_h=math.inf)
FEW = Fleet(200_000, 20, 2_000)
"""100 shards of eight minutes."""


def mean(of: Fleet, figure: str) -> float:
    return statistics.mean(getattr(simulate(of, seed), figure) for seed in range(30))


def test_one_machine_that_nobody_kills_takes_the_sum_exactly():
    outcome = simulate(CALM, 0)
    assert outcome.core_s == pytest.approx(CALM.ideal_core_s)
    assert outcome.end_s == pytest.approx(CALM.ideal_s + 100 * CALM.row_s)  # of the last shard
    assert (outcome.killed_s, outcome.starting_s, outcome.kills) == (0, 0, 0)


def test_every_start_and_every_kill_is_paid_for_and_every_image_is_written_once():
    for life in (math.inf, 1.0, 0.2):
        outcome = simulate(replace(FEW, life_h=life, spread=0.0), 1)
        assert outcome.images == FEW.images
        assert outcome.useful_s == pytest.approx(FEW.images * FEW.image_s)
        assert outcome.starting_s == pytest.approx(len(FEW.shards) * FEW.start_s)
        assert outcome.writing_s == pytest.approx(FEW.images * FEW.row_s)
        assert (outcome.kills > 0) == (outcome.killed_s > 0) == (life < math.inf)


def test_a_life_of_half_the_time_costs_more_and_ends_later():
    lives = [math.inf, 4.0, 2.0, 1.0, 0.5, 0.25]
    fleets = [replace(FEW, life_h=life) for life in lives]
    for figure in ("end_s", "core_s", "killed_s", "kills"):
        figures = [mean(each, figure) for each in fleets]
        assert figures == sorted(figures)
        assert figures[0] < figures[-1]


def test_more_machines_are_never_slower():
    ends = [mean(replace(FEW, machines=n, life_h=2.0), "end_s") for n in (1, 2, 5, 10, 50, 200)]
    assert ends == sorted(ends, reverse=True)


def test_a_pool_is_a_limit_of_steps_at_once():
    calm = replace(FEW, life_h=math.inf)
    limited, small = replace(calm, pool=5), replace(calm, machines=5)
    assert simulate(limited, 3) == simulate(small, 3)
    assert limited.ideal_s == small.ideal_s


def test_no_fleet_is_faster_than_the_one_that_writes():
    slow = replace(FEW, machines=1_000, row_s=0.1)
    assert simulate(slow, 0).end_s >= slow.images * slow.row_s


def test_the_same_seed_is_the_same_fate_and_another_another():
    assert simulate(FEW, 7) == simulate(FEW, 7) != simulate(FEW, 8)


def test_the_cheapest_shard_is_youngs():
    """Start and half a shard lost at each kill: the least at sqrt(2 start life)."""
    own = Fleet(1_000_000, 10, 1, start_s=60.0, life_h=3.0)
    best = math.sqrt(2 * own.start_s * own.life_h * 3600) / own.image_s
    costs = {
        factor: mean(replace(own, shard=int(best * factor)), "core_s") for factor in (0.2, 1, 5)
    }
    assert min(costs, key=costs.__getitem__) == 1
    lost = costs[1] / own.ideal_core_s - 1
    assert lost == pytest.approx(math.sqrt(2 * own.start_s / (own.life_h * 3600)), rel=0.2)


def test_a_row_tells_mean_and_range_beside_the_sum():
    small = Fleet(1_000, 2, 100)
    row = table([small]).splitlines()[-1]
    assert row.startswith("| 1,000 | 2 | 100 | folder | 0.")
    assert f"({small.ideal_core_s / 3600:,.0f})" in row
    assert len({line.count("|") for line in table([small]).splitlines()}) == 1


def test_all_that_is_paid_for_is_told():
    assert Outcome(useful_s=1, starting_s=2, killed_s=4, writing_s=8).core_s == 15


def test_the_command_prints_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("sys.argv", ["scale", "--simulate"])
    monkeypatch.setattr(fleet, "FLEETS", (Fleet(1_000, 2, 100),))
    assert main() == 0
    assert capsys.readouterr().out == f"{table()}\n"
