"""Patches against the processors of transformers whose place they take."""

import numpy as np
import pytest

from lmms.media import MediaUnsupportedError, PatchSettings, patchify

torch = pytest.importorskip(
    "torch", reason="compares with transformers, which the extra hf installs"
)
transformers = pytest.importorskip("transformers", reason="the extra hf installs it")

QWEN2 = PatchSettings()
QWEN3 = PatchSettings(patch_size=16, mean=(0.5, 0.5, 0.5), deviation=(0.5, 0.5, 0.5))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.mark.parametrize("frames", [1, 2, 3, 6, 7])
@pytest.mark.parametrize(
    ("kind", "settings"),
    [("Qwen2VLVideoProcessor", QWEN2), ("Qwen3VLVideoProcessor", QWEN3)],
)
def test_clips_are_the_processors_to_the_bit(kind, settings, frames):
    processor = getattr(transformers, kind)(cap_pixels_per_frame=False)
    clip = noise(frames, 3 * settings.factor, 5 * settings.factor)
    expected = processor([clip], do_resize=False, do_sample_frames=False, return_tensors="pt")
    patches, grid = patchify(clip, settings)
    assert torch.equal(torch.from_numpy(patches), expected["pixel_values_videos"])
    assert [list(grid)] == expected["video_grid_thw"].tolist()


@pytest.mark.parametrize("kind", ["Qwen2VLImageProcessor", "Qwen2VLImageProcessorPil"])
@pytest.mark.parametrize("settings", [QWEN2, QWEN3])
def test_images_are_the_processors(kind, settings):
    processor = getattr(transformers, kind, None)
    if processor is None:
        pytest.skip(f"this version of transformers has no {kind}")
    processor = processor(
        patch_size=settings.patch_size,
        image_mean=list(settings.mean),
        image_std=list(settings.deviation),
    )
    picture = noise(4 * settings.factor, 2 * settings.factor)
    expected = processor([picture], do_resize=False, return_tensors="pt")
    patches, grid = patchify(picture[None], settings)
    difference = np.abs(patches - expected["pixel_values"].numpy())
    assert difference.max() <= 1e-6
    assert [list(grid)] == expected["image_grid_thw"].tolist()


def test_unusual_settings_and_layouts():
    settings = PatchSettings(patch_size=3, temporal_patch_size=3, merge_size=1, scale=1.0)
    clip = noise(4, 6, 9)
    patches, grid = patchify(clip, settings)
    assert grid == (2, 2, 3)
    assert patches.shape == (12, 3 * 3 * 3 * 3)
    mean, deviation = np.float32(settings.mean[2]), np.float32(settings.deviation[2])
    last = (clip[3, 5, 8, 2].astype(np.float32) - mean) / deviation
    assert patches[11].reshape(3, 3, 3, 3)[2, :, 2, 2] == pytest.approx([last] * 3)
    turned = clip.transpose(0, 2, 1, 3)
    assert np.array_equal(
        patchify(turned, settings)[0], patchify(np.ascontiguousarray(turned), settings)[0]
    )


def test_torch_takes_the_memory_as_it_is():
    patches, _ = patchify(noise(2, 28, 28), QWEN2)
    tensor = torch.from_numpy(patches)
    tensor[0, 0] = 42
    assert patches[0, 0] == 42


def test_what_has_no_patches_is_refused():
    with pytest.raises(MediaUnsupportedError, match="sides are multiples of 28"):
        patchify(noise(2, 28, 30), QWEN2)
    with pytest.raises(MediaUnsupportedError, match="0 frames"):
        patchify(np.zeros((0, 28, 28, 3), np.uint8), QWEN2)
    with pytest.raises(ValueError, match=r"shape \(n, height, width, 3\)"):
        patchify(np.zeros((2, 28, 28, 4), np.uint8), QWEN2)
