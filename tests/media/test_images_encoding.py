"""Encoding pictures: Pillow's files, many at once, and what is kept."""

import base64
import gc
import io
import os
import threading

import numpy as np
import pytest
from PIL import Image

from lmms.errors import ConfigError
from lmms.media import (
    EncodeCache,
    MediaDecodeError,
    MediaNotFoundError,
    encode_image,
    encode_image_to_base64,
    encode_image_to_base64_with_size_limit,
    encode_image_to_data_url,
    encode_images,
    image_data_url,
    load_image,
    shared_encode_cache,
)


@pytest.fixture(scope="module")
def picture(painted):
    return painted(1, 61, 43)[0]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in list(os.environ):
        if name.startswith("LMMS_IMAGE_"):
            monkeypatch.delenv(name)
    shared_encode_cache.cache_clear()


def saved(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


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


@pytest.mark.parametrize("quality", [10, 75, 85, 90, 95, 100])
def test_jpeg_files_are_pillows(painted, quality):
    """Needs a Pillow on libjpeg-turbo, which all of its wheels are."""
    for frame in painted(2, 203, 101):
        expected = saved(Image.fromarray(frame), format="JPEG", quality=quality)
        assert encode_image(frame, format="JPEG", quality=quality) == expected


def test_png_is_not_much_larger_than_pillows(painted):
    # Smooth and noisy content, as photographs have both.
    y, x = np.mgrid[0:180, 0:320]
    smooth = np.stack([128 + 90 * np.sin(x / 37), 128 + 80 * np.cos((x + y) / 53), y / 2], -1)
    noise = np.random.default_rng(1).normal(0, 2, smooth.shape)
    photo = np.clip(smooth + noise, 0, 255).astype(np.uint8)
    assert len(encode_image(photo)) <= 1.3 * len(saved(Image.fromarray(photo), format="PNG"))


def test_many_are_what_each_is_alone(painted):
    frames = painted(7, 64, 48)
    for options in [{}, {"format": "JPEG", "quality": 80}, {"format": "WEBP"}]:
        alone = [encode_image(f, **options) for f in frames]
        assert encode_images(frames, **options) == alone
        assert encode_images(list(frames), max_workers=1, **options) == alone
        texts = [base64.b64encode(a).decode() for a in alone]
        assert encode_images(frames, base64=True, **options) == texts
        kind = options.get("format", "PNG").lower()
        urls = [f"data:image/{kind};base64,{text}" for text in texts]
        assert encode_images(frames, data_url=True, **options) == urls
    assert encode_images([]) == []
    mixed = encode_images([frames[0][:20], frames[1][:, ::-1]])
    assert [load_image(m).shape for m in mixed] == [(20, 64, 3), (48, 64, 3)]


def test_a_file_in_the_wanted_format_is_passed_on(picture, tmp_path):
    image = Image.fromarray(picture)
    exif = Image.Exif()
    exif[0x0112] = 6
    passed = {
        "JPEG": [saved(image, format="JPEG"), saved(image.convert("L"), format="JPEG")],
        "PNG": [saved(image, format="PNG"), saved(image.quantize(9), format="PNG")],
        "WEBP": [saved(image, format="WEBP"), saved(image, format="WEBP", lossless=True)],
    }
    for format, files in passed.items():
        for data in files:
            path = tmp_path / "picture"
            path.write_bytes(data)
            assert encode_image(path, format=format) == data
            assert encode_image(data, format=format) == data
            assert base64.b64decode(encode_images([path], format=format, base64=True)[0]) == data
    clear = image.convert("RGBA")
    clear.putalpha(40)
    changed = [
        ("JPEG", saved(image, format="JPEG", exif=exif)),
        ("JPEG", saved(image.convert("CMYK"), format="JPEG")),
        ("PNG", saved(clear, format="PNG")),
        ("PNG", saved(image, format="PNG", save_all=True, append_images=[image.rotate(180)])),
        ("PNG", saved(Image.fromarray(picture[..., 0].astype(np.uint16) * 256), format="PNG")),
        ("WEBP", saved(clear, format="WEBP", lossless=True)),
        ("WEBP", saved(image, format="WEBP", save_all=True, append_images=[image.rotate(180)])),
        ("PNG", saved(image, format="JPEG")),
    ]
    for format, data in changed:
        encoded = encode_image(data, format=format)
        assert encoded != data
        if format != "JPEG":
            assert np.array_equal(load_image(encoded), load_image(data))
    data = passed["JPEG"][0]
    assert encode_image(data, format="JPEG", quality=40) != data
    with pytest.raises(MediaDecodeError):
        encode_image(data[:-40], format="JPEG")


def test_equal_content_is_encoded_once(painted):
    frames = painted(3, 64, 48)
    cache = EncodeCache()
    expected = encode_images(frames, format="JPEG")
    assert encode_images(frames, format="JPEG", cache=cache) == expected
    assert (cache.hits, cache.misses) == (0, 3)
    again = [f.copy() for f in frames]
    assert encode_images(again[::-1], format="JPEG", cache=cache) == expected[::-1]
    assert (cache.hits, cache.misses) == (3, 3)
    # Other parameters and other shapes of the same bytes are something else.
    assert encode_images(frames, format="JPEG", quality=30, cache=cache) != expected
    turned = [f.reshape(64, 48, 3) for f in frames]
    shapes = [load_image(e).shape for e in encode_images(turned, format="JPEG", cache=cache)]
    assert shapes == [(64, 48, 3)] * 3
    assert cache.hits == 3
    twice = EncodeCache()
    assert encode_images([frames[0], frames[0].copy()], cache=twice)[0] == encode_image(frames[0])
    assert twice.misses == 1


def test_a_new_array_at_an_old_address_is_not_taken_for_it():
    """A cache by object identity sends old frames: temporaries reuse addresses."""
    cache = EncodeCache()
    for value in range(60):
        frame = np.full((8, 8, 3), value, np.uint8)
        (encoded,) = encode_images([frame], cache=cache)
        assert load_image(encoded)[0, 0, 0] == value
        del frame
        gc.collect(0)


def test_the_cache_is_bounded_by_number_and_bytes(painted):
    frames = painted(6, 32, 32)
    few = EncodeCache(max_items=2)
    for frame in frames:
        encode_images([frame], cache=few)
    encode_images([frames[5], frames[4], frames[3]], cache=few)
    assert (few.hits, few.misses) == (2, 7)
    small = EncodeCache(max_bytes=len(encode_image(frames[5])))
    encode_images(frames, cache=small)
    encode_images([frames[5]], cache=small)
    encode_images([frames[0]], cache=small)
    assert (small.hits, small.misses) == (1, 7)
    off = EncodeCache(max_items=0)
    assert encode_images(frames, cache=off) == encode_images(frames, cache=off)
    assert (off.hits, off.misses) == (0, 0)


def test_a_changed_file_is_encoded_again(painted, tmp_path):
    first, second = painted(2, 40, 30)
    path, cache = tmp_path / "a.bmp", EncodeCache()
    Image.fromarray(first).save(path)
    assert np.array_equal(load_image(encode_images([path], cache=cache)[0]), first)
    encode_images([path], cache=cache)
    assert cache.hits == 1
    # Same name and size; another inode and time.
    Image.fromarray(second).save(tmp_path / "b.bmp")
    (tmp_path / "b.bmp").replace(path)
    assert np.array_equal(load_image(encode_images([path], cache=cache)[0]), second)
    with pytest.raises(MediaNotFoundError):
        encode_images([tmp_path / "none.png"], cache=cache)


def test_threads_share_a_cache(painted):
    frames = painted(8, 48, 32)
    cache, wrong = EncodeCache(max_items=5), []
    expected = encode_images(frames)

    def work(step: int) -> None:
        for turn in range(10):
            at = (turn * step) % 8
            if encode_images([frames[at]], cache=cache)[0] != expected[at]:
                wrong.append(at)

    threads = [threading.Thread(target=work, args=(step,)) for step in (1, 3, 5, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cache.hits + cache.misses == 40


def test_the_variable_sets_the_size_of_the_shared_cache(picture, monkeypatch):
    monkeypatch.setenv("LMMS_IMAGE_PATH_CACHE_MAX_ITEMS", "0")
    encode_image_to_base64(picture)
    encode_image_to_base64(picture)
    assert shared_encode_cache().hits == 0
    shared_encode_cache.cache_clear()
    monkeypatch.setenv("LMMS_IMAGE_PATH_CACHE_MAX_ITEMS", "many")
    with pytest.raises(ConfigError, match="LMMS_IMAGE_PATH_CACHE_MAX_ITEMS='many'"):
        shared_encode_cache()


def test_base64_as_lmms_eval_asks_for_it(picture, monkeypatch, tmp_path):
    image = Image.fromarray(picture)
    path = tmp_path / "a.jpg"
    path.write_bytes(saved(image, format="JPEG", quality=95))
    plain = base64.b64encode(encode_image(picture)).decode()
    assert encode_image_to_base64(picture) == encode_image_to_base64(image) == plain
    jpeg = base64.b64encode(saved(image, format="JPEG")).decode()
    assert encode_image_to_base64(image, image_format="JPG") == jpeg
    assert encode_image_to_data_url(image, "jpg") == f"data:image/jpeg;base64,{jpeg}"
    monkeypatch.setenv("LMMS_IMAGE_ENCODE_FORMAT", "jpg")
    monkeypatch.setenv("LMMS_IMAGE_JPEG_QUALITY", "31")
    named = base64.b64encode(saved(image, format="JPEG", quality=31)).decode()
    assert encode_image_to_base64(image) == named
    assert encode_image_to_base64(image, quality=75) == jpeg
    read = load_image(path)
    again = base64.b64encode(encode_image(read, format="JPEG", quality=31)).decode()
    assert (
        encode_image_to_base64(path) == encode_image_to_base64(path, use_path_cache=False) == again
    )
    monkeypatch.setenv("LMMS_IMAGE_JPEG_QUALITY", "high")
    with pytest.raises(ConfigError, match="LMMS_IMAGE_JPEG_QUALITY='high'"):
        encode_image_to_base64(image)
    with pytest.raises(ValueError, match="unknown image format 'TGA'"):
        encode_image_to_base64(image, "TGA", quality=5)


def test_transparent_pillow_images_stay_so_unless_told(picture):
    image = Image.fromarray(picture).convert("RGBA")
    image.putalpha(90)
    kept = Image.open(io.BytesIO(base64.b64decode(encode_image_to_base64(image))))
    assert kept.mode == "RGBA"
    colour = base64.b64decode(encode_image_to_base64(image, convert_rgb=True))
    assert np.array_equal(load_image(colour), np.asarray(image.convert("RGB")))


def test_a_picture_is_shrunk_until_it_fits():
    noise = np.random.default_rng(4).integers(0, 256, (400, 300, 3), dtype=np.uint8)
    text = encode_image_to_base64_with_size_limit(noise, 120_000)
    data = base64.b64decode(text)
    # 300 -> 225 -> 168 pixels: 0.75 each time.
    assert load_image(data).shape == (225, 168, 3)
    assert len(data) <= 120_000
    expected = Image.fromarray(noise)
    for size in [(225, 300), (168, 225)]:
        expected = expected.resize(size, Image.Resampling.LANCZOS)
    assert np.abs(load_image(data).astype(int) - np.asarray(expected)).max() <= 2
    tiny = base64.b64decode(encode_image_to_base64_with_size_limit(noise, 10))
    assert min(load_image(tiny).shape[:2]) <= 100
    whole = encode_image_to_base64_with_size_limit(Image.fromarray(noise), 10**9)
    assert np.array_equal(load_image(base64.b64decode(whole)), noise)


def test_wrong_arguments_are_named(picture):
    with pytest.raises(ValueError, match="quality is 1 to 100, got 0"):
        encode_image(picture, format="JPEG", quality=0)
    with pytest.raises(ValueError, match='unknown image format "TGA"; allowed: JPEG, PNG, WEBP'):
        encode_image(picture, format="TGA")
    with pytest.raises(ValueError, match=r"shape \(height, width, 3\), got \(43, 61, 2\)"):
        encode_image(picture[..., :2])
    with pytest.raises(ValueError, match="max_workers must be at least 1, got 0"):
        encode_images([picture], max_workers=0)
