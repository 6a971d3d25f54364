"""`Row` and `Query`: what an event and a query declare about themselves. Pure.

`channels` collects all declarations in one table.
"""

from collections.abc import Callable
from typing import Final, Generic, Literal, TypeVar, get_args

from msgspec import Struct

from vedette.messages.consumers import Durable

Q = TypeVar("Q", bound=Struct)
R = TypeVar("R", bound=Struct)
Role = Literal[
    "ticker",
    "discoverer",
    "prober",
    "benchmarker",
    "recorder",
    "recommender",
    "console",
    "gateway",
    "operator",
    "anybody",
]
WORKERS: Final[tuple[Role, ...]] = ("discoverer", "prober", "benchmarker")
SERVICES: Final[tuple[Role, ...]] = ("ticker", *WORKERS, "recorder", "recommender", "console", "gateway")


class Row(Struct, frozen=True, kw_only=True):
    """How a message travels: its subject, with varying parts in braces, its stream, who publishes and consumes."""

    subject: str
    stream: str | None  # None: core NATS, received only by subscribers of that moment
    publishers: tuple[Role, ...]
    followers: tuple[Role, ...] = ()  # each replica receives every message, and at its start the last ones
    durables: tuple[Durable, ...] = ()  # the replicas of a service share the messages of a durable
    # These services read it when needed: single reads, subscriptions, a consumer for each host.
    others: tuple[Role, ...] = ()
    copy: str | None = None  # the subject of the copy that the broker makes for all clients
    frequent: bool = False  # every few seconds: `Client.watch` returns it only if it is named

    @property
    def consumers(self) -> tuple[Role, ...]:
        """All services that receive it."""
        found = {*self.followers, *self.others, *(durable.service for durable in self.durables)}
        return tuple(role for role in get_args(Role) if role in found)

    @property
    def filter(self) -> str:
        """The subject with wildcards, as for a subscription."""
        rest = self.subject.endswith("...}")
        tokens = [
            "*" if token.startswith("{") else token for token in self.subject.replace("...", "").split(".")
        ]
        return ".".join([*tokens[:-1], ">"] if rest else tokens)


class Query(Struct, Generic[Q, R], frozen=True, kw_only=True):
    """A request and its reply: the subject, the two types, the service that replies, and an example of both.

    Any client may send one that is `public`, and so may the services among its `askers`.
    """

    subject: str
    request: type[Q]
    reply: type[R]
    service: Role
    beside: tuple[Role, ...] = ()  # services of which each replica replies as well, outside the queue group
    askers: tuple[Role, ...] = ("console",)
    public: bool = True
    repeatable: bool = True  # without a reply, a client may send it again
    path: str | None = None  # its path in the HTTP API; the parts in braces are fields of the request
    method: Literal["GET", "POST"] = "GET"
    doc: str
    example: Callable[[], tuple[Q, R]]
