"""Worker processes: same bytes, and a worker's end costs one medium."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from lmms.errors import MediaError
from lmms.media import (
    MediaLoader,
    MediaNotFoundError,
    MediaTooLargeError,
    encode_image,
    hash_file,
    probe,
)
from lmms.media.errors import (
    MediaInternalError,
    MediaRangeError,
    MediaTimeoutError,
    MediaWorkerError,
)
from lmms.media.isolation import Isolation
from lmms.media.loading import load
from lmms.media.wire import MAPPED_FROM_BYTES, Channel, Message, WireError, take_array
from lmms.types import FramePolicy, MediaRef


@pytest.fixture(scope="module")
def isolation():
    with Isolation(2) as made:
        yield made


def video(path, **policy):
    return MediaRef(kind="video", path=str(path), policy=FramePolicy(**policy))


def workers(isolation):
    return [psutil.Process(pid) for pid in isolation.processes]


def same(first, second):
    assert np.array_equal(first.frames, second.frames)
    assert first.frames.dtype == second.frames.dtype
    assert (first.indices, first.times) == (second.indices, second.times)
    assert (first.source, first.warnings) == (second.source, second.warnings)


@pytest.mark.parametrize("clip", ["vfr", "rotated_90", "ten_bit", "odd_vp9", "open_gop_ts"])
def test_the_same_as_without(isolation, clips, clip):
    for ref, size in [
        (video(clips[clip], num_frames=5), None),
        (video(clips[clip], times=(0.0, 0.5, 99.0), rotate=False), lambda n, h, w: (h // 2, w + 1)),
        (video(clips[clip], num_frames=3, max_pixels=1500), None),
        (MediaRef(kind="image", path=str(clips[clip]), frame=7), None),
    ]:
        same(isolation.load(ref, size), load(ref, size))
    assert isolation.probe(clips[clip]) == probe(clips[clip])


def test_large_results_are_mapped_and_small_ones_copied(isolation, clips):
    ref = video(clips["b_frames"], num_frames=2)
    rule = lambda n, h, w: (1024, 1024)  # noqa: E731
    large, small = isolation.load(ref, rule), isolation.load(ref)
    assert large.nbytes >= MAPPED_FROM_BYTES > small.nbytes
    same(large, load(ref, rule))
    for decoded in (large, small):
        assert not decoded.frames.flags.writeable


def test_pictures_as_path_and_as_bytes(isolation, painted, tmp_path):
    data = encode_image(painted(1, 61, 43)[0])
    (tmp_path / "picture.png").write_bytes(data)
    for ref in (
        MediaRef(kind="image", data=data),
        MediaRef(kind="image", path=str(tmp_path / "picture.png")),
    ):
        same(isolation.load(ref), load(ref))
        same(isolation.load(ref, lambda n, h, w: (9, 8)), load(ref, lambda n, h, w: (9, 8)))


def test_errors_and_warnings_are_those_of_the_medium(isolation, clips, damaged, tmp_path):
    before = isolation.statistics
    with pytest.raises(MediaNotFoundError, match=r"nowhere.mp4: no such file"):
        isolation.load(video(tmp_path / "nowhere.mp4"))
    with pytest.raises(MediaRangeError, match="frame 999"):
        isolation.load(video(clips["b_frames"], indices=(999,)))
    with pytest.raises(ZeroDivisionError):
        isolation.load(video(clips["b_frames"]), lambda n, h, w: (1 // 0, 1))
    with pytest.raises(ValueError, match="above max_pixels"):
        isolation.load(video(clips["b_frames"], min_pixels=9, max_pixels=4))
    cut = video(damaged(clips["faststart"], 0.5))
    same(isolation.load(cut), load(cut))
    assert isolation.load(cut).warnings
    # None of this ended a process.
    after = isolation.statistics
    assert (after.started, after.deaths) == (before.started, before.deaths)


def test_relative_paths_start_where_the_caller_is(isolation, clips, tmp_path, monkeypatch):
    (tmp_path / "clip.mp4").write_bytes(clips["intra"].read_bytes())
    monkeypatch.chdir(tmp_path)
    ref = video("clip.mp4")
    same(isolation.load(ref), load(ref))
    assert isolation.probe("clip.mp4").path == "clip.mp4"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_worker_that_dies_costs_one_medium(clips, number):
    with Isolation(1) as isolation:
        isolation.load(video(clips["intra"]))
        (worker,) = workers(isolation)

        def shot(count, height, width):
            worker.send_signal(number)
            return height, width

        with pytest.raises(MediaWorkerError, match=f"intra.mp4.*ended by {number.name}"):
            isolation.load(video(clips["intra"]), shot)
        same(isolation.load(video(clips["intra"])), load(video(clips["intra"])))
        assert isolation.statistics.deaths == 1
        assert isolation.statistics.started == 2


def test_a_worker_that_hangs_is_ended(clips):
    with Isolation(1, timeout_seconds=1.0) as isolation:
        isolation.load(video(clips["intra"]))
        (worker,) = workers(isolation)

        def stopped(count, height, width):
            worker.suspend()
            return height, width

        started = time.monotonic()
        with pytest.raises(MediaTimeoutError, match="longer than 1 s"):
            isolation.load(video(clips["intra"]), stopped)
        assert time.monotonic() - started < 4
        assert not worker.is_running()
        assert isolation.load(video(clips["intra"])).count == 8
        assert isolation.statistics.timeouts == 1


def test_a_worker_that_died_while_idle_costs_nothing(clips):
    with Isolation(1) as isolation:
        isolation.load(video(clips["intra"]))
        (worker,) = workers(isolation)
        worker.kill()
        worker.wait(5)
        assert isolation.load(video(clips["intra"])).count == 8
        assert isolation.statistics.deaths == 0


def bomb(side):
    """A PNG of a few kilobytes that says it is `side` by `side`."""

    def chunk(name, body):
        crc = zlib.crc32(name + body)
        return len(body).to_bytes(4, "big") + name + body + crc.to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    rows = zlib.compress(bytes(3 * side + 1) * 16)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def test_memory_is_bounded(clips):
    with Isolation(1, memory_bytes=64 * 2**20) as isolation:
        with pytest.raises(MediaTooLargeError, match="more memory than a process may take"):
            isolation.load(MediaRef(kind="image", data=bomb(15_000)))
        # What the pixels themselves need is granted on top.
        dense = isolation.load(video(clips["intra"], num_frames=30), lambda n, h, w: (1080, 1920))
        assert dense.nbytes > 2 * 64 * 2**20


def test_many_threads_share_few_workers(clips):
    refs = [video(clips["b_frames"], indices=(n,)) for n in range(24)]
    with Isolation(2) as isolation, ThreadPoolExecutor(8) as pool:
        results = list(pool.map(isolation.load, refs))
        assert isolation.statistics.started <= 2
        assert len(isolation.processes) <= 2
    for ref, result in zip(refs, results, strict=True):
        same(result, load(ref))


def test_closing_ends_what_is_under_way(clips):
    isolation = Isolation(1)
    isolation.load(video(clips["intra"]))
    entered = threading.Event()

    def slow(count, height, width):
        entered.set()
        time.sleep(0.5)
        return height, width

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(isolation.load, video(clips["intra"]), slow)
        assert entered.wait(20)
        isolation.close()
        with pytest.raises(MediaInternalError, match="the run ends"):
            future.result(20)
    with pytest.raises(MediaInternalError, match="closed"):
        isolation.load(video(clips["intra"]))


OWNER = """
import os, sys, time
from lmms.media.isolation import Isolation
from lmms.types import MediaRef
isolation = Isolation(2)
isolation.load(MediaRef(kind="video", path=sys.argv[1]))
held = isolation.load(MediaRef(kind="video", path=sys.argv[1]), lambda n, h, w: (1024, 1024))
print(isolation.processes[0], flush=True)
os.environ.get("FORK") and os.fork()
time.sleep(60)
"""


@pytest.mark.parametrize("fork", ["", "1"])
def test_workers_end_with_their_owner_and_leave_nothing(clips, repository, fork):
    """Also when a forked child of the owner, which holds the same descriptors, lives on."""
    before = set(Path("/dev/shm").iterdir())
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(clips["intra"])],
        env=os.environ | {"PYTHONPATH": str(repository), "FORK": fork},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        worker = psutil.Process(int(owner.stdout.readline()))
        owner.kill()
        owner.wait(10)
        psutil.wait_procs([worker], timeout=5)
        assert not worker.is_running()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(owner.pid, signal.SIGKILL)
        owner.stdout.close()
    assert set(Path("/dev/shm").iterdir()) <= before


def test_workers_get_no_secrets(clips, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with Isolation(1) as isolation:
        isolation.load(video(clips["intra"]))
        environments = [worker.environ() for worker in workers(isolation)]
    assert environments
    assert all("HF_TOKEN" not in environment for environment in environments)


class Reader:
    """Content of an object, as a row of a table gives it."""

    def __init__(self, data, fails_at=None):
        self.name, self.size = "row 7", len(data)
        self._data, self._fails_at = data, fails_at

    def read_at(self, offset, size):
        if self._fails_at is not None and offset >= self._fails_at:
            raise OSError("the table is gone")
        return self._data[offset : offset + size]


def test_content_that_stays_with_its_owner(isolation, clips):
    """Objects with `read_at` are read over the connection; what they raise is told."""
    data = clips["b_frames"].read_bytes()
    info = isolation.probe(Reader(data))
    assert (info.path, info.num_frames) == ("row 7", 75)
    with pytest.raises(MediaError, match=r"row 7.*the table is gone") as raised:
        isolation.probe(Reader(data, fails_at=0))
    assert "the table is gone" in str(raised.value.__cause__)
    assert isolation.probe(Reader(data)) == info


def test_members_of_archives_and_bytes(isolation, clips, tmp_path):
    path = clips["open_gop"]
    archives = {"plain": zipfile.ZIP_STORED, "packed": zipfile.ZIP_DEFLATED}
    for name, method in archives.items():
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w", method) as archive:
            archive.write(path, "videos/a b.mp4")
    whole = load(video(path, num_frames=5))
    refs = [
        video(f"zip://videos/a b.mp4::{tmp_path / name}.zip", num_frames=5) for name in archives
    ]
    refs.append(MediaRef(kind="video", data=path.read_bytes(), policy=FramePolicy(num_frames=5)))
    with MediaLoader() as loader:
        for number, ref in enumerate(refs, 1):
            same(load(ref), whole)
            same(isolation.load(ref), whole)
            loaded = loader.submit(ref).result(60)
            assert np.array_equal(loaded.frames, whole.frames)
            assert loaded.digest == hash_file(path)
            # `auto` takes what comes out of archives and from elsewhere for foreign.
            assert loader.statistics.isolated == number
    with pytest.raises(MediaNotFoundError, match=r"gone.mp4"):
        isolation.load(video(f"zip://gone.mp4::{tmp_path / 'plain.zip'}"))
    bad = MediaRef(kind="video", data=b"no video" * 9)
    for way in (load, isolation.load):
        with pytest.raises(MediaError, match="72 bytes in memory"):
            way(bad)


def test_what_a_worker_sends_is_checked(tmp_path):
    with (tmp_path / "plain").open("wb+") as file:
        file.write(bytes(12))
        file.flush()
        with pytest.raises((WireError, OSError)):
            take_array({"shape": [2, 2, 3], "dtype": "uint8"}, file.fileno())
    open_memory = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.write(open_memory, bytes(12))
    for described in (
        {"shape": [2, 2, 3], "dtype": "uint8"},
        {"shape": [2, -2, 3], "dtype": "uint8"},
        {"shape": [2, 2, 3], "dtype": "object"},
        {"shape": "2", "dtype": "uint8"},
        None,
    ):
        with pytest.raises(WireError):
            take_array(described, open_memory)
    os.close(open_memory)


def test_messages_that_are_none():
    import socket

    for raw in (b"\xff" * 8, b"\x02\0\0\0\0\0\0\0[]", b"\x02\0\0\0\0\0\0\0{x", b"\x09\0"):
        ours, theirs = socket.socketpair()
        theirs.sendall(raw)
        theirs.close()
        channel = Channel(ours)
        with pytest.raises(WireError):
            channel.receive()
        channel.close()
        with pytest.raises(WireError):
            channel.send(Message({}))


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="above 0"):
        Isolation(0)
