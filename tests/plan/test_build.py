"""What a plan says, and what cannot be planned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lmms.api import plan
from lmms.errors import ConfigError, LmmsError, PlanError, UnknownNameError
from lmms.planning.build import check_embedded
from lmms.types import FramePolicy, GenerationArgs


def test_a_text_task():
    planned = plan("task=gsm8k model=dummy limit=3")
    (task,) = planned.tasks
    assert task.shown_as == "gsm8k@embedded"
    assert task.num_fewshot == 5
    assert task.documents.value == 3
    assert task.documents.basis == "limit 3 of 8 (index)"
    assert task.requests.value == 3
    assert task.frames.value == 0
    assert task.output_tokens.value == 3 * task.generation_args.token_limit
    assert planned.model.shown_as == "dummy"
    assert planned.versions["lmms"]


def test_a_video_task():
    (task,) = plan("task=longvideobench_val_v model=dummy media.num_frames=4 limit=10").tasks
    assert task.frame_policy == FramePolicy(num_frames=4)
    assert task.frames.value == 40
    assert task.frames.basis == "4 per clip"
    words = "task=longvideobench_val_v model=dummy limit=10"
    (task,) = plan(f"{words} media.max_frames=4").tasks
    assert (task.frames.value, task.frames.basis) == (40, "4 per clip")
    (task,) = plan("task=longvideobench_val_v model=dummy media=fps_1 limit=10").tasks
    assert task.frames.value == 1280
    assert "at most 128" in task.frames.basis


def test_the_interleaved_frames_are_counted_and_follow_the_run():
    (task,) = plan("task=longvideobench_val_i model=dummy limit=10").tasks
    assert task.frames.value == 160
    assert task.frames.basis == "at most 16 per clip, shown as images"
    words = "task=longvideobench_val_i model=dummy media.num_frames=4 media.rotate=false limit=10"
    (task,) = plan(words).tasks
    assert task.frames.value == 40
    assert task.frame_policy == FramePolicy(num_frames=4, rotate=False)


@pytest.mark.parametrize(
    ("words", "policy", "value", "basis"),
    [
        ("media=qwen_vl", {"sampling": "qwen_vl", "min_frames": 4}, 7680, "by qwen_vl, at most"),
        ("media.sampling=qwen3_vl", {"sampling": "qwen3_vl"}, 7680, "2 per second by qwen3_vl"),
        ("media.sampling=qwen_vl media.num_frames=6", {"num_frames": 6}, 60, "6 per clip by qwen"),
        ("media.sampling=stride media.fps=1", {"fps": 1.0}, None, "1 per second by stride; --rend"),
        ("media=keyframes", {"strategy": "keyframes", "num_frames": 8}, 80, "8 per clip"),
        ("media.sampling=longvideobench", {"num_frames": 8}, 80, "8 per clip by longvideobench"),
        ("media.count=declared", {"count": "declared"}, 80, "8 per clip"),
    ],
)
def test_sampling_rules(words, policy, value, basis):
    (task,) = plan(f"task=longvideobench_val_v model=dummy limit=10 {words}").tasks
    assert {k: getattr(task.frame_policy, k) for k in policy} == policy
    assert task.frames.value == value
    assert basis in task.frames.basis


def test_keyframes_are_in_the_name():
    (task,) = plan(
        "task=longvideobench_val_v model=dummy media=keyframes media.control=black"
    ).tasks
    assert task.shown_as == "longvideobench_val_v@embedded+keyframes+black"
    with pytest.raises(PlanError, match="shows no frames of videos"):
        plan("task=gsm8k model=dummy media=keyframes")


def test_another_decoder_is_in_the_plan(monkeypatch):
    pytest.importorskip("av")
    words = "task=longvideobench_val_v model=dummy"
    plain, other = plan(words), plan(f"{words} media.backend=pyav")
    assert other.tasks[0].frame_policy == FramePolicy(num_frames=8, backend="pyav")
    assert set(other.versions) - set(plain.versions) == {"av"}
    assert other.fingerprint != plain.fingerprint
    from lmms.media import MediaUnsupportedError, backends

    monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MediaUnsupportedError, match="needs the package av"):
        plan(f"{words} media.backend=pyav")
    assert plan("task=gsm8k model=dummy media.backend=pyav").tasks[0].media == {}


def test_a_rule_without_its_number_is_refused():
    with pytest.raises(PlanError, match="'stride' needs fps"):
        plan("task=longvideobench_val_v model=dummy media.sampling=stride")
    with pytest.raises(ConfigError) as caught:
        plan("task=longvideobench_val_v model=dummy media.sampling=quen_vl")
    assert caught.value.suggestions[0] == "qwen_vl"


def test_layers_of_generation():
    words = "task=gsm8k model=dummy model.reasoning_budget=7 generation.max_new_tokens=50"
    task = plan(f"{words} tasks.gsm8k.generation.temperature=0.5").tasks[0]
    assert task.generation_args.max_new_tokens == 50
    assert task.generation_args.reasoning_budget == 7
    assert task.generation_args.do_sample is True
    assert task.generation_args.until  # the task's own
    strongest = plan(f"{words} tasks.gsm8k.generation.max_new_tokens=60").tasks[0]
    assert strongest.generation_args.max_new_tokens == 60
    assert isinstance(strongest.generation_args, GenerationArgs)


def test_shots_and_repeats():
    words = "task=[gsm8k,hellaswag] model=dummy num_fewshot=2 repeats=3 tasks.gsm8k.num_fewshot=0"
    gsm8k, hellaswag = plan(words).tasks
    assert (gsm8k.num_fewshot, hellaswag.num_fewshot) == (0, 2)
    assert gsm8k.requests.value == 3 * gsm8k.documents.value


def test_unknown_without_reading_is_said_not_guessed():
    (task,) = plan("task=hellaswag model=dummy").tasks
    assert task.requests.value is None
    assert "--render" in task.requests.basis
    (task,) = plan("task=gsm8k model=dummy env=hub").tasks
    assert task.shown_as == "gsm8k"
    assert task.documents.value is None


def test_render_counts():
    (task,) = plan("task=hellaswag model=dummy limit=3", render=True).tasks
    assert (task.documents.value, task.requests.value) == (3, 12)
    assert task.documents.basis == "rendered"
    assert task.rendered["words of prompts"] > 0
    (task,) = plan("task=gsm8k model=dummy limit=2 repeats=2", render=True).tasks
    assert task.requests.value == 4
    assert task.output_tokens.value == 4 * task.generation_args.token_limit


VIDEO_TASK = """\
task: clips
version: "1"
modalities: [text, video]
dataset: {path: rows.jsonl, split: test, id_field: id}
prompt: {video: clip, text: "What is seen?"}
target: "{{ answer }}"
metrics: [exact_match]
"""


def test_render_probes_videos_and_names_unreadable_ones(tmp_path, repository):
    clips = sorted((repository / "lmms/_data/embedded/longvideobench/videos").glob("*"))
    (tmp_path / "text.mp4").write_text("no video at all")
    rows = [str(clips[0]), str(clips[1]), "text.mp4", "absent.mp4"]
    (tmp_path / "clips.yaml").write_text(VIDEO_TASK)
    (tmp_path / "rows.jsonl").write_text(
        "".join(
            json.dumps({"id": str(i), "clip": c, "answer": "x"}) + "\n" for i, c in enumerate(rows)
        )
    )
    words = f"task=clips model=dummy env.task_paths=[{tmp_path}] media.num_frames=5"
    (task,) = plan(words, render=True).tasks
    assert (task.documents.value, task.requests.value) == (4, 4)
    assert task.frames.value == 10
    assert sorted(Path(p).name for p in task.rendered["unreadable media"]) == [
        "absent.mp4",
        "text.mp4",
    ]


def test_the_plan_is_what_json_gives_back():
    planned = plan("task=longvideobench_val_v model=dummy media.max_pixels=1000")
    assert json.loads(planned.model_dump_json()) == planned.model_dump(mode="json")


@pytest.mark.parametrize(
    ("words", "kind", "parts"),
    [
        (
            "task=gsm8k model=qwen3_vl model.pretrained=org/own",
            PlanError,
            ["model.pretrained=org/own", "env=hub"],
        ),
        ("task=gsm8k model=hf", PlanError, ["'hf' has no shipped weights", "env=hub"]),
        ("task=gsm8k model=qwen3_vl env.weights=hub", PlanError, ["shipped data", "env=hub"]),
        ("task=gsm8k model=dummy model.backend=dumy", UnknownNameError, ["'dumy'", "dummy"]),
        ("task=gsm8k model=dummy model.kwargs.anser=B", LmmsError, ["anser"]),
        (
            "task=gsm8k model=dummy generation.do_sample=true generation.temperature=0",
            ConfigError,
            ["do_sample"],
        ),
    ],
)
def test_what_cannot_be_planned(words, kind, parts):
    with pytest.raises(kind) as caught:
        plan(words)
    assert caught.value.exit_code == 2
    for part in parts:
        assert part in str(caught.value)


def test_a_task_without_shipped_data(tmp_path, repository):
    text = (repository / "tasks/gsm8k/gsm8k.yaml").read_text().replace("task: gsm8k", "task: mine")
    text = "\n".join(line for line in text.splitlines() if "embedded:" not in line)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.yaml").write_text(text)
    words = f"task=mine model=dummy env.task_paths=[{tmp_path}]"
    with pytest.raises(PlanError, match="no data is shipped for mine") as caught:
        plan(words)
    assert "env=hub" in str(caught.value)
    assert plan(f"{words} env=hub").tasks[0].shown_as == "mine"


def test_back_ends_without_weights_may_use_shipped_data():
    config = plan("task=gsm8k model=dummy").config
    check_embedded(config, {})
    openai = plan("task=gsm8k model=openai model.pretrained=m model.base_url=http://127.0.0.1:1/v1")
    assert openai.tasks[0].shown_as == "gsm8k@embedded"
    assert openai.model.embedded is False


def test_a_run_file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("model: dummy\ntask: gsm8k\nlimit: 2\n")
    planned = plan("limit=3", config=path)
    assert planned.config.limit == 3
    assert planned.command == ("--config", str(path), "limit=3")
    path.write_text("- {model: dummy, task: gsm8k}\n- {model: dummy, task: gsm8k}\n")
    with pytest.raises(ConfigError, match="holds 2 runs"):
        plan(config=path)


def test_the_cards_frames_are_only_noted_where_a_task_has_frames():
    def notes(task: str) -> str:
        return " ".join(plan(f"task={task} model=qwen3_vl").notes)

    assert "num_frames=" in notes("[gsm8k,longvideobench_val_v]")
    assert "num_frames=" not in notes("gsm8k")
