"""Examining media before a run: one finding per defect, none for what is fine."""

import io
import math
import os
import shutil
import struct
import threading
import wave

import numpy as np
import pytest

from lmms.media import encode_image
from lmms.media.doctor import Subject, SubjectList, examine, worst_first
from lmms.media.errors import MediaUnsupportedError
from lmms.media.isolation import Isolation
from lmms.media.loading import load
from lmms.types import FramePolicy, MediaRef


def video(path, *samples, **policy):
    ref = MediaRef(kind="video", path=str(path), policy=FramePolicy(**policy))
    return Subject(ref=ref, name=str(path), samples=frozenset(samples))


def one(subject, **options):
    (found,) = examine([subject], **options)
    return found


def sound(path, *samples):
    ref = MediaRef(kind="audio", path=str(path))
    return Subject(ref=ref, name=str(path), samples=frozenset(samples))


def tone(count=4000, rate=8000):
    """Bytes of a wave file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        values = (int(9000 * math.sin(n / 20)) for n in range(count))
        out.writeframes(b"".join(struct.pack("<h", value) for value in values))
    return file.getvalue()


def codes(examination):
    return [finding.code for finding in examination.findings]


def test_a_fine_clip_says_what_is_taken(clips):
    found = one(video(clips["b_frames"], num_frames=4))
    assert (found.status, codes(found)) == ("fine", [])
    assert found.indices == (0, 24, 49, 74)
    assert found.times == pytest.approx((0, 24 / 25, 49 / 25, 74 / 25))
    assert found.size == (64, 96)
    assert found.nbytes == 4 * 64 * 96 * 3
    assert found.info is not None
    assert found.info.num_frames == 75


def test_what_cannot_be_loaded_is_an_error_with_its_kind(clips, tmp_path):
    empty, text, pipe = tmp_path / "empty.mp4", tmp_path / "text.mp4", tmp_path / "pipe.mp4"
    empty.touch()
    text.write_text("no video")
    os.mkfifo(pipe)
    expected = {
        tmp_path / "none.mp4": "missing",
        empty: "empty",
        text: "undecodable",
        pipe: "unreadable",
        tmp_path: "unreadable",
    }
    found = examine([video(path, "a") for path in expected])
    assert {e.subject.ref.path: codes(e) for e in found} == {
        str(path): [code] for path, code in expected.items()
    }
    assert {e.status for e in found} == {"error"}
    short = one(video(clips["b_frames"], indices=(75,)))
    assert codes(short) == ["out_of_range"]


@pytest.mark.parametrize("depth", ["index", "chosen", "full"])
def test_a_cut_clip_is_a_warning(clips, damaged, depth):
    found = one(video(damaged(clips["mkv"], 0.5), num_frames=2), depth=depth)
    assert found.status == "warning"
    assert codes(found)[0] == "truncated"
    assert len(found.indices) == 2


def test_only_a_full_examination_sees_damage_between_the_chosen_frames(clips, tmp_path):
    data = bytearray(clips["intra"].read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov")
    middle = (start + end) // 2
    data[middle : middle + 40] = b"\xff" * 40
    path = tmp_path / "hole.mp4"
    path.write_bytes(data)
    assert one(video(path, num_frames=2), depth="index").status == "fine"
    assert one(video(path, num_frames=2), depth="chosen").status == "fine"
    assert one(video(path, num_frames=2), depth="full").status == "warning"


def test_notes_do_not_keep_a_clip_from_being_fine(clips):
    rotated = one(video(clips["rotated_90"], max_pixels=1000))
    assert rotated.status == "fine"
    assert codes(rotated) == ["rotated", "resized"]
    assert rotated.size is not None
    assert rotated.size[0] * rotated.size[1] <= 1000
    assert codes(one(video(clips["vfr"]))) == ["variable_rate"]
    assert codes(one(video(clips["b_frames"], num_frames=100))) == ["few_frames"]
    capped = one(video(clips["b_frames"], num_frames=None, fps=5.0, max_frames=4))
    assert codes(capped) == ["capped"]
    assert len(capped.indices) == 4


def test_more_than_may_be_held_is_a_warning(clips):
    found = one(video(clips["b_frames"]), budget_bytes=100_000)
    assert (found.status, codes(found)) == ("warning", ["over_budget"])
    assert "8 frames of 96x64" in found.findings[0].message
    assert one(video(clips["b_frames"]), budget_bytes=200_000).status == "fine"


def test_copies_are_noted_once_each(clips, tmp_path):
    first = shutil.copy(clips["mkv"], tmp_path / "a.mkv")
    second = shutil.copy(clips["mkv"], tmp_path / "b.mkv")
    other = bytearray(clips["mkv"].read_bytes())
    other[-1] ^= 1  # the same size, another content
    (tmp_path / "c.mkv").write_bytes(other)
    found = examine([video(p) for p in (first, second, tmp_path / "c.mkv")])
    noted = {e.subject.ref.path: codes(e) for e in found if "duplicate" in codes(e)}
    assert list(noted) == [str(second)]


def test_images_from_files_and_from_bytes(tmp_path):
    data = encode_image(np.zeros((20, 30, 3), np.uint8))
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    cases = {
        "fine": MediaRef(kind="image", data=data),
        "error": MediaRef(kind="image", path=str(tmp_path / "cut.png")),
    }
    for status, ref in cases.items():
        assert one(Subject(ref=ref, name="picture")).status == status
    assert one(Subject(ref=cases["fine"], name="picture")).size == (20, 30)


@pytest.mark.parametrize("depth", ["index", "chosen", "full"])
def test_broken_sound_is_an_error(clips, tmp_path, depth):
    text, empty = tmp_path / "a.wav", tmp_path / "b.mp3"
    text.write_text("nonsense")
    empty.touch()
    silent = tmp_path / "silent.m4a"
    shutil.copy(clips["b_frames"], silent)
    wrong = {
        text: "undecodable",
        empty: "empty",
        silent: "no_audio",
        tmp_path / "none.wav": "missing",
        tmp_path: "unreadable",
    }
    for path, code in wrong.items():
        found = one(sound(path), depth=depth)
        assert (found.status, codes(found)) == ("error", [code])


def test_sound_is_decoded(tmp_path):
    whole, cut = tmp_path / "whole.wav", tmp_path / "cut.wav"
    whole.write_bytes(tone())
    cut.write_bytes(tone()[:4000])
    found = one(sound(whole))
    assert found.status == "fine"
    assert found.sound is not None
    assert (found.sound.sample_rate, found.sound.channels, found.nbytes) == (8000, 1, 0)
    assert one(sound(cut)).status == "warning"
    assert codes(one(sound(cut)))[0] == "truncated"


def test_sound_that_no_run_can_load_is_an_error_of_its_samples(tmp_path):
    path = tmp_path / "whole.wav"
    path.write_bytes(tone())
    needed, bare = one(sound(path, "a")), one(sound(path))
    assert (needed.status, codes(needed)) == ("error", ["unsupported"])
    with pytest.raises(MediaUnsupportedError) as refused:
        load(sound(path).ref)
    assert refused.value.message in needed.findings[0].message
    assert (bare.status, codes(bare)) == ("fine", ["unsupported"])


def test_the_worst_comes_first(clips, damaged, tmp_path):
    cut = damaged(clips["mkv"], 0.5)
    few, many = tmp_path / "few.mp4", tmp_path / "many.mp4"
    subjects = [video(clips["b_frames"], "a"), video(cut), video(few, "a"), video(many, "a", "b")]
    names = [e.subject.name for e in examine(subjects)]
    assert names == [str(many), str(few), str(cut), str(clips["b_frames"])]


def test_one_medium_is_examined_once_for_all_its_samples(clips):
    listed = SubjectList()
    ref = MediaRef(kind="video", path=str(clips["b_frames"]), policy=FramePolicy())
    for sample in ("a", "b", "a"):
        listed.add(ref, sample=sample)
    listed.add(MediaRef(kind="video", path=ref.path, policy=FramePolicy(num_frames=2)))
    first, second = listed.subjects()
    assert first.samples == {"a", "b"}
    assert second.samples == frozenset()


def test_progress_counts_up(clips):
    seen = []
    examine([video(clips["b_frames"])] * 3, progress=seen.append)
    assert seen == [1, 2, 3]


def test_each_examination_is_given_when_it_is_done(clips, tmp_path):
    given = []
    found = examine([video(clips["b_frames"]), video(tmp_path / "none.mp4")], each=given.append)
    assert worst_first(given) == found


def test_an_interruption_ends_it(clips):
    """What has not begun is not begun, and no thread is left at work."""

    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        examine([video(clips["b_frames"])] * 200, workers=1, progress=interrupt)
    for thread in threading.enumerate():
        if thread.name.startswith("lmms-doctor"):
            thread.join(5)
            assert not thread.is_alive()


def test_isolated_examinations_find_the_same(clips, damaged, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "picture.png").write_bytes(encode_image(np.zeros((20, 30, 3), np.uint8)))
    (tmp_path / "tone.wav").write_bytes(tone())
    subjects = [
        video(clips["rotated_90"], num_frames=3),
        video(damaged(clips["mkv"], 0.5)),
        video(tmp_path / "text.mp4"),
        Subject(ref=MediaRef(kind="image", path=str(tmp_path / "picture.png")), name="picture"),
        sound(tmp_path / "tone.wav", "a"),
    ]
    with Isolation(workers=1) as isolation:
        assert examine(subjects, isolation=isolation) == examine(subjects)


def test_a_medium_that_hangs_its_decoder_is_a_finding(clips, tmp_path):
    """Matroska before many empty gigabytes: the next cluster is looked for throughout."""
    path = tmp_path / "endless.mkv"
    path.write_bytes(clips["mkv"].read_bytes())
    os.truncate(path, 400 * 2**30)
    with Isolation(workers=1, timeout_seconds=1.5) as isolation:
        found = examine([video(path), video(clips["intra"])], isolation=isolation, workers=1)
    assert [e.status for e in found] == ["error", "fine"]
    assert codes(found[0]) == ["timeout"]
