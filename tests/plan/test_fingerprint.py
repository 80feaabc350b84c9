"""The fingerprint changes exactly when something changes that can change an answer or a score.

The table names every field of the schema. A new field fails the test until somebody decides.
"""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from lmms.config.keys import schema_keys
from lmms.config.plan import RunPlan
from lmms.config.schema import RunConfig


def _names(text: str) -> list[str]:
    return text.split()


CHANGES = _names(
    """
model.backend model.pretrained model.revision model.tokenizer model.embedded model.hub model.dtype
model.attn_implementation model.quantization model.adapter model.chat_template model.system_prompt
model.profile model.reasoning_budget model.trust_remote_code model.base_url model.replay
model.kwargs
generation.max_new_tokens generation.reasoning_budget generation.until generation.do_sample
generation.temperature generation.top_p generation.top_k generation.min_p generation.num_beams
generation.repetition_penalty generation.presence_penalty generation.frequency_penalty
generation.seed generation.extra
media.num_frames media.fps media.max_frames media.force_include_last_frame media.min_pixels
media.max_pixels media.rotate media.control media.sampling media.min_frames media.total_pixels
media.count media.strategy media.backend
env.weights env.data selector.kind
num_fewshot repeats seed fewshot_seed
tasks.*.name tasks.*.num_fewshot tasks.*.repeats tasks.*.apply_chat_template tasks.*.profile
tasks.*.generation.max_new_tokens tasks.*.generation.reasoning_budget tasks.*.generation.until
tasks.*.generation.do_sample tasks.*.generation.temperature tasks.*.generation.top_p
tasks.*.generation.top_k tasks.*.generation.min_p tasks.*.generation.num_beams
tasks.*.generation.repetition_penalty tasks.*.generation.presence_penalty
tasks.*.generation.frequency_penalty tasks.*.generation.seed tasks.*.generation.extra
tasks.*.media.num_frames tasks.*.media.fps tasks.*.media.max_frames
tasks.*.media.force_include_last_frame tasks.*.media.min_pixels tasks.*.media.max_pixels
tasks.*.media.rotate tasks.*.media.control tasks.*.media.sampling tasks.*.media.min_frames
tasks.*.media.total_pixels tasks.*.media.count tasks.*.media.strategy tasks.*.media.backend
tasks.*.reasoning.strip tasks.*.reasoning.tags
"""
)

KEEPS = _names(
    """
model.name model.device model.device_map model.batch_size model.api_key_env model.concurrency
model.timeout_seconds model.max_retries
media.workers media.prefetch_bytes media.cache_bytes media.threads media.isolation
media.timeout_seconds media.worker_memory_bytes env.name env.offline env.cache_dir env.data_roots
env.lance_uri env.task_paths env.trust_task_code env.variables media.frame_store
media.frame_store_bytes
executor.name executor.max_open_documents executor.scoring_timeout_seconds
output.dir output.log_samples output.html output.max_report_samples
run.resume run.max_failed_share run.progress
statistics.confidence statistics.bootstrap_samples
limit tasks.*.limit groups
selector.name selector.irt selector.max_items selector.min_items selector.se selector.estimation
selector.start_ability selector.batch_size selector.exposure selector.balance selector.metric
selector.threshold selector.unmatched
"""
)


def _leaves() -> dict[str, Any]:
    kinds = schema_keys()
    return {
        k: v for k, v in kinds.items() if not (isinstance(v, type) and issubclass(v, BaseModel))
    }


def _other(kind: Any, value: Any) -> Any:
    """Returns a value of the type that differs from `value`."""
    origin = get_origin(kind)
    if origin is Literal:
        return next(v for v in get_args(kind) if v != value)
    if origin in (Union, types.UnionType):
        return _other(get_args(kind)[0], value)
    if origin is dict:
        held = get_args(kind)[1]
        return {**(value or {}), "added": _other(held, None) if get_origin(held) else "x"}
    if origin is list:
        inner = get_args(kind)[0]
        return [["<a>", "</a>"]] if get_origin(inner) is tuple else [*(value or []), "added"]
    if kind is bool:
        return not value
    if kind is int:
        return (value or 0) + 1
    if kind is float:
        return 0.6 if value != 0.6 else 0.7
    assert kind is str, kind
    return f"{value or ''}other"


@pytest.fixture(scope="module")
def base() -> RunPlan:
    from lmms.api import plan

    return plan("task=gsm8k model=dummy")


def _mutated(plan: RunPlan, key: str, kind: Any) -> RunPlan:
    shown = plan.model_dump(mode="json")
    holder = shown["config"]
    *sections, last = key.replace("*", "gsm8k").split(".")
    for section in sections:
        holder = holder[section]
    holder[last] = _other(kind, holder[last])
    mutated = RunPlan.model_validate(shown)
    assert mutated.config != plan.config
    return mutated


def test_keys_of_media_that_came_later_are_left_out_while_unset(base):
    shown = base.identity()["config"]
    assert set(shown["media"]) == set(shown["tasks"]["gsm8k"]["media"])
    assert "control" in shown["media"]
    assert not {"sampling", "min_frames", "strategy", "backend"} & set(shown["media"])


def test_the_table_is_complete():
    assert set(CHANGES) | set(KEEPS) == set(_leaves())
    assert not set(CHANGES) & set(KEEPS)


@pytest.mark.parametrize("key", sorted(_leaves()))
def test_field(base, key):
    changed = _mutated(base, key, _leaves()[key]).fingerprint != base.fingerprint
    assert changed is (key in CHANGES)


@pytest.mark.parametrize("field", ["digest", "num_fewshot", "repeats", "generation", "media"])
def test_what_was_resolved_per_task_counts(base, field):
    shown = base.model_dump(mode="json")
    shown["tasks"][0][field] = {
        "digest": "0" * 64,
        "num_fewshot": 9,
        "repeats": 9,
        "generation": {"max_new_tokens": 1},
        "media": {"num_frames": 1},
    }[field]
    assert RunPlan.model_validate(shown).fingerprint != base.fingerprint


@pytest.mark.parametrize(
    ("field", "value", "counts"),
    [
        ("versions", {"lmms": "999"}, True),
        ("command", ["other"], False),
        ("notes", ["other"], False),
    ],
)
def test_the_rest_of_the_plan(base, field, value, counts):
    changed = base.model_copy(update={field: value})
    assert (changed.fingerprint != base.fingerprint) is counts


def test_the_models_identity_counts(base):
    identity = {**base.model.identity, "revision": "another"}
    model = base.model.model_copy(update={"identity": identity})
    assert base.model_copy(update={"model": model}).fingerprint != base.fingerprint


def test_estimates_do_not_count(base):
    shown = base.model_dump(mode="json")
    for name in ("documents", "requests", "frames", "output_tokens"):
        shown["tasks"][0][name] = {"value": 1, "basis": "other"}
    shown["tasks"][0]["rendered"] = {"images": 3}
    assert RunPlan.model_validate(shown).fingerprint == base.fingerprint


@given(st.permutations(["hellaswag", "gsm8k"]), st.integers(0, 5))
@settings(max_examples=8, deadline=None)
def test_order_of_words_and_limits_does_not_count(order, limit):
    from lmms.api import plan

    words = [f"task=[{','.join(order)}]", "model=dummy", f"limit={limit}"]
    first, second = plan(words), plan([*reversed(words), "output.dir=/elsewhere"])
    assert (
        first.fingerprint
        == second.fingerprint
        == plan("task=[gsm8k,hellaswag] model=dummy").fingerprint
    )


def test_a_plan_survives_json(base):
    again = RunPlan.model_validate_json(base.model_dump_json())
    assert again == base
    assert again.fingerprint == base.fingerprint
    assert isinstance(again.config, RunConfig)


# ---------------------------------------------------------------------------------- adaptive runs

COURSE = _names("estimation start_ability batch_size exposure balance metric threshold")
END = _names("name max_items min_items se unmatched")


@pytest.fixture(scope="module")
def adaptive() -> RunPlan:
    from lmms.api import plan

    return plan("task=irt_items model=dummy selector=adaptive")


@pytest.mark.parametrize(
    "word",
    _names(
        "estimation=eap start_ability=0.5 batch_size=3 exposure=4 balance=true threshold=0.5 "
        "name=other max_items=50 min_items=3 se=0.3 unmatched=refuse metric=exact_match"
    ),
)
def test_keys_of_an_adaptive_run(adaptive, word):
    from lmms.api import plan

    changed = plan(f"task=irt_items model=dummy selector=adaptive selector.{word}")
    key = word.partition("=")[0]
    # Naming the score that would be taken anyway changes nothing.
    counts = key in COURSE and key != "metric"
    assert (changed.fingerprint != adaptive.fingerprint) is counts
    assert key in COURSE + END


def test_the_bank_counts_and_its_place_does_not(adaptive, tmp_path):
    from pathlib import Path

    from lmms.api import plan

    bank = Path(adaptive.selector.banks["irt_items"].path).read_text()

    def with_bank(text: str) -> RunPlan:
        (tmp_path / "irt.csv").write_text(text)
        word = f"selector.irt={tmp_path / 'irt.csv'}"
        return plan(["task=irt_items", "model=dummy", "selector=adaptive", word])

    assert with_bank(bank).fingerprint == adaptive.fingerprint
    assert with_bank(bank.replace("0.787", "0.788", 1)).fingerprint != adaptive.fingerprint


def test_what_the_back_end_takes_at_once_counts_where_it_decides(adaptive):
    from lmms.api import plan

    words = "task=irt_items model=dummy selector=adaptive model.batch_size="
    assert plan(words + "2").fingerprint != adaptive.fingerprint
    assert plan(words + "64").fingerprint == adaptive.fingerprint
    fixed = "selector.batch_size=1"
    first, second = (plan(f"{words}{n} {fixed}").fingerprint for n in (2, 64))
    assert first == second


@pytest.mark.parametrize("name", ["BM", "bm"])
def test_an_estimation_by_its_other_name_is_the_same_run(adaptive, name):
    from lmms.api import plan

    again = plan(f"task=irt_items model=dummy selector=adaptive selector.estimation={name}")
    assert again.fingerprint == adaptive.fingerprint
