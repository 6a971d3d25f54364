"""Use cases: how much each signal weighs, what a typical call is like, and what a model must be able to do. Pure.

The weights are normalised on use, so only their ratios count.
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from vedette.settings import CustomUseCase, Settings
from vedette.types import Bound, Capability, Signal

# In the order in which contributions are added up. The context is last because what it is worth depends on what
# a request wants: all that comes before can be added up beforehand, and the sum is the same to the last bit.
SIGNALS: tuple[Signal, ...] = ("quality", "speed", "ttft", "reliability", "price", "context")


class Bounds(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What no signal makes up for: beyond a bound, the score is divided by how many times the bound it is."""

    answer_s: float | None = None  # seconds until a typical answer is complete
    answer_usd: float | None = None  # US dollars for a typical answer
    quality: float | None = None  # of the best expected quality there is, the least fraction
    context_tokens: float | None = None  # the least context that holds a typical call and its answer


class UseCase(Struct, frozen=True, kw_only=True):
    """A purpose: weights by signal, the capabilities that a candidate needs, the kinds that measure its quality."""

    name: str
    weights: dict[Signal, float]
    requires: tuple[Capability, ...]
    kinds: dict[str, float]  # evaluation kinds, and how much each counts for its quality
    like: str  # the built-in use case whose typical call, and whose published figures, are nearest
    tokens: tuple[int, int]  # of a typical call: input and output
    wanted_context: int  # tokens; more is worth nothing, unless the request asks for more
    half_output_tps: float  # the speed that earns one half
    half_ttft_ms: float  # the time to the first token that earns one half
    bounds: Bounds

    @property
    def embeds(self) -> bool:
        """Whether the models wanted are embedding models, whose speed is counted in texts."""
        return Capability.EMBEDDING in self.requires


C = Capability
_ORDER: tuple[Signal, ...] = ("quality", "speed", "ttft", "reliability", "price", "context")
# name, weights in that order, required capabilities
_TABLE: tuple[tuple[str, tuple[float, ...], tuple[Capability, ...]], ...] = (
    ("chat", (0.46, 0.22, 0.08, 0.11, 0.11, 0.02), (C.CHAT,)),
    ("code_generation", (0.50, 0.20, 0.05, 0.10, 0.12, 0.03), (C.CHAT, C.CODE_GENERATION)),
    ("code_understanding", (0.50, 0.20, 0.05, 0.10, 0.12, 0.03), (C.CHAT, C.CODE_UNDERSTANDING)),
    ("reasoning", (0.50, 0.22, 0.04, 0.10, 0.12, 0.02), (C.CHAT, C.REASONING)),
    ("documentation", (0.46, 0.24, 0.04, 0.10, 0.13, 0.03), (C.CHAT, C.DOCUMENTATION)),
    ("agent", (0.50, 0.20, 0.05, 0.11, 0.11, 0.03), (C.CHAT, C.TOOLS)),
    ("summarisation", (0.44, 0.24, 0.05, 0.10, 0.13, 0.04), (C.CHAT, C.SUMMARISATION)),
    ("extraction", (0.44, 0.24, 0.06, 0.10, 0.13, 0.03), (C.CHAT, C.EXTRACTION)),
    ("vision", (0.48, 0.18, 0.08, 0.12, 0.12, 0.02), (C.CHAT, C.VISION)),
    ("embedding", (0.40, 0.28, 0.12, 0.15, 0.03, 0.02), (C.EMBEDDING,)),
    ("fast", (0.34, 0.32, 0.14, 0.10, 0.08, 0.02), (C.CHAT,)),
)


class Typical(Struct, frozen=True):
    """A typical call of a use case, and how long and at what price people still want its answer."""

    tokens: tuple[int, int]
    wanted_context: int
    half_output_tps: float
    half_ttft_ms: float
    bounds: Bounds


def _typical(
    tokens: tuple[int, int],
    wanted_context: int,
    half_output_tps: float,
    half_ttft_ms: float,
    answer_s: float,
    answer_usd: float,
    quality: float = 0.5,
) -> Typical:
    bounds = Bounds(answer_s=answer_s, answer_usd=answer_usd, quality=quality, context_tokens=sum(tokens))
    return Typical(tokens, wanted_context, half_output_tps, half_ttft_ms, bounds)


TYPICAL: dict[str, Typical] = {
    "chat": _typical((600, 300), 4096, 15.0, 2000.0, 90.0, 0.10),
    "code_generation": _typical((1500, 600), 8192, 15.0, 6000.0, 240.0, 0.25),
    "code_understanding": _typical((4000, 400), 8192, 15.0, 6000.0, 240.0, 0.25),
    "reasoning": _typical((500, 1500), 4096, 12.0, 10_000.0, 600.0, 0.25),
    "documentation": _typical((2000, 800), 8192, 8.0, 10_000.0, 600.0, 0.25),
    "agent": _typical((4000, 300), 16_384, 10.0, 4000.0, 180.0, 0.25),
    "summarisation": _typical((6000, 300), 16_384, 8.0, 6000.0, 240.0, 0.10),
    "extraction": _typical((2000, 200), 8192, 10.0, 4000.0, 120.0, 0.05),
    "vision": _typical((1500, 300), 8192, 12.0, 4000.0, 180.0, 0.10),
    "embedding": Typical((300, 0), 512, 15.0, 1000.0, Bounds(quality=0.5)),
    "fast": _typical((300, 100), 2048, 25.0, 700.0, 15.0, 0.05, 0.35),
}

# What a model does for each, for people who see the name for the first time.
MEANS: dict[str, str] = {
    "chat": "answer people in a conversation",
    "code_generation": "write code",
    "code_understanding": "explain and review code",
    "reasoning": "work out an answer in steps",
    "documentation": "write documentation",
    "agent": "call tools, step by step",
    "summarisation": "shorten long texts",
    "extraction": "take facts out of texts, as fields",
    "vision": "answer about images",
    "embedding": "turn texts into vectors, for search",
    "fast": "give short answers as soon as possible",
}

# Which evaluation kinds show how well a model serves a use case, and how much each counts. Our proposal: a kind
# counts most where it asks for the very thing, less where it asks for what that thing takes.
KINDS: dict[str, dict[str, float]] = {
    "chat": {"instructions": 2, "general_knowledge": 2, "multilingual": 1, "choice": 1, "arithmetic": 1},
    "code_generation": {"code_generation": 3, "code_understanding": 1, "instructions": 1},
    "code_understanding": {"code_understanding": 3, "needle": 1, "choice": 1},
    "reasoning": {"arithmetic": 2, "choice": 2, "code_understanding": 1},
    "documentation": {"instructions": 2, "extraction": 1, "needle": 1},
    "agent": {
        "tools": 3,
        "json_schema": 1,
        "json_words": 1,
        "tool_restraint": 1,
        "instructions": 1,
        "choice": 1,
    },
    "summarisation": {"needle": 2, "extraction": 2, "instructions": 1},
    "extraction": {"extraction": 3, "json_words": 1, "json_schema": 1, "needle": 1},
    "vision": {"instructions": 1, "extraction": 1},
    "embedding": {"retrieval": 2, "paraphrase": 1},
    "fast": {"instructions": 1, "choice": 1, "arithmetic": 1},
}


def _use_case(
    name: str,
    weights: dict[Signal, float],
    requires: tuple[Capability, ...],
    kinds: dict[str, float],
    like: str,
    bounds: Bounds | None = None,
) -> UseCase:
    typical = TYPICAL[like]
    return UseCase(
        name=name,
        weights=weights,
        requires=requires,
        kinds=kinds,
        like=like,
        tokens=typical.tokens,
        wanted_context=typical.wanted_context,
        half_output_tps=typical.half_output_tps,
        half_ttft_ms=typical.half_ttft_ms,
        bounds=bounds or typical.bounds,
    )


BUILT_IN: dict[str, UseCase] = {
    name: _use_case(name, dict(zip(_ORDER, weights, strict=True)), requires, KINDS[name], name)
    for name, weights, requires in _TABLE
}
LIKE: tuple[str, ...] = tuple(BUILT_IN)  # in the order in which expectations of quality are kept

_ALL_ALIKE = {kind: 1.0 for kinds in KINDS.values() for kind in kinds}


def known(configured: Mapping[str, CustomUseCase]) -> dict[str, UseCase]:
    """Return all use cases: the built-in ones, with those *configured* added or in their place.

    One configured under a built-in name keeps that one's capabilities, kinds and bounds unless it names its own.
    """
    return BUILT_IN | {name: _own(name, custom) for name, custom in configured.items()}


def _own(name: str, custom: CustomUseCase) -> UseCase:
    like = name if name in BUILT_IN else _nearest(custom)
    bounds = BUILT_IN[like].bounds
    return _use_case(
        name,
        {signal: custom.weights.get(signal, 0.0) for signal in SIGNALS},
        custom.capabilities or (BUILT_IN[name].requires if name in BUILT_IN else (C.CHAT,)),
        dict(custom.kinds) or KINDS.get(name, _ALL_ALIKE),
        like,
        bounds_with(bounds, custom.bounds),
    )


def _nearest(custom: CustomUseCase) -> str:
    """Return the built-in use case that asks for the same: by capabilities, then by kinds of suites; else chat."""

    def alike(name: str) -> tuple[int, float]:
        built_in = BUILT_IN[name]
        capabilities = len(set(custom.capabilities) & set(built_in.requires) - {C.CHAT})
        shared = sum(min(weight, custom.kinds.get(kind, 0.0)) for kind, weight in built_in.kinds.items())
        return capabilities, shared

    return max(BUILT_IN, key=alike)  # the first of equals, which is chat


def bounds_with(bounds: Bounds, own: Mapping[Bound, float]) -> Bounds:
    """Return *bounds* with those in *own* in their place; zero lifts one."""
    return replace(bounds, **{name: value or None for name, value in own.items()})


def names(settings: Settings) -> list[str]:
    """Return the names of all use cases, for completion."""
    return list(known(settings.recommend.use_cases))
