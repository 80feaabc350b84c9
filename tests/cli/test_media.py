"""`lmms media`: probe, frames and doctor."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import wave
import zipfile

import numpy as np
import pytest

from lmms.cli.completion import complete
from lmms.media import load_image, probe, read_frames

MINE = """\
task: mine
version: "1"
modalities: [text, video]
dataset: {{path: {data}, id_field: id}}
prompt: {{video: video, text: "{{{{q}}}}"}}
target: "{{{{a}}}}"
generation: {{max_new_tokens: 4}}
scorer: exact_match
metrics: [{{name: acc}}]
"""


@pytest.fixture
def clip(repository, tmp_path):
    source = repository / "lmms/_data/embedded/longvideobench/videos/clip06.mkv"
    return shutil.copy(source, tmp_path / "a clip é.mkv")


def test_probe_shows_what_can_be_read_and_fails_for_the_rest(lmms, clip, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    result = lmms("media", "probe", "text.mp4", clip.name, "none.mp4")
    assert result.code == 4
    row = next(line for line in result.out.splitlines() if line.startswith(clip.name))
    shown = "288x192 1 174 117.400 10 h264 matroska yuv420p 25 key frames"
    assert " ".join(row.split()[3:]) == shown
    assert "text.mp4: not a readable video file" in result.err
    assert "none.mp4: no such file" in result.err


def test_probe_as_json(lmms, clip):
    result = lmms("media", "probe", "--json", str(clip), "none.mp4")
    assert result.code == 4
    facts, missing = result.json
    info = probe(clip)
    assert facts["num_frames"] == info.num_frames
    assert facts["frame_rate"] == "10"
    assert facts["duration_seconds"] == info.duration_seconds
    assert facts["key_frames"] == 25
    assert facts["rotation"] == 0
    assert facts["is_vfr"] is False
    assert facts["warnings"] == []
    assert missing["path"] == "none.mp4"
    assert missing["error"]["exit_code"] == 4


def test_probe_tells_damage_and_knows_images(lmms, clip, tmp_path):
    data = clip.read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
    picture = tmp_path / "picture.png"
    lmms("media", "frames", str(clip), "--indices", "3", "--dir", ".")
    (tmp_path / f"{clip.stem}_000003.png").rename(picture)
    result = lmms("media", "probe", "cut.mkv", "picture.png")
    assert result.code == 0
    assert "damaged" in result.out
    assert "cut.mkv: truncated: " in result.err
    assert result.out.splitlines()[-1].split()[:2] == ["picture.png", "288x192"]


def test_probe_knows_sound(lmms, tmp_path):
    with wave.open(str(tmp_path / "tone.wav"), "wb") as out:
        out.setparams((2, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(3200))
    result = lmms("media", "probe", "tone.wav")
    assert (result.code, result.err) == (0, "")
    shown = "tone.wav - - 0.100 8000 pcm_s16le wav - sound, 2 channels"
    assert " ".join(result.out.splitlines()[-1].split()) == shown
    assert lmms("media", "probe", "tone.wav", "--json").json == [
        {
            "path": "tone.wav",
            "kind": "audio",
            "codec": "pcm_s16le",
            "container": "wav",
            "sample_rate": 8000,
            "channels": 2,
            "duration_seconds": 0.1,
            "warnings": [],
        }
    ]
    frames = lmms("media", "frames", "tone.wav")
    assert (frames.code, "it has sound" in frames.err) == (4, True)


def test_a_copy_that_was_cut_off_is_told(lmms, repository, tmp_path):
    data = (repository / "lmms/_data/embedded/longvideobench/videos/clip02.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    for command in ("probe", "frames", "doctor"):
        result = lmms("media", command, "cut.mp4")
        assert result.code == 4
        assert "its index (moov) is missing: the copy was cut off" in result.out + result.err


def test_frames_writes_a_labelled_sheet(lmms, clip, tmp_path):
    result = lmms("media", "frames", str(clip), "--num-frames", "5", "-o", "sheet.png")
    assert result.code == 0, result.err
    rows = [line.split() for line in result.out.splitlines()[1:6]]
    assert [int(index) for index, _ in rows] == [0, 293, 586, 879, 1173]
    assert [float(time) for _, time in rows] == pytest.approx([0, 29.3, 58.6, 87.9, 117.3])
    sheet = load_image(tmp_path / "sheet.png")
    first = read_frames(clip, [0])[0]
    # The first frame lies inside a border of eight pixels.
    assert np.array_equal(sheet[8 : 8 + 192, 8 : 8 + 288], first)
    label = sheet[8 + 192 : 8 + 192 + 22, 8 : 8 + 288]
    assert (label == 235).any()


def test_frames_are_written_one_by_one_at_their_own_size(lmms, clip, tmp_path):
    result = lmms("media", "frames", str(clip), "--times", "0,5.55", "--dir", "out", "--json")
    assert result.code == 0, result.err
    assert result.json["indices"] == [0, 55]
    assert "sheet" not in result.json
    expected = read_frames(clip, [0, 55])
    for frame, name in zip(expected, result.json["files"], strict=True):
        assert np.array_equal(load_image(tmp_path / name), frame)


def test_frames_of_a_task(lmms, clip):
    words = ("media", "frames", str(clip), "--json", "--task", "longvideobench_val_v")
    assert len(lmms(*words).json["indices"]) == 8
    assert lmms(*words, "media.num_frames=3").json["indices"] == [0, 586, 1173]


@pytest.mark.parametrize(
    "words",
    [
        ["media=qwen_vl"],
        ["media=qwen3_vl", "media.max_frames=20"],
        ["media.sampling=longvideobench"],
        ["media.fps=1", "media.max_frames=10"],
        ["media=keyframes", "media.num_frames=5"],
    ],
)
def test_a_clip_of_no_task_is_sampled_by_words(lmms, clip, words):
    """As a task that says nothing about frames is."""
    shown = lmms("media", "frames", *words, str(clip), "--json")
    assert shown.code == 0, shown.err
    of_task = lmms("media", "frames", str(clip), "--json", "--task", "longvideobench_val_v", *words)
    assert shown.json["indices"] == of_task.json["indices"]
    checked = lmms("media", "doctor", str(clip), *words, "--json", "--quick").json
    assert checked["items"][0]["indices"] == shown.json["indices"]


def test_flags_win_over_words(lmms, clip):
    words = ("media", "frames", str(clip), "--json", "media=qwen_vl")
    assert lmms(*words, "--num-frames", "3").json["indices"] == [0, 586, 1173]
    assert lmms(*words, "--indices", "7,5").json["indices"] == [7, 5]
    assert len(lmms(*words, "--fps", "0.1").json["indices"]) == 11


@pytest.mark.parametrize("output", ["CLIP", "phone.jpg", "x.xyz", "other.mp4", "sheet"])
def test_frames_never_writes_over_anything_but_a_picture(lmms, clip, tmp_path, output):
    (tmp_path / "other.mp4").write_text("precious")
    before = clip.read_bytes()
    name = clip.name if output == "CLIP" else output
    result = lmms("media", "frames", clip.name, "--num-frames", "1", "-o", name)
    assert result.code == 2
    assert "allowed: names that end in .png" in result.err
    assert clip.read_bytes() == before
    assert (tmp_path / "other.mp4").read_text() == "precious"
    assert not (tmp_path / "frames.png").exists()


def test_frames_never_writes_over_what_it_reads(lmms, clip, tmp_path):
    clip.rename(tmp_path / "clip.png")
    (tmp_path / "link.PNG").symlink_to("clip.png")
    before = (tmp_path / "clip.png").read_bytes()
    locator = f"bytes://0-{len(before)}::clip.png"
    for source, name in (("clip.png", "clip.png"), ("clip.png", "link.PNG"), (locator, "clip.png")):
        result = lmms("media", "frames", source, "--num-frames", "1", "-o", name)
        assert (result.code, "would be overwritten" in result.err) == (2, True), result.err
    assert (tmp_path / "clip.png").read_bytes() == before
    for _ in range(2):  # A sheet of before is replaced.
        assert lmms("media", "frames", "clip.png", "-o", "sheet.png").code == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["media"], 2, "allowed: "),
        (["media", "prob"], 2, "did you mean: probe"),
        (["media", "probe"], 2, "takes one file or more"),
        (["media", "probe", "x", "--jsn"], 2, "did you mean: --json"),
        (["media", "frames"], 2, "takes one file"),
        (["media", "frames", "CLIP", "b.mp4"], 2, "'b.mp4' is another word"),
        (["media", "frames", "CLIP", "limit=1"], 2, "go with --task"),
        (["media", "frames", "CLIP", "model=dummy"], 2, "no task is named"),
        (["media", "frames", "CLIP", "media=qwen"], 2, "did you mean: qwen_vl"),
        (["media", "frames", "CLIP", "media.fsp=1"], 2, "did you mean: media.fps"),
        (["media", "frames", "CLIP", "media.sampling=qwen"], 2, "qwen_vl"),
        (["media", "frames", "CLIP", "media.sampling=fps"], 2, "needs fps"),
        (["media", "frames", "CLIP", "media.num_frames=0"], 2, "media.num_frames"),
        (["media", "frames", "CLIP", "media.control=black"], 2, "not the clip"),
        (["media", "frames", "media.fps=1"], 2, "takes one file"),
        (["media", "doctor", "CLIP", "media=qwen"], 2, "did you mean: qwen_vl"),
        (["media", "doctor"], 2, "takes a task, a folder or files"),
        (["media", "doctor", "longvideobench_val"], 2, "longvideobench_val_v"),
        (["media", "doctor", "mme", "CLIP"], 2, "goes alone"),
        (["media", "doctor", "mme", "media.num_frmes=2"], 2, "num_frames"),
        (["media", "doctor", "CLIP", "--full", "--quick"], 2, "contradict"),
        (["media", "doctor", "CLIP", "--workers", "0"], 2, "allowed: 1 and above"),
        (["media", "frames", "CLIP", "--num-frames", "0"], 2, "allowed: 1 and above"),
        (["media", "frames", "CLIP", "--num-frames", "x"], 2, "'x' is no whole number"),
        (["media", "frames", "CLIP", "--fps", "-1"], 2, "allowed: above 0"),
        (["media", "frames", "CLIP", "--fps", "nan"], 2, "allowed: above 0"),
        (["media", "frames", "CLIP", "--max-frames", "4"], 2, "bounds --fps"),
        (["media", "frames", "CLIP", "--fps", "1", "--times", "2"], 2, "both choose frames"),
        (["media", "frames", "CLIP", "--indices", "0,9999"], 4, "there are 1174 frames"),
        (["media", "frames", "CLIP", "--times", "-1"], 2, "allowed: 0 s and above"),
        (["media", "frames", "CLIP", "--times=nan"], 2, "allowed: 0 s and above"),
        (["media", "frames", "CLIP", "--indices", "-1"], 2, "allowed: 0 and above"),
        (["media", "frames", "CLIP", "--indices=3,-1"], 2, "--indices -1"),
        (["media", "frames", "CLIP", "--task", "longvideobench_val"], 2, "longvideobench_val_v"),
        (["media", "frames", "CLIP", "-o", "/none/sheet.png"], 2, "cannot write /none/sheet.png"),
        (["media", "frames", "none.mp4"], 4, "none.mp4: no such file"),
    ],
)
def test_a_mistake_is_one_clear_error(lmms, clip, words, code, message):
    result = lmms(*[str(clip) if word == "CLIP" else word for word in words])
    assert (result.code, message in result.err) == (code, True), result.err
    assert "Traceback" not in result.err


def test_doctor_of_a_folder(lmms, clip, tmp_path):
    folder = tmp_path / "media" / "deep"
    folder.mkdir(parents=True)
    data = clip.read_bytes()
    (folder / "whole.mkv").write_bytes(data)
    (folder / "cut.mkv").write_bytes(data[: len(data) // 2])
    (folder / "empty.mp4").touch()
    (folder / "notes.txt").write_text("no medium")
    (folder / "again").symlink_to(tmp_path / "media")
    result = lmms("media", "doctor", "media", "--num-frames", "3")
    assert result.code == 4
    lines = result.out.splitlines()
    assert lines[0].split() == ["fails", "media/deep/empty.mp4"]
    assert "        empty: " in lines[1]
    assert lines[3].split() == ["damaged", "media/deep/cut.mkv"]
    assert any(line.startswith("        run: 3 frames (0, ") for line in lines)
    assert "media: 3 media, 1 fine, 1 damaged or large, 1 failing; 1 other file not" in result.out
    assert "whole.mkv" not in result.out
    everything = lmms("media", "doctor", "media", "--all").out
    assert "whole.mkv" in everything
    assert "skipped media/deep/notes.txt" in everything
    shown = lmms("media", "doctor", "media", "--json").json
    assert (shown["skipped"], shown["skipped_files"]) == (["media/deep/notes.txt"], 1)


def test_doctor_looks_into_archives(lmms, clip, tmp_path):
    folder = tmp_path / "media"
    (folder / "dir.mp4").mkdir(parents=True)  # In a walk a folder is a folder.
    data = clip.read_bytes()
    with zipfile.ZipFile(folder / "pack.zip", "w") as archive:
        archive.writestr("a/whole.mkv", data)
        archive.writestr("cut.mkv", data[: len(data) // 2])
        archive.writestr("notes.txt", "text")
    with tarfile.open(folder / "more.tar", "w") as archive:
        archive.add(clip, "b.mkv")
    with tarfile.open(folder / "packed.tar.gz", "w:gz") as archive:
        archive.add(clip, "c.mkv")
    (folder / "broken.zip").write_text("no archive")
    shown = lmms("media", "doctor", "media", "--json", "--num-frames", "2")
    assert shown.code == 4
    assert [(i["name"], i["status"]) for i in shown.json["items"]] == [
        ("media/broken.zip", "error"),
        ("zip://cut.mkv::media/pack.zip", "warning"),
        ("tar://b.mkv::media/more.tar", "fine"),
        ("zip://a/whole.mkv::media/pack.zip", "fine"),
    ]
    assert shown.json["skipped"] == ["zip://notes.txt::media/pack.zip", "media/packed.tar.gz"]
    alone = lmms("media", "doctor", "media/packed.tar.gz", "--json").json
    assert [i["name"] for i in alone["items"]] == ["tar://c.mkv::media/packed.tar.gz"]
    assert lmms("media", "doctor", "zip://a/whole.mkv::media/pack.zip").code == 0
    assert lmms("media", "doctor", "none.zip").code == 4


def test_doctor_looks_into_tables(lmms, clip, tmp_path):
    pytest.importorskip("lance", reason="pylance is not installed")
    (tmp_path / "media").mkdir()
    shutil.copy(clip, tmp_path / "media" / "a.mkv")
    assert lmms("media", "build-lance", "media", "media/table.lance").code == 0
    alone = lmms("media", "doctor", "media/table.lance", "--json", "--quick").json
    assert [i["name"] for i in alone["items"]] == ["lance://a::media/table.lance"]
    assert (alone["fine"], alone["skipped"]) == (1, [])
    names = [i["name"] for i in lmms("media", "doctor", "media", "--json", "--quick").json["items"]]
    assert names == ["lance://a::media/table.lance", "media/a.mkv"]


def test_an_interrupted_doctor_says_what_it_found(repository, clip, tmp_path):
    """In a process of its own: what is still being decoded is not waited for."""
    (tmp_path / "empty.mp4").touch()
    code = (
        "import sys; from lmms.cli.media import doctor; from lmms.cli.main import main\n"
        "def stop(self, done):\n"
        "    raise KeyboardInterrupt\n"
        "doctor._Progress._show = stop\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    words = ["media", "doctor", "--workers", "1", "--quick", "empty.mp4", *[clip.name] * 3]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    ended = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 130, ended.stderr
    assert ended.stdout.splitlines()[0].split() == ["fails", "empty.mp4"]
    assert "interrupted after 1 of 2 media" in ended.stderr
    ended = subprocess.run(
        [sys.executable, "-c", code, *words, "--json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    shown = json.loads(ended.stdout)
    assert (ended.returncode, shown["interrupted"], shown["errors"]) == (130, True, 1)


def test_doctor_of_a_task_names_the_samples_that_would_fail(lmms, repository):
    fine = lmms("media", "doctor", "longvideobench_val_v", "limit=14", "--quick")
    assert (fine.code, fine.err) == (0, "")
    assert "; 0 of 14 samples would fail" in fine.out
    shown = lmms("media", "doctor", "longvideobench_val_v", "limit=14", "--json", "--quick").json
    assert (shown["samples"], shown["errors"], shown["depth"]) == (14, 0, "index")
    assert shown["media"] == len(shown["items"]) == 2
    item = shown["items"][0]
    assert len(item["samples"]) == 7
    assert len(item["indices"]) == len(item["times"]) == 8
    assert item["bytes"] == 8 * 192 * 288 * 3


def test_doctor_of_a_task_with_a_missing_clip(lmms, tmp_path):
    rows = [f'{{"id": "{i}", "video": "clip{i % 2}.mkv", "q": "?", "a": "x"}}' for i in range(4)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "mine.yaml").write_text(MINE.format(data=tmp_path / "rows.jsonl"))
    result = lmms("media", "doctor", "mine", f"env.task_paths=[{tmp_path / 'tasks'}]", "--json")
    assert result.code == 4, result.err
    assert result.json["errors"] == 2
    assert result.json["samples_failing"] == ["0", "1", "2", "3"]
    assert {f["code"] for i in result.json["items"] for f in i["findings"]} == {"missing"}


def test_doctor_of_a_task_with_sound(lmms, tmp_path):
    """The run would load none of it, and says so in the same words."""
    with wave.open(str(tmp_path / "tone.wav"), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(1600))
    (tmp_path / "rows.jsonl").write_text('{"id": "0", "sound": "tone.wav", "q": "?", "a": "x"}')
    (tmp_path / "tasks").mkdir()
    task = MINE.format(data=tmp_path / "rows.jsonl").replace("video: video", "audio: sound")
    (tmp_path / "tasks" / "mine.yaml").write_text(task.replace("[text, video]", "[text, audio]"))
    result = lmms("media", "doctor", "mine", f"env.task_paths=[{tmp_path / 'tasks'}]")
    assert result.code == 4, result.err
    assert "unsupported: audio given as a path cannot be loaded; allowed: " in result.out
    assert "run: 1 sample fails: 0" in result.out
    bare = lmms("media", "doctor", "tone.wav", "--all")
    assert bare.code == 0
    assert "run: 0.100 s of pcm_s16le sound, 8000 Hz, 1 channel" in bare.out
    (tmp_path / "tone.wav").write_text("nonsense")
    assert lmms("media", "doctor", "tone.wav").code == 4


def test_doctor_of_bare_files(lmms, clip, tmp_path):
    assert lmms("media", "doctor", str(clip)).code == 0
    missing = lmms("media", "doctor", str(clip), "none.mp4", "--json")
    assert missing.code == 4
    assert [i["status"] for i in missing.json["items"]] == ["error", "fine"]


def test_build_lance(lmms, clip, tmp_path):
    pytest.importorskip("lance", reason="pylance is not installed")
    (tmp_path / "videos").mkdir()
    shutil.copy(clip, tmp_path / "videos" / "a.mkv")
    (tmp_path / "videos" / "b.mp4").write_text("no video")
    result = lmms("media", "build-lance", "videos", "table.lance", "--json")
    assert result.code == 4, result.err
    assert (result.json["written"], result.json["verified"]) == (1, 1)
    assert [r["video_id"] for r in result.json["refused"]] == ["b"]
    left_out = lmms("media", "build-lance", "videos", "other.lance")
    assert left_out.err.count("videos/b.mp4") == 1
    (tmp_path / "videos" / "b.mp4").unlink()
    (tmp_path / "videos" / "notes.txt").touch()
    (tmp_path / "list.csv").write_text("id,path\n1,videos/a.mkv\n1,videos/b.mkv\n")
    again = lmms("media", "build-lance", "videos", "table.lance")
    assert (again.code, again.err) == (0, "")
    assert "0 videos written (0 bytes), 1 was there" in again.out
    assert ", 1 other file not looked at" in again.out
    assert lmms("media", "build-lance", "list.csv", "t").code == 2
    assert lmms("media", "build-lance", "list.csv", "t", "--path-column", "pat").code == 2
    assert lmms("media", "build-lance", "videos", "list.csv").code == 2
    assert lmms("media", "build-lance", "videos", "t", "--strit").code == 2
    assert lmms("media", "build-lance", "videos").code == 2
    assert lmms("media", "build-lance", "none", "t").code == 4


def test_help(lmms):
    for words in (["media", "--help"], ["media", "frames", "--help"], ["help", "media"]):
        assert lmms(*words).out.startswith("lmms media probe | frames")
    assert "  media WHAT" in lmms("--help").out


def test_words_that_may_follow():
    assert complete("lmms media ") == ["build-lance", "doctor", "frames", "probe"]
    assert complete("lmms media frames x.mp4 --ti") == ["--times"]
    assert "longvideobench_val_v" in complete("lmms media doctor long")
    assert complete("lmms media doctor x --wo") == ["--workers"]
    assert "longvideobench_val_v" in complete("lmms media frames x.mp4 --task long")
    assert "media.num_frames=" in complete("lmms media doctor longvideobench_val_v media.n")


def test_a_broken_name_does_not_break_the_table(lmms, clip, tmp_path):
    clip.rename(tmp_path / "two\nlines.mkv")
    result = lmms("media", "probe", "two\nlines.mkv")
    assert result.code == 0
    assert len(result.out.splitlines()) == 2


def test_a_name_with_a_leading_dash(lmms, clip, tmp_path):
    clip.rename(tmp_path / "-x.mkv")
    assert lmms("media", "probe", "--", "-x.mkv").code == 0


def test_the_door_is_light(repository, tmp_path):
    code = "import sys; from lmms.cli.main import main; main(['media', '--help']); " + (
        "bad = {'numpy', 'pydantic', 'hydra', 'yaml', 'lmms._media'} & set(sys.modules); "
        "sys.exit(str(bad) if bad else 0)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
