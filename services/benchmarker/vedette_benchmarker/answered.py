"""A whole answer, put together from its stream. Pure."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from vedette.errors import ProviderError
from vedette.providers import Delta, Finished, ToolCall
from vedette.redaction import NO_SECRETS, Secrets
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


def whole(items: Sequence[Delta | Finished], secrets: Secrets = NO_SECRETS) -> Answered:
    """Return the answer that the *items* of a stream make up, without *secrets*, which may come in pieces.

    Raises ProviderError for one without its end.
    """
    finished = items[-1] if items else None
    if not isinstance(finished, Finished):
        raise ProviderError(Outcome.INCOMPLETE, "the stream broke off")
    deltas = [item for item in items if isinstance(item, Delta)]
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
