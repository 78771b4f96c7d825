"""The two logs that come with the library."""

import pytest

from finecap.log import Log, print_log, silent


def test_a_line_has_step_message_and_numbers_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_log("val", 3, loss=0.123456, reward=2.0)
    shown = capsys.readouterr()
    assert shown.err == "step 3 val loss=0.1235 reward=2\n"
    assert not shown.out


def test_a_bare_message_has_no_trailing_blank(capsys: pytest.CaptureFixture[str]) -> None:
    print_log("drawn")
    assert capsys.readouterr().err == "drawn\n"


def test_silence_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    log: Log = silent
    log("val", 3, loss=1.0)
    assert capsys.readouterr() == ("", "")
