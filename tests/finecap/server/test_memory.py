"""The memory forgets what was used least recently."""

from finecap.server.memory import Remembered


def test_the_least_recently_used_goes_first():
    memory = Remembered[str, int](2)
    memory.put("a", 1)
    memory.put("b", 2)
    assert memory.get("a") == 1
    memory.put("c", 3)
    assert memory.get("b") is None
    assert (memory.get("a"), memory.get("c"), len(memory)) == (1, 3, 2)


def test_a_value_is_computed_once():
    memory, computed = Remembered[str, int](2), list[str]()
    for _ in range(3):
        assert memory.or_compute("a", lambda: computed.append("a") or 7) == 7
    assert computed == ["a"]
