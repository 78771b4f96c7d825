"""Limits by the minute, the token, and bodies that are read no further than allowed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from finecap.server.limits import Rate, TokenError, body_of, check_token, token_in
from finecap.server.refusals import Refused

SECRET = "a-token-of-24-characters"  # noqa: S105 - not one


def test_an_address_has_its_share_each_minute_and_others_theirs():
    now = [0.0]
    rate = Rate(2, clock=lambda: now[0])
    rate.take("a")
    rate.take("a")
    with pytest.raises(Refused, match="more than 2 requests a minute") as refused:
        rate.take("a")
    assert (refused.value.status, refused.value.retry_after_s) == (429, 31)
    rate.take("b")
    now[0] = 31
    rate.take("a")


def test_asking_on_while_refused_does_not_prolong_the_wait():
    now = [0.0]
    rate = Rate(60, clock=lambda: now[0])
    for _ in range(60):
        rate.take("a")
    for _ in range(100):
        with pytest.raises(Refused, match="more than 60"):
            rate.take("a")
    now[0] = 1.1
    rate.take("a")


def test_without_a_limit_any_number_is_taken():
    rate = Rate(0)
    for _ in range(1000):
        rate.take("a")


def test_the_token_comes_from_a_variable_or_a_file(tmp_path: Path):
    file = tmp_path / "token"
    file.write_text(SECRET + "\n")
    assert token_in({}) == ""
    assert token_in({"FINECAP_TOKEN": SECRET}) == SECRET
    assert token_in({"FINECAP_TOKEN_FILE": str(file)}) == SECRET


def test_a_token_that_is_no_secret_is_refused(tmp_path: Path):
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(TokenError, match="FINECAP_TOKEN has 5 characters, expected 16 or more"):
        token_in({"FINECAP_TOKEN": "short"})
    with pytest.raises(TokenError, match="FINECAP_TOKEN_FILE has 0 characters"):
        token_in({"FINECAP_TOKEN_FILE": str(tmp_path / "empty")})
    with pytest.raises(TokenError, match="both set"):
        token_in({"FINECAP_TOKEN": SECRET, "FINECAP_TOKEN_FILE": "f"})


@pytest.mark.parametrize("given", ["", "wrong", SECRET[:-1], "ü" * 20])
def test_another_token_is_refused(given: str):
    with pytest.raises(Refused, match="needs this server's token"):
        check_token(SECRET, given)
    check_token(SECRET, SECRET)
    check_token("", given)


def test_a_body_is_read_no_further_than_allowed():
    read: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            read.append(1)
            yield b"x" * 400

    with pytest.raises(Refused, match=r"larger than 0\.001 MB"):
        asyncio.run(body_of(endless(), None, 1_000))
    assert len(read) == 3


def test_a_body_that_says_it_is_too_large_is_not_read():
    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError
        yield b""

    with pytest.raises(Refused, match="larger than"):
        asyncio.run(body_of(unread(), "1001", 1_000))
