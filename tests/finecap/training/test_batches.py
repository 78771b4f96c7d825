"""Seeded rows: each once before any comes again, and the same from wherever one goes on."""

import json

import numpy as np

from finecap.training.batches import SeededDraws, SeededRows


def drawn(rows: SeededRows, count: int) -> list[list[int]]:
    return [rows.next().tolist() for _ in range(count)]


def test_every_row_comes_once_before_any_comes_again() -> None:
    batches = drawn(SeededRows(12, 4, seed=0), 6)
    for epoch in (batches[:3], batches[3:]):
        assert sorted(row for batch in epoch for row in batch) == list(range(12))
    assert batches[:3] != batches[3:]


def test_what_does_not_fill_a_batch_waits_or_comes_last() -> None:
    assert [len(b) for b in drawn(SeededRows(10, 4, seed=0), 3)] == [4, 4, 4]
    assert [len(b) for b in drawn(SeededRows(10, 4, seed=0, keep_last=True), 3)] == [4, 4, 2]


def test_a_batch_is_never_larger_than_the_data() -> None:
    assert len(SeededRows(3, 100, seed=0).next()) == 3


def test_the_order_is_the_seeds() -> None:
    first, again, other = (drawn(SeededRows(50, 8, seed), 9) for seed in (0, 0, 1))
    assert first == again != other


def test_a_restored_position_goes_on_as_before() -> None:
    rows, again = SeededRows(10, 4, seed=0), SeededRows(10, 4, seed=9)
    drawn(rows, 4)
    state = dict(rows.state_dict())
    state["generator"] = json.loads(json.dumps(state["generator"]))
    again.load_state_dict(state)
    assert drawn(rows, 5) == drawn(again, 5)
    assert np.array_equal(rows.generator.random(3), again.generator.random(3))


def numbers(seed: int = 0) -> SeededDraws[int]:
    return SeededDraws(lambda generator: int(generator.integers(1 << 30)), seed)


def test_draws_are_those_of_the_seeds_generator() -> None:
    generator = np.random.default_rng(3)
    assert [numbers(3).next()] == [int(generator.integers(1 << 30))] != [numbers(4).next()]


def test_draws_go_on_from_a_restored_position_as_before() -> None:
    straight, again = numbers(), numbers(9)
    straight.next()
    state = json.loads(json.dumps(straight.state_dict()))
    left = [straight.next() for _ in range(3)]
    again.load_state_dict(state)
    assert [again.next() for _ in range(3)] == left
