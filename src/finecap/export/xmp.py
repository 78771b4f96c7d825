"""XMP packets: `dc:description` set, everything else in the packet kept.

XMP specification part 1 (ISO 16684-1), sections 7.3 and 8.4: a description is a language
alternative, its `x-default` the one that is shown.
"""

import io
import re
from xml.etree import ElementTree as ET

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_X = "adobe:ns:meta/"
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_EMPTY = f'<x:xmpmeta xmlns:x="{_X}"><rdf:RDF xmlns:rdf="{_RDF}"/></x:xmpmeta>'
_HEAD = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_TAIL = '<?xpacket end="w"?>'
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class XmpError(ValueError):
    """An XMP packet that cannot be read."""


def with_description(packet: bytes, description: str) -> bytes:
    """The packet with that description as `x-default`; b"" makes a new packet.

    Characters that XML cannot hold are left out.

    Raises:
        XmpError: the packet is no XML, declares entities, or holds no rdf:RDF.
    """
    if b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        raise XmpError("its XMP declares entities, expected none")
    root = _parsed(packet.strip(b"\0 \n\r\t") or _EMPTY.encode())
    rdf = root if root.tag == f"{{{_RDF}}}RDF" else root.find(f"{{{_RDF}}}RDF")
    if rdf is None:
        raise XmpError("its XMP has no rdf:RDF")
    for holder in rdf.findall(f"{{{_RDF}}}Description"):
        for old in holder.findall(f"{{{_DC}}}description"):
            holder.remove(old)
        holder.attrib.pop(f"{{{_DC}}}description", None)
    holder = rdf.find(f"{{{_RDF}}}Description")
    if holder is None:
        holder = ET.SubElement(rdf, f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""})
    alternatives = ET.SubElement(ET.SubElement(holder, f"{{{_DC}}}description"), f"{{{_RDF}}}Alt")
    item = ET.SubElement(alternatives, f"{{{_RDF}}}li", {_LANG: "x-default"})
    item.text = _NOT_XML.sub("", description)
    return f"{_HEAD}\n{ET.tostring(root, encoding='unicode')}\n{_TAIL}".encode()


def description_of(packet: bytes) -> str:
    """The packet's description, "" where it has none.

    Raises:
        XmpError: it is no XML.
    """
    item = _parsed(packet).find(f".//{{{_DC}}}description/{{{_RDF}}}Alt/{{{_RDF}}}li")
    return "" if item is None else item.text or ""


def _parsed(packet: bytes) -> ET.Element:
    """The packet's root; prefixes that it declares are written as they were."""
    try:
        for _, declared in ET.iterparse(io.BytesIO(packet), ["start-ns"]):  # noqa: S314 - no entities
            prefix, uri = declared
            if prefix and not re.fullmatch(r"ns\d+", prefix):
                ET.register_namespace(prefix, uri)
        return ET.fromstring(packet)  # noqa: S314
    except ET.ParseError as error:
        raise XmpError(f"its XMP is no XML: {error}") from error


for _prefix, _uri in (("rdf", _RDF), ("dc", _DC), ("x", _X)):
    ET.register_namespace(_prefix, _uri)
