"""Earlier announcements of winners, for operators, who may read the stream. Agents receive only new changes."""

import nats.errors
from nats.aio.client import Client as NatsClient

from vedette.bus.streams import Streams
from vedette.errors import NoAnswer
from vedette.messages.channels import CHANNELS
from vedette.messages.events import AnswerChanged

_CHANNEL = next(channel for channel in CHANNELS if channel.message is AnswerChanged)


async def announced(connection: NatsClient) -> list[AnswerChanged]:
    """Return the last winner change of each use case. Raises NoAnswer where this user may not read the stream."""
    streams = Streams(connection, connection.jetstream())
    try:
        found = streams.last_of_each(_CHANNEL.stream or "", [_CHANNEL.filter], {})
        return [event async for _, event in found if isinstance(event, AnswerChanged)]
    except nats.errors.TimeoutError as error:
        raise NoAnswer(code="no_answer", message=f"no reply from the stream {_CHANNEL.stream}") from error
