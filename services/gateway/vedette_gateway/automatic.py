"""`vedette/auto`: the use case that a request itself shows. Pure."""

from collections.abc import Collection

from msgspec import Struct

from vedette.types import Capability
from vedette_gateway.wanted import Wanted


class Guess(Struct, frozen=True):
    """A use case, how sure it is (0 to 1), and by what."""

    use_case: str
    confidence: float
    by: str


def guess(wanted: Wanted, known: Collection[str]) -> Guess:
    """Return the use case of *wanted*, one of those *known*; where nothing shows it, chat."""
    rules = (
        (wanted.api == "embeddings", "embedding", 1.0, "the API"),
        (Capability.VISION in wanted.capabilities, "vision", 1.0, "a picture"),
        (Capability.TOOLS in wanted.capabilities, "agent", 0.9, "tools"),
        (Capability.JSON_SCHEMA in wanted.capabilities, "extraction", 0.7, "a JSON schema"),
    )
    for holds, use_case, confidence, by in rules:
        if holds and use_case in known:
            return Guess(use_case, confidence, by)
    return Guess("chat", 0.5, "nothing else shows")
