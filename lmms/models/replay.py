"""The replay back end: answers of an earlier run, for scoring them again without the model.

An answer is found by what was asked, whoever asked it: the earlier run kept each answer under its
request key, a digest over its model's identity and the rendered request (text, media by content,
frame policy, generation arguments, repeat). The same key is computed here with the earlier model's
identity, so nothing of this run's model, labels, order or limit matters. A request that was
rendered differently has no answer, which is a failure that says so; nothing is guessed by position.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from lmms.config.schema import EnvConfig, ModelConfig
from lmms.errors import ConfigError, ModelError
from lmms.models.base import ModelIdentity, PreparedRequest, request_key
from lmms.registry import Registry
from lmms.types import Failure, Outcome, Response

_JOURNAL = "journal.sqlite"
_SAMPLES = "samples_*.jsonl"
_SHOWN_PROMPT = 80


class AnswerSource(Protocol):
    """Where kept answers are read from."""

    def response_json(self, key: str) -> dict[str, Any] | None:
        """Returns `Response.to_json` of the answer to a request; None if there is none."""
        ...

    def close(self) -> None:
        """Closes files."""
        ...


class OpenSource(Protocol):
    """Opens the answers in a run folder."""

    def __call__(self, folder: Path) -> AnswerSource:
        """Opens the answers in `folder`."""
        ...


class SampleAnswers:
    """Answers from `samples_*.jsonl`, for a run folder that came without its journal.

    Holds all answers in memory; times and token counts are there as far as the lines have them.

    Args:
        folder: The run's folder.

    Raises:
        ModelError: A line cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._answers: dict[str, dict[str, Any]] = {}
        for path in sorted(folder.glob(_SAMPLES)):
            with path.open(encoding="utf-8") as file:
                for number, text in enumerate(file, 1):
                    try:
                        self._take(json.loads(text))
                    except (ValueError, TypeError, KeyError, AttributeError):
                        raise ModelError(
                            "not a line of a samples file", origin=f"{path}:{number}"
                        ) from None

    def response_json(self, key: str) -> dict[str, Any] | None:
        """Returns `Response.to_json` of the answer to a request; None if there is none."""
        return self._answers.get(key)

    def close(self) -> None:
        """Forgets the answers."""
        self._answers.clear()

    def _take(self, line: Mapping[str, Any]) -> None:
        if line.get("failure"):
            return  # A failure is never an answer.
        texts = line.get("resps", line["filtered_resps"])
        facts = line.get("responses") or [{}] * len(texts)
        for key, given, fact in zip(line.get("request_keys", ()), texts, facts, strict=False):
            if isinstance(given, list):
                answer = {"loglikelihood": given[0], "is_greedy": given[1]}
            else:
                answer = {"text": given}
            self._answers[key] = {**fact, **answer}


# By name, as back ends are: what answers and what keeps answers do not import each other.
_SOURCES: Registry[OpenSource] = Registry("store of answers")
_SOURCES.register("journal", "lmms.responses.reader:JournalReader")
_SOURCES.register("samples", "lmms.models.replay:SampleAnswers")


class ReplayModel:
    """The answers in one run folder. See `lmms.models.base.Model` for the protocol.

    Args:
        folder: The run's folder.
        batch_size: Requests looked up at once.

    Raises:
        ConfigError: There is no run, or it has no plan that can be read.
    """

    kind: Literal["compute", "wait"] = "compute"
    concurrency = 1
    supports = frozenset({"generate_until", "loglikelihood", "image", "video", "audio"})

    def __init__(self, folder: Path, *, batch_size: int = 1) -> None:
        self.batch_size = batch_size
        self._folder = folder
        self._source: AnswerSource | None = None
        answered_by = _identity_in(folder / "plan.json")
        self._answered_by = answered_by.digest
        self.identity = ModelIdentity(
            name=answered_by.name,
            reference=answered_by.reference,
            # Answers are told apart by who gave them, not by where they lie.
            revision=f"sha256:{self._answered_by}",
            backend="replay",
        )

    def media_size(
        self, height: int, width: int, frames: int, request_media: str
    ) -> tuple[int, int]:
        """Returns the source's size: nothing here looks at pixels."""
        return height, width

    async def start(self) -> None:
        """Opens the journal, or the samples where there is no journal.

        Raises:
            ModelError: The folder has neither.
        """
        if (self._folder / _JOURNAL).is_file():
            self._source = _SOURCES.get("journal")(self._folder)
        elif any(self._folder.glob(_SAMPLES)):
            self._source = _SOURCES.get("samples")(self._folder)
        else:
            raise ModelError(
                f"the run in {self._folder} kept no answers",
                origin="model.replay",
                allowed=f"a folder with {_JOURNAL} or {_SAMPLES}",
            )

    async def respond(self, batch: Sequence[PreparedRequest]) -> Sequence[Outcome]:
        """Looks the answers up; one that is missing is a failure that names its request."""
        return [self._outcome(prepared) for prepared in batch]

    def cost_hint(self, request: PreparedRequest) -> int:
        """Returns 0: every look-up costs the same."""
        return 0

    async def close(self) -> None:
        """Closes the journal."""
        source, self._source = self._source, None
        if source is not None:
            source.close()

    def _outcome(self, prepared: PreparedRequest) -> Outcome:
        if self._source is None:
            return Failure(kind="model", message="the replayed run was asked before it was opened")
        digests = [medium.digest for medium in prepared.media]
        key = request_key(self._answered_by, prepared.request, digests)
        shown = self._source.response_json(key)
        if shown is None:
            prompt = " ".join(prepared.request.prompt.split())
            short = prompt if len(prompt) <= _SHOWN_PROMPT else prompt[:_SHOWN_PROMPT] + " …"
            return Failure(
                kind="model",
                message=f"the earlier run has no answer to this request: {short!r} "
                f"(key {key[:12]}, {self._folder}): it was not asked, or rendered differently",
            )
        return _as_replayed(Response.from_json(shown))


def create(config: ModelConfig, *, env: EnvConfig) -> ReplayModel:
    """Makes the back end from the plan of the run that `model.replay` names.

    Raises:
        ConfigError: `model.replay` is missing, or names no run.
    """
    if not config.replay:
        raise ConfigError(
            "model.replay is not set: it names the run folder whose answers are given",
            origin=f"model={config.name}",
            hint="for example model.replay=outputs/latest",
        )
    return ReplayModel(_run_folder(config.replay), batch_size=config.batch_size)


def _run_folder(given: str) -> Path:
    """Returns the folder that has a plan: the one given, its `latest`, or a given file's."""
    path = Path(given).expanduser()
    for folder in (path, path / "latest", path.parent if path.is_file() else path):
        if (folder / "plan.json").is_file():
            return folder.resolve()
    raise ConfigError(
        f"model.replay={given!r} is not a run folder",
        origin="model.replay",
        allowed="a folder with plan.json and the answers, as every run leaves below output.dir",
    )


def _identity_in(plan: Path) -> ModelIdentity:
    try:
        shown = dict(json.loads(plan.read_text(encoding="utf-8"))["model"]["identity"])
        shown["adapters"] = tuple(shown.get("adapters", ()))
        return ModelIdentity(**shown)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ConfigError(
            f"the plan of the run to replay cannot be read: {error}", origin=str(plan)
        ) from None


def _as_replayed(response: Response) -> Response:
    """Returns the answer without times: nothing was measured in this run."""
    return Response(
        text=response.text,
        loglikelihood=response.loglikelihood,
        is_greedy=response.is_greedy,
        tokens=response.tokens,
        finish_reason=response.finish_reason,
    )
