"""Use cases: the weights of signals, a typical call, and the required capabilities. Pure.

Only the ratios of the weights count: they are normalised when they are used.
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from vedette.settings import CustomUseCase, Settings
from vedette.types import Bound, Capability, Signal

# In the order in which contributions are added up. The context is last because its utility depends on the request:
# the sum of the others can be cached, and the total is the same to the last bit.
SIGNALS: tuple[Signal, ...] = ("quality", "speed", "ttft", "reliability", "price", "context")


class Bounds(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Limits that no signal outweighs: beyond a bound, the score is divided by the ratio to the bound."""

    answer_s: float | None = None  # seconds until a typical answer is complete
    answer_usd: float | None = None  # US dollars for a typical answer
    quality: float | None = None  # minimum, as a fraction of the best quality among the candidates
    context_tokens: float | None = None  # minimum context: a typical call and its answer


class UseCase(Struct, frozen=True, kw_only=True):
    """A use case: weights by signal, the capabilities that a candidate needs, the kinds that measure its quality."""

    name: str
    means: str = ""  # the task, for people who do not know the name; empty if configured
    weights: dict[Signal, float]
    requires: tuple[Capability, ...]
    kinds: dict[str, float]  # evaluation kinds, and how much each counts for its quality
    like: str  # the most similar built-in use case: its typical call and published figures are used
    tokens: tuple[int, int]  # of a typical call: input and output
    wanted_context: int  # tokens; more is worth nothing, unless the request asks for more
    half_output_tps: float  # output tokens per second with a utility of one half; not for embedding models
    half_ttft_ms: float  # time to the first token with a utility of one half
    bounds: Bounds

    @property
    def embeds(self) -> bool:
        """Whether this use case needs embedding models. Their speed is measured in texts per second."""
        return Capability.EMBEDDING in self.requires


C = Capability


def _built_in(
    name: str,
    *,
    means: str,
    requires: tuple[Capability, ...],
    weights: tuple[float, ...],
    kinds: dict[str, float],
    tokens: tuple[int, int],
    wanted_context: int,
    half_output_tps: float,
    half_ttft_ms: float,
    answer_s: float | None = None,
    answer_usd: float | None = None,
    quality: float = 0.5,
) -> UseCase:
    """Return a row of the table below. Without *answer_s*, the time of an answer and the context have no bound."""
    context = None if answer_s is None else float(sum(tokens))
    return UseCase(
        name=name,
        means=means,
        weights=dict(zip(SIGNALS, weights, strict=True)),
        requires=requires,
        kinds=kinds,
        like=name,
        tokens=tokens,
        wanted_context=wanted_context,
        half_output_tps=half_output_tps,
        half_ttft_ms=half_ttft_ms,
        bounds=Bounds(answer_s=answer_s, answer_usd=answer_usd, quality=quality, context_tokens=context),
    )


# The weights are in the order of SIGNALS. The weights of the kinds are our choice: a kind that
# tests the task itself counts most, a kind that tests a skill for it counts less.
BUILT_IN: dict[str, UseCase] = {
    row.name: row
    for row in (
        _built_in(
            "chat",
            means="answer people in a conversation",
            requires=(C.CHAT,),
            weights=(0.46, 0.22, 0.08, 0.11, 0.11, 0.02),
            kinds={
                "instructions": 2,
                "general_knowledge": 2,
                "multilingual": 1,
                "choice": 1,
                "arithmetic": 1,
            },
            tokens=(600, 300),
            wanted_context=4096,
            half_output_tps=15.0,
            half_ttft_ms=2000.0,
            answer_s=90.0,
            answer_usd=0.1,
        ),
        _built_in(
            "code_generation",
            means="write code",
            requires=(C.CHAT, C.CODE_GENERATION),
            weights=(0.50, 0.20, 0.05, 0.10, 0.12, 0.03),
            kinds={"code_generation": 3, "code_understanding": 1, "instructions": 1},
            tokens=(1500, 600),
            wanted_context=8192,
            half_output_tps=15.0,
            half_ttft_ms=6000.0,
            answer_s=240.0,
            answer_usd=0.25,
        ),
        _built_in(
            "code_understanding",
            means="explain and review code",
            requires=(C.CHAT, C.CODE_UNDERSTANDING),
            weights=(0.50, 0.20, 0.05, 0.10, 0.12, 0.03),
            kinds={"code_understanding": 3, "needle": 1, "choice": 1},
            tokens=(4000, 400),
            wanted_context=8192,
            half_output_tps=15.0,
            half_ttft_ms=6000.0,
            answer_s=240.0,
            answer_usd=0.25,
        ),
        _built_in(
            "reasoning",
            means="work out an answer in steps",
            requires=(C.CHAT, C.REASONING),
            weights=(0.50, 0.22, 0.04, 0.10, 0.12, 0.02),
            kinds={"arithmetic": 2, "choice": 2, "code_understanding": 1},
            tokens=(500, 1500),
            wanted_context=4096,
            half_output_tps=12.0,
            half_ttft_ms=10000.0,
            answer_s=600.0,
            answer_usd=0.25,
        ),
        _built_in(
            "documentation",
            means="write documentation",
            requires=(C.CHAT, C.DOCUMENTATION),
            weights=(0.46, 0.24, 0.04, 0.10, 0.13, 0.03),
            kinds={"instructions": 2, "extraction": 1, "needle": 1},
            tokens=(2000, 800),
            wanted_context=8192,
            half_output_tps=8.0,
            half_ttft_ms=10000.0,
            answer_s=600.0,
            answer_usd=0.25,
        ),
        _built_in(
            "agent",
            means="call tools, step by step",
            requires=(C.CHAT, C.TOOLS),
            weights=(0.50, 0.20, 0.05, 0.11, 0.11, 0.03),
            kinds={
                "tools": 3,
                "json_schema": 1,
                "json_words": 1,
                "tool_restraint": 1,
                "instructions": 1,
                "choice": 1,
            },
            tokens=(4000, 300),
            wanted_context=16384,
            half_output_tps=10.0,
            half_ttft_ms=4000.0,
            answer_s=180.0,
            answer_usd=0.25,
        ),
        _built_in(
            "summarisation",
            means="shorten long texts",
            requires=(C.CHAT, C.SUMMARISATION),
            weights=(0.44, 0.24, 0.05, 0.10, 0.13, 0.04),
            kinds={"needle": 2, "extraction": 2, "instructions": 1},
            tokens=(6000, 300),
            wanted_context=16384,
            half_output_tps=8.0,
            half_ttft_ms=6000.0,
            answer_s=240.0,
            answer_usd=0.1,
        ),
        _built_in(
            "extraction",
            means="take facts out of texts, as fields",
            requires=(C.CHAT, C.EXTRACTION),
            weights=(0.44, 0.24, 0.06, 0.10, 0.13, 0.03),
            kinds={"extraction": 3, "json_words": 1, "json_schema": 1, "needle": 1},
            tokens=(2000, 200),
            wanted_context=8192,
            half_output_tps=10.0,
            half_ttft_ms=4000.0,
            answer_s=120.0,
            answer_usd=0.05,
        ),
        _built_in(
            "vision",
            means="answer about images",
            requires=(C.CHAT, C.VISION),
            weights=(0.48, 0.18, 0.08, 0.12, 0.12, 0.02),
            kinds={"instructions": 1, "extraction": 1},
            tokens=(1500, 300),
            wanted_context=8192,
            half_output_tps=12.0,
            half_ttft_ms=4000.0,
            answer_s=180.0,
            answer_usd=0.1,
        ),
        _built_in(
            "embedding",
            means="turn texts into vectors, for search",
            requires=(C.EMBEDDING,),
            weights=(0.40, 0.28, 0.12, 0.15, 0.03, 0.02),
            kinds={"retrieval": 2, "paraphrase": 1},
            tokens=(300, 0),
            wanted_context=512,
            half_output_tps=15.0,
            half_ttft_ms=1000.0,
        ),
        _built_in(
            "fast",
            means="give short answers as soon as possible",
            requires=(C.CHAT,),
            weights=(0.34, 0.32, 0.14, 0.10, 0.08, 0.02),
            kinds={"instructions": 1, "choice": 1, "arithmetic": 1},
            tokens=(300, 100),
            wanted_context=2048,
            half_output_tps=25.0,
            half_ttft_ms=700.0,
            answer_s=15.0,
            answer_usd=0.05,
            quality=0.35,
        ),
    )
}
MEANS: dict[str, str] = {name: use_case.means for name, use_case in BUILT_IN.items()}
KINDS: dict[str, dict[str, float]] = {name: use_case.kinds for name, use_case in BUILT_IN.items()}
LIKE: tuple[str, ...] = tuple(BUILT_IN)  # in the order in which expectations of quality are kept

_ALL_ALIKE = {kind: 1.0 for kinds in KINDS.values() for kind in kinds}


def known(configured: Mapping[str, CustomUseCase]) -> dict[str, UseCase]:
    """Return all use cases by name: the *configured* ones, and the built-in ones whose names are not configured.

    One that replaces a built-in use case keeps its capabilities, kinds and bounds unless it has its own.
    """
    return BUILT_IN | {name: _own(name, custom) for name, custom in configured.items()}


def _own(name: str, custom: CustomUseCase) -> UseCase:
    like = BUILT_IN[name if name in BUILT_IN else _nearest(custom)]
    return replace(
        like,
        name=name,
        means=MEANS.get(name, ""),
        weights={signal: custom.weights.get(signal, 0.0) for signal in SIGNALS},
        requires=custom.capabilities or (like.requires if name in BUILT_IN else (C.CHAT,)),
        kinds=dict(custom.kinds) or KINDS.get(name, _ALL_ALIKE),
        bounds=bounds_with(like.bounds, custom.bounds),
    )


def _nearest(custom: CustomUseCase) -> str:
    """Return the most similar built-in use case, by shared capabilities, then by kinds of suites; else chat."""

    def alike(name: str) -> tuple[int, float]:
        built_in = BUILT_IN[name]
        capabilities = len(set(custom.capabilities) & set(built_in.requires) - {C.CHAT})
        shared = sum(min(weight, custom.kinds.get(kind, 0.0)) for kind, weight in built_in.kinds.items())
        return capabilities, shared

    return max(BUILT_IN, key=alike)  # the first of equals, which is chat


def bounds_with(bounds: Bounds, own: Mapping[Bound, float]) -> Bounds:
    """Return *bounds* with the values of *own* instead; a value of zero removes the bound."""
    return replace(bounds, **{name: value or None for name, value in own.items()}) if own else bounds


def names(settings: Settings) -> list[str]:
    """Return the names of all use cases, for completion."""
    return list(known(settings.recommend.use_cases))
