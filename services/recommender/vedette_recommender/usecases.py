"""Use cases: how much each signal weighs, and what a model must be able to do. Pure.

The weights are normalised on use, so only their ratios count.
"""

from collections.abc import Mapping

from msgspec import Struct

from vedette.messages.queries import Signal
from vedette.settings import CustomUseCase, Settings
from vedette.types import Capability

# In the order in which contributions are added up. The context is last because what it is worth depends on what
# a request wants: all that comes before can be added up beforehand, and the sum is the same to the last bit.
SIGNALS: tuple[Signal, ...] = ("quality", "speed", "ttft", "reliability", "price", "context")


class UseCase(Struct, frozen=True, kw_only=True):
    """A purpose: weights by signal, the capabilities without which a model is no candidate, what tells its quality."""

    name: str
    weights: dict[Signal, float]
    requires: tuple[Capability, ...]
    kinds: dict[str, float]  # evaluation kinds, and how much each counts for its quality

    @property
    def embeds(self) -> bool:
        """Whether the models wanted are embedding models, whose speed is counted in texts."""
        return Capability.EMBEDDING in self.requires


C = Capability
_ORDER: tuple[Signal, ...] = ("quality", "speed", "ttft", "reliability", "context", "price")
# name, weights in that order, required capabilities
_TABLE: tuple[tuple[str, tuple[float, ...], tuple[Capability, ...]], ...] = (
    ("chat", (0.35, 0.15, 0.20, 0.15, 0.05, 0.10), (C.CHAT,)),
    ("code_generation", (0.45, 0.15, 0.10, 0.15, 0.10, 0.05), (C.CHAT, C.CODE_GENERATION)),
    ("code_understanding", (0.45, 0.10, 0.10, 0.15, 0.15, 0.05), (C.CHAT, C.CODE_UNDERSTANDING)),
    ("reasoning", (0.55, 0.10, 0.05, 0.15, 0.10, 0.05), (C.CHAT, C.REASONING)),
    ("documentation", (0.40, 0.15, 0.10, 0.15, 0.15, 0.05), (C.CHAT, C.DOCUMENTATION)),
    ("agent", (0.40, 0.10, 0.15, 0.20, 0.10, 0.05), (C.CHAT, C.TOOLS)),
    ("summarisation", (0.30, 0.15, 0.10, 0.15, 0.25, 0.05), (C.CHAT, C.SUMMARISATION)),
    ("extraction", (0.40, 0.15, 0.15, 0.20, 0.05, 0.05), (C.CHAT, C.EXTRACTION)),
    ("vision", (0.50, 0.10, 0.10, 0.15, 0.10, 0.05), (C.CHAT, C.VISION)),
    ("embedding", (0.30, 0.40, 0.10, 0.15, 0.00, 0.05), (C.EMBEDDING,)),
    ("fast", (0.15, 0.30, 0.25, 0.15, 0.05, 0.10), (C.CHAT,)),
)

# Which evaluation kinds tell how well a model serves a use case, and how much each counts. Our proposal: a kind
# counts most where it asks for the very thing, less where it asks for what that thing takes.
KINDS: dict[str, dict[str, float]] = {
    "chat": {"instructions": 2, "multilingual": 1, "choice": 1, "arithmetic": 1},
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

BUILT_IN: dict[str, UseCase] = {
    name: UseCase(
        name=name,
        weights=dict(zip(_ORDER, weights, strict=True)),
        requires=requires,
        kinds=KINDS[name],
    )
    for name, weights, requires in _TABLE
}


_ALL_ALIKE = {kind: 1.0 for kinds in KINDS.values() for kind in kinds}


def known(configured: Mapping[str, CustomUseCase]) -> dict[str, UseCase]:
    """Return all use cases: the built-in ones, with those *configured* added or in their place.

    One configured under a built-in name keeps that one's capabilities unless it names its own.
    """
    own = {
        name: UseCase(
            name=name,
            weights={signal: custom.weights.get(signal, 0.0) for signal in SIGNALS},
            requires=custom.capabilities or _built_in_capabilities(name),
            kinds=dict(custom.kinds) or KINDS.get(name, _ALL_ALIKE),
        )
        for name, custom in configured.items()
    }
    return BUILT_IN | own


def names(settings: Settings) -> list[str]:
    """Return the names of all use cases, for completion."""
    return list(known(settings.recommend.use_cases))


def _built_in_capabilities(name: str) -> tuple[Capability, ...]:
    return BUILT_IN[name].requires if name in BUILT_IN else (Capability.CHAT,)
