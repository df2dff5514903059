"""Image files of every kind: what becomes of their pixels, and JPEG decoded at reduced size."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image
from torchvision.transforms import functional as F

from sdbnn_lite.data.image_file import Box, header_size, read_crop, read_image, to_rgb
from sdbnn_lite.errors import UsageError

COLOURS = np.random.default_rng(0)


def pixels(*shape):
    return COLOURS.integers(0, 256, shape, dtype=np.uint8)


def test_sixteen_bits_of_grey_keep_their_upper_eight(tmp_path):
    values = COLOURS.integers(0, 65536, (9, 7), dtype=np.uint16)
    for name in ("grey.png", "grey.tif"):
        Image.fromarray(values).save(tmp_path / name)
        found = np.asarray(read_image(str(tmp_path / name)))
        assert found.shape == (9, 7, 3) and all(np.array_equal(found[..., c], values >> 8) for c in range(3))


def test_what_is_transparent_is_white(tmp_path):
    rgba = pixels(6, 6, 4)
    rgba[0, :, 3], rgba[1, :, 3] = 0, 255
    Image.fromarray(rgba).save(tmp_path / "alpha.png")
    found = np.asarray(read_image(str(tmp_path / "alpha.png"))).astype(float)
    share = rgba[..., 3:] / 255.0
    assert np.abs(found - (share * rgba[..., :3] + (1 - share) * 255)).max() <= 1
    assert (found[0] == 255).all() and np.array_equal(found[1], rgba[1, :, :3])

    palette = Image.fromarray(pixels(5, 5, 3)).quantize(8)
    palette.save(tmp_path / "palette.png", transparency=palette.getpixel((2, 3)))
    assert read_image(str(tmp_path / "palette.png")).getpixel((2, 3)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "HSV", "LAB"])
def test_every_mode_becomes_rgb(mode):
    if mode in ("LAB", "HSV", "YCbCr"):
        picture = Image.frombytes(mode, (8, 6), pixels(6, 8, 3).tobytes())
    else:
        picture = Image.fromarray(pixels(6, 8, 3)).convert(mode)
    if mode == "LAB":
        pytest.skip("PIL itself has no conversion of LAB without a profile")
    found = to_rgb(picture)
    assert found.mode == "RGB" and found.size == (8, 6)
    assert np.array_equal(np.asarray(found), np.asarray(picture.convert("RGB")))


def test_values_without_a_range_are_refused(tmp_path):
    Image.fromarray(np.full((3, 3), 1e6, np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(np.full((3, 3), 70_000, np.int32)).save(tmp_path / "wide.tif")
    for name, why in (("float.tif", "floating-point"), ("wide.tif", "32-bit")):
        with pytest.raises(UsageError, match=f"unreadable image .*{name}.*{why}"):
            read_image(str(tmp_path / name))


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0"])
def test_a_broken_file_is_named(tmp_path, content):
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    for read in (read_image, lambda name: read_crop(name, lambda h, w: Box(0, 0, h, w), 4, reduced=True)):
        with pytest.raises(UsageError, match="unreadable image .*broken.jpg: replace or remove it"):
            read(str(path))


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "china.jpg"
    Image.fromarray(load_sample_image("china.jpg")).save(path, quality=90)  # 640 x 427
    return str(path)


BOXES = [Box(0, 0, 427, 640), Box(50, 100, 300, 400), Box(11, 13, 90, 77), Box(426, 639, 1, 1)]


@pytest.mark.parametrize("box", BOXES)
def test_crops_equal_torchvisions(photo, box):
    for size in (32, 100):
        theirs = F.resized_crop(read_image(photo), *box, [size, size])
        assert np.array_equal(read_crop(photo, lambda h, w: box, size), np.asarray(theirs))


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("size", [16, 64, 200])
def test_reduced_decoding_differs_little_and_only_where_it_may(photo, monkeypatch, box, size):
    sizes = []
    original = Image.Image.convert
    monkeypatch.setattr(Image.Image, "convert", lambda self, mode: sizes.append(self.size) or original(self, mode))
    full, less = (read_crop(photo, lambda h, w: box, size, reduced).astype(int) for reduced in (False, True))
    assert sizes[0] == (640, 427) and less.shape == (size, size, 3)
    shrunk = round(640 / sizes[1][0])
    assert sizes[1] == (-(-640 // shrunk), -(-427 // shrunk)) and shrunk in (1, 2, 4, 8)
    if shrunk == 1:
        assert min(box.width, box.height) < 2 * size and np.array_equal(full, less)
    else:
        assert min(box.width, box.height) >= shrunk * size - 1
        assert np.abs(full - less).mean() < 5  # of 255, on a photograph full of detail


def test_the_whole_photo_is_decoded_at_an_eighth(photo, monkeypatch):
    sizes = []
    original = Image.Image.convert
    monkeypatch.setattr(Image.Image, "convert", lambda self, mode: sizes.append(self.size) or original(self, mode))
    read_crop(photo, lambda h, w: Box(0, 0, h, w), 16, reduced=True)
    assert sizes == [(80, 54)]


def test_a_png_is_never_reduced(tmp_path):
    Image.fromarray(pixels(64, 64, 3)).save(tmp_path / "a.png")
    crops = [read_crop(str(tmp_path / "a.png"), lambda h, w: Box(0, 0, h, w), 8, reduced) for reduced in (False, True)]
    assert np.array_equal(*crops)


def test_a_grey_jpeg_is_reduced_too():
    data = io.BytesIO()
    Image.fromarray(pixels(64, 64)).save(data, "JPEG")
    for reduced in (False, True):
        data.seek(0)
        assert read_crop(data, lambda h, w: Box(0, 0, h, w), 8, reduced).shape == (8, 8, 3)


@pytest.mark.parametrize("size", [(13_000, 13_000), (100_000, 1), (2, 40_000)])
def test_a_file_that_unpacks_to_too_much_is_refused_by_its_header(tmp_path, size, monkeypatch):
    """169 megapixels; and strips, of which resizing the shorter side would make as many."""
    text = io.BytesIO()
    Image.new("L", (4, 4)).save(text, "png")
    content = text.getvalue()
    head = b"IHDR" + struct.pack(">II", *size) + content[24:29]
    (tmp_path / "x.png").write_bytes(content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:])
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("decoded"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for read in (read_image, lambda path: read_crop(path, lambda h, w: Box(0, 0, 4, 4), 4)):
            with pytest.raises(UsageError, match=rf"x.png: .*{size[0]}x{size[1]} pixels; at most 89,478,485 are read"):
                read(tmp_path / "x.png")
        assert header_size(tmp_path / "x.png") is None
