"""What is no sentence about a picture is found in captions, and sentences are left alone."""

import re

import pytest

from finecap.data.caption_faults import (
    HTML,
    PERSONAL,
    URL,
    foreign_share,
    is_english,
    leaked_name,
)

SENTENCES = [
    "Two young guys with shaggy hair look at their hands while hanging out in the yard .",
    "A <3 on a t-shirt, and a sign that says 'Stop & go' at 5:30",
    "a man at No. 10, 2 dogs & 3 cats; score 100-200-300",
    "number 1000 of 23-45 runs 5.5 km, e.g. at 12.30",
    "Rock & roll; a race of 4 x 100 m. In 2008 it was so",
]


@pytest.mark.parametrize("text", SENTENCES)
def test_sentences_have_no_faults(text):
    assert [bool(re.search(pattern, text)) for pattern in (HTML, URL, PERSONAL)] == [False] * 3
    assert foreign_share(text) == 0
    assert leaked_name("images/boat.jpg", text) is None


@pytest.mark.parametrize("text", ["<b>boat</b>", "a boat<br/>", "a &amp; b", "it&#39;s", "<!-- x"])
def test_markup_is_found(text):
    assert re.search(HTML, text)


@pytest.mark.parametrize("text", ["see http://a.b/c", "www.boats.org", "boats.com", "IMG.JPG here"])
def test_addresses_are_found(text):
    assert re.search(URL, text)


@pytest.mark.parametrize(
    "text",
    [
        "write to jo.doe+x@mail.example.org",
        "call (555) 123-4567",
        "call 555.123.4567 now",
        "+49 170 123 4567",
        "number 123-45-6789",
        "card 4111 1111 1111 1111",
        "host 192.168.10.1",
    ],
)
def test_details_of_a_person_are_found(text):
    assert re.search(PERSONAL, text)


@pytest.mark.parametrize(
    ("image", "text", "leaked"),
    [
        (
            "images/1000268201_693b08cb0e.jpg",
            "1000268201_693b08cb0e a child",
            "1000268201_693b08cb0e",
        ),
        ("images/boat.jpg", "boat.jpg", "boat.jpg"),
        ("images/boat.jpg", "a boat", None),
        ("images/12.jpg", "12 boats", None),
    ],
)
def test_file_names_are_found_and_words_are_not(image, text, leaked):
    assert leaked_name(image, text) == leaked


def test_other_scripts_and_languages_are_told():
    assert foreign_share("Ein Mädchen läuft über Æ") == 0
    assert foreign_share("一只狗 dog") == 0.5
    assert foreign_share("42 !?") == 0
    assert is_english("a dog on a field")
    assert not is_english("ein Hund läuft durch das Gras")
