"""Episodes: a document as a small coroutine that yields requests and receives responses.

The output type decides the built-in one: `generate_until` asks once (per repeat),
`multiple_choice` asks for the log-likelihood of every choice in one round, `loglikelihood` for
that of the target. A task with its own `episode: file.py:function` yields as many rounds as it
needs; `function(tools)` is a generator that yields lists of requests.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

from lmms.errors import DataError
from lmms.requests.content import joined, prompt_fields, user_content
from lmms.requests.context import RenderContext
from lmms.tasks.code import load_function
from lmms.tasks.spec import TaskSpec
from lmms.tasks.template import evaluate, fields_of, render
from lmms.types import (
    Document,
    Episode,
    GenerationArgs,
    Message,
    Part,
    Request,
    Response,
    TextPart,
)


def open_episode(spec: TaskSpec, document: Document, context: RenderContext) -> Episode:
    """Returns the episode of a document; nothing is rendered before its first step.

    Raises (at the first step):
        DataError: The document lacks what the task's templates name.
        ConfigError: A template is not valid, or examples are asked for that do not exist.
    """
    tools = EpisodeTools(spec, document, context)
    if spec.episode is not None:
        return _custom(tools, spec.episode)
    if spec.output_type == "multiple_choice":
        return _multiple_choice(tools)
    if spec.output_type == "loglikelihood":
        return _loglikelihood(tools)
    return _generate(tools)


class EpisodeTools:
    """What an episode has at hand: the document's fields, its prompt, and ways to ask.

    Args:
        spec: The task.
        document: The row.
        context: How the run asks.
    """

    def __init__(self, spec: TaskSpec, document: Document, context: RenderContext) -> None:
        self.spec = spec
        self.document = document
        self.context = context
        self._fields: dict[str, Any] | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """Columns, derived and prepared fields, and the prompt's constants."""
        if self._fields is None:
            self._fields = prompt_fields(self.spec, self.document, self.context)
        return self._fields

    def render(self, template: str, **more: Any) -> str:
        """Returns the text of a template over the fields and `more`."""
        origin = f"task {self.spec.name}, document {self.document.id}"
        return render(template, self.fields | more, origin=origin)

    def messages(self) -> tuple[Message, ...]:
        """Returns the whole prompt: system prompt, examples, question."""
        return _prompt(self)

    def ask(
        self,
        content: str | Sequence[Part] | None = None,
        *,
        history: Sequence[Message] = (),
        generation: GenerationArgs | None = None,
    ) -> Request:
        """Returns a request for a generated answer.

        Args:
            content: Text or parts of the next user turn; None: the task's own prompt.
            history: Turns before it.
            generation: Arguments other than the run's.
        """
        if content is None:
            messages = (*history, *self.messages())
        else:
            parts = (TextPart(content),) if isinstance(content, str) else tuple(content)
            messages = (*history, Message("user", parts))
        return Request(
            kind="generate_until",
            messages=messages,
            generation=generation or self.context.generation,
            apply_chat_template=self.context.chat(self.spec),
        )

    def likelihood(self, messages: Sequence[Message], continuation: str) -> Request:
        """Returns a request for the log-likelihood of a continuation."""
        return Request(
            kind="loglikelihood",
            messages=tuple(messages),
            continuation=continuation,
            apply_chat_template=self.context.chat(self.spec),
        )


def target_of(spec: TaskSpec, fields: dict[str, Any], *, origin: str) -> str:
    """Returns the target text of a document; empty where the task has none."""
    return "" if spec.target is None else render(spec.target, fields, origin=f"{origin}, target")


def choices_of(spec: TaskSpec, fields: dict[str, Any], *, origin: str) -> list[str]:
    """Returns the choices of a document.

    Raises:
        DataError: They are not a list of texts, or there are none.
    """
    value = evaluate(spec.choices or "[]", fields, origin=f"{origin}, choices")
    if not isinstance(value, list | tuple) or not value:
        raise DataError(f"the choices are {value!r}, not a list of texts", origin=origin)
    return [str(choice) for choice in value]


def choice_index(target: str, choices: Sequence[str], *, origin: str) -> int:
    """Returns the position of the right choice: the target is a number or a choice's text.

    Raises:
        DataError: It is neither.
    """
    if target in choices:
        return list(choices).index(target)
    if target.strip().isdecimal() and int(target) < len(choices):
        return int(target)
    raise DataError(
        f"the target {target!r} is neither a choice nor its number", origin=origin, allowed=choices
    )


def _custom(tools: EpisodeTools, reference: str) -> Episode:
    function = load_function(tools.spec, reference)
    for repeat in range(tools.context.repeats):
        yield from _stamped(function(tools), repeat)


def _stamped(
    episode: Generator[Sequence[Request], Sequence[Response], None], repeat: int
) -> Episode:
    """Runs an episode with its requests marked as one of several repeats."""
    try:
        requests = next(episode)
        while True:
            responses = yield [replace(request, repeat=repeat) for request in requests]
            requests = episode.send(responses)
    except StopIteration:
        return
    finally:
        episode.close()


def _generate(tools: EpisodeTools) -> Episode:
    request = tools.ask()
    yield [replace(request, repeat=repeat) for repeat in range(tools.context.repeats)]


def _multiple_choice(tools: EpisodeTools) -> Episode:
    messages = tools.messages()
    choices = choices_of(tools.spec, tools.fields, origin=_origin(tools))
    delimiter = "" if tools.context.chat(tools.spec) else _delimiters(tools.spec)[0]
    yield [tools.likelihood(messages, delimiter + choice) for choice in choices]


def _loglikelihood(tools: EpisodeTools) -> Episode:
    target = target_of(tools.spec, tools.fields, origin=_origin(tools))
    yield [tools.likelihood(tools.messages(), target)]


def _origin(tools: EpisodeTools) -> str:
    return f"task {tools.spec.name}, document {tools.document.id}"


def _delimiters(spec: TaskSpec) -> tuple[str, str]:
    """Returns what stands between question and answer, and between examples."""
    return (
        str(spec.fewshot.get("target_delimiter", " ")),
        str(spec.fewshot.get("delimiter", "\n\n")),
    )


def _prompt(tools: EpisodeTools) -> tuple[Message, ...]:
    spec, context = tools.spec, tools.context
    question = user_content(spec, tools.document, context, tools.fields)
    shots: list[tuple[tuple[Part, ...], str]] = []
    if context.num_fewshot:
        for example in context.sampler(spec).examples(tools.document):
            shots.append((user_content(spec, example, context), _answer(spec, example)))
    if context.chat(spec):
        return _chat_messages(context.system_prompt, shots, question)
    return _raw_message(context.system_prompt, shots, question, _delimiters(spec))


def _answer(spec: TaskSpec, example: Document) -> str:
    origin = f"task {spec.name}, example {example.id}"
    fields = fields_of(spec, example)
    target = target_of(spec, fields, origin=origin)
    if spec.output_type != "multiple_choice":
        return target
    choices = choices_of(spec, fields, origin=origin)
    return choices[choice_index(target, choices, origin=origin)]


def _chat_messages(
    system: str | None, shots: Sequence[tuple[tuple[Part, ...], str]], question: tuple[Part, ...]
) -> tuple[Message, ...]:
    messages = [Message("system", (TextPart(system),))] if system else []
    for asked, answer in shots:
        messages += [Message("user", asked), Message("assistant", (TextPart(answer),))]
    return (*messages, Message("user", question))


def _raw_message(
    system: str | None,
    shots: Sequence[tuple[tuple[Part, ...], str]],
    question: tuple[Part, ...],
    delimiters: tuple[str, str],
) -> tuple[Message, ...]:
    between_turns, between_shots = delimiters
    parts: list[Part] = [TextPart(system + between_shots)] if system else []
    for asked, answer in shots:
        gap = "" if answer[:1].isspace() else between_turns
        parts += [*asked, TextPart(gap + answer + between_shots)]
    return (Message("user", joined([*parts, *question])),)
