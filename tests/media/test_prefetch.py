"""Loading ahead: shared decodes, byte budget, errors, controls."""

import gc
import os
import signal
import threading
import time
from concurrent.futures import wait

import numpy as np
import psutil
import pytest

from lmms.media import (
    MediaLoader,
    MediaNotFoundError,
    apply_control,
    encode_image,
    hash_file,
    prefetch_frames,
)
from lmms.media import prefetch as prefetch_module
from lmms.media.errors import MediaUnsupportedError, MediaWorkerError
from lmms.media.prefetch import is_foreign
from lmms.types import FramePolicy, MediaRef

FRAME_BYTES = 64 * 96 * 3


def video(path, **policy):
    return MediaRef(kind="video", path=str(path), policy=FramePolicy(**policy))


def test_what_a_model_receives(clips, counter):
    ref = video(clips["vfr"], num_frames=4)
    with MediaLoader() as loader:
        loaded = loader.submit(ref, lambda n, h, w: (h, w)).result(30)
    assert loaded.ref is ref
    assert loaded.digest == hash_file(clips["vfr"])
    assert loaded.frames.shape == (4, 64, 96, 3)
    assert [counter(frame) for frame in loaded.frames] == list(loaded.indices) == [0, 24, 49, 74]
    assert loaded.times[0] == 0
    assert loaded.times[-1] == pytest.approx((74 + 30 + 0.8) / 25, abs=1e-4)
    assert loaded.source["total_frames"] == 75
    assert loaded.source["width"] == 96
    assert loaded.warnings == ()
    assert not loaded.frames.flags.writeable


def test_warnings_travel_with_the_media(clips, damaged):
    with MediaLoader() as loader:
        loaded = loader.submit(video(damaged(clips["faststart"], 0.5))).result(30)
    assert any(warning.startswith("truncated: ") for warning in loaded.warnings)


def test_several_questions_about_one_video_decode_once(clips):
    def rule(count, height, width):
        return 32, 48

    with MediaLoader(max_workers=4) as loader:
        futures = [loader.submit(video(clips["b_frames"], num_frames=6), rule) for _ in range(12)]
        results = [future.result(30) for future in futures]
        statistics = loader.statistics
    assert statistics.misses == 1
    assert statistics.hits == 11
    assert statistics.frames == 6
    assert statistics.decoded_bytes == 6 * 32 * 48 * 3
    assert statistics.decode_seconds > 0
    assert all(np.array_equal(results[0].frames, other.frames) for other in results)


def test_another_policy_size_or_content_is_another_decode(clips, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(clips["b_frames"].read_bytes())

    def sized(height):
        return lambda count, _h, _w: (height, 48)

    with MediaLoader(max_workers=1) as loader:
        loader.submit(video(path, num_frames=2), sized(32), size_key="32").result(30)
        loader.submit(video(path, num_frames=2), sized(32), size_key="32").result(30)
        assert (loader.statistics.misses, loader.statistics.hits) == (1, 1)
        loader.submit(video(path, num_frames=3), sized(32), size_key="32").result(30)
        loader.submit(video(path, num_frames=2), sized(16), size_key="16").result(30)
        assert loader.statistics.misses == 3
        path.write_bytes(clips["intra"].read_bytes())
        loader.submit(video(path, num_frames=2), sized(32), size_key="32").result(30)
        assert loader.statistics.misses == 4


def test_the_cache_drops_the_least_recently_used(clips):
    refs = {n: video(clips["b_frames"], indices=(n,)) for n in range(4)}
    with MediaLoader(max_workers=1, decode_cache_bytes=2 * FRAME_BYTES) as loader:
        for number, misses in [(0, 1), (1, 2), (0, 2), (2, 3), (0, 3), (1, 4), (2, 5)]:
            loader.submit(refs[number]).result(30)
            assert loader.statistics.misses == misses, number
    with MediaLoader(max_workers=1, decode_cache_bytes=0) as loader:
        loader.submit(refs[0]).result(30)
        loader.submit(refs[0]).result(30)
        assert loader.statistics.misses == 2


def test_errors_reach_the_one_who_asked_and_are_not_kept(clips, tmp_path):
    path = tmp_path / "late.mp4"
    with MediaLoader(max_workers=2) as loader:
        future = loader.submit(video(path))
        with pytest.raises(MediaNotFoundError, match=r"late.mp4: no such file"):
            future.result(30)
        assert loader.statistics.failures == 1
        path.write_bytes(clips["b_frames"].read_bytes())
        assert loader.submit(video(path)).result(30).frames.shape[0] == 8
        with pytest.raises(MediaUnsupportedError, match="audio given as a path"):
            loader.submit(MediaRef(kind="audio", path=str(path))).result(30)


def test_one_failing_decode_fails_all_who_joined_it(clips, monkeypatch):
    entered, go_on = threading.Event(), threading.Event()

    def fail(ref, size_fn):
        entered.set()
        go_on.wait(10)
        raise MediaUnsupportedError("cannot")

    monkeypatch.setattr(prefetch_module, "load", fail)
    with MediaLoader(max_workers=3) as loader:
        futures = [loader.submit(video(clips["b_frames"])) for _ in range(3)]
        assert entered.wait(10)
        time.sleep(0.05)
        go_on.set()
        for future in futures:
            with pytest.raises(MediaUnsupportedError, match="cannot"):
                future.result(30)


def test_the_byte_budget_says_when_there_is_room(clips):
    with MediaLoader(
        max_workers=1, byte_budget=5 * 8 * FRAME_BYTES, decode_cache_bytes=0
    ) as loader:
        assert loader.has_room
        held = []
        while loader.has_room:
            future = loader.submit(video(clips["b_frames"], num_frames=8))
            wait([future], 30)
            held.append(future.result())
            assert len(held) <= 5
        assert len(held) == 5
        assert loader.held_bytes == 5 * 8 * FRAME_BYTES
        assert not loader.wait_for_room(0.01)
        # A view keeps the pixels alive, and so does the budget.
        view = held[0].frames[2]
        del held, future
        gc.collect()
        assert loader.held_bytes == 8 * FRAME_BYTES
        assert loader.wait_for_room(5)
        del view
        gc.collect()
        assert loader.held_bytes == 0


def test_unfinished_work_counts_against_the_budget(clips, monkeypatch):
    go_on = threading.Event()
    original = prefetch_module.load
    monkeypatch.setattr(
        prefetch_module, "load", lambda ref, size: (go_on.wait(10), original(ref, size))[1]
    )
    with MediaLoader(max_workers=1, byte_budget=3 * 2**25) as loader:
        futures = []
        while loader.has_room:
            futures.append(loader.submit(video(clips["b_frames"], indices=(len(futures),))))
        # 32 MiB are expected of each until one has been seen.
        assert len(futures) == 3
        go_on.set()
        wait(futures, 30)
        assert loader.has_room


def test_an_item_above_the_whole_budget_is_loaded(clips):
    with MediaLoader(max_workers=1, byte_budget=1) as loader:
        assert loader.has_room
        loaded = loader.submit(video(clips["b_frames"])).result(30)
        assert loaded.nbytes == 8 * FRAME_BYTES
        assert not loader.has_room


def test_images_from_files_bytes_and_videos(clips, counter, painted, tmp_path):
    picture = painted(1, 61, 43)[0]
    data = encode_image(picture)
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    with MediaLoader() as loader:
        for ref in (MediaRef(kind="image", path=str(path)), MediaRef(kind="image", data=data)):
            loaded = loader.submit(ref).result(30)
            assert np.array_equal(loaded.frames, picture)
            assert loaded.source == {"width": 61, "height": 43}
            assert loaded.digest == hash_file(path)
        small = loader.submit(MediaRef(kind="image", data=data), lambda n, h, w: (h // 2, w // 2))
        assert small.result(30).frames.shape == (21, 30, 3)
        frame = MediaRef(kind="image", path=str(clips["b_frames"]), frame=42)
        loaded = loader.submit(frame).result(30)
        assert counter(loaded.frames) == 42
        assert loaded.indices == (42,)
        with pytest.raises(MediaUnsupportedError, match="without path or data"):
            loader.submit(MediaRef(kind="image")).result(30)


def test_controls_share_the_decode_and_damage_a_copy(clips):
    with MediaLoader(max_workers=1) as loader:
        plain = loader.submit(video(clips["b_frames"], num_frames=6)).result(30)
        changed = {
            control: loader.submit(video(clips["b_frames"], num_frames=6, control=control)).result(
                30
            )
            for control in ("black", "swap_red_blue", "shuffle_frames", "wrong_times", "text_only")
        }
        assert loader.statistics.misses == 1
    assert not changed["black"].frames.any()
    assert np.array_equal(changed["swap_red_blue"].frames, plain.frames[..., ::-1])
    assert changed["wrong_times"].times == tuple(2 * time for time in plain.times)
    assert np.array_equal(changed["text_only"].frames, plain.frames)
    shuffled = changed["shuffle_frames"].frames
    assert sorted(f.tobytes() for f in shuffled) == sorted(f.tobytes() for f in plain.frames)
    assert all(not np.array_equal(a, b) for a, b in zip(shuffled, plain.frames, strict=True))
    assert changed["shuffle_frames"].times == plain.times


def test_shuffling_is_reproducible_and_moves_every_frame(painted):
    frames = painted(9)
    times = tuple(range(9))
    first, _ = apply_control(frames, times, "shuffle_frames", seed="a")
    again, _ = apply_control(frames, times, "shuffle_frames", seed="a")
    other, _ = apply_control(frames, times, "shuffle_frames", seed="b")
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_closing_cancels_what_has_not_started(clips, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(prefetch_module, "load", lambda ref, size: go_on.wait(10))
    loader = MediaLoader(max_workers=1)
    futures = [loader.submit(video(clips["b_frames"], indices=(n,))) for n in range(4)]
    threading.Timer(0.05, go_on.set).start()
    loader.close()
    assert [future.cancelled() for future in futures[1:]] == [True, True, True]
    with pytest.raises(RuntimeError, match="after shutdown"):
        loader.submit(video(clips["b_frames"]))


@pytest.mark.parametrize(
    ("mode", "expected"), [("none", [0, 0, 0]), ("auto", [0, 0, 0]), ("process", [1, 1, 1])]
)
def test_isolation_changes_where_and_not_what(clips, painted, mode, expected):
    data = encode_image(painted(1, 61, 43)[0])
    refs = [
        video(clips["vfr"], num_frames=4),
        MediaRef(kind="image", path=str(clips["b_frames"]), frame=42),
        MediaRef(kind="image", data=data),
    ]
    isolated = []
    with MediaLoader(isolation=mode) as loader, MediaLoader(isolation="none") as plain:
        for ref in refs:
            before = loader.statistics.isolated
            loaded, same = (each.submit(ref).result(60) for each in (loader, plain))
            assert np.array_equal(loaded.frames, same.frames)
            assert loaded.to_json() == same.to_json()
            assert not loaded.frames.flags.writeable
            isolated.append(loader.statistics.isolated - before)
        assert loader.statistics.workers_lost == 0
    assert isolated == expected


def test_which_media_are_foreign():
    for path in ("zip://a/b.mp4::c.zip", "lance://7::hf://x/y", "https://x.org/a.mp4"):
        assert is_foreign(MediaRef(kind="video", path=path))
    assert is_foreign(MediaRef(kind="video", data=b""))
    assert not is_foreign(MediaRef(kind="video", path="/data/odd:name.mp4"))


def test_a_worker_that_dies_is_counted(clips):
    with MediaLoader(max_workers=1, isolation="process", timeout_seconds=30) as loader:

        def shot(count, height, width):
            os.kill(loader.processes[0], signal.SIGKILL)
            return height, width

        with pytest.raises(MediaWorkerError, match="SIGKILL"):
            loader.submit(video(clips["intra"]), shot).result(60)
        assert loader.submit(video(clips["intra"])).result(60).frames.shape[0] == 8
        assert (loader.statistics.failures, loader.statistics.workers_lost) == (1, 1)


def test_threads_bound_decoding_and_are_given_back(clips):
    from lmms import _media

    before = _media.thread_budget()
    with MediaLoader(threads=1) as loader:
        loader.submit(video(clips["intra"])).result(30)
        assert _media.thread_budget() == 1
    assert _media.thread_budget() == before


def test_prefetching_gives_all_in_order_with_errors_in_their_place(clips, tmp_path, counter):
    missing = str(tmp_path / "missing.mp4")
    picture = MediaRef(kind="image", path=str(clips["b_frames"]), frame=42)
    content = clips["mkv"].read_bytes()
    media = [str(clips["vfr"]), missing, clips["b_frames"], picture, content]
    taken = list(prefetch_frames(media, FramePolicy(num_frames=3), size=lambda n, h, w: (h, w)))
    assert [medium for medium, _ in taken] == media
    assert isinstance(taken[1][1], MediaNotFoundError)
    assert taken[0][1].indices == (0, 37, 74)
    assert counter(taken[3][1].frames) == 42
    assert taken[4][1].frames.shape == (3, 64, 96, 3)


def test_prefetching_runs_ahead_within_its_budget(clips):
    started = []

    def media():
        for number in range(40):
            started.append(number)
            yield MediaRef(
                kind="video", path=str(clips["b_frames"]), policy=FramePolicy(indices=(number,))
            )

    budget = 6 * FRAME_BYTES
    with MediaLoader(2, budget, 0) as loader:
        # The first decode teaches what an item needs.
        loader.submit(video(clips["b_frames"], indices=(70,))).result(30)
        for position, (_, loaded) in enumerate(prefetch_frames(media(), loader=loader)):
            assert loaded.indices == (position,)
            assert len(started) - position <= 7
            assert loader.held_bytes <= budget
        assert len(started) == 40
        kept = list(prefetch_frames([clips["b_frames"]] * 9, loader=loader))
        assert len(kept) == 9


def test_leaving_a_prefetching_loop_ends_it(clips):
    before = threading.active_count()
    for _ in prefetch_frames([clips["b_frames"]] * 50):
        break
    gc.collect()
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_two_hundred_loads_stay_within_the_budget(clips, isolation):
    """Peak memory is the budget, the cache and what one decode needs, whatever was loaded."""
    process = psutil.Process()
    item = 6 * 512 * 768 * 3
    rule = lambda n, h, w: (512, 768)  # noqa: E731
    options = {"byte_budget": 4 * item, "decode_cache_bytes": 2 * item, "isolation": isolation}
    highest = 0
    with MediaLoader(2, **options) as loader:

        def refs(count):
            for number in range(count):
                indices = tuple((number * 7 + step) % 75 for step in range(6))
                yield video(clips["b_frames"], indices=indices)

        for _ in prefetch_frames(refs(20), size=rule, loader=loader):
            pass
        gc.collect()
        before = process.memory_info().rss
        files = process.num_fds()
        for _, loaded in prefetch_frames(refs(200), size=rule, loader=loader):
            assert loaded.nbytes == item
            highest = max(highest, process.memory_info().rss)
        assert loader.statistics.misses > 100
        assert process.num_fds() <= files + 8
    assert highest - before < 4 * item + 2 * item + 40 * 2**20


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="at least 1"):
        MediaLoader(max_workers=0)
    with pytest.raises(ValueError, match="isolation is one of"):
        MediaLoader(isolation="sandbox")
