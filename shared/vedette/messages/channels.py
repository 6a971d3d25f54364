"""The one table of messages and queries: subjects, streams, publishers and consumers. Pure.

Read this first. Streams, durable consumers, permissions, accounts, the documents in `docs/` and the table in
ARCHITECTURE.md follow from it.
"""

import inspect
from typing import Any, Final, get_args

from msgspec import Struct

from vedette.messages import events, queries
from vedette.messages.consumers import Durable, choosing, jobs, lifecycle, recording, ticks
from vedette.messages.declaring import SERVICES, WORKERS, Query, Role


def _described(message: type[Struct]) -> str:
    return " ".join(inspect.cleandoc(message.__doc__ or "").split())


class Channel(Struct, frozen=True, kw_only=True):
    """A kind of message and its subject, whose varying parts stand in braces."""

    message: type[Struct]
    subject: str
    stream: str | None  # None: core NATS, received only by those that are subscribed at that moment
    publishers: tuple[Role, ...]
    followers: tuple[Role, ...] = ()  # every replica receives every message, and the last ones at its start
    durables: tuple[Durable, ...] = ()  # the replicas of a service share the messages
    others: tuple[
        Role, ...
    ] = ()  # consume when they need it: single reads, subscriptions, a consumer for each host
    copy: str | None = None  # the subject on which the broker itself repeats it for every client
    frequent: bool = False  # every few seconds: `Client.watch` gives it only where it is named

    @property
    def name(self) -> str:
        """The kind of message."""
        return self.message.__name__

    @property
    def consumers(self) -> tuple[Role, ...]:
        """Everyone who receives it inside the account of the services."""
        found = {*self.followers, *self.others, *(durable.service for durable in self.durables)}
        return tuple(role for role in get_args(Role) if role in found)

    @property
    def filter(self) -> str:
        """The subject as a subscription writes it."""
        return _filter(self.subject)

    @property
    def doc(self) -> str:
        """What it says, in a sentence or two."""
        return _described(self.message)


def _filter(subject: str) -> str:
    rest = subject.endswith("...}")
    tokens = ["*" if token.startswith("{") else token for token in subject.replace("...", "").split(".")]
    return ".".join([*tokens[:-1], ">"] if rest else tokens)


def _of_model(
    message: type[events.ModelEvent], *publishers: Role, durables: tuple[Durable, ...] = ()
) -> Channel:
    return Channel(
        message=message,
        subject=f"{message.TYPE}.{{endpoint}}.{{name}}",
        stream="MODELS",
        publishers=publishers,
        followers=(*WORKERS, "recommender", "console"),
        durables=(*durables, recording("MODELS")),
        copy=message.TYPE,
    )


# What webhooks may be sent. Of probes only those that change a status are.
_SENT: Final = tuple(f"model.{event}.>" for event in ("found", "changed", "lost", "probed", "regressed"))
_OF_MODELS: Final = choosing("MODELS", *_SENT)
_OF_WINNERS: Final = choosing("ANSWERS", "answer.*")

# Who must know which endpoints there are: each process of theirs follows them for all that it runs.
_KNOWING: Final[tuple[Role, ...]] = (*WORKERS, "recommender", "console", "gateway")

CHANNELS: Final[tuple[Channel, ...]] = (
    Channel(
        message=events.Tick,
        subject="schedule.{job}",
        stream="SCHEDULE",
        publishers=("ticker",),
        durables=(
            ticks("discoverer", "discovery"),
            ticks("prober", "availability"),
            ticks("benchmarker", "performance"),
            ticks("benchmarker", "quality"),
            ticks("recorder", "retention"),
        ),
        others=("ticker",),  # it reads its own last tick
    ),
    Channel(
        message=events.Job,
        subject="job.{kind}.{group}.{endpoint and name...}",
        stream="JOBS",
        publishers=(*WORKERS, "operator", "console"),
        durables=(jobs("discoverer", "discover"), jobs("prober", "probe")),
        others=("benchmarker",),  # by `consumers.host_jobs`, one for each host group
    ),
    Channel(
        message=events.EndpointDefined,
        subject="endpoint.defined.{endpoint}",
        stream="DEFINITIONS",
        publishers=("operator", "console"),
        followers=_KNOWING,
        durables=(recording("DEFINITIONS"),),
        others=("operator",),  # it shows who changed what
    ),
    Channel(
        message=events.EndpointAppeared,
        subject="endpoint.appeared.{source}.{endpoint}",
        stream="APPEARED",
        publishers=("discoverer",),
        followers=_KNOWING,
        others=("operator",),
    ),
    Channel(
        message=events.EndpointObserved,
        subject="endpoint.observed.{endpoint}",
        stream="ENDPOINTS",
        publishers=WORKERS,
        followers=(*WORKERS, "recommender", "console"),
        durables=(recording("ENDPOINTS"),),
    ),
    Channel(
        message=events.EndpointLoad,
        subject="endpoint.load.{endpoint}",
        stream="LOADS",
        publishers=("prober",),
        followers=("prober", "benchmarker", "recommender", "console"),
        copy="endpoint.load",
        frequent=True,
    ),
    _of_model(events.ModelFound, "discoverer", durables=(lifecycle("benchmarker", "found"), _OF_MODELS)),
    _of_model(
        events.ModelChanged,
        "discoverer",
        durables=(lifecycle("prober", "changed"), lifecycle("benchmarker", "changed"), _OF_MODELS),
    ),
    _of_model(events.ModelLost, "discoverer", durables=(_OF_MODELS,)),
    # The discoverer repeats these under the new name of a renamed endpoint.
    _of_model(events.ModelProbed, "prober", "discoverer", durables=(_OF_MODELS,)),
    _of_model(events.ModelBenchmarked, "benchmarker", "discoverer"),
    _of_model(events.ModelVerified, "benchmarker", "discoverer"),
    _of_model(events.ModelEvaluated, "benchmarker", "discoverer"),
    _of_model(events.ModelJudged, "benchmarker", "discoverer"),
    _of_model(events.ModelRegressed, "benchmarker", durables=(_OF_MODELS,)),
    _of_model(events.ModelRated, "operator", "discoverer"),
    Channel(
        message=events.AnswerChanged,
        subject="answer.{use case}",
        stream="ANSWERS",
        publishers=("recommender",),
        followers=("recommender", "console", "gateway"),
        durables=(_OF_WINNERS,),
        copy="recommend.changed.{use case}",
    ),
    Channel(
        message=events.WebhookDelivery,
        subject="delivery.{webhook}",
        stream="DELIVERIES",
        publishers=("console",),
        others=("console",),  # by `consumers.deliveries`, one for each webhook
    ),
    Channel(
        message=events.WebhookState,
        subject="webhook.{webhook}",
        stream="WEBHOOKS",
        publishers=("console",),
        followers=("console",),
        others=("operator",),
    ),
    Channel(
        message=events.ModelReported,
        subject="report.{endpoint}.{name}",
        stream="REPORTS",
        publishers=("recommender", "discoverer"),
        followers=("benchmarker", "recommender"),
        durables=(recording("REPORTS"),),
    ),
    Channel(
        message=events.CallerUsage,
        subject="usage.{caller}.{replica}",
        stream="USAGE",
        publishers=("gateway",),
        followers=("gateway",),
    ),
    Channel(
        message=events.Progress,
        subject="progress.{job id}",
        stream=None,
        publishers=WORKERS,
        others=("operator", "console"),
    ),
    Channel(
        message=events.DeadLetter,
        subject="dead.{service}",
        stream="DEAD",
        publishers=SERVICES,
        others=("operator",),
    ),
)

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
"""Every durable consumer, but those of host groups and webhooks."""

RECORDED: Final[tuple[str, ...]] = tuple(
    durable.stream for durable in DURABLES if durable == recording(durable.stream)
)
"""The streams that the recorder stores whole."""

COPIED_FROM: Final[dict[str, str]] = {
    channel.copy: channel.stream
    for channel in CHANNELS
    if channel.copy and channel.stream and "{" not in channel.copy
}
"""The stream of each kind of event that the broker copies for agents, by the subject of its copies."""

PUBLIC_EVENTS: Final[tuple[str, ...]] = tuple(COPIED_FROM)
"""Subjects of the copies of events that the broker copies for agents."""

WATCHED: Final[tuple[str, ...]] = tuple(
    channel.copy for channel in CHANNELS if channel.copy in PUBLIC_EVENTS and not channel.frequent
)
"""Those of them that `Client.watch` gives where no event is named."""

PUBLIC_ANSWERS: Final[str] = next(
    channel.copy.partition("{")[0] for channel in CHANNELS if channel.copy and "{" in channel.copy
)
"""The same of winner changes: the use case follows."""
