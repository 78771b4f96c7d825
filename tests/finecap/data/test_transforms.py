"""Any image becomes upright RGB, and a square of pixels."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from finecap.data.transforms import ImageError, Resizing, load_image, to_pixels

RED = (255, 0, 0)


def content(image, **options):
    file = io.BytesIO()
    image.save(file, **{"format": "PNG", **options})
    return file.getvalue()


def halves(mode="RGB"):
    """40 x 20: red on the left, white on the right."""
    image = Image.new("RGB", (40, 20), "white")
    image.paste(RED, (0, 0, 20, 20))
    return image.convert(mode)


def test_path_bytes_array_and_pillow_image_give_the_same_pixels(tmp_path):
    image = halves()
    path = tmp_path / "a.png"
    image.save(path)
    for source in (path, str(path), path.read_bytes(), np.asarray(image), image):
        assert np.array_equal(load_image(source), image)


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees to see it upright
    image = load_image(content(halves(), format="JPEG", quality=95, exif=exif))
    assert image.size == (20, 40)
    assert image.getpixel((10, 35))[1] > 200  # white below
    assert image.getpixel((10, 5))[1] < 60  # red above


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA", "CMYK"])
def test_colours_survive_every_mode(mode):
    file = content(halves(mode), format="TIFF" if mode == "CMYK" else "PNG")
    image = load_image(file)
    assert image.mode == "RGB"
    assert np.abs(np.subtract(image.getpixel((5, 5)), RED)).max() < 5


def test_a_fresh_process_reads_formats_that_pillow_loads_late(tmp_path):
    halves().save(tmp_path / "a.webp", lossless=True)
    halves().save(tmp_path / "a.tiff")
    code = (
        "import sys; from finecap.data.transforms import load_image\n"
        "for path in sys.argv[1:]: print(load_image(path).getpixel((0, 0)))"
    )
    paths = [str(tmp_path / "a.webp"), str(tmp_path / "a.tiff")]
    shown = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split("\n")[:2] == [str(RED)] * 2


def test_transparency_is_laid_over_white():
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert load_image(content(clear)).getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([9, 9, 9, *RED])
    assert load_image(content(palette, transparency=1)).getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bit_images_keep_their_brightness():
    values = np.full((4, 4), 0x8000, dtype=np.uint16)
    assert load_image(content(Image.fromarray(values))).getpixel((0, 0)) == (128, 128, 128)
    assert load_image(values).getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize(
    "array",
    [np.full((4, 5), 51, np.uint8), np.full((4, 5, 1), 51, np.uint8), np.full((4, 5, 3), 0.2)],
)
def test_arrays_of_each_form_are_taken(array):
    image = load_image(array)
    assert image.size == (5, 4)
    assert image.getpixel((0, 0)) == (51, 51, 51)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3, 4, 5), np.uint8), r"shape \(2, 3, 4, 5\), expected"),
        (np.zeros((4, 4, 2), np.uint8), r"shape \(4, 4, 2\), expected"),
        (np.zeros((0, 4), np.uint8), r"shape \(0, 4\), expected"),
        (np.full((4, 4), 200.0), r"leaves \[0, 1\]"),
        (np.full((4, 4), np.nan), r"leaves \[0, 1\]"),
        (np.zeros((4, 4), np.int64), "array is int64, expected uint8"),
    ],
)
def test_other_arrays_are_refused(array, message):
    with pytest.raises(ImageError, match=message):
        load_image(array)


def test_an_image_that_does_not_decode_is_named(tmp_path):
    whole = content(Image.fromarray(np.random.default_rng(0).integers(0, 9, (64, 64, 3), np.uint8)))
    for broken in (b"", b"not an image", whole[: len(whole) // 2], b"%!PS-Adobe-3.0 EPSF-3.0\n"):
        (tmp_path / "a.png").write_bytes(broken)
        with pytest.raises(ImageError, match=r"a\.png does not decode: .*; replace or remove it"):
            load_image(tmp_path / "a.png")
        with pytest.raises(ImageError, match=f"image of {len(broken)} bytes does not decode"):
            load_image(broken)


def test_a_missing_image_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.png does not exist"):
        load_image(tmp_path / "a.png")


def test_pixels_show_the_centre_square():
    pixels = to_pixels(halves(), 10)
    assert (pixels.shape, pixels.dtype) == ((10, 10, 3), np.uint8)
    assert pixels[5, 1].tolist() == [255, 0, 0]
    assert pixels[5, 8].tolist() == [255, 255, 255]


def test_downscaling_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(to_pixels(load_image(stripes), 16).astype(int) - 127).max() < 20


@pytest.mark.parametrize("shape", [(50, 83), (97, 40), (33, 33), (20, 31)])  # (H, W)
def test_pixels_are_those_of_clips_own_transform(shape):
    from torchvision.transforms import CenterCrop, InterpolationMode, Resize

    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8))
    reference = CenterCrop(32)(Resize(32, interpolation=InterpolationMode.BICUBIC)(image))
    difference = to_pixels(image, 32).astype(int) - np.asarray(reference)
    assert np.abs(difference).max() <= 1


def test_a_squashed_image_shows_all_of_it():
    image, squash = halves().crop((10, 0, 40, 20)), Resizing("squash")  # a third is red
    assert to_pixels(image, 12, squash)[6, :, 1].tolist()[:3] == [0, 0, 0]
    assert np.array_equal(to_pixels(image, 12, squash), image.resize((12, 12), 3))
    bilinear = Resizing("squash", "bilinear")
    assert np.array_equal(to_pixels(image, 12, bilinear), image.resize((12, 12), 2))


def test_a_panorama_is_never_resized_whole():
    pixels = to_pixels(Image.new("RGB", (60_000, 1), "red"), 224)
    assert pixels.reshape(-1, 3).min(0).tolist() == [255, 0, 0]
