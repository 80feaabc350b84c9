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


def pillows(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_files_give_every_pixel(picture, tmp_path, kind):
    data = saved(Image.fromarray(picture), format=kind, lossless=True)
    path = tmp_path / "picture"  # No suffix: the content decides.
    path.write_bytes(data)
    assert np.array_equal(load_image(data), picture)
    assert np.array_equal(load_image(path), picture)
    assert image_size(data) == image_size(path) == (43, 61)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpeg_is_pillows_to_the_bit(picture, mode, subsampling, progressive):
    image = Image.fromarray(picture).convert(mode)
    options = {"quality": 92, "subsampling": subsampling, "progressive": progressive}
    data = saved(image, format="JPEG", **options)
    assert np.array_equal(load_image(data), pillows(data))
    assert image_size(data) == (43, 61)


def test_inks_that_adobe_coded_as_luma_and_chroma(picture):
    data = saved(Image.fromarray(picture).convert("CMYK"), format="JPEG", quality=95)
    marker = data.index(b"Adobe")
    # The last byte of the segment says how the inks are coded; 2 is YCCK.
    coded = data[: marker + 11] + b"\x02" + data[marker + 12 :]
    assert not np.array_equal(load_image(coded), load_image(data))
    assert np.array_equal(load_image(coded), pillows(coded))


def test_a_damaged_jpeg_gives_what_pillow_gives(picture):
    data = saved(Image.fromarray(picture), format="JPEG", quality=92)
    # Wrong codes in the middle, which decoders only warn of.
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 0x55
    assert np.array_equal(load_image(bytes(damaged)), pillows(bytes(damaged)))
    with pytest.raises(MediaDecodeError, match="the file is truncated"):
        load_image(data[: len(data) * 3 // 4])
    with pytest.raises(MediaDecodeError, match="damaged JPEG header"):
        load_image(data[:300])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_of_jpeg(picture, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(picture), format="JPEG", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert np.array_equal(load_image(data), expected)
    assert image_size(data) == expected.shape[:2]


def flattened(data: bytes) -> np.ndarray:
    """What Pillow shows of a file over white."""
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))


def test_transparent_palettes_and_grey(picture):
    image = Image.fromarray(picture)
    palette = image.quantize(16)
    grey = image.convert("L").convert("LA")
    grey.putalpha(Image.fromarray(picture[..., 1]))
    colour = image.copy()
    colour.putalpha(Image.fromarray(picture[..., 2]))
    files = [
        saved(palette, format="PNG", transparency=3),
        saved(palette, format="GIF", transparency=3),
        saved(grey, format="PNG"),
        saved(colour, format="PNG"),
        saved(colour, format="WEBP", lossless=True, exact=True),
        saved(colour, format="TIFF"),
    ]
    for data in files:
        difference = np.abs(load_image(data).astype(int) - flattened(data))
        # Blending is rounded once here, twice in Pillow.
        assert difference.max() <= 1


def test_an_animation_shows_its_first_picture(painted):
    frames = [Image.fromarray(f) for f in painted(3, 32, 24)]
    for format, options in [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})]:
        data = saved(frames[0], format=format, save_all=True, append_images=frames[1:], **options)
        assert np.array_equal(load_image(data), pillows(data)), format


def test_tiff(picture):
    image = Image.fromarray(picture)
    for compression in ["raw", "tiff_lzw", "tiff_deflate", "packbits"]:
        data = saved(image, format="TIFF", compression=compression)
        assert np.array_equal(load_image(data), picture), compression
    inks = saved(image.convert("CMYK"), format="TIFF")
    assert np.abs(load_image(inks).astype(int) - pillows(inks)).max() <= 1


def test_deep_channels_keep_their_high_byte(picture):
    deep = picture[..., 0].astype(np.uint16) * 256 + 255
    expected = np.repeat(picture[..., :1], 3, axis=2)
    for format in ["PNG", "TIFF"]:
        assert np.array_equal(load_image(saved(Image.fromarray(deep), format=format)), expected)


def test_colour_profiles_change_nothing(picture):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for format in ["PNG", "JPEG"]:
        image = Image.fromarray(picture)
        plain, tagged = (
            saved(image, format=format),
            saved(image, format=format, icc_profile=profile),
        )
        assert len(tagged) > len(plain)
        assert np.array_equal(load_image(tagged), load_image(plain))


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


def test_jpeg_gif_and_bmp_of_absurd_size_are_refused_from_their_headers(picture):
    import struct

    image = Image.fromarray(picture)
    jpeg = bytearray(saved(image, format="JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 65_000, 65_000)
    gif = bytearray(saved(image.quantize(4), format="GIF"))
    gif[6:10] = struct.pack("<HH", 65_000, 65_000)
    bmp = bytearray(saved(image, format="BMP"))
    bmp[18:26] = struct.pack("<ii", 65_000, 65_000)
    for bomb in (jpeg, gif, bmp):
        with pytest.raises(MediaTooLargeError, match=r"65000x65000|the image"):
            load_image(bytes(bomb))


def test_a_jpeg_with_endless_scans_is_refused(picture):
    """Each scan makes the decoder walk over the whole picture again."""
    data = saved(Image.fromarray(picture), format="JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    scans = data[:last] + data[last:-2] * 300 + data[-2:]
    with pytest.raises(MediaDecodeError, match="scans"):
        load_image(scans)
