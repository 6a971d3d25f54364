"""A complete output, assembled from its stream. Pure."""

import math
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from vedette.errors import ProviderError
from vedette.providers import Delta, Finished, ToolCall
from vedette.providers.redaction import NO_SECRETS, Secrets
from vedette.types import Outcome

# The reasons with which a service, not the model, ends an answer: OpenAI and others, Anthropic, Gemini.
REFUSED_REASONS: Final = frozenset(
    {
        "content_filter", "refusal", "safety", "recitation", "prohibited_content", "blocklist", "spii",
        "image_safety", "language",
    }
)  # fmt: skip

_CHARACTERS_A_TOKEN: Final = 4


class Answered(Struct, frozen=True, kw_only=True):
    """A complete output: its text, the thoughts before it, its tool calls, and how it ended."""

    text: str
    thinking: str = ""
    finished: Finished

    @property
    def output_tokens(self) -> int | None:
        """The number of output tokens by the server's report, or None."""
        return self.finished.output_tokens

    @property
    def thought_tokens(self) -> int:
        """The number of reasoning tokens: by the server's count, else by their share of the text."""
        if self.finished.reasoning_tokens or not self.thinking:
            return self.finished.reasoning_tokens or 0
        characters = len(self.thinking) + len(self.text)
        output = characters / _CHARACTERS_A_TOKEN if self.output_tokens is None else self.output_tokens
        return math.ceil(output * len(self.thinking) / characters)

    @property
    def is_refused(self) -> bool:
        """Whether the service, not the model, ended the answer."""
        return (self.finished.reason or "").lower() in REFUSED_REASONS

    @property
    def is_all_thoughts(self) -> bool:
        """Whether the token limit was reached before any text, in visible or hidden reasoning."""
        return self.finished.reason == "length" and not self.text.strip()


# How models mark their thoughts in the text, where the server does not take them apart (templates of DeepSeek R1 and
# Qwen, Seed-OSS, Reka, Magistral, Kimi, gpt-oss, Gemma 4). Where special tokens are dropped, words of gpt-oss's stay.
THOUGHT_MARKS: Final = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<seed:think>", "</seed:think>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("analysis", "assistantfinal"),
    ("<|channel>thought", "<channel|>"),
)


def thoughts_apart(deltas: Sequence[Delta]) -> list[Delta]:
    """Return *deltas* with the reasoning at the start of their text, between marks, as thinking.

    A closing mark without an opening one also ends reasoning, because some templates open it in the prompt. The marks
    are removed.
    """
    text = "".join(delta.text for delta in deltas)
    begun = text.lstrip()
    for opening, closing in THOUGHT_MARKS:
        opened, end = begun.startswith(opening), text.find(closing)
        if opening.isalpha() and end < 0:
            continue  # part of the answer's text
        if opened or (end >= 0 and opening not in text and "/" in closing):
            start = len(text) - len(begun) + len(opening) if opened else 0
            return list(_cut(deltas, start, len(text) if end < 0 else end, len(closing)))
    return list(deltas)


def _cut(deltas: Sequence[Delta], start: int, end: int, mark: int) -> Iterator[Delta]:
    """Yield *deltas* with the characters from *start* to *end* as thinking, without the *mark* after them."""
    place = 0
    answering = False
    for delta in deltas:
        first, place = place, place + len(delta.text)
        thinking = delta.text[max(0, start - first) : max(0, end - first)]
        said = delta.text[max(0, end + mark - first) :]
        if not answering:
            said = said.lstrip()
            answering = bool(said)
        if said or thinking or delta.thinking:
            yield Delta(at=delta.at, text=said, thinking=delta.thinking + thinking)


def whole(items: Sequence[Delta | Finished], secrets: Secrets = NO_SECRETS) -> Answered:
    """Return the answer from all *items* of a stream. *secrets* are redacted, also a secret split between items.

    Raises ProviderError for a stream without its end.
    """
    finished = items[-1] if items else None
    if not isinstance(finished, Finished):
        raise ProviderError(Outcome.INCOMPLETE, "the stream broke off")
    deltas = thoughts_apart([item for item in items if isinstance(item, Delta)])
    return Answered(
        text=secrets.redact("".join(delta.text for delta in deltas)),
        thinking=secrets.redact("".join(delta.thinking for delta in deltas)),
        finished=msgspec.structs.replace(
            finished, tool_calls=tuple(_redacted(call, secrets) for call in finished.tool_calls)
        ),
    )


def _redacted(call: ToolCall, secrets: Secrets) -> ToolCall:
    return msgspec.structs.replace(
        call, name=secrets.redact(call.name), arguments=secrets.redacted(call.arguments)
    )
