"""The frame store: never wrong, shared by processes, within its budget, robust against damage."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from lmms.errors import ConfigError
from lmms.media import FrameStore, MediaLoader, hash_file
from lmms.media.errors import MediaDecodeError
from lmms.media.loading import load
from lmms.media.prefetch import LoaderStatistics
from lmms.types import FramePolicy, MediaRef


def video(path, **policy):
    return MediaRef(kind="video", path=str(path), policy=FramePolicy(**policy))


def half(count, height, width):
    return height // 2, width // 2


def big(count, height, width):
    return 1024, 1024


class Counted:
    """`load`, counted."""

    def __init__(self):
        self.calls = 0

    def __call__(self, ref):
        def decode(rule):
            self.calls += 1
            return load(ref, rule)

        return decode


@pytest.fixture
def store(tmp_path):
    return FrameStore(tmp_path / "store")


def ask(store, ref, size=None, *, decode=None, unchanged=True):
    digest = hash_file(ref.path)
    return store.load(ref, digest, size, (decode or Counted())(ref), unchanged=lambda: unchanged)


def same(first, second):
    assert np.array_equal(first.frames, second.frames)
    assert (first.indices, first.times) == (second.indices, second.times)
    assert (first.source, first.warnings) == (second.source, second.warnings)


def files(store, suffix):
    return sorted(store.folder.glob(f"v1/??/*.{suffix}"))


@pytest.mark.parametrize("size", [None, half, big])
def test_what_is_stored_is_what_was_decoded(store, clips, size):
    for ref in (
        video(clips["vfr"], num_frames=4, max_pixels=4000),
        video(clips["rotated_90"], times=(0.0, 99.0)),
        MediaRef(kind="image", path=str(clips["b_frames"]), frame=42),
    ):
        first, again = ask(store, ref, size), ask(store, ref, size)
        assert (first.hit, again.hit) == (False, True)
        same(first.decoded, again.decoded)
        same(again.decoded, load(ref, size))
        assert not again.decoded.frames.flags.writeable
    assert store.statistics.hits == store.statistics.misses == 3
    assert store.statistics.bytes_written == store.used_bytes()


def test_another_place_of_the_same_content_is_the_same(store, clips, tmp_path):
    ask(store, video(clips["intra"]))
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(clips["intra"].read_bytes())
    assert ask(store, video(copy)).hit


def test_everything_that_matters_makes_another_entry(store, clips):
    counted = Counted()
    for ref, size in [
        (video(clips["rotated_90"]), None),
        (video(clips["rotated_90"]), half),
        (video(clips["rotated_90"], num_frames=3), None),
        (video(clips["rotated_90"], rotate=False), None),
        (video(clips["rotated_180"]), None),
        (MediaRef(kind="image", path=str(clips["rotated_90"]), frame=0), None),
    ]:
        for hit in (False, True):
            found = ask(store, ref, size, decode=counted)
            assert found.hit is hit
            same(found.decoded, load(ref, size))
    assert counted.calls == 6


def test_two_rules_that_choose_the_same_frames_share_the_pixels(store, clips):
    by_number = video(clips["b_frames"], num_frames=4)
    first = ask(store, by_number)
    by_index = video(clips["b_frames"], indices=first.decoded.indices)
    assert not ask(store, by_index).hit
    assert ask(store, by_index).hit
    assert len(files(store, "plan")) == 2
    assert len(files(store, "frames")) == 1


def test_the_size_is_asked_of_every_model(store, clips):
    """A hit asks the model's own rule, not the one of the model that decoded."""
    ref = video(clips["b_frames"])
    ask(store, ref, half)
    seen = []

    def mine(count, height, width):
        seen.append((count, height, width))
        return height, width

    assert ask(store, ref, mine).decoded.frames.shape == (8, 64, 96, 3)
    assert ask(store, ref, mine).hit
    assert set(seen) == {(8, 64, 96)}


@pytest.mark.parametrize("suffix", ["plan", "frames"])
@pytest.mark.parametrize("place", [3, 40, -1])
def test_a_flipped_byte_is_found(store, clips, suffix, place):
    ref = video(clips["intra"])
    ask(store, ref)
    (path,) = files(store, suffix)
    data = bytearray(path.read_bytes())
    data[place] ^= 0x20
    path.write_bytes(data)
    again = ask(store, ref)
    assert not again.hit
    same(again.decoded, load(ref))
    assert store.statistics.damaged == 1
    assert ask(store, ref).hit


@pytest.mark.parametrize("suffix", ["plan", "frames"])
@pytest.mark.parametrize("left", [0, 10, 5000])
def test_a_cut_entry_is_found(store, clips, suffix, left):
    ref = video(clips["intra"])
    ask(store, ref, big)
    (path,) = files(store, suffix)
    path.write_bytes(path.read_bytes()[: min(left, path.stat().st_size - 1)])
    assert not ask(store, ref, big).hit
    assert ask(store, ref, big).hit


def test_frames_of_a_removed_entry_stay_readable(store, clips):
    ref = video(clips["intra"], num_frames=2)
    ask(store, ref, big)
    held = ask(store, ref, big).decoded
    store.clear()
    assert store.used_bytes() == 0
    same(held, load(ref, big))


def test_errors_are_not_stored(store, clips, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video" * 100)
    for _ in range(2):
        with pytest.raises(MediaDecodeError):
            ask(store, video(bad))
    with pytest.raises(ZeroDivisionError):
        ask(store, video(clips["intra"]), lambda n, h, w: (1 // 0, 1))
    assert store.used_bytes() == 0


def test_a_file_that_was_replaced_meanwhile_is_not_stored(store, clips):
    ask(store, video(clips["intra"]), unchanged=False)
    assert store.used_bytes() == 0


def test_the_least_recently_used_go_first(tmp_path, clips):
    one = video(clips["intra"], indices=(0,))
    probe = FrameStore(tmp_path / "probe")
    ask(probe, one)
    entry = probe.used_bytes()
    store = FrameStore(tmp_path / "store", byte_budget=int(entry * 4.5))
    now = time.time()
    for number in range(4):
        ask(store, video(clips["intra"], indices=(number,)))
        for path in store.folder.glob("v1/??/*"):
            if path.stat().st_mtime > now:
                os.utime(path, (now - 100 + number, now - 100 + number))
    assert ask(store, video(clips["intra"], indices=(0,))).hit
    ask(store, video(clips["intra"], indices=(4,)))
    assert store.used_bytes() <= entry * 4.5
    assert store.statistics.evicted > 0
    assert ask(store, video(clips["intra"], indices=(0,))).hit
    assert ask(store, video(clips["intra"], indices=(4,))).hit
    assert not ask(store, video(clips["intra"], indices=(1,))).hit


def test_what_is_larger_than_the_budget_is_not_stored(tmp_path, clips):
    store = FrameStore(tmp_path / "store", byte_budget=1000)
    assert not ask(store, video(clips["intra"])).hit
    assert store.used_bytes() == 0


def test_drafts_of_writers_that_died_are_removed(store, clips):
    ask(store, video(clips["intra"]))
    folder = files(store, "frames")[0].parent
    old, young = folder / ".old.draft", folder / ".young.draft"
    for path in (old, young):
        path.touch()
    os.utime(old, (0, 0))
    store.used_bytes()
    assert not old.exists()
    assert young.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_costs_a_decode(tmp_path, clips):
    (tmp_path / "store").mkdir(mode=0o500)
    store = FrameStore(tmp_path / "store")
    assert not ask(store, video(clips["intra"])).hit
    assert store.statistics.errors


def test_a_folder_that_is_a_file_costs_a_decode(tmp_path, clips):
    (tmp_path / "store").write_text("not a folder")
    store = FrameStore(tmp_path / "store")
    same(ask(store, video(clips["intra"])).decoded, load(video(clips["intra"])))
    assert store.statistics.errors


def test_a_folder_that_cannot_be_used_is_told_beforehand(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match="it is a file") as caught:
            FrameStore(folder).prepare()
        assert caught.value.origin == "media.frame_store"
    FrameStore(tmp_path / "new" / "folder").prepare()
    assert (tmp_path / "new" / "folder").is_dir()


def test_threads_that_want_the_same_decode_once(store, clips):
    ref, counted = video(clips["b_frames"], num_frames=6), Counted()
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(ask(store, ref, decode=counted)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert counted.calls == 1
    assert sorted(each.hit for each in found) == [False] + [True] * 5
    for each in found:
        same(each.decoded, found[0].decoded)


SHARER = """
import sys
from lmms.media import FrameStore, MediaLoader
from lmms.types import FramePolicy, MediaRef
with MediaLoader(store=FrameStore(sys.argv[1])) as loader:
    futures = [
        loader.submit(MediaRef(kind="video", path=path, policy=FramePolicy(num_frames=n)))
        for path in sys.argv[2:] for n in (2, 5, 9)
    ]
    total = sum(int(future.result(120).frames.sum()) for future in futures)
    print(loader.statistics.misses, total)
"""


def test_processes_that_want_the_same_decode_once(tmp_path, clips, repository):
    paths = [str(clips[name]) for name in ("b_frames", "vfr", "mkv")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SHARER, str(tmp_path / "store"), *paths],
            env=os.environ | {"PYTHONPATH": str(repository)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    told = [process.communicate(timeout=120)[0].split() for process in processes]
    assert sum(int(misses) for misses, _ in told) == 9
    assert len({total for _, total in told}) == 1


def _hold(folder, path, ready, go_on):
    store = FrameStore(folder)
    ref = video(path)

    def decode(rule):
        ready.set()
        go_on.wait(60)
        return load(ref, rule)

    store.load(ref, hash_file(path), None, decode, unchanged=lambda: True)


@pytest.mark.parametrize("killed", [True, False])
def test_another_process_that_hangs_or_dies_is_not_waited_for(tmp_path, clips, killed):
    context = multiprocessing.get_context("spawn")
    ready, go_on = context.Event(), context.Event()
    arguments = (tmp_path / "store", clips["intra"], ready, go_on)
    other = context.Process(target=_hold, args=arguments)
    other.start()
    try:
        assert ready.wait(60)
        if killed:
            threading.Timer(0.3, other.kill).start()
        store = FrameStore(tmp_path / "store", wait_seconds=30.0 if killed else 0.3)
        started = time.monotonic()
        assert not ask(store, video(clips["intra"])).hit
        assert time.monotonic() - started < 10
    finally:
        other.kill()
        other.join()
    assert ask(store, video(clips["intra"])).hit


def test_the_loader_counts_what_the_store_did(store, clips, painted):
    from lmms.media import encode_image

    ref = video(clips["b_frames"], num_frames=6)
    picture = MediaRef(kind="image", data=encode_image(painted(1, 61, 43)[0]))
    with MediaLoader(store=store) as loader:
        first = loader.submit(ref).result(30)
        loader.submit(ref).result(30)
        loader.submit(picture).result(30)
        now = loader.statistics
    assert (now.hits, now.misses, now.store_hits, now.store_misses) == (1, 2, 0, 1)
    # Another process, or another model of a sweep.
    with MediaLoader(store=FrameStore(store.folder)) as loader:
        again = loader.submit(ref, half, size_key="half").result(30)
        same_size = loader.submit(ref).result(30)
        now = loader.statistics
    assert again.frames.shape == (6, 32, 48, 3)
    assert np.array_equal(first.frames, same_size.frames)
    assert first.to_json() == same_size.to_json()
    expected = LoaderStatistics(
        misses=1, store_hits=1, store_misses=1, store_bytes=first.nbytes, frames=6,
        decoded_bytes=6 * 32 * 48 * 3, decode_seconds=now.decode_seconds,
    )  # fmt: skip
    assert now == expected


def test_isolated_media_are_stored_too(store, clips):
    ref = video(clips["vfr"])
    for hits in (0, 1):
        with MediaLoader(store=store, isolation="process") as loader:
            loaded = loader.submit(ref).result(60)
            assert loader.statistics.store_hits == hits
            assert loader.statistics.isolated == 1 - hits
            assert np.array_equal(loaded.frames, load(ref).frames)


def test_other_decoders_are_not_stored(store, clips):
    assert store.holds(video(clips["vfr"]))
    assert not store.holds(video(clips["vfr"], backend="pyav"))
    assert not store.holds(MediaRef(kind="image", path="a.png"))


def test_arguments_are_checked(tmp_path):
    with pytest.raises(ValueError, match="above 0"):
        FrameStore(tmp_path, byte_budget=0)
