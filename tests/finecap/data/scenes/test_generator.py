"""The generator against published numbers, and its bounds."""

import numpy as np
import pytest

from finecap.data.scenes.generator import Generator


def test_stream_is_splitmix64() -> None:
    # First outputs for the state 1234567 of the reference C code (S. Vigna, splitmix64.c), as
    # listed on Rosetta Code, "Pseudo-random numbers/Splitmix64".
    generator = Generator()
    generator._state = 1234567
    assert [generator.bits() for _ in range(3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


def test_same_key_gives_same_numbers_and_another_key_others() -> None:
    def first(*key: int | str) -> int:
        return Generator(*key).bits()

    assert first(0, "val", 3) == first(0, "val", 3)
    assert (
        len({first(0, "val", 3), first(0, "val", 4), first(0, "test", 3), first(1, "val", 3)}) == 4
    )


def test_ranges_are_met_and_kept() -> None:
    generator = Generator("ranges")
    assert {generator.below(3) for _ in range(100)} == {0, 1, 2}
    assert {generator.between(4, 5) for _ in range(100)} == {4, 5}


def test_weights_are_shares() -> None:
    generator = Generator("weights")
    drawn = [generator.weighted((("a", 25), ("b", 75))) for _ in range(4_000)]
    assert 0.22 < drawn.count("a") / 4_000 < 0.28


def test_weights_without_weight_are_refused() -> None:
    with pytest.raises(ValueError, match="weights must be positive"):
        Generator().weighted((("a", 0),))


def test_shuffled_keeps_the_items() -> None:
    assert sorted(Generator("s").shuffled(range(9))) == list(range(9))


def test_bytes_are_the_same_stream_at_once() -> None:
    many, one = Generator("bytes"), Generator("bytes")
    values = many.bytes_of(20)
    assert values.shape == (20,)
    assert values.dtype == np.int16
    # The first eight are the mixed start, low byte first; the state has moved by one step only.
    assert many._state == one._state + 0x9E3779B97F4A7C15 & (1 << 64) - 1
    assert Generator("bytes").bytes_of(9)[:9].tolist() == values[:9].tolist()
    assert 100 < Generator("mean").bytes_of(9_000).mean() < 155
