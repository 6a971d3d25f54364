"""An example of each message, for events.md and the AsyncAPI document. Pure."""

from typing import Any, Final

import msgspec

from vedette.messages.channels import CHANNELS, QUERIES
from vedette.messages.codec import encode
from vedette.messages.events import Message
from vedette.messages.queries import ErrorBody, ErrorReply

ERROR: Final = ErrorReply(
    error=ErrorBody(code="invalid_value", message="limit: Expected `int` >= 1", field="limit")
)


def messages() -> list[Message]:
    """Return an example of each kind of message."""
    return [channel.message.example() for channel in CHANNELS]


def documents() -> dict[str, Any]:
    """Return an example of each message as its JSON document, by the message's name."""
    asked = [one for query in QUERIES for one in query.example()]
    return {
        type(message).__name__: msgspec.json.decode(encode(message))
        for message in reversed((*messages(), *asked, ERROR))
    }
