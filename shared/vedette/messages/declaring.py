"""What an event and a query say of themselves, where they are declared: `Row` and `Query`. Pure.

`channels` collects all of them in one table.
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
    stream: str | None  # None: core NATS, received only by those that are subscribed at that moment
    publishers: tuple[Role, ...]
    followers: tuple[Role, ...] = ()  # every replica receives every message, and the last ones at its start
    durables: tuple[Durable, ...] = ()  # the replicas of a service share the messages
    # They consume when they need it: single reads, subscriptions, a consumer for each host.
    others: tuple[Role, ...] = ()
    copy: str | None = None  # the subject on which the broker itself repeats it for every client
    frequent: bool = False  # every few seconds: `Client.watch` gives it only where it is named

    @property
    def consumers(self) -> tuple[Role, ...]:
        """Everyone who receives it inside the account of the services."""
        found = {*self.followers, *self.others, *(durable.service for durable in self.durables)}
        return tuple(role for role in get_args(Role) if role in found)

    @property
    def filter(self) -> str:
        """The subject as a subscription writes it."""
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
    beside: tuple[Role, ...] = ()  # services whose every replica is asked as well: no queue group shares it
    askers: tuple[Role, ...] = ("console",)
    public: bool = True
    repeatable: bool = True  # without a reply, a client may send it a second time
    path: str | None = None  # in the HTTP API; its parts in braces are fields of the request
    method: Literal["GET", "POST"] = "GET"
    doc: str
    example: Callable[[], tuple[Q, R]]
