"""A run made of plain values: three tasks, one with video, every verdict, breakdowns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lmms.config.plan import Estimate, PlannedModel, PlannedTask, RunPlan
from lmms.config.schema import EnvConfig, ModelConfig, OutputConfig, RunConfig, TaskRef
from lmms.types import Failure, MetricResult, Sample, Score, TaskResult

VIDEO = "longvideobench_val_v"
FACTS: dict[str, Any] = {
    "status": "incomplete",
    "manifest": "ab" * 32,
    "start_time": 1_790_000_000.0,
    "end_time": 1_790_000_047.5,
    "efficiency": {"wall_seconds": 47.5, "media_wait_seconds": 6.1, "model_seconds": 33.2},
    "warnings": ["journal: row 17 of samples is damaged and was left out"],
}


def make_plan(**changes: Any) -> RunPlan:
    config = RunConfig(
        model=ModelConfig(
            name="qwen3_vl", backend="hf", batch_size=8, kwargs={"api_key": "not-to-be-seen"}
        ),
        tasks={name: TaskRef(name=name) for name in (VIDEO, "gsm8k", "mme", "hellaswag")},
        env=EnvConfig(variables={"HF_TOKEN": "hf_" + "a" * 34}),
        output=OutputConfig(max_report_samples=12),
        limit=60,
    )
    plan = RunPlan(
        config=config,
        model=PlannedModel(
            shown_as="canary-qwen3vl",
            backend="hf",
            reference="canary-qwen3vl",
            embedded=True,
            identity={
                "name": "canary-qwen3vl",
                "dtype": "float32",
                "revision": "sha256:" + "0" * 64,
            },
        ),
        tasks=(
            _planned(VIDEO, "generate_until", documents=60),
            _planned("gsm8k", "generate_until", num_fewshot=5, documents=8),
            _planned("mme", "generate_until", documents=8),
            _planned("hellaswag", "multiple_choice", documents=8),
        ),
        versions={"lmms": "0.1.0", "transformers": "5.23.0"},
        command=("lmms", "+experiment=longvideo", "model=qwen3_vl", "limit=60"),
        notes=("the experiment's task reference mme was kept",),
    )
    return plan.model_copy(update=changes)


def _planned(name: str, output_type: str, *, num_fewshot: int = 0, documents: int) -> PlannedTask:
    estimate = Estimate(value=documents, basis="index")
    return PlannedTask(
        label=name,
        name=name,
        shown_as=f"{name}@embedded",
        version="1.0",
        digest="cd" * 32,
        output_type=output_type,
        dataset=f"{name}@embedded",
        split="validation",
        num_fewshot=num_fewshot,
        repeats=1,
        generation={"max_new_tokens": 32, "reasoning_budget": 256},
        media={"num_frames": 16},
        documents=estimate,
        requests=estimate,
        frames=Estimate(value=960, basis="16 × documents"),
        output_tokens=Estimate(value=17280, basis="limit × requests"),
    )


def make_results() -> dict[str, TaskResult]:
    categories = {
        "question_category=T2E": {"value": 0.96, "n": 25, "ci_low": 0.80, "ci_high": 0.99},
        "question_category=order of events": {
            "value": 0.85,
            "n": 20,
            "ci_low": 0.64,
            "ci_high": 0.95,
        },
        "question_category=S2A": {"value": 0.60, "n": 15, "ci_low": 0.36, "ci_high": 0.80},
        "duration_group=60": {"value": 0.87, "n": 60},
    }
    accuracy = MetricResult(
        name="lvb_acc", value=52 / 60, stderr=0.0442, ci_low=0.7583, ci_high=0.9308,
        interval_method="wilson", n=60, n_unparsed=2, n_failed=1, breakdown=categories,
    )  # fmt: skip
    strict = replace(accuracy, name="lvb_acc_strict", value=50 / 60, n_unparsed=3, breakdown={})
    video = TaskResult(
        task=VIDEO, label=f"{VIDEO}@embedded", version="1.0", num_fewshot=0,
        metrics=(accuracy, strict), n_original=64, n_effective=61,
        status_counts={"ok": 58, "unparsed": 2, "failed": 1}, failures={"media": 1},
        efficiency={
            "wall_seconds": 38.0, "media_wait_seconds": 5.2, "model_seconds": 29.4,
            "tokens_in": 91_000, "tokens_out": 11_240, "tokens_reasoning": 10_980,
            "ttft_seconds_median": 0.081, "tpot_seconds_median": 0.0041, "frames_seen": 976,
            "requests": 61, "requests_asked": 61, "requests_reused": 0,
        },
        warnings=("clip06.mkv: decoding stopped early, 12 frames are missing",),
    )  # fmt: skip
    strict_match = MetricResult(
        name="exact_match", filter="strict-match", value=0.0, stderr=0.0, ci_low=0.0,
        ci_high=0.3244, interval_method="wilson", n=8, n_unparsed=8,
    )  # fmt: skip
    gsm8k = TaskResult(
        task="gsm8k", label="gsm8k@embedded", version="3.0", num_fewshot=5,
        metrics=(strict_match, replace(strict_match, filter="flexible-extract", n_unparsed=1)),
        n_original=8, n_effective=8, status_counts={"ok": 7, "unparsed": 1},
    )  # fmt: skip
    perception = MetricResult(name="mme_perception_score", value=612.5, stderr=88.2, n=8)
    mme = TaskResult(
        task="mme", label="mme@embedded", version="1.0", num_fewshot=0,
        metrics=(perception, MetricResult(name="mme_cognition_score", value=None)),
        n_original=8, n_effective=8, status_counts={"ok": 8},
    )  # fmt: skip
    acc = MetricResult(
        name="acc", value=0.375, stderr=0.183, ci_low=0.137, ci_high=0.694,
        interval_method="wilson", n=8,
    )  # fmt: skip
    hellaswag = TaskResult(
        task="hellaswag", label="hellaswag@embedded", version="1.0", num_fewshot=0,
        metrics=(acc, replace(acc, name="acc_norm")), n_original=8, n_effective=8,
        status_counts={"ok": 8},
    )  # fmt: skip
    return {VIDEO: video, "gsm8k": gsm8k, "mme": mme, "hellaswag": hellaswag}


def make_samples(label: str) -> Iterator[Sample]:
    make = {VIDEO: _video_sample, "hellaswag": _choice_sample}.get(label)
    for index in range(61 if label == VIDEO else 8):
        yield make(index) if make else _text_sample(label, index)


def _video_sample(index: int) -> Sample:
    verdict = {5: "unparsed", 30: "unparsed", 44: "failed"}.get(index, "ok")
    right = index % 9 != 4
    if verdict == "failed":
        return Sample(
            task=VIDEO, doc_id=index, document_id=f"doc{index:02d}", doc_hash=f"{index:064x}",
            input=_question(index), target="B", resps=[], filtered_resps=[], scores={},
            status="failed", cluster=f"clip{index // 4:02d}",
            failure=Failure(kind="media", message="clip11.mp4: no such file", attempts=1),
        )  # fmt: skip
    answer = None if verdict == "unparsed" else "B" if right else "D"
    visible = "I cannot tell." if answer is None else f"{answer}"
    raw = f"<think>00.0 s red circle\n03.8 s blue square\n07.5 s green star</think>{visible}"
    score = Score(value=float(right and answer is not None), status=verdict, answer=answer)
    times = [round(i * 3.75, 3) for i in range(16)]
    media = {
        "kind": "video", "path": f"/data/clip{index // 4:02d}.mp4", "sha256": f"{index // 4:064x}",
        "policy": {"num_frames": 16}, "shape": [16, 96, 128, 3],
        "indices": [i * 94 for i in range(16)], "times": times,
        "source": {"width": 320, "height": 240, "total_frames": 1500, "average_fps": 25.0},
    }  # fmt: skip
    response = {
        "finish_reason": "stop", "ttft_seconds": 0.081, "latency_seconds": 0.52,
        "tokens": {"input": 1490, "output": 184, "reasoning": 180},
    }  # fmt: skip
    return Sample(
        task=VIDEO, doc_id=index, document_id=f"doc{index:02d}", doc_hash=f"{index:064x}",
        input=_question(index), target="B", resps=[raw], filtered_resps=[visible],
        scores={"lvb_acc": score, "lvb_acc_strict": score}, status=verdict,
        cluster=f"clip{index // 4:02d}", media=(media,), responses=(response,),
        request_keys=(f"{index:064x}",),
    )  # fmt: skip


def _choice_sample(index: int) -> Sample:
    pairs = [[-9.25 - i, i == 0] for i in range(4)]
    score = Score(value=float(index % 3 == 0), answer="0")
    return Sample(
        task="hellaswag", doc_id=index, document_id=str(index), doc_hash=f"{index:064x}",
        input="Baking cookies: A woman opens the oven. She", target="0" if index % 3 == 0 else "2",
        resps=pairs, filtered_resps=pairs, scores={"acc": score, "acc_norm": score}, status="ok",
    )  # fmt: skip


def _question(index: int) -> str:
    return (
        f"<video>Question {index}: which shape appears after the blue square leaves?\n"
        "A. a red circle\nB. a green star\nC. a yellow triangle\nD. a white ring\n"
        "Answer with the option's letter from the given choices directly."
    )


def _text_sample(label: str, index: int) -> Sample:
    keys = ["exact_match,strict-match", "exact_match,flexible-extract"]
    scores = {key: Score(value=0.0, answer=None if key.endswith("match") else "7") for key in keys}
    if label == "mme":
        scores = {"mme_perception_score": Score(value=float(index % 2), answer="Yes")}
    return Sample(
        task=label, doc_id=index, document_id=str(index), doc_hash=f"{index:064x}",
        input=f"Question: how many apples are {index} and 3?\nAnswer:", target="10",
        resps=["It is 7."], filtered_resps=["It is 7."], scores=scores,
        status="unparsed" if label == "gsm8k" and index == 3 else "ok",
    )  # fmt: skip
