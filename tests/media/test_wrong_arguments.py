"""Arguments of the wrong type: refused with what was given and what is wanted."""

import numpy as np
import pytest

from lmms.media import (
    PatchSettings,
    decode,
    encode_image,
    encode_images,
    iter_frames,
    patchify,
    read_frames,
    smart_resize,
)
from lmms.types import FramePolicy


@pytest.mark.parametrize(
    "images",
    [np.zeros((2, 4, 4, 3)), [np.zeros((4, 4, 3), np.float32)], [[1, 2]], [None]],
)
def test_pictures_that_are_none(images):
    with pytest.raises(TypeError, match=r"uint8 array of shape \(height, width, 3\)") as caught:
        encode_images(images)
    assert ("float" in str(caught.value)) is hasattr(images[0], "dtype")


def test_media_that_are_none(clips):
    for wrong in ([clips["vfr"]], None, 3, (clips["vfr"], 0)):
        with pytest.raises(TypeError, match=r"a medium is a path, a locator, bytes"):
            decode(wrong, FramePolicy())


@pytest.mark.parametrize("read", [read_frames, lambda path, i: list(iter_frames(path, i))])
def test_positions_that_are_no_whole_numbers(clips, read):
    with pytest.raises(TypeError):
        read(clips["vfr"], [0, 1.5])
    with pytest.raises(TypeError, match=r"frame 1\.5 was asked for"):
        read_frames(clips["vfr"], np.array([1.5]).tolist())
    read(clips["vfr"], np.array([1], np.uint8))


def test_one_picture_as_base64():
    picture = np.zeros((4, 4, 3), np.uint8)
    assert encode_image(picture, base64=True) == encode_images([picture], base64=True)[0]


@pytest.mark.parametrize(
    ("settings", "factor"), [(PatchSettings.qwen2_vl(), 28), (PatchSettings.qwen3_vl(), 32)]
)
def test_sizes_fit_the_patches_of_their_family(clips, settings, factor):
    assert settings.factor == factor
    batch = decode(clips["b_frames"], FramePolicy(num_frames=2), size=settings.frame_size)
    assert all(side % factor == 0 for side in batch.frames.shape[1:3])
    patches, grid = patchify(batch.frames, settings)
    assert len(patches) == np.prod(grid)


def test_the_grid_is_qwen3s_unless_told():
    assert smart_resize(360, 640) == smart_resize(360, 640, 32)
