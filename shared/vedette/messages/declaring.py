"""What an event and a query say of themselves, where they are declared: `Query`. Pure.

`channels` collects all of them in one table.
"""

from collections.abc import Callable
from typing import Final, Generic, Literal, TypeVar

from msgspec import Struct

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
