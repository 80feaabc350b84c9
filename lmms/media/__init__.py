"""Media: resolve references, decode exactly the asked frames, load and encode images, hash.

Everything is loaded when first used: importing this package imports neither NumPy nor the
extension, so that the rest of `lmms` works on a machine without FFmpeg's libraries.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmms.media.audio import AudioClip, AudioInfo, probe_audio, read_audio
    from lmms.media.base64_images import (
        encode_image_to_base64,
        encode_image_to_base64_with_size_limit,
        encode_image_to_data_url,
    )
    from lmms.media.chunks import FrameChunk, iter_frames
    from lmms.media.compatible import read_video, read_video_pyav
    from lmms.media.controls import apply_control
    from lmms.media.encode_cache import EncodeCache, shared_encode_cache
    from lmms.media.encoding import encode_image, encode_images, image_data_url
    from lmms.media.errors import (
        MediaDecodeError,
        MediaInternalError,
        MediaNotFoundError,
        MediaRangeError,
        MediaRequestError,
        MediaTimeoutError,
        MediaTooLargeError,
        MediaUnreadableError,
        MediaUnsupportedError,
        MediaWorkerError,
    )
    from lmms.media.frame_store import FrameStore, FrameStoreStatistics
    from lmms.media.hashing import hash_bytes, hash_file, hash_frames
    from lmms.media.images import image_size, load_image, resize_image
    from lmms.media.isolation import Isolation, IsolationStatistics
    from lmms.media.lance_build import LanceBuildReport, build_lance
    from lmms.media.lance_source import LanceVideoSource
    from lmms.media.patches import PatchSettings, patchify
    from lmms.media.prefetch import LoaderStatistics, MediaLoader, prefetch_frames
    from lmms.media.qwen_vl import (
        qwen3_vl_indices,
        qwen_vl_indices,
        smart_frame_count,
        smart_resize,
        video_frame_size,
        video_pixel_bounds,
    )
    from lmms.media.references import (
        MediaPlaces,
        ResolverStatistics,
        resolve,
        resolve_media_reference,
        resolver_statistics,
    )
    from lmms.media.sampling import (
        fps_indices,
        frame_indices,
        longvideobench_indices,
        stride_indices,
        uniform_indices,
    )
    from lmms.media.source import MediaSource, open_source
    from lmms.media.thumbnails import thumbnail_data_url
    from lmms.media.video import (
        FrameBatch,
        MediaDamageWarning,
        MediaWarning,
        VideoInfo,
        decode,
        frame_times,
        key_frames,
        nearest_key_frames,
        probe,
        read_frames,
    )

_HOMES = {
    "errors": (
        "MediaDecodeError",
        "MediaInternalError",
        "MediaNotFoundError",
        "MediaRangeError",
        "MediaRequestError",
        "MediaTimeoutError",
        "MediaTooLargeError",
        "MediaUnreadableError",
        "MediaUnsupportedError",
        "MediaWorkerError",
    ),
    "audio": ("AudioClip", "AudioInfo", "probe_audio", "read_audio"),
    "chunks": ("FrameChunk", "iter_frames"),
    "compatible": ("read_video", "read_video_pyav"),
    "controls": ("apply_control",),
    "frame_store": ("FrameStore", "FrameStoreStatistics"),
    "hashing": ("hash_bytes", "hash_file", "hash_frames"),
    "base64_images": (
        "encode_image_to_base64",
        "encode_image_to_base64_with_size_limit",
        "encode_image_to_data_url",
    ),
    "encode_cache": ("EncodeCache", "shared_encode_cache"),
    "encoding": ("encode_image", "encode_images", "image_data_url"),
    "images": ("image_size", "load_image", "resize_image"),
    "isolation": ("Isolation", "IsolationStatistics"),
    "lance_build": ("LanceBuildReport", "build_lance"),
    "patches": ("PatchSettings", "patchify"),
    "lance_source": ("LanceVideoSource",),
    "prefetch": ("LoaderStatistics", "MediaLoader", "prefetch_frames"),
    "references": (
        "MediaPlaces",
        "ResolverStatistics",
        "resolve",
        "resolve_media_reference",
        "resolver_statistics",
    ),
    "qwen_vl": (
        "qwen3_vl_indices",
        "qwen_vl_indices",
        "smart_frame_count",
        "smart_resize",
        "video_frame_size",
        "video_pixel_bounds",
    ),
    "sampling": (
        "fps_indices",
        "frame_indices",
        "longvideobench_indices",
        "stride_indices",
        "uniform_indices",
    ),
    "source": ("MediaSource", "open_source"),
    "thumbnails": ("thumbnail_data_url",),
    "video": (
        "FrameBatch",
        "MediaDamageWarning",
        "MediaWarning",
        "VideoInfo",
        "decode",
        "frame_times",
        "key_frames",
        "nearest_key_frames",
        "probe",
        "read_frames",
    ),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AudioClip",
    "AudioInfo",
    "EncodeCache",
    "FrameBatch",
    "FrameChunk",
    "FrameStore",
    "FrameStoreStatistics",
    "Isolation",
    "IsolationStatistics",
    "LanceBuildReport",
    "LanceVideoSource",
    "LoaderStatistics",
    "MediaDamageWarning",
    "MediaDecodeError",
    "MediaInternalError",
    "MediaLoader",
    "MediaNotFoundError",
    "MediaPlaces",
    "MediaRangeError",
    "MediaRequestError",
    "MediaSource",
    "MediaTimeoutError",
    "MediaTooLargeError",
    "MediaUnreadableError",
    "MediaUnsupportedError",
    "MediaWarning",
    "MediaWorkerError",
    "PatchSettings",
    "ResolverStatistics",
    "VideoInfo",
    "apply_control",
    "build_lance",
    "decode",
    "encode_image",
    "encode_image_to_base64",
    "encode_image_to_base64_with_size_limit",
    "encode_image_to_data_url",
    "encode_images",
    "fps_indices",
    "frame_indices",
    "frame_times",
    "hash_bytes",
    "hash_file",
    "hash_frames",
    "image_data_url",
    "image_size",
    "iter_frames",
    "key_frames",
    "load_image",
    "longvideobench_indices",
    "nearest_key_frames",
    "open_source",
    "patchify",
    "prefetch_frames",
    "probe",
    "probe_audio",
    "read_audio",
    "qwen3_vl_indices",
    "qwen_vl_indices",
    "read_frames",
    "read_video",
    "read_video_pyav",
    "resize_image",
    "resolve",
    "resolve_media_reference",
    "resolver_statistics",
    "shared_encode_cache",
    "smart_frame_count",
    "smart_resize",
    "stride_indices",
    "thumbnail_data_url",
    "uniform_indices",
    "video_frame_size",
    "video_pixel_bounds",
]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
