"""An XMP packet gains a description and keeps the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finecap.export.xmp import XmpError, description_of, with_description

PACKET = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"
 xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title><rdf:Alt><rdf:li xml:lang="x-default">A title
</rdf:li></rdf:Alt></dc:title><dc:description><rdf:Alt><rdf:li xml:lang="x-default">old</rdf:li>
</rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40))
def test_any_caption_reads_back(caption: str):
    plain = caption.replace("\ufffe", "").replace("\uffff", "")
    assert description_of(with_description(b"", caption)) == plain


def test_what_xml_cannot_hold_is_left_out():
    assert description_of(with_description(b"", "a\0 red\x07 boat")) == "a red boat"


def test_the_rest_of_a_packet_is_kept():
    after = with_description(PACKET, "a red boat")
    assert description_of(after) == "a red boat"
    assert b'xmp:Rating="5"' in after
    assert b"A title" in after
    assert b">old<" not in after


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"<a>", "is no XML"),
        (b"<a/>", "no rdf:RDF"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "declares entities"),
    ],
)
def test_a_broken_packet_is_refused(packet: bytes, reason: str):
    with pytest.raises(XmpError, match=reason):
        with_description(packet, "a red boat")
