"""Recognises which published model any spelling of a name means. Pure.

A spelling becomes a key: its words in one form, sorted. An index has the keys of all published spellings. A key is
looked up whole first, then without words that do not change the model (an effort, a date some weeks later). A name with
any other word is not that model: it may be a fine-tune, and is recognised by its family only.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Final

from msgspec import Struct

from vedette.knowledge.names import write

# Words that do not distinguish models.
_NOISE: Final = frozenset(
    """
    instruct it inst chat hf gguf ggml mlx latest free cloud default maas versatile text model models quantized
    """.split()  # noqa: SIM905
)
# Services and publishers, at the start of a name and before another word.
_VENDORS: Final = frozenset(
    """
    us eu jp au apac global anthropic amazon cohere coherelabs cohereforai ai21 ai21labs openai google microsoft meta
    mistralai huggingfacetb allenai ibm nvidia moonshotai minimaxai zai thudm bigcode tiiuae nousresearch unsloth
    bartowski alibaba azure bedrock vertex xai perplexity baai nomic-ai databricks snowflake writer
    """.split()  # noqa: SIM905
)
_EFFORT: Final = frozenset("high low medium minimal xhigh none effort".split())  # noqa: SIM905
THINKING: Final = frozenset("thinking think reasoning reasoner".split())  # noqa: SIM905
_NOT_THINKING: Final = frozenset("nonthinking nothinking nonreasoning".split())  # noqa: SIM905
UNTUNED: Final = frozenset({"base", "pt"})
_PREVIEW: Final = frozenset("preview exp experimental".split())  # noqa: SIM905
TAG: Final = "@tag"  # at the end of the key of a tag that means other weights in Ollama's library
_SAME_WEIGHTS: Final = frozenset(
    {"v1", "v1.0", "qat"}
)  # the first version; trained for the quantisation it has
# Words of models that are smaller or derived from others: a part of a name without them is not that model.
_OTHER_WEIGHTS: Final = re.compile(
    r"distill?|mini|nano|lite|tiny|small|flash|draft|pruned|minitron|embed(?:ding)?|rerank(?:er)?|guard|vision|vl|audio"
    r"|image|tts|math|coder?|omni|medium|large|max|pro|plus|ultra|moe|turbo|haiku|sonnet|opus|r1"
)
MAX_WORDS: Final = 24  # servers choose names; longer names are not searched for parts
# The suffix that Amazon adds to each name: the version of the model, or a revision.
_BEDROCK: Final = re.compile(r"-(?:v(?P<major>\d)(?:-(?P<minor>\d))?|1):(?P<last>\d)(?=$|:)")
_NUMBERED: Final = re.compile(
    r"\d[^/.]*\Z"
)  # ends in a word with a version, a date or a size, or in one after it
_VERSION: Final = re.compile(r"v(\d.*)")
_DATE: Final = re.compile(r"(?<!\d)(20\d\d)-(\d\d)-(\d\d)(?!\d)")
_PACKED_DATE: Final = re.compile(r"20\d\d[01]\d[0-3]\d")
_SIZE: Final = re.compile(r"(?:\d+x)?e?\d+(?:\.\d+)?[bm]")
_ACTIVE: Final = re.compile(r"a\d+(?:\.\d+)?b")
_BUDGET: Final = re.compile(r"\d+k")


class Spelled(Struct, frozen=True, kw_only=True):
    """A name as words."""

    words: tuple[str, ...]
    date: str | None  # date of a snapshot, YYYYMMDD
    thinking: bool | None  # whether the name says that it thinks; None: it does not say
    sizes: frozenset[str]
    tag: bool  # a name of Ollama's library, where some names mean other weights than elsewhere

    @property
    def key(self) -> str:
        """The key of all words."""
        return key(self.words)


def key(words: Iterable[str]) -> str:
    """Return the key of *words*, which does not depend on their order."""
    return " ".join(sorted(words))


@lru_cache(maxsize=1024)
def spell(name: str) -> Spelled:
    """Return *name* as words, without owner, vendor, quantisation and words that mean nothing."""
    lowered = re.sub(r"non?[- ](?=thinking|reasoning)", "non", name.lower())
    lowered = re.sub(r"(?<=[a-z])\+(?![a-z0-9])", "-plus", lowered)
    lowered = _BEDROCK.sub(_version_of_bedrock, lowered)
    written = write(_DATE.sub(r"\1\2\3", lowered))
    words = list(_split(written.text))
    words = _without_vendor([word for word in words if word])
    kept = [word for word in words if word not in _NOISE] or words
    dates = [word for word in kept if _PACKED_DATE.fullmatch(word)]
    return Spelled(
        words=tuple(kept),
        date=dates[0] if len(dates) == 1 else None,
        thinking=_thinks(kept),
        sizes=frozenset(word for word in kept if _SIZE.fullmatch(word)),
        tag=written.form == "tag",
    )


def _version_of_bedrock(found: re.Match[str]) -> str:
    """Return Amazon's version suffix in the usual form; empty if the name has a version before it."""
    major, minor, last = found["major"], found["minor"], found["last"]
    if minor is not None:
        return f"-v{major}.{minor}"
    if last == "0" and _NUMBERED.search(found.string[: found.start()]):
        return ""
    return found[0] if major is None else f"-v{major}.{last}"


def _thinks(words: Sequence[str]) -> bool | None:
    if any(word in _NOT_THINKING for word in words):
        return False
    return True if any(word in THINKING for word in words) else None


def _split(text: str) -> Iterator[str]:
    """Yield the words of *text*, with names and versions separated: `qwen2.5vl` is `qwen`, `2.5`, `vl`."""
    parts: list[str] = []
    for word in text.split("-"):
        dotted = re.sub(r"(?<=\d)p(?=\d)", ".", word)
        match = re.fullmatch(r"([a-z]{2,})(\d[a-z0-9.]*)", dotted)
        if match and not _SIZE.fullmatch(dotted):
            parts += [match[1], *_tail(match[2])]
        else:
            parts += _tail(dotted)
    joined: list[str] = []
    for word in parts:
        if joined and re.fullmatch(r"\d{1,2}", word) and re.fullmatch(r"\d{1,2}", joined[-1]):
            joined[-1] = f"{joined[-1]}.{word}"
        elif not joined or word != joined[-1]:
            joined.append(word)
    yield from joined


def _tail(word: str) -> list[str]:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([a-z]{2,})", word)
    return [match[1], match[2]] if match else [word]


def _without_vendor(words: list[str]) -> list[str]:
    while len(words) > 1 and (words[0] in _VENDORS or words[0] == words[1]):
        if words[0] == "meta" and words[1] != "llama":
            break
        words = words[1:]
    if words[:3] in (["deepseek", "ai", "deepseek"], ["ibm", "granite", "granite"]):
        words = words[2:]
    return words


def relaxed(spelled: Spelled) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the keys under which the model may be listed, the closest first, with the words that were left out."""
    optional = [
        {word for word in spelled.words if word in _EFFORT or word in _NOT_THINKING},
        {
            word
            for word in spelled.words
            if word in THINKING or (spelled.thinking and _BUDGET.fullmatch(word))
        },
        {spelled.date} if spelled.date else set(),
        {word for word in spelled.words if word in _PREVIEW},
        {word for word in spelled.words if word in _SAME_WEIGHTS},
        {word for word in spelled.words if word in UNTUNED},
    ]
    groups = [group for group in optional if group]
    for count in range(len(groups) + 1):
        for chosen in combinations(groups, count):
            left_out = frozenset[str]().union(*chosen)
            rest = [word for word in spelled.words if word not in left_out]
            if len("".join(rest)) > 1:
                yield key(rest), left_out
    if any(map(_VERSION.fullmatch, spelled.words)):
        yield key(_VERSION.sub(r"\1", word) for word in spelled.words), frozenset()  # llama-v3p3-70b
    else:
        yield key([*spelled.words, "v1"]), frozenset()


def bare(words: Iterable[str]) -> str:
    """Return the key without words for sizes: `qwen3:latest` and `qwen3:8b` have the same."""
    return key(word for word in words if not _SIZE.fullmatch(word) and not _ACTIVE.fullmatch(word))


def windows(spelled: Spelled) -> Iterator[str]:
    """Yield keys of parts of the name that may be the original of the model, the longest first."""
    words = spelled.words
    if len(words) > MAX_WORDS:
        return
    for length in range(len(words) - 1, 1, -1):
        for start in range(len(words) - length + 1):
            part = words[start : start + length]
            outside = [*words[:start], *words[start + length :]]
            if any(_OTHER_WEIGHTS.fullmatch(word) for word in outside):
                continue
            if spelled.sizes and not spelled.sizes & set(part):
                continue
            if any(len(word) > 1 and word.isalpha() for word in part):
                yield key(part)
