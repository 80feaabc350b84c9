"""Still images against Pillow, which benchmarks were published with."""

import base64
import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from lmms.media import (
    MediaDecodeError,
    MediaNotFoundError,
    MediaTooLargeError,
    MediaUnreadableError,
    MediaUnsupportedError,
    encode_image,
    image_data_url,
    image_size,
    load_image,
    resize_image,
    thumbnail_data_url,
)


@pytest.fixture(scope="module")
def picture(painted):
    return painted(1, 61, 43)[0]


def saved(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_files_give_every_pixel(picture, tmp_path, kind):
    data = saved(Image.fromarray(picture), format=kind, lossless=True)
    path = tmp_path / "picture"  # No suffix: the content decides.
    path.write_bytes(data)
    assert np.array_equal(load_image(data), picture)
    assert np.array_equal(load_image(path), picture)
    assert image_size(data) == image_size(path) == (43, 61)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpeg_is_pillows_within_rounding(picture, subsampling):
    data = saved(Image.fromarray(picture), format="JPEG", quality=92, subsampling=subsampling)
    difference = np.abs(load_image(data).astype(int) - np.asarray(Image.open(io.BytesIO(data))))
    # Two implementations of the same transform; chroma interpolation rounds differently.
    assert difference.max() <= 4
    assert difference.mean() < 0.5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(picture, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(picture), format="PNG", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert np.array_equal(load_image(data), expected)
    assert image_size(data) == expected.shape[:2]


def test_transparency_is_blended_over_white():
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, 0] = (200, 10, 0, 255)
    rgba[0, 1] = (200, 10, 0, 0)
    rgba[0, 2] = (0, 0, 0, 51)
    loaded = load_image(saved(Image.fromarray(rgba), format="PNG"))
    assert loaded.tolist() == [[[200, 10, 0], [255, 255, 255], [204, 204, 204]]]


def test_palettes_grey_and_deep_channels_become_rgb(picture):
    image = Image.fromarray(picture)
    palette = image.quantize(16)
    assert np.array_equal(
        load_image(saved(palette, format="PNG")), np.asarray(palette.convert("RGB"))
    )
    assert np.array_equal(
        load_image(saved(palette, format="GIF")), np.asarray(palette.convert("RGB"))
    )
    grey = image.convert("L")
    assert np.array_equal(load_image(saved(grey, format="PNG")), np.asarray(grey.convert("RGB")))
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert np.array_equal(load_image(saved(deep, format="PNG")), np.asarray(grey.convert("RGB")))


@pytest.mark.parametrize("size", [(20, 30), (43, 61), (86, 40), (130, 190), (1, 1)])
def test_resizing_is_pillows_bicubic(picture, size):
    height, width = size
    expected = np.asarray(
        Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
    )
    resized = resize_image(picture, size)
    assert resized.shape == (height, width, 3)
    assert np.abs(resized.astype(int) - expected).max() <= 2
    loaded = load_image(saved(Image.fromarray(picture), format="PNG"), size=size)
    assert np.array_equal(loaded, resized)


@pytest.mark.parametrize("size", [(20, 30), (154, 227), (28, 448), (300, 17), (1, 200)])
def test_resizing_is_exactly_torchs(size):
    torch = pytest.importorskip(
        "torch", reason="compares with PyTorch, which the extra hf installs"
    )
    noise = np.random.default_rng(3).integers(0, 256, (189, 93, 3), dtype=np.uint8)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(noise).permute(2, 0, 1)[None],
        size=size,
        mode="bicubic",
        antialias=True,
        align_corners=False,
    )
    assert np.array_equal(resize_image(noise, size), expected[0].permute(1, 2, 0).numpy())


def test_resizing_takes_any_memory_layout(picture):
    turned = picture.transpose(1, 0, 2)[::-1]
    assert not turned.flags.c_contiguous
    expected = resize_image(np.ascontiguousarray(turned), (20, 20))
    assert np.array_equal(resize_image(turned, (20, 20)), expected)


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_lossless_encoding_is_read_back_by_pillow(picture, format):
    encoded = encode_image(picture, format=format)
    image = Image.open(io.BytesIO(encoded))
    assert image.format == format
    assert np.array_equal(np.asarray(image.convert("RGB")), picture)


def test_jpeg_quality_matters(picture):
    def error(quality: int) -> float:
        encoded = encode_image(picture, format="JPEG", quality=quality)
        decoded = np.asarray(Image.open(io.BytesIO(encoded)))
        return float(np.abs(decoded.astype(int) - picture).mean())

    assert error(95) < error(60) < error(10)
    assert error(95) < 8


def test_data_urls(picture, tmp_path):
    url = image_data_url(picture, format="PNG")
    head, _, text = url.partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(text, validate=True) == encode_image(picture, format="PNG")
    assert image_data_url(picture, format="JPEG").startswith("data:image/jpeg;base64,/9j/")
    path = tmp_path / "picture.png"
    path.write_bytes(encode_image(picture))
    assert image_data_url(path) == url


def test_thumbnails_are_small(painted):
    frame = painted(1, 640, 360)[0]
    url = thumbnail_data_url(frame)
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert image.size == (160, 90)
    assert len(url) < 12_000
    small = Image.open(
        io.BytesIO(base64.b64decode(thumbnail_data_url(frame[:40, :50]).partition(",")[2]))
    )
    assert small.size == (50, 40)
    with pytest.raises(ValueError, match=r"shape \(height, width, 3\)"):
        thumbnail_data_url(frame[..., 0])


def test_wrong_arguments_are_named(picture):
    with pytest.raises(ValueError, match="quality is 1 to 100, got 0"):
        encode_image(picture, format="JPEG", quality=0)
    with pytest.raises(ValueError, match='unknown image format "TGA"; allowed: JPEG, PNG, WEBP'):
        encode_image(picture, format="TGA")
    with pytest.raises(ValueError, match=r"shape \(height, width, 3\), got \(43, 61, 2\)"):
        encode_image(picture[..., :2])
    with pytest.raises(MediaUnsupportedError, match="cannot resize 61x43 to 0x5"):
        resize_image(picture, (5, 0))
    with pytest.raises(MediaUnsupportedError, match="at most"):
        resize_image(picture, (60_000, 60_000))


def test_what_is_no_image_is_named_with_the_reason(picture, tmp_path):
    whole = saved(Image.fromarray(picture), format="PNG")
    empty, text, cut = tmp_path / "empty.png", tmp_path / "text.png", tmp_path / "cut.png"
    empty.touch()
    text.write_text("no image")
    cut.write_bytes(whole[: len(whole) // 2])
    cases = [
        (tmp_path / "none.png", MediaNotFoundError, "none.png: no such file"),
        (tmp_path, MediaUnreadableError, "it is a folder"),
        (empty, MediaDecodeError, "empty.png: the file is empty"),
        (text, MediaDecodeError, "text.png: not an image in a known format"),
        (cut, MediaDecodeError, "cut.png: the image cannot be decoded"),
    ]
    for path, kind, message in cases:
        with pytest.raises(kind, match=message):
            load_image(path)
    with pytest.raises(MediaDecodeError, match="<memory>: the content is empty"):
        load_image(b"")


def test_an_image_of_absurd_size_is_refused_from_its_header():
    import struct
    import zlib

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(MediaTooLargeError):
        load_image(bomb)
