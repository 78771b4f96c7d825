"""GIF captions: the comment read by Pillow, the packet by its trailer, all frames as before."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from finecap.export import gif, xmp

DRAW = np.random.default_rng(0)


def written(frames: int = 1, **options) -> bytes:
    first, *others = (
        Image.fromarray(DRAW.integers(0, 255, (9, 13, 3), np.uint8)) for _ in range(frames)
    )
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=frames > 1, append_images=others, **options)
    return buffer.getvalue()


FILES = {
    "still": written(),
    "old": b"GIF87a" + written()[6:],
    "animated": written(3, duration=[70, 80, 90], loop=0, disposal=2),
    "see_through": written(2, transparency=0, duration=40),
    "commented": written(comment=b"made by someone " * 40),
    "more_behind": written() + b"what came after the trailer",
}
ANY = st.sampled_from(sorted(FILES))
CAPTIONS = st.text(max_size=300)


def embedded(content: bytes, caption: str) -> bytes:
    _, packet = gif.metadata_of(content)
    packet = xmp.with_description(packet, caption)
    return gif.with_metadata(content, xmp.description_of(packet).encode(), packet)


def frames(content: bytes) -> list[tuple]:
    """Of each frame: time, what becomes of it, and pixels; and how often all are shown."""
    with Image.open(io.BytesIO(content)) as image:
        found = [image.info.get("loop"), image.n_frames]
        for number in range(image.n_frames):
            image.seek(number)
            told = image.info.get("duration"), image.info.get("transparency"), image.disposal_method
            found.append((image.mode, told, image.convert("RGBA").tobytes()))
        return found


@pytest.mark.parametrize("name", FILES)
def test_pillow_reads_the_caption_and_every_frame_as_before(name: str):
    before = FILES[name]
    after = embedded(before, "a red boat, « au large »")
    with Image.open(io.BytesIO(after)) as image:
        own = image.info["comment"].decode().split("\n")
        assert "a red boat, « au large »" in own
        with Image.open(io.BytesIO(before)) as old:
            assert old.info.get("comment", b"").decode() in image.info["comment"].decode()
    assert frames(after) == frames(before)
    assert gif.image_bytes(after) == before[6:]


@pytest.mark.parametrize("name", FILES)
def test_the_packet_lies_as_it_is_between_its_name_and_its_trailer(name: str):
    after = embedded(FILES[name], "a red boat")
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    begin = after.index(b"\x21\xff\x0bXMP DataXMP") + 14
    packet = after[begin : after.index(trailer, begin)]
    assert packet.startswith(b"<?xpacket begin=")
    assert packet.endswith(b'<?xpacket end="w"?>')
    assert xmp.description_of(packet) == "a red boat"


@settings(max_examples=40, deadline=None)
@given(ANY, CAPTIONS, CAPTIONS)
def test_writing_twice_is_writing_once(name: str, first: str, second: str):
    once = embedded(FILES[name], second)
    assert embedded(once, second) == once
    assert embedded(embedded(FILES[name], first), second) == once
    assert gif.image_bytes(once) == FILES[name][6:]


def test_a_comment_of_others_behind_the_packet_is_kept():
    own = embedded(FILES["still"], "a red boat")
    theirs = own.replace(b"\x21\xfe\x0aa red boat\0", b"\x21\xfe\x04mine\0")
    after = embedded(theirs, "a blue boat")
    with Image.open(io.BytesIO(after)) as image:
        assert set(image.info["comment"].split(b"\n")) == {b"mine", b"a blue boat"}


def test_a_packet_in_pieces_is_read_too():
    packet = xmp.with_description(b"", "a red boat " * 50)
    pieces = b"".join(
        bytes([len(p)]) + p for p in (packet[i : i + 255] for i in range(0, len(packet), 255))
    )
    whole = gif.with_metadata(FILES["still"], b"", packet)
    begin = whole.index(b"XMP DataXMP") + 11
    odd = whole[:begin] + pieces + b"\0" + whole[begin + len(packet) + 258 :]
    assert gif.metadata_of(odd)[1] == packet


@pytest.mark.parametrize("name", FILES)
def test_every_cut_off_file_is_refused(name: str):
    end = len(FILES[name].removesuffix(b"what came after the trailer")) - 1
    for cut in range(end):
        with pytest.raises(gif.GifError, match="it is no"):
            gif.with_metadata(FILES[name][:cut], b"", b"")
