"""Every event, and what else services publish: the facts that go over the bus.

Which subject and stream they have, who publishes and who consumes them: `channels`, the one table.

An event carries the new fact **and the state that results from it**, so the last message of a subject is the
current state. Events are open: readers ignore fields they do not know, and fields are only ever added, with
defaults. Times are aware UTC; units stand in the names, as in `types`.
"""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from msgspec import Meta, Struct

from vedette.messages import story, subjects
from vedette.types import (
    Baseline,
    Capability,
    Claim,
    Count,
    Drop,
    EndpointName,
    EndpointState,
    FieldChange,
    Fraction,
    Health,
    Judged,
    ModelInfo,
    ModelLoad,
    ModelRef,
    Outcome,
    Pause,
    Performance,
    Positive,
    ProbeSample,
    Quality,
    Rating,
    Reported,
    Residency,
    RunSample,
    Score,
    Signal,
    Text,
    Ungraded,
    Use,
    UtcTime,
    Watch,
)

MISSED_READINGS: Final = 2.5  # intervals without a load, after which the last one is stale
ScheduledJob = Literal["discovery", "availability", "performance", "quality", "retention"]
JobKind = Literal["discover", "probe", "verify", "benchmark", "evaluate", "judge"]
JobCause = Literal["tick", "found", "changed", "listing", "start", "suspicion", "manual"]
LossReason = Literal["absent", "endpoint_removed"]
DefinedBy = Literal["add", "edit", "pause", "resume", "remove", "restore"]
ProgressState = Literal["queued", "started", "step", "done", "failed"]


class Event(Struct, frozen=True, kw_only=True, gc=False):
    """A fact about the past. `id` is deterministic: the same work done twice gives the same id."""

    TYPE: ClassVar[str]
    id: str
    at: UtcTime

    @property
    def subject(self) -> str:
        """The subject this event is published on."""
        raise NotImplementedError


class Tick(Event, frozen=True, kw_only=True):
    """A job is due. `slot` is its aligned time; `missed` is how many slots before it had no tick."""

    TYPE = "schedule"
    job: ScheduledJob
    slot: UtcTime
    missed: int = 0

    @property
    def subject(self) -> str:
        """schedule.<job>."""
        return f"schedule.{self.job}"


class Job(Event, frozen=True, kw_only=True):
    """Work for one worker: an endpoint, or one of its models. `cause` says what started it.

    A probe because of `found` names the newest model of its endpoint, and probes all models that were never probed. A
    benchmark because of a `suspicion` that the model changed is a small one.
    `streams` adds a concurrency sweep with these numbers of streams to a benchmark. `suites` names the suites of an
    evaluation; an empty list means all. A job `judge` with a `pool` has the model compare the texts of those models for
    the use case in `suites`; without one, the model writes texts for these use cases. `max_usd` is the maximum cost of
    an evaluation, or of judging.
    """

    TYPE = "job"
    kind: JobKind
    group: Text
    endpoint: EndpointName
    model: ModelRef | None = None
    cause: JobCause = "tick"
    streams: tuple[Annotated[int, Meta(ge=1, le=256)], ...] = ()
    suites: tuple[Text, ...] = ()
    pool: tuple[ModelRef, ...] = ()
    max_usd: Annotated[float, Meta(ge=0)] | None = None

    @property
    def subject(self) -> str:
        """job.<kind>.<host group>.<endpoint>[.<name>]."""
        return subjects.of_job(self.kind, self.group, self.endpoint, self.model)


class EndpointDefined(Event, frozen=True, kw_only=True, omit_defaults=True):
    """An operator changed an endpoint at run time: the whole definition that holds from then on.

    It is laid over what the configuration file or a source of endpoints says of that name, key by key, unless it is
    `whole`. The last messages of a subject are the record of who changed what, and when.
    """

    TYPE = "endpoint.defined"
    endpoint: EndpointName
    action: Annotated[DefinedBy, Meta(description="the change that led to this definition")]
    settings: Annotated[
        dict[str, Any],
        Meta(
            description="keys of `[endpoints.NAME]` as in the configuration file; secrets by reference only"
        ),
    ] = {}
    whole: Annotated[bool, Meta(description="nothing beneath this definition counts")] = False
    removed: Annotated[bool, Meta(description="no endpoint of this name is used, wherever it is from")] = (
        False
    )
    paused: Annotated[Pause | None, Meta(description="not measured and not recommended meanwhile")] = None
    left_behind: Annotated[
        tuple[str, ...],
        Meta(description="credentials set at run time that did not follow a URL to another host or port"),
    ] = ()
    by: Annotated[Text, Meta(description="who made the change, as they said themselves")] = ""
    via: Annotated[Text, Meta(description="what it was made with: `command line`, `console`")] = ""
    reason: Text = ""

    @property
    def subject(self) -> str:
        """endpoint.defined.<endpoint>."""
        return f"endpoint.defined.{self.endpoint}"


class EndpointAppeared(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A source of endpoints, such as Kubernetes or DNS, shows one, changed or gone."""

    TYPE = "endpoint.appeared"
    source: Annotated[EndpointName, Meta(description="`directory`, `dns`, `docker`, `kubernetes`")]
    endpoint: EndpointName
    settings: Annotated[
        dict[str, Any],
        Meta(description="keys of `[endpoints.NAME]` as in the configuration file; none that holds a secret"),
    ] = {}
    key: Annotated[
        Text | None,
        Meta(description="name under `[discovery.keys]` of the secret that becomes its `api_key`"),
    ] = None
    origin: Annotated[Text, Meta(description="what it was read from, such as `Service ml/vllm`")] = ""
    state: Annotated[
        Literal["there", "asleep", "gone", "refused"],
        Meta(
            description="asleep: scaled to zero or not found; never contacted. refused: asks to be one, and is none"
        ),
    ] = "there"
    reason: Annotated[Text, Meta(description="why it is asleep, gone or refused")] = ""

    @property
    def subject(self) -> str:
        """endpoint.appeared.<source>.<endpoint>."""
        return f"endpoint.appeared.{self.source}.{self.endpoint}"


class EndpointObserved(Event, frozen=True, kw_only=True):
    """An endpoint was contacted."""

    TYPE = "endpoint.observed"
    endpoint: EndpointName
    state: EndpointState

    @property
    def subject(self) -> str:
        """endpoint.observed.<endpoint>."""
        return f"endpoint.observed.{self.endpoint}"


class EndpointLoad(Event, frozen=True, kw_only=True, omit_defaults=True):
    """What a model server is doing now, as it says itself. What it does not say is absent, never guessed.

    `running`, `waiting`, `slots`, `cache_use` and `output_tps` are of the whole server; `models` holds the same for
    each model, where the server says. `running` and `waiting` are without the requests of Vedette itself, which are
    `own`. With another `outcome` than `ok` there are no figures: the reading failed.
    """

    TYPE = "endpoint.load"
    endpoint: EndpointName
    outcome: Outcome = Outcome.OK
    every_s: Annotated[
        Positive, Meta(description="seconds until the next reading; a load of 2.5 times that age is stale")
    ]
    source: Annotated[Text, Meta(description="what was read: `vllm metrics`, `llama.cpp slots`, `ollama ps`")]
    running: Annotated[Count | None, Meta(description="requests that are being worked on, without `own`")] = (
        None
    )
    waiting: Annotated[Count | None, Meta(description="requests that wait in the server's queue")] = None
    own: Annotated[
        Count, Meta(description="requests of Vedette itself: of a measurement or a probe in progress")
    ] = 0
    slots: Annotated[Count | None, Meta(description="requests that can be worked on at once")] = None
    cache_use: Annotated[Fraction | None, Meta(description="fraction of the KV cache in use")] = None
    output_tps: Annotated[
        Positive | None,
        Meta(description="output tokens per second of all requests, as counted since the reading before"),
    ] = None
    loaded: Annotated[
        dict[str, Residency] | None,
        Meta(description="the models in memory, by name; empty: none is; absent: the server does not say"),
    ] = None
    models: Annotated[
        dict[str, ModelLoad], Meta(description="by name; the busiest 64, where there are more")
    ] = {}
    day: Annotated[Text, Meta(description="the day (UTC) of `used`")] = ""
    used: Annotated[Use, Meta(description="of the endpoint by all readings of that day")] = Use()
    elapsed_ms: Annotated[
        Positive, Meta(description="from the first request of the reading to its last reply")
    ]
    bytes: Annotated[Count, Meta(description="of the replies that were read")]

    @property
    def subject(self) -> str:
        """endpoint.load.<endpoint>."""
        return f"endpoint.load.{self.endpoint}"

    @property
    def stale_at(self) -> float:
        """From when it says nothing any more, because readings after it failed to come; seconds since 1970."""
        return self.at.timestamp() + MISSED_READINGS * self.every_s

    def is_stale(self, now: datetime) -> bool:
        """Return whether it is too old to describe *now*: too many later readings are missing."""
        return now.timestamp() > self.stale_at


class CallerUsage(Event, frozen=True, kw_only=True, omit_defaults=True):
    """What a caller of the gateway has used in a day (UTC) of one replica: sums since the day began.

    A caller's usage is the sum over all replicas, those included that are gone.
    """

    TYPE = "usage"
    caller: Annotated[Text, Meta(description="the name of its key; `anybody` where the gateway has no keys")]
    replica: Text
    day: Annotated[Text, Meta(description="the day (UTC), as in 2026-11-30")]
    requests: Annotated[Count, Meta(description="requests to which a model replied")] = 0
    tokens: Annotated[
        Count, Meta(description="of prompts and answers; estimated where no server counted")
    ] = 0
    usd: Annotated[float, Meta(ge=0, description="by the prices of the models, where they are known")] = 0.0

    @property
    def subject(self) -> str:
        """usage.<caller>.<replica>."""
        return f"usage.{self.caller}.{self.replica}"


class ModelEvent(Event, frozen=True, kw_only=True):
    """An event about one model. With `renamed_from` it repeats an event of that model under the new name."""

    model: ModelRef
    renamed_from: ModelRef | None = None

    @property
    def subject(self) -> str:
        """model.<event>.<endpoint>.<name>."""
        return subjects.of_model(self.TYPE.removeprefix("model."), self.model)


class Lifecycle(ModelEvent, frozen=True, kw_only=True):
    """A model was found, changed or was lost. `revision` counts these events; the highest sequence is current."""

    info: ModelInfo
    revision: int


class Formerly(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The name of a model before its endpoint was renamed: `model` until `until`, first found at `found_at`.

    `replaced_at` is when an earlier model of the new name was lost. Older records belong to that earlier model.
    """

    model: ModelRef
    until: UtcTime
    found_at: UtcTime
    replaced_at: UtcTime | None = None


class ModelFound(Lifecycle, frozen=True, kw_only=True):
    """A model was found: new, found `again` after it was lost, or `formerly` at an endpoint of another name.

    With `afresh`, older events of this name count only if they have the same `renamed_from`.
    """

    TYPE = "model.found"
    again: bool = False
    afresh: bool = False
    formerly: Formerly | None = None


class ModelChanged(Lifecycle, frozen=True, kw_only=True):
    """A model's description changed. After `digest_changed` its speed and quality must be measured again."""

    TYPE = "model.changed"
    changes: tuple[FieldChange, ...]
    digest_changed: bool = False


class ModelLost(Lifecycle, frozen=True, kw_only=True):
    """A model was lost: `absent` from two successful listings, or its endpoint was removed from the configuration.

    With `renamed_to` the model is present under that name: its endpoint was renamed.
    """

    TYPE = "model.lost"
    reason: LossReason
    renamed_to: ModelRef | None = None


class ModelProbed(ModelEvent, frozen=True, kw_only=True):
    """A model was probed; `health` is the state after it."""

    TYPE = "model.probed"
    sample: ProbeSample
    health: Health


class ModelBenchmarked(ModelEvent, frozen=True, kw_only=True):
    """A model was benchmarked; `performance` holds the rolling figures after it."""

    TYPE = "model.benchmarked"
    job_id: str
    outcome: Outcome
    detail: Text | None = None
    samples: tuple[RunSample, ...] = ()
    resident_before: bool | None = None
    vram_share: Annotated[float | None, Meta(description="fraction of the loaded model held in VRAM")] = None
    performance: Performance


class Attempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One capability check: what was asked, what came back, what that shows."""

    capability: Capability
    asked: Text
    answered: Text | None = None
    proved: Annotated[bool | None, Meta(description="None: it failed, or showed nothing")] = None
    detail: Text | None = None


class ModelVerified(ModelEvent, frozen=True, kw_only=True):
    """Capabilities of a model were checked; `claims` hold for the weights `digest`."""

    TYPE = "model.verified"
    job_id: str
    outcome: Outcome
    digest: Text | None = None
    claims: dict[str, Claim] = {}
    embedding_dimensions: int | None = None
    attempts: tuple[Attempt, ...] = ()


class ModelEvaluated(ModelEvent, frozen=True, kw_only=True):
    """A model was evaluated: `scores` are those of this evaluation, `quality` is the state after it.

    Both have a score for each kind of suite, and for each level of it that was asked in addition to the standard one
    (`kind:level`).
    `claims` are capabilities that the evaluation confirmed or refuted, for the weights that `quality` names.
    `ungraded` counts, by kind of suite, answers whose grading failed.
    """

    TYPE = "model.evaluated"
    job_id: str
    outcome: Outcome
    detail: Text | None = None
    scores: dict[str, Score] = {}
    claims: dict[str, Claim] = {}
    ungraded: dict[str, Ungraded] = {}
    use: Use = Use()
    took_s: float = 0.0
    quality: Quality


class ModelJudged(ModelEvent, frozen=True, kw_only=True):
    """A model wrote texts for a judge, or a judge compared them; `judged` is the state after that.

    `use` is what the model itself used; the calls of the judge are usage of the judge's endpoint.
    """

    TYPE = "model.judged"
    job_id: str
    use: Use = Use()
    took_s: float = 0.0
    judged: Judged


class ModelRegressed(ModelEvent, frozen=True, kw_only=True):
    """A model answers worse than before its weights or its server changed, beyond the intervals of both."""

    TYPE = "model.regressed"
    job_id: str
    digest: Text | None = None
    server_version: Text | None = None
    before: Baseline
    drops: tuple[Drop, ...]


class ModelRated(ModelEvent, frozen=True, kw_only=True):
    """A user rated a model; `ratings` are all current ratings, one for each use case."""

    TYPE = "model.rated"
    ratings: tuple[Rating, ...]


class AsOf(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a reply reflects: MODELS up to `sequence`, REPORTS up to `reports`, LOADS up to `loads`, at `scored_at`.

    `scored_at` is rounded down to a minute. Replicas with the same four values send the same bytes.
    """

    sequence: int
    scored_at: UtcTime
    reports: int = 0
    loads: int = 0

    @classmethod
    def example(cls) -> Self:
        """Return that of the examples."""
        return cls(sequence=4711, scored_at=story.AT)


class AnswerChanged(Event, frozen=True, kw_only=True):
    """The winner of a use case without constraints changed: `model` instead of `before`.

    `better`: the new winner is better by at least the switch margin. `gone`: the winner before is not a candidate any
    more. `first`: there was no winner. `none`: there is no winner now. `renamed`: `model` is the winner before, under
    the new name of its endpoint.
    """

    TYPE = "answer"
    use_case: Text
    reason: Literal["first", "better", "gone", "none"]
    model: ModelRef | None
    score: float | None
    before: ModelRef | None = None
    before_score: Annotated[float | None, Meta(description="now; None when it is no candidate")] = None
    margin: Annotated[float | None, Meta(description="points between the two")] = None
    renamed: bool = False
    detail: Annotated[Text, Meta(description="a sentence for people")]
    as_of: AsOf

    @property
    def subject(self) -> str:
        """answer.<use case>."""
        return f"answer.{subjects.escape(self.use_case)}"


class WebhookDelivery(Event, frozen=True, kw_only=True):
    """An event that is queued for a webhook, until the receiver has taken it or it is a dead letter.

    `event_id` and `event_at` are those of the event, `data` is the event itself.
    """

    TYPE = "delivery"
    webhook: Text
    event: Annotated[Text, Meta(description="as the receiver gets it: `model.found`, `recommend.changed`, …")]
    event_id: str
    event_at: UtcTime
    data: dict[str, Any]

    @property
    def subject(self) -> str:
        """delivery.<webhook>."""
        return f"delivery.{self.webhook}"


class WebhookState(Event, frozen=True, kw_only=True):
    """How sending to a webhook goes. It gets what happened from `since` on; `fingerprint` is that of its configuration.

    With `stopped_at`, its receiver replied 410 Gone: nothing more is sent until the configuration changes.
    """

    TYPE = "webhook"
    webhook: Text
    fingerprint: Text
    since: UtcTime
    receiver: Annotated[Text, Meta(description="scheme and host of its URL")]
    events: tuple[Text, ...]
    enabled: bool = True
    delivered_at: Annotated[UtcTime | None, Meta(description="when the receiver last took an event")] = None
    failed_at: Annotated[UtcTime | None, Meta(description="when an attempt last failed")] = None
    failing_since: UtcTime | None = None
    problem: Annotated[Text | None, Meta(description="why the last attempt failed")] = None
    stopped_at: UtcTime | None = None

    @property
    def subject(self) -> str:
        """webhook.<name>."""
        return f"webhook.{self.webhook}"


class ModelReported(Event, frozen=True, kw_only=True):
    """Outcome reports of a model to one recommender since `since`; `reported` is the state after them.

    `calls` and the means belong to this event only, and count as in `Reported`. `included` names, by replica, the last
    window in the state, so that a window whose acknowledgement was lost is not added twice.
    """

    TYPE = "report"
    model: ModelRef
    since: UtcTime
    calls: int
    failures: Annotated[dict[str, int], Meta(description="by outcome")] = {}
    callers: Annotated[int, Meta(description="a lower bound")] = 1
    uncounted: Annotated[int, Meta(description="reports over the limits")] = 0
    use_cases: Annotated[
        dict[str, int], Meta(description="reports by use case, if the caller named one")
    ] = {}
    prompt_tokens: Annotated[int, Meta(description="of all calls whose token count was reported")] = 0
    output_tokens: int = 0
    ttft_ms: Annotated[float | None, Meta(description="geometric means")] = None
    output_tps: float | None = None
    included: dict[str, int] = {}
    reported: Reported
    watches: Annotated[
        dict[Signal, Watch], Meta(description="what the last minutes show, of ttft, speed and reliability")
    ] = {}
    renamed_from: ModelRef | None = None

    @property
    def subject(self) -> str:
        """report.<endpoint>.<name>."""
        return subjects.of_report(self.model)


class Progress(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The progress of a job: step of steps, with a line for people. Core NATS: only the newest counts.

    While the job is queued, `waits_for` says why: its turn (`position` of `queue` jobs for the same workers, `behind`
    the running one), a worker (none is running), or the next attempt, in `retry_s` seconds. A job that `failed` with
    `waits_for` "retry" gave way to another user: it has ended, and the same work is queued again as another job, in
    `retry_s` seconds. People see it as deferred. A worker repeats the last progress of a running job every 20 s.
    """

    job_id: str
    at: UtcTime
    state: ProgressState
    step: int = 0
    steps: int = 0
    message: str = ""
    model: ModelRef | None = None
    field: Annotated[
        str | None,
        Meta(description="error code of the job, if it names something that does not exist"),
    ] = None
    kind: JobKind | None = None
    endpoint: str | None = None
    started_at: Annotated[UtcTime | None, Meta(description="when a worker began this attempt")] = None
    waits_for: Literal["turn", "worker", "retry"] | None = None
    position: int = 0
    queue: int = 0
    behind: Text | None = None
    retry_s: float | None = None

    @property
    def subject(self) -> str:
        """progress.<job id>."""
        return f"progress.{self.job_id}"

    @property
    def shown_state(self) -> ProgressState | Literal["deferred"]:
        """The state as people see it: a job that gave way has not failed."""
        return "deferred" if self.state == "failed" and self.waits_for == "retry" else self.state


class DeadLetter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A complete message that could not be processed, with the reason."""

    service: str
    at: UtcTime
    reason: str
    subject: str
    payload: bytes
    headers: dict[str, str] = {}
    stream: str | None = None
    sequence: int | None = None
    deliveries: int = 1
