"""A missing browser fails tests in CI and skips them elsewhere; a present one runs scripts."""

import pytest

from tests import browser
from tests.browser import find_browser


def test_a_missing_browser_skips_and_in_ci_fails(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(browser, "NAMES", ("no-such-browser",))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-browser"):
        find_browser()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-browser"):
        find_browser()


@pytest.mark.slow
def test_the_dom_is_that_after_scripts_have_run():
    page = "data:text/html,<p></p><script>document.querySelector('p').id = innerWidth</script>"
    assert '<p id="640"></p>' in find_browser().dom(page, width=640)
