"""Threads, forks, signals: the decoder is used by many at once and can be stopped."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lmms.media import probe, read_frames


@pytest.mark.timeout(60)
def test_eight_threads_on_one_file(clips):
    path = clips["b_frames"]
    every = read_frames(path, range(75))

    def work(seed: int) -> bool:
        wanted = np.random.default_rng(seed).integers(0, 75, 6).tolist()
        return np.array_equal(read_frames(path, wanted), every[wanted])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(32)))


@pytest.mark.timeout(60)
def test_a_forked_child_can_decode(clips):
    path = clips["b_frames"]
    stop = threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():
            read_frames(path, range(0, 75, 5))

    expected = int(read_frames(path, [7, 50]).sum())
    # Other threads hold locks and borrowed helpers while the fork happens.
    busy = [threading.Thread(target=keep_busy) for _ in range(2)]
    for thread in busy:
        thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                same = int(read_frames(path, [7, 50]).sum()) == expected
                os._exit(0 if same and probe(path).num_frames == 75 else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        for thread in busy:
            thread.join()


@pytest.mark.timeout(60)
def test_the_gil_is_released(clips):
    """Another Python thread runs on while frames are decoded."""
    ticks = 0
    stop = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not stop.is_set():
            ticks += 1
            time.sleep(0.0005)

    thread = threading.Thread(target=tick)
    thread.start()
    started = time.perf_counter()
    longest = 0.0
    while time.perf_counter() - started < 0.5:
        before, at = ticks, time.perf_counter()
        read_frames(clips["b_frames"], range(75), size=(1080, 1920))
        if ticks == before:
            longest = max(longest, time.perf_counter() - at)
    stop.set()
    thread.join()
    assert longest == 0.0


@pytest.mark.timeout(60)
def test_ctrl_c_stops_a_long_decode(clips):
    """A decode that would take minutes ends with KeyboardInterrupt within a second."""
    code = f"""
        import signal, sys, time
        from lmms.media import read_frames
        # A program started in the background inherits an ignored SIGINT.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("ready", flush=True)
        try:
            while True:
                read_frames({str(clips["b_frames"])!r}, range(75), size=(4000, 4000))
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.4)
    process.send_signal(signal.SIGINT)
    sent = time.perf_counter()
    output, _ = process.communicate(timeout=30)
    assert output == "interrupted\n"
    assert process.returncode == 0
    assert time.perf_counter() - sent < 3


def test_the_thread_budget_can_be_set():
    from lmms import _media

    before = _media.thread_budget()
    try:
        _media.set_thread_budget(7)
        assert _media.thread_budget() == 7
    finally:
        _media.set_thread_budget(0)
    assert _media.thread_budget() == before
