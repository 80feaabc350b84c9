"""What rendering needs beside the task and the document; one per task of a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from lmms.documents.source import DocumentSource
from lmms.requests.fewshot import FewshotSampler
from lmms.tasks.spec import TaskSpec
from lmms.types import FramePolicy, GenerationArgs


@dataclass(frozen=True, kw_only=True)
class RenderContext:
    """How the documents of one task become requests.

    Keep one per task: it remembers where the drawing of examples stands.
    """

    generation: GenerationArgs
    media: FramePolicy
    profile: str | None = None
    """Prompt profile of the model; a task without it uses its default prompt."""
    apply_chat_template: bool | None = None
    """None: the task decides (`apply_chat_template` of its file; chat unless it says never)."""
    system_prompt: str | None = None
    num_fewshot: int = 0
    fewshot_seed: int = 1234
    repeats: int = 1
    source: DocumentSource
    _samplers: dict[str, FewshotSampler] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def chat(self, spec: TaskSpec) -> bool:
        """Whether requests are messages for a chat template rather than raw text."""
        if self.apply_chat_template is not None:
            return self.apply_chat_template
        return spec.apply_chat_template != "never"

    def sampler(self, spec: TaskSpec) -> FewshotSampler:
        """Returns the sampler of the task's examples."""
        if spec.name not in self._samplers:
            self._samplers[spec.name] = FewshotSampler(
                self.source.fewshot_pool(),
                self.num_fewshot,
                seed=self.fewshot_seed,
                sampler=str(spec.fewshot.get("sampler", "default")),
                exclude=self.source.pool_is_split
                or bool(spec.fewshot.get("exclude_document", False)),
                pool_is_split=self.source.pool_is_split,
                origin=f"task {spec.name}",
            )
        return self._samplers[spec.name]
