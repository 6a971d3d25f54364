"""Read this first: every message of Vedette, its subject, who sends it, who hears it.

| message          | subject                                    | sent by            | heard by                |
|------------------|--------------------------------------------|--------------------|-------------------------|
| Tick             | schedule.<job>                             | ticker             | who owns the job        |
| Job              | job.<kind>.<host group>.<endpoint>[.<name>] | services, commands | who does that kind      |
| EndpointObserved | endpoint.observed.<endpoint>               | who contacted it   | workers, the keepers    |
| ModelFound       | model.found.<endpoint>.<name>              | discoverer         | all, and anybody        |
| ModelChanged     | model.changed.<endpoint>.<name>            | discoverer         | all, and anybody        |
| ModelLost        | model.lost.<endpoint>.<name>               | discoverer         | all, and anybody        |
| ModelProbed      | model.probed.<endpoint>.<name>             | prober             | the keepers, anybody    |
| ModelBenchmarked | model.benchmarked.<endpoint>.<name>        | benchmarker        | the keepers, anybody    |
| ModelVerified    | model.verified.<endpoint>.<name>           | benchmarker        | the keepers, anybody    |
| ModelEvaluated   | model.evaluated.<endpoint>.<name>          | benchmarker        | the keepers, anybody    |
| ModelRegressed   | model.regressed.<endpoint>.<name>          | benchmarker        | the recorder, anybody   |
| ModelRated       | model.rated.<endpoint>.<name>              | the command line   | the keepers, anybody    |
| AnswerChanged    | answer.<use case>                          | recommender        | the same, anybody       |
| ModelReported    | report.<endpoint>.<name>                   | recommender        | the keepers             |
| Progress         | progress.<job id>                          | who does the job   | the command line        |
| DeadLetter       | dead.<service>                             | any service        | operators               |

Of a model whose endpoint was renamed, the discoverer repeats the state under the new name (`renamed_from`).
The keepers are the recorder (into SQL) and the recommender (into memory). Anybody may subscribe to the copies
that the broker republishes on `model.found` and the like, and on `recommend.changed.<use case>`.

An event carries the new fact **and the state that results from it**, so the last message of a subject is the
current state. Events are open: readers ignore fields they do not know, and fields are only ever added, with
defaults. Requests are strict: an unknown field is an error that names it.

Times are aware UTC; units stand in the names, as in `types`.
"""

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, Struct

from vedette.errors import RequestError, UndecodableMessage, UnknownEvent
from vedette.messages import subjects
from vedette.types import (
    Baseline,
    Capability,
    Claim,
    Drop,
    EndpointName,
    EndpointState,
    Evidence,
    Failure,
    FieldChange,
    Fraction,
    Health,
    ModelInfo,
    ModelRef,
    Outcome,
    Performance,
    ProbeCause,
    ProbeSample,
    Published,
    Quality,
    Rating,
    Reported,
    RunSample,
    Score,
    Status,
    Text,
    Ungraded,
    Use,
    UtcTime,
)

ScheduledJob = Literal["discovery", "availability", "performance", "quality", "retention"]
JobKind = Literal["discover", "probe", "verify", "benchmark", "evaluate"]
JobCause = Literal["tick", "found", "changed", "listing", "start", "manual"]
LossReason = Literal["absent", "endpoint_removed"]
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
    """A job is due. `slot` is its aligned time; `missed` slots passed without a tick before it."""

    TYPE = "schedule"
    job: ScheduledJob
    slot: UtcTime
    missed: int = 0

    @property
    def subject(self) -> str:
        """schedule.<job>."""
        return f"schedule.{self.job}"


class Job(Event, frozen=True, kw_only=True):
    """A piece of work for one worker: an endpoint, or one of its models. `cause` says what asked for it.

    A probe because of `found` names the newest model of its endpoint, and is of all that were never probed.
    `streams` asks a benchmark for a concurrency sweep as well, over these numbers of streams; `suites` names
    the kinds of question of an evaluation, none standing for all.
    """

    TYPE = "job"
    kind: JobKind
    group: Text
    endpoint: EndpointName
    model: ModelRef | None = None
    cause: JobCause = "tick"
    streams: tuple[Annotated[int, Meta(ge=1, le=256)], ...] = ()
    suites: tuple[Text, ...] = ()

    @property
    def subject(self) -> str:
        """job.<kind>.<host group>.<endpoint>[.<name>]."""
        return subjects.of_job(self.kind, self.group, self.endpoint, self.model)


class EndpointObserved(Event, frozen=True, kw_only=True):
    """An endpoint was contacted."""

    TYPE = "endpoint.observed"
    endpoint: EndpointName
    state: EndpointState

    @property
    def subject(self) -> str:
        """endpoint.observed.<endpoint>."""
        return f"endpoint.observed.{self.endpoint}"


class ModelEvent(Event, frozen=True, kw_only=True):
    """Something about one model. With `renamed_from` it repeats, under the new name, what was published of that one."""

    model: ModelRef
    renamed_from: ModelRef | None = None

    @property
    def subject(self) -> str:
        """model.<event>.<endpoint>.<name>."""
        return subjects.of_model(self.TYPE.removeprefix("model."), self.model)


class Lifecycle(ModelEvent, frozen=True, kw_only=True):
    """A model came, changed or went. `revision` counts these; of several, the highest sequence holds."""

    info: ModelInfo
    revision: int


class Formerly(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a model was before its endpoint was renamed: `model` until `until`, first found at `found_at`.

    `replaced_at` is when an earlier model of the new name was lost; what was recorded until then is not this one's.
    """

    model: ModelRef
    until: UtcTime
    found_at: UtcTime
    replaced_at: UtcTime | None = None


class ModelFound(Lifecycle, frozen=True, kw_only=True):
    """A model that was not there: new, back `again` after it was lost, or `formerly` at an endpoint of another name.

    With `afresh`, of what was published under this name before only that counts which has the same `renamed_from`.
    """

    TYPE = "model.found"
    again: bool = False
    afresh: bool = False
    formerly: Formerly | None = None


class ModelChanged(Lifecycle, frozen=True, kw_only=True):
    """A model's description changed. After `digest_changed` its speed and quality must be measured anew."""

    TYPE = "model.changed"
    changes: tuple[FieldChange, ...]
    digest_changed: bool = False


class ModelLost(Lifecycle, frozen=True, kw_only=True):
    """A model is gone: `absent` from two successful listings, or its endpoint left the configuration.

    With `renamed_to` it is not gone: its endpoint was renamed, and the model goes on under that name.
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
    vram_share: float | None = None  # fraction of the loaded model held in VRAM
    performance: Performance


class Attempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call that was to prove a capability: what was asked, what came, what that says."""

    capability: Capability
    asked: Text
    answered: Text | None = None
    proved: bool | None = None  # None: it failed, or proved nothing either way
    detail: Text | None = None


class ModelVerified(ModelEvent, frozen=True, kw_only=True):
    """Capabilities of a model were put to the proof; `claims` hold for the weights `digest`."""

    TYPE = "model.verified"
    job_id: str
    outcome: Outcome
    digest: Text | None = None
    claims: dict[str, Claim] = {}
    embedding_dimensions: int | None = None
    attempts: tuple[Attempt, ...] = ()


class ModelEvaluated(ModelEvent, frozen=True, kw_only=True):
    """A model's answers were checked: `scores` are this evaluation's, `quality` is the state after it.

    `claims` are capabilities that its items proved or disproved, of the weights that `quality` names. `ungraded`
    counts, by kind of suite, answers that are neither right nor wrong because grading them failed.
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


class ModelRegressed(ModelEvent, frozen=True, kw_only=True):
    """A model answers worse than before its weights or its server changed, beyond the intervals of both."""

    TYPE = "model.regressed"
    job_id: str
    digest: Text | None = None
    server_version: Text | None = None
    before: Baseline
    drops: tuple[Drop, ...]


class ModelRated(ModelEvent, frozen=True, kw_only=True):
    """A user vouches for how good a model is; `ratings` are all that hold now, one for each use case."""

    TYPE = "model.rated"
    ratings: tuple[Rating, ...]


class AsOf(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an answer reflects: MODELS up to `sequence`, REPORTS up to `reports`, scored at `scored_at`.

    `scored_at` is floored to a minute. Replicas that agree on all three give the same bytes.
    """

    sequence: int
    scored_at: UtcTime
    reports: int = 0


class AnswerChanged(Event, frozen=True, kw_only=True):
    """Another model is best for a use case, asked without constraints: `model` instead of `before`.

    `better` takes at least the switch margin, so that near equals do not take turns; `gone` says that the one
    before is no candidate any more; `first`, that there was none; `none`, that there is none now. With `renamed`,
    `model` is the one before under the new name of its endpoint.
    """

    TYPE = "answer"
    use_case: Text
    reason: Literal["first", "better", "gone", "none"]
    model: ModelRef | None
    score: float | None
    before: ModelRef | None = None
    before_score: float | None = None  # now; None when it is no candidate
    margin: float | None = None  # points between the two
    renamed: bool = False
    detail: Text  # a sentence for people
    as_of: AsOf

    @property
    def subject(self) -> str:
        """answer.<use case>."""
        return f"answer.{subjects.escape(self.use_case)}"


class ModelReported(Event, frozen=True, kw_only=True):
    """What callers reported of a model to one recommender from `since` on; `reported` is the state after it.

    `calls` and the means are of this event alone, and count as in `Reported`. `included` names, by replica, the
    last window that is in the state, so that a window whose acknowledgement was lost is not added twice.
    """

    TYPE = "report"
    model: ModelRef
    since: UtcTime
    calls: int
    failures: dict[str, int] = {}  # by outcome
    callers: int = 1  # at least so many
    uncounted: int = 0  # reports over the limits
    use_cases: dict[str, int] = {}  # reports by use case, where one was said
    prompt_tokens: int = 0  # of all calls whose number was said
    output_tokens: int = 0
    ttft_ms: float | None = None  # geometric means
    output_tps: float | None = None
    included: dict[str, int] = {}
    reported: Reported
    renamed_from: ModelRef | None = None

    @property
    def subject(self) -> str:
        """report.<endpoint>.<name>."""
        return subjects.of_report(self.model)


class Progress(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a job is: step of steps, with a line for people. Core NATS: the newest is what counts.

    While it is queued, `waits_for` says why: its turn (it has `position` of `queue` jobs of the same workers, `behind`
    the one that runs), a worker (none is there), or the next attempt, in `retry_s` seconds. A worker repeats the last
    progress of a job in hand every 20 s.
    """

    job_id: str
    at: UtcTime
    state: ProgressState
    step: int = 0
    steps: int = 0
    message: str = ""
    model: ModelRef | None = None
    field: str | None = None  # of the job, where the job failed because it asks for what does not exist
    kind: JobKind | None = None
    waits_for: Literal["turn", "worker", "retry"] | None = None
    position: int = 0
    queue: int = 0
    behind: Text | None = None
    retry_s: float | None = None

    @property
    def subject(self) -> str:
        """progress.<job id>."""
        return f"progress.{self.job_id}"


class DeadLetter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message that could not be handled, whole, with the reason."""

    service: str
    at: UtcTime
    reason: str
    subject: str
    payload: bytes
    headers: dict[str, str] = {}
    stream: str | None = None
    sequence: int | None = None
    deliveries: int = 1


EVENTS: tuple[type[Event], ...] = (
    Tick,
    Job,
    EndpointObserved,
    ModelFound,
    ModelChanged,
    ModelLost,
    ModelProbed,
    ModelBenchmarked,
    ModelVerified,
    ModelEvaluated,
    ModelRegressed,
    ModelRated,
    AnswerChanged,
    ModelReported,
)

# What anybody may subscribe to: copies that the broker itself republishes from the streams.
PUBLIC_EVENTS: tuple[str, ...] = (
    "model.found",
    "model.changed",
    "model.lost",
    "model.probed",
    "model.benchmarked",
    "model.verified",
    "model.evaluated",
    "model.regressed",
    "model.rated",
)
PUBLIC_ANSWERS = "recommend.changed."  # followed by the use case

_encoder = msgspec.json.Encoder()
_event_decoders = {event.TYPE: msgspec.json.Decoder(event) for event in EVENTS}


def encode(message: Struct) -> bytes:
    """Return *message* as JSON."""
    return _encoder.encode(message)


def decode_event(subject: str, payload: bytes) -> Event:
    """Return the event that *subject*, its own or its public copy's, promises.

    Raises UndecodableMessage with the reason; UnknownEvent when no event of this version lives there.
    """
    if subject.startswith(PUBLIC_ANSWERS):
        subject = f"{AnswerChanged.TYPE}.{subject.removeprefix(PUBLIC_ANSWERS)}"
    first, _, rest = subject.partition(".")
    kind = first if first in _event_decoders else f"{first}.{rest.partition('.')[0]}"
    decoder = _event_decoders.get(kind)
    if decoder is None:
        raise UnknownEvent(subject=subject)
    try:
        return decoder.decode(payload)
    # RecursionError: nesting that is valid JSON; UnicodeDecodeError: invalid UTF-8 inside a string.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableMessage(subject=subject, problem=str(error)) from error


# --- Requests and replies ------------------------------------------------------------------------------------

Limit = Annotated[int, Meta(ge=1, le=100)]
Milliseconds = Annotated[float, Meta(gt=0, le=86_400_000)]
Tokens = Annotated[int, Meta(ge=1, le=2**24)]
Names = Annotated[tuple[Text, ...], Meta(max_length=256)]
Signal = Literal["quality", "speed", "ttft", "reliability", "context", "price"]
Risk = Literal["conservative", "neutral", "explore"]
MAX_REQUEST_BYTES = 64 * 1024
MOST_LISTED = 1000


class Constraints(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a model must satisfy. Everything absent is free."""

    min_context_tokens: Annotated[int, Meta(ge=1, le=2**40)] | None = None
    max_ttft_ms: Annotated[float, Meta(gt=0)] | None = None
    min_output_tps: Annotated[float, Meta(gt=0)] | None = None
    max_price_usd_per_mtok: Annotated[float, Meta(ge=0)] | None = None
    locality: Literal["local", "remote"] | None = None
    providers: Names | None = None
    endpoints: Names | None = None
    families: Names | None = None
    licenses: Names | None = None
    min_parameters: Annotated[int, Meta(ge=0)] | None = None
    max_parameters: Annotated[int, Meta(ge=0)] | None = None
    exclude: Names = ()  # models by endpoint/name, or by name at every endpoint
    statuses: Annotated[tuple[Status, ...], Meta(max_length=16)] | None = None
    min_uptime_24h: Fraction | None = None
    evidence: Evidence = Evidence.INFERRED
    unmeasured: Literal["keep", "reject"] = "reject"  # models without a figure for a numeric limit


class RecommendRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an agent asks: a use case, what the model must be able to do, and limits."""

    use_case: Annotated[str, Meta(min_length=1, max_length=64)]
    capabilities: Annotated[tuple[Capability, ...], Meta(max_length=32)] = ()
    limit: Limit = 3
    constraints: Constraints = Constraints()
    weights: dict[Signal, Annotated[float, Meta(ge=0, le=1000)]] = {}
    risk: Risk = "conservative"
    caller: Annotated[str, Meta(max_length=128)] | None = None


class ModelsRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which models to list. `text` matches anywhere in `endpoint/name`; models that are lost are left out.

    A reply has at most `limit` of them, from `offset` on, and fewer where they would not go into one message: about
    five hundred do.
    """

    capabilities: Annotated[tuple[Capability, ...], Meta(max_length=32)] = ()
    provider: Text | None = None
    endpoint: Text | None = None
    family: Text | None = None
    status: Status | None = None
    text: Text | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST_LISTED)] = MOST_LISTED
    offset: Annotated[int, Meta(ge=0)] = 0


class ModelRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model whole, by `endpoint/name` or by its two parts."""

    model: ModelRef | Annotated[str, Meta(min_length=3, max_length=1024)]


class EndpointsRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All endpoints."""


class ReportRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How one call to a model ended, told by who made it: `ok`, or the class of the error; times in full.

    `ttft_ms` is from the request sent to the first token, `e2e_ms` to the last. `caller` tells callers apart, so
    that none outweighs the others; all that give none share one.
    """

    model: ModelRef | Annotated[str, Meta(min_length=3, max_length=1024)]
    outcome: Outcome
    use_case: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    ttft_ms: Milliseconds | None = None
    e2e_ms: Milliseconds | None = None
    prompt_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    caller: Annotated[str, Meta(max_length=128)] | None = None


class HistoryRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The past of one model, or of all at an endpoint, from `since` until just before `until`, in `buckets`.

    It ends now unless `until` says otherwise, and begins 24 h before that for availability, 7 days before for
    performance.
    """

    model: ModelRef | Annotated[str, Meta(min_length=3, max_length=1024)] | None = None
    endpoint: EndpointName | None = None  # instead of `model`
    since: UtcTime | None = None
    until: UtcTime | None = None
    buckets: Annotated[int, Meta(ge=1, le=500)] = 60


class SummariesRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The past of many models in a line each: of all, of those at `endpoint`, or of the `models` named.

    The time is the last 24 h unless `since` and `until` say otherwise. A page has `limit` models at most, by
    endpoint and name; the next begins behind `after`, which the reply calls `next`.
    """

    models: Annotated[
        tuple[ModelRef | Annotated[str, Meta(min_length=3, max_length=1024)], ...], Meta(max_length=100)
    ] = ()
    endpoint: EndpointName | None = None
    since: UtcTime | None = None
    until: UtcTime | None = None
    limit: Limit = 20
    after: ModelRef | None = None


class PastRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The catalogue as it stood at `at`, a page at a time: `limit` models at most, from behind `after` on."""

    at: UtcTime
    limit: Limit = 20
    after: ModelRef | None = None


class RecommendPastRequest(
    RecommendRequest, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A recommendation as it would have been made at `at`."""

    at: UtcTime


ContributionKind = Literal["measured", "reported", "declared", "inferred", "prior", "peers", "floor", "user"]


class Contribution(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One signal of one candidate. `points` of all signals add up to the raw score."""

    signal: Signal
    raw: float | None = None
    unit: str = ""
    utility: float
    confidence: float
    weight: float
    points: float
    reported_points: float = 0.0  # of the points, what callers' reports changed
    kind: ContributionKind
    n: int | None = None
    age_s: float | None = None
    note: str = ""


class Recommendation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model, how it scored, and what is needed to call it at once. Scores are 0 to 100."""

    model: ModelRef
    provider: str
    url: str
    api: str
    score: float
    raw_score: float
    confidence: float
    status: Status
    resident: bool | None = None
    equivalent: bool = False  # within the error band of the best
    base_url: str | None = None  # for OpenAI clients
    key_ref: str | None = None
    context_tokens: int | None = None
    output_tps: float | None = None
    ttft_ms: float | None = None
    ttft_cold_ms: float | None = None
    expected_ttft_ms: float | None = None  # now, given whether the model is resident
    multipliers: dict[str, float] = {}
    contributions: tuple[Contribution, ...] = ()
    score_without_reports: float | None = None  # with contributions, where callers' reports changed the score
    retires_at: UtcTime | None = None  # when its service says that the model ends


class Rejection(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a model is no candidate: a code, what was needed, what it has."""

    model: ModelRef
    code: str
    need: Any = None
    value: Any = None


class Relaxation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The constraint whose relaxation admits the nearest model."""

    constraint: str
    need: Any = None
    to: Any = None
    model: ModelRef
    also: tuple[str, ...] = ()  # further constraints in the way of the same model
    score: float | None = None  # of that model then


class Improvement(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The smallest change of one signal by which a model would come first, all else being as it is.

    `by` is the change relative to what the signal is now; None where that is nothing.
    """

    model: ModelRef
    signal: Signal | Literal["status"]
    raw: float | None = None
    to: float | str
    unit: str = ""
    by: float | None = None


class BestReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The best model, those behind it, and how the field was narrowed."""

    use_case: str
    recommendation: Recommendation | None
    fallbacks: tuple[Recommendation, ...]
    considered: int
    rejected: dict[str, int]
    as_of: AsOf
    relax: Relaxation | None = None


class TopReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The best models in order."""

    use_case: str
    recommendations: tuple[Recommendation, ...]
    considered: int
    rejected: dict[str, int]
    as_of: AsOf
    relax: Relaxation | None = None


class ExplainReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The ranking with every contribution, every rejection, and what would change it.

    `relax` admits the nearest of the rejected models; `improve` would bring the second model to the first place.
    """

    use_case: str
    recommendations: tuple[Recommendation, ...]
    rejections: tuple[Rejection, ...]  # of the nearest models
    rejections_omitted: int = 0  # models rejected beside those
    considered: int
    rejected: dict[str, int]
    weights: dict[str, float]
    risk: Risk
    as_of: AsOf
    summary: tuple[str, ...]
    relax: Relaxation | None = None
    improve: Improvement | None = None
    unmeasured: tuple[
        str, ...
    ] = ()  # which models wait for leave to be measured: a sentence for each endpoint


class Availability(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How reliably a model answered, as fractions of telling probes, and when it was last seen to."""

    checked_at: UtcTime
    since: UtcTime
    answered_at: UtcTime | None = None
    uptime_24h: float | None = None
    uptime_7d: float | None = None
    uptime_30d: float | None = None
    probes_24h: int = 0
    last: ProbeSample | None = None


class MeasuredSpeed(Struct, frozen=True, kw_only=True):
    """Medians and percentiles of the last benchmarks; milliseconds and tokens per second."""

    output_tps: float | None
    ttft_ms: float | None
    ttft_cold_ms: float | None
    load_ms: float | None
    ttft_p95_ms: float | None
    ttft_long_ms: float | None
    itl_p50_ms: float | None
    itl_p95_ms: float | None
    output_tps_min: float | None
    output_tps_max: float | None
    texts_per_s: float | None
    n: int
    failures: int
    contended: int
    spread: float | None  # interquartile range over median, of the headline rate
    measured_at: UtcTime


class ModelView(Struct, frozen=True, kw_only=True):
    """One model as the catalogue holds it now. `info` and `capabilities` carry their evidence."""

    model: ModelRef
    provider: str
    url: str
    api: str
    info: ModelInfo
    capabilities: dict[str, Claim]
    status: Status
    stale: bool  # the status is unknown because its last probe is too old
    resident: bool | None
    availability: Availability | None
    performance: MeasuredSpeed | None
    found_at: UtcTime | None
    revision: int
    same_weights: tuple[ModelRef, ...] = ()  # at other endpoints, or by other names
    quality: Quality | None = None
    ratings: tuple[Rating, ...] = ()
    figures: Performance | None = None  # every figure with its spread; `models.get` alone gives them
    failures: tuple[Failure, ...] = ()  # transcripts; `models.get` alone gives them
    published: tuple[Published, ...] = ()  # what its service says of itself; `models.get` alone gives it
    attempts: tuple[Attempt, ...] = ()  # what its capabilities were put to; `models.get` alone gives them
    notes: tuple[
        str, ...
    ] = ()  # what is strange about its name: invisible characters, other names it looks like
    formerly: ModelRef | None = (
        None  # its name before its endpoint was renamed; what is older was measured as that
    )


class ModelsReply(Struct, frozen=True, kw_only=True):
    """Models, how many match in all, of how many considered, and the stream sequence they reflect."""

    models: tuple[ModelView, ...]
    total: int
    considered: int = 0
    as_of: AsOf


class EndpointView(Struct, frozen=True, kw_only=True):
    """A configured endpoint with its last observation, or None before the first."""

    endpoint: str
    provider: str
    url: str
    group: str  # the host group whose processor it uses
    models: int
    state: EndpointState | None
    used: Use = Use()  # today (UTC), by Vedette itself; by purpose in `state.ledger`
    budget: dict[str, float] = {}  # what it may use in a day; absent is unlimited
    unmeasured: int = 0  # models of which nothing is generated without leave, because calls may cost
    unmeasured_why: str = ""  # what shows that calls may cost, and what gives leave


class EndpointsReply(Struct, frozen=True, kw_only=True):
    """All configured endpoints, by name."""

    endpoints: tuple[EndpointView, ...]
    as_of: AsOf


class AvailabilityBucket(Struct, frozen=True, kw_only=True):
    """Probes from `start` until the next bucket. Latencies are those of probes that found the model up."""

    start: UtcTime
    probes: int
    counts: dict[Outcome, int]
    uptime: float | None  # a fraction; None when no probe was telling
    latency_p50_ms: float | None
    latency_p95_ms: float | None


class AvailabilityHistory(Struct, frozen=True, kw_only=True):
    """How a model, or all at an endpoint, answered: buckets of equal length, empty ones too, and all of the time.

    Whoever asks for a model is told of a `model`, whoever asks for an endpoint of an `endpoint`.
    """

    model: ModelRef | None
    since: UtcTime
    until: UtcTime
    buckets: tuple[AvailabilityBucket, ...]
    probes: int
    uptime: float | None
    down_by_cause: dict[ProbeCause, int]  # probes that count as downtime, by what failed
    endpoint: EndpointName | None = None


class PerformancePoint(Struct, frozen=True, kw_only=True):
    """One benchmark, or those of one bucket: medians of their figures, the rest as of the last of them.

    A benchmark's figures are the rolling ones after it; one that failed has none.
    """

    measured_at: UtcTime
    outcome: Outcome
    benchmarks: int
    failed: int
    n: int  # warm runs behind the figures
    contended: int  # of the n, those during which the endpoint had other work
    output_tps: float | None
    ttft_ms: float | None
    ttft_cold_ms: float | None
    load_ms: float | None
    texts_per_s: float | None


class PerformanceHistory(Struct, frozen=True, kw_only=True):
    """How fast a model, or those of an endpoint, were, in order of time.

    With more benchmarks than buckets, a point is a bucket.
    """

    model: ModelRef | None
    since: UtcTime
    until: UtcTime
    points: tuple[PerformancePoint, ...]
    benchmarks: int
    endpoint: EndpointName | None = None


class ModelSummary(Struct, frozen=True, kw_only=True):
    """How one model did: `first` and `last` are the rates after the first and the last good benchmark of the time.

    The rate is in texts per second where `embeds`, else in output tokens per second.
    """

    model: ModelRef
    lost_at: UtcTime | None  # it is not there any more since then
    probes: int
    uptime: float | None  # a fraction; None when no probe was telling
    down_by_cause: dict[ProbeCause, int]
    latency_p50_ms: float | None  # of probes that found the model up
    benchmarks: int
    failed: int
    first: float | None
    last: float | None
    embeds: bool = False


class SummariesReply(Struct, frozen=True, kw_only=True):
    """Models by endpoint and name, and where the next page begins: None at the end."""

    since: UtcTime
    until: UtcTime
    models: tuple[ModelSummary, ...]
    next: ModelRef | None = None


class PastEvent(Struct, frozen=True, kw_only=True):
    """An event of the past as its stream held it, less what history does not keep."""

    subject: str
    sequence: int
    event: msgspec.Raw


class PastModel(Struct, frozen=True, kw_only=True):
    """A model that was there: the last event of each kind up to then, oldest first."""

    model: ModelRef
    events: tuple[PastEvent, ...]


class PastReply(Struct, frozen=True, kw_only=True):
    """The models that were there at `at`, by endpoint and name, and where the next page begins: None at the end.

    Their events carry what history keeps: a probe's health has its status and its tallies, counted from the
    recorded probes, but neither its streak nor transcripts; a benchmark's figures come without their samples.
    """

    at: UtcTime
    models: tuple[PastModel, ...]
    probes_since: UtcTime | None = None  # the oldest probe that is still recorded, of whatever model
    next: ModelRef | None = None


class RecommendPastReply(Struct, frozen=True, kw_only=True):
    """What would have been recommended at `at`, explained, and in what it may differ from what was said then."""

    at: UtcTime
    explanation: ExplainReply
    unknown: tuple[str, ...]


class ReportReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether a report counts, and else why not: a limit, for instance."""

    counted: bool
    reason: str | None = None


class ErrorBody(Struct, frozen=True, kw_only=True):
    """What is wrong with a request: a stable code, a sentence, and the path of the field."""

    code: str
    message: str
    field: str | None = None


class ErrorReply(Struct, frozen=True, kw_only=True):
    """The body of every error reply."""

    error: ErrorBody

    @classmethod
    def of(cls, error: RequestError) -> "ErrorReply":
        """Return *error* as it goes over the wire."""
        return cls(error=ErrorBody(code=error.code, message=error.message, field=error.field))


# --- Request/reply subjects: the request, the reply, and who serves them ------------------------------------


class Question(Struct, frozen=True, kw_only=True):
    """A request subject, its two shapes and the service that answers."""

    subject: str
    request: type[Struct]
    reply: type[Struct]
    service: str
    doc: str


QUESTIONS: tuple[Question, ...] = (
    Question(
        subject="recommend.best",
        request=RecommendRequest,
        reply=BestReply,
        service="recommender",
        doc="The best model for a use case under constraints, and fallbacks in order.",
    ),
    Question(
        subject="recommend.top",
        request=RecommendRequest,
        reply=TopReply,
        service="recommender",
        doc="The best models in order, as many as `limit`.",
    ),
    Question(
        subject="recommend.explain",
        request=RecommendRequest,
        reply=ExplainReply,
        service="recommender",
        doc="The ranking with every contribution, rejection, and what would change it.",
    ),
    Question(
        subject="models.list",
        request=ModelsRequest,
        reply=ModelsReply,
        service="recommender",
        doc="Models by capability, provider, endpoint, family, status and text.",
    ),
    Question(
        subject="models.get",
        request=ModelRequest,
        reply=ModelsReply,
        service="recommender",
        doc="One model whole.",
    ),
    Question(
        subject="endpoints.list",
        request=EndpointsRequest,
        reply=EndpointsReply,
        service="recommender",
        doc="Configured endpoints with their last observation.",
    ),
    Question(
        subject="report.outcome",
        request=ReportRequest,
        reply=ReportReply,
        service="recommender",
        doc="Tell how a call to a model ended.",
    ),
    Question(
        subject="history.availability",
        request=HistoryRequest,
        reply=AvailabilityHistory,
        service="recorder",
        doc="How a model, or all at an endpoint, answered probes over time.",
    ),
    Question(
        subject="history.performance",
        request=HistoryRequest,
        reply=PerformanceHistory,
        service="recorder",
        doc="How fast a model, or those at an endpoint, were over time.",
    ),
    Question(
        subject="history.models",
        request=SummariesRequest,
        reply=SummariesReply,
        service="recorder",
        doc="How many models did over time, in a line each.",
    ),
    Question(
        subject="history.asof",
        request=PastRequest,
        reply=PastReply,
        service="recorder",
        doc="The catalogue as it stood at a time.",
    ),
    Question(
        subject="recommend.asof",
        request=RecommendPastRequest,
        reply=RecommendPastReply,
        service="recommender",
        doc="What would have been recommended at a time, explained.",
    ),
)
