"""The only table of messages and queries: subjects, streams, publishers and consumers. Pure.

`events` and `queries` declare each of them next to its type. Streams, durable consumers, permissions, accounts, the
documents in `docs/` and the tables in ARCHITECTURE.md follow from this table.
"""

import inspect
from typing import Any, Final

import msgspec

from vedette.messages import events, queries
from vedette.messages.consumers import Durable, recording
from vedette.messages.declaring import Query, Row


class Channel(Row, frozen=True, kw_only=True):
    """A kind of message, with its subject, stream, publishers and consumers."""

    message: type[events.Message]

    @property
    def name(self) -> str:
        """The kind of message."""
        return self.message.__name__

    @property
    def doc(self) -> str:
        """The description of the message: its docstring on one line."""
        return " ".join(inspect.cleandoc(self.message.__doc__ or "").split())


CHANNELS: Final[tuple[Channel, ...]] = tuple(
    Channel(message=one, **msgspec.structs.asdict(one.CHANNEL))
    for one in vars(events).values()
    if isinstance(one, type) and issubclass(one, events.Message) and "CHANNEL" in vars(one)
)
"""Every kind of message, in the order of their declarations."""

QUERIES: Final[tuple[Query[Any, Any], ...]] = tuple(
    one for one in vars(queries).values() if isinstance(one, Query)
)
"""Every query, in the order of their declarations."""

EVENTS: Final[tuple[type[events.Event], ...]] = tuple(
    channel.message for channel in CHANNELS if issubclass(channel.message, events.Event)
)
"""Every kind of event."""

DURABLES: Final[tuple[Durable, ...]] = tuple(
    dict.fromkeys(durable for channel in CHANNELS for durable in channel.durables)
)
"""Every durable consumer, except those of host groups and webhooks."""

RECORDED: Final[tuple[str, ...]] = tuple(
    durable.stream for durable in DURABLES if durable == recording(durable.stream)
)
"""The streams that the recorder stores completely."""

COPIED_FROM: Final[dict[str, str]] = {
    channel.copy: channel.stream
    for channel in CHANNELS
    if channel.copy and channel.stream and "{" not in channel.copy
}
"""By subject of a copy for agents: the stream of the original event."""

PUBLIC_EVENTS: Final[tuple[str, ...]] = tuple(COPIED_FROM)
"""The subjects of the copies of events for agents."""

WATCHED: Final[tuple[str, ...]] = tuple(
    channel.copy for channel in CHANNELS if channel.copy in PUBLIC_EVENTS and not channel.frequent
)
"""The subjects in PUBLIC_EVENTS that `Client.watch` returns if no event is named."""

PUBLIC_ANSWERS: Final[str] = next(
    channel.copy.partition("{")[0] for channel in CHANNELS if channel.copy and "{" in channel.copy
)
"""The subject of copies of winner changes; the use case follows."""
