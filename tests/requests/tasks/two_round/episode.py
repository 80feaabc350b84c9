"""A two-round episode: the second round is built from the first answer."""

from lmms.types import Message, TextPart


def ask_and_check(tools):
    first = tools.ask()
    (response,) = yield [first]
    said = response.text.strip()
    history = (*first.messages, Message("assistant", (TextPart(said),)))
    yield [tools.ask(tools.render(tools.fields["check"], said=said), history=history)]
