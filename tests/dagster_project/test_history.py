"""Moves as text and back, and the champion before, on any history."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.history import (
    MAX_REASON,
    Kind,
    Move,
    champion_before,
    from_text,
    me,
    now,
    one_line,
    reigns,
    to_text,
)

VERSIONS = st.integers(1, 6).map(str)


def moves(*steps: tuple[Kind, str]) -> list[Move]:
    """The steps as moves that follow each other, from no champion on."""
    before, made = "", []
    for number, (kind, after) in enumerate(steps, start=1):
        made.append(Move(number, kind, before, after, "2026-11-23T03:00:00Z", "a@b", "test", "why"))
        before = after
    return made


P, R, SEEN = Kind.PROMOTION, Kind.ROLLBACK, Kind.NOTICED


@given(st.text(), st.sampled_from(Kind), VERSIONS)
def test_move_comes_back_from_its_text(why: str, kind: Kind, after: str):
    move = Move(7, kind, "", after, now(), me(), "finecap promote", why)
    assert from_text(7, to_text(move)) == move


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], ""),
        ([(P, "5")], ""),
        ([(P, "5"), (P, "7")], "5"),
        ([(P, "5"), (P, "7"), (P, "9"), (R, "7")], "5"),  # not 9, which was undone
        ([(P, "5"), (P, "7"), (P, "9"), (R, "7"), (R, "5")], ""),
        ([(P, "5"), (P, "7"), (R, "5"), (P, "8")], "5"),
        ([(P, "5"), (SEEN, "3"), (P, "8")], "3"),
        ([(P, "5"), (P, "7"), (P, "5")], "7"),
    ],
)
def test_champion_before_is_the_one_a_person_means(steps: list[tuple[Kind, str]], expected: str):
    current = steps[-1][1] if steps else ""
    assert champion_before(moves(*steps), current, {"3", "5", "7", "8", "9"}) == (expected, [])


def test_history_that_was_cut_short_starts_with_what_came_before():
    cut = moves((P, "5"), (P, "7"), (P, "9"))[1:]
    assert reigns(cut) == ["5", "7", "9"]
    assert reigns(moves((P, "5"), (P, "7"), (R, "5"))[2:]) == ["7", "5"]


def test_deleted_versions_are_passed_and_named():
    steps = moves((P, "5"), (P, "7"), (P, "9"))
    assert champion_before(steps, "9", {"5", "9"}) == ("5", ["7"])
    assert champion_before(steps, "9", {"9"}) == ("", ["7", "5"])


def test_without_a_champion_its_last_one_comes_back():
    steps = moves((P, "5"), (P, "7"), (SEEN, ""))
    assert champion_before(steps, "", {"5", "7"}) == ("7", [])


@given(st.lists(VERSIONS, min_size=1, max_size=8))
def test_rollbacks_in_a_row_go_back_through_every_champion_and_end(versions: list[str]):
    steps = [(P, version) for version in versions]
    reigned = [v for i, v in enumerate(versions) if i == 0 or v != versions[i - 1]]
    for expected in reversed(reigned[:-1]):
        found, _ = champion_before(moves(*steps), steps[-1][1], set(versions))
        assert found == expected
        steps.append((R, found))
    assert champion_before(moves(*steps), steps[-1][1], set(versions)) == ("", [])


def test_reason_is_kept_in_one_line_of_bounded_length():
    assert one_line("reads\n  better ") == "reads better"
    assert len(one_line("x" * 5000)) == MAX_REASON


def test_who_and_when_are_said_even_by_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch):
    def nameless() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert me().startswith(f"{os.getuid()}@")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", now())
