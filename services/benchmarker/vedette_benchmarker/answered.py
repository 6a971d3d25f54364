"""A whole answer, put together from its stream. Pure."""

from collections.abc import Sequence

from msgspec import Struct

from vedette.errors import ProviderError
from vedette.providers import Delta, Finished
from vedette.types import Outcome


class Answered(Struct, frozen=True, kw_only=True):
    """A whole answer: its text, what was thought before it, and how it ended, with the tools it called."""

    text: str
    thinking: str = ""
    finished: Finished

    @property
    def output_tokens(self) -> int | None:
        """How many tokens it took, where the server says so."""
        return self.finished.output_tokens


def whole(items: Sequence[Delta | Finished]) -> Answered:
    """Return the answer that the *items* of a stream make up. Raises ProviderError for one without its end."""
    finished = items[-1] if items else None
    if not isinstance(finished, Finished):
        raise ProviderError(Outcome.INCOMPLETE, "the stream broke off")
    deltas = [item for item in items if isinstance(item, Delta)]
    return Answered(
        text="".join(delta.text for delta in deltas),
        thinking="".join(delta.thinking for delta in deltas),
        finished=finished,
    )
