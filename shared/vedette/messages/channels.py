"""The one table of messages and queries: subjects, streams, publishers and consumers. Pure.

Read this first. Streams, durable consumers, permissions, accounts, the documents in `docs/` and the table in
ARCHITECTURE.md follow from it.
"""

import inspect
from typing import Final, Literal, get_args

from msgspec import Struct

from vedette.messages import events, queries
from vedette.messages.consumers import Durable, choosing, jobs, lifecycle, recording, ticks
from vedette.messages.subjects import OWN_REQUESTS

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


class Query(Struct, frozen=True, kw_only=True):
    """A request and its reply: the subject, the two types and the service that replies.

    Any client may send one that is `public`, and so may the services among its `askers`.
    """

    subject: str
    request: type[Struct]
    reply: type[Struct]
    service: Role
    beside: tuple[Role, ...] = ()  # services whose every replica is asked as well: no queue group shares it
    askers: tuple[Role, ...] = ("console",)
    public: bool = True
    doc: str


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

QUERIES: Final[tuple[Query, ...]] = (
    Query(
        subject="recommend.best",
        request=queries.RecommendRequest,
        reply=queries.BestReply,
        service="recommender",
        doc="The best model for a use case under constraints, and fallbacks in order.",
    ),
    Query(
        subject="recommend.top",
        request=queries.RecommendRequest,
        reply=queries.TopReply,
        service="recommender",
        askers=("console", "gateway"),
        doc="The best models in order, as many as `limit`.",
    ),
    Query(
        subject="recommend.explain",
        request=queries.RecommendRequest,
        reply=queries.ExplainReply,
        service="recommender",
        askers=("console", "gateway"),
        doc="The ranking with every contribution, rejection, and what would change it.",
    ),
    Query(
        subject="models.list",
        request=queries.ModelsRequest,
        reply=queries.ModelsReply,
        service="recommender",
        askers=("console", "gateway"),
        doc="Models by capability, provider, endpoint, family, status and text.",
    ),
    Query(
        subject="models.get",
        request=queries.ModelRequest,
        reply=queries.ModelsReply,
        service="recommender",
        askers=("console", "gateway"),
        doc="One model whole.",
    ),
    Query(
        subject="endpoints.list",
        request=queries.EndpointsRequest,
        reply=queries.EndpointsReply,
        service="recommender",
        doc="Endpoints in force with their last observation, where they are from, and definitions that are left out.",
    ),
    Query(
        subject="report.outcome",
        request=queries.ReportRequest,
        reply=queries.ReportReply,
        service="recommender",
        doc="Report how a call to a model ended.",
    ),
    Query(
        subject="report.measured",
        request=queries.MeasuredRequest,
        reply=queries.MeasuredReply,
        service="recommender",
        askers=("gateway",),
        public=False,
        doc="Outcome reports of calls that the gateway measured; no agent may send them.",
    ),
    Query(
        subject="gateway.usage",
        request=queries.UsageRequest,
        reply=queries.UsageReply,
        service="gateway",
        askers=(),
        public=False,
        doc="What callers of the gateway have used today, and what is left of their budgets; for operators alone.",
    ),
    Query(
        subject=OWN_REQUESTS,
        request=queries.OwnRequest,
        reply=queries.OwnReply,
        service="benchmarker",
        beside=("prober",),
        askers=("prober",),
        public=False,
        doc="How many requests Vedette itself has at an endpoint; only a process that has some replies.",
    ),
    Query(
        subject="history.availability",
        request=queries.HistoryRequest,
        reply=queries.AvailabilityHistory,
        service="recorder",
        doc="How a model, or all at an endpoint, answered probes over time.",
    ),
    Query(
        subject="history.performance",
        request=queries.HistoryRequest,
        reply=queries.PerformanceHistory,
        service="recorder",
        doc="How fast a model, or those at an endpoint, were over time.",
    ),
    Query(
        subject="history.models",
        request=queries.SummariesRequest,
        reply=queries.SummariesReply,
        service="recorder",
        doc="How many models did over time, in a line each.",
    ),
    Query(
        subject="history.asof",
        request=queries.PastRequest,
        reply=queries.PastReply,
        service="recorder",
        askers=("recommender", "console"),
        doc="The catalogue as it stood at a time.",
    ),
    Query(
        subject="recommend.asof",
        request=queries.RecommendPastRequest,
        reply=queries.RecommendPastReply,
        service="recommender",
        doc="What would have been recommended at a time, explained.",
    ),
    Query(
        subject="models.asof",
        request=queries.ModelsPastRequest,
        reply=queries.ModelsPastReply,
        service="recommender",
        doc="The models as they were at a time, or one of them whole.",
    ),
)

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
