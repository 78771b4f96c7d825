"""Whatever is put into a page is escaped, and a page that lacks something fails."""

import pytest
from jinja2 import UndefinedError

from finecap.server.refusals import Refused
from finecap.server.templates import render


def test_values_are_escaped():
    refused = Refused(400, "<b>bold</b>", "<i>x</i>")
    text = render("message.html", refused=refused, status=400, asked_q='"><b>', words_only="")
    assert "<b>" not in text.lower()
    assert "<i>" not in text
    assert 'value="&#34;&gt;&lt;b&gt;"' in text


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(UndefinedError, match="refused"):
        render("message.html", status=400)
