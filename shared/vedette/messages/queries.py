"""Requests and replies of every query.

Which subject they have and which service replies: `channels`. Requests are strict: an unknown field is an error that
names it.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from vedette.errors import RequestError
from vedette.messages.constraints import Constraints
from vedette.messages.events import AsOf, Attempt
from vedette.types import (
    Bound,
    Capability,
    Claim,
    EndpointName,
    EndpointState,
    Failure,
    ModelInfo,
    ModelRef,
    Outcome,
    Performance,
    ProbeCause,
    ProbeSample,
    Published,
    Quality,
    Rating,
    Signal,
    Status,
    Text,
    Use,
    UtcTime,
)

Limit = Annotated[int, Meta(ge=1, le=100)]
Milliseconds = Annotated[float, Meta(gt=0, le=86_400_000)]
Tokens = Annotated[int, Meta(ge=1, le=2**24)]
Risk = Literal["conservative", "neutral", "explore"]
MAX_REQUEST_BYTES = 64 * 1024
MOST_LISTED = 1000


class RecommendRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an agent asks: a use case, what the model must be able to do, and limits."""

    use_case: Annotated[str, Meta(min_length=1, max_length=64)]
    capabilities: Annotated[tuple[Capability, ...], Meta(max_length=32)] = ()
    limit: Limit = 3
    constraints: Constraints = Constraints()
    weights: dict[Signal, Annotated[float, Meta(ge=0, le=1000)]] = {}
    bounds: Annotated[
        dict[Bound, Annotated[float, Meta(ge=0, le=1e9)]],
        Meta(description="other bounds than those of the use case; 0 lifts one"),
    ] = {}
    risk: Risk = "neutral"
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
    endpoint: Annotated[EndpointName | None, Meta(description="instead of `model`")] = None
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
    reported_points: Annotated[float, Meta(description="of the points, what callers' reports changed")] = 0.0
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
    equivalent: Annotated[bool, Meta(description="within the error band of the best")] = False
    base_url: Annotated[str | None, Meta(description="for OpenAI clients")] = None
    key_ref: str | None = None
    context_tokens: int | None = None
    output_tps: float | None = None
    ttft_ms: float | None = None
    ttft_cold_ms: float | None = None
    expected_ttft_ms: Annotated[
        float | None, Meta(description="now, given whether the model is resident")
    ] = None
    multipliers: dict[str, float] = {}
    contributions: tuple[Contribution, ...] = ()
    score_without_reports: Annotated[
        float | None, Meta(description="with contributions, where callers' reports changed the score")
    ] = None
    retires_at: Annotated[UtcTime | None, Meta(description="when its service says that the model ends")] = (
        None
    )


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
    also: Annotated[
        tuple[str, ...], Meta(description="further constraints in the way of the same model")
    ] = ()
    score: Annotated[float | None, Meta(description="of that model then")] = None


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
    rejections: Annotated[tuple[Rejection, ...], Meta(description="of the nearest models")]
    rejections_omitted: Annotated[int, Meta(description="models rejected beside those")] = 0
    considered: int
    rejected: dict[str, int]
    weights: dict[str, float]
    risk: Risk
    as_of: AsOf
    summary: tuple[str, ...]
    relax: Relaxation | None = None
    improve: Improvement | None = None
    unmeasured: Annotated[
        tuple[str, ...],
        Meta(description="models that wait for leave to be measured: a sentence for each endpoint"),
    ] = ()


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
    spread: Annotated[float | None, Meta(description="interquartile range over median, of the headline rate")]
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
    stale: Annotated[bool, Meta(description="the status is unknown because its last probe is too old")]
    resident: bool | None
    availability: Availability | None
    performance: MeasuredSpeed | None
    found_at: UtcTime | None
    revision: int
    same_weights: Annotated[
        tuple[ModelRef, ...], Meta(description="at other endpoints, or by other names")
    ] = ()
    quality: Quality | None = None
    ratings: tuple[Rating, ...] = ()
    figures: Annotated[
        Performance | None, Meta(description="every figure with its spread; `models.get` alone gives them")
    ] = None
    failures: Annotated[
        tuple[Failure, ...], Meta(description="transcripts; `models.get` alone gives them")
    ] = ()
    published: Annotated[
        tuple[Published, ...],
        Meta(description="what its service says of itself; `models.get` alone gives it"),
    ] = ()
    attempts: Annotated[
        tuple[Attempt, ...],
        Meta(description="the calls that checked its capabilities; `models.get` alone gives them"),
    ] = ()
    notes: Annotated[
        tuple[str, ...],
        Meta(description="what is strange about its name: invisible characters, other names it looks like"),
    ] = ()
    formerly: Annotated[
        ModelRef | None,
        Meta(description="its name before its endpoint was renamed; what is older was measured as that"),
    ] = None


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
    group: Annotated[str, Meta(description="the host group whose processor it uses")]
    models: int
    state: EndpointState | None
    used: Annotated[Use, Meta(description="today (UTC), by Vedette itself; by purpose in `state.ledger`")] = (
        Use()
    )
    budget: Annotated[
        dict[str, float], Meta(description="what it may use in a day; absent is unlimited")
    ] = {}
    unmeasured: Annotated[
        int, Meta(description="models of which nothing is generated without leave, because calls may cost")
    ] = 0
    unmeasured_why: Annotated[
        str, Meta(description="what shows that calls may cost, and what gives leave")
    ] = ""


class EndpointsReply(Struct, frozen=True, kw_only=True):
    """All configured endpoints, by name."""

    endpoints: tuple[EndpointView, ...]
    as_of: AsOf


class AvailabilityBucket(Struct, frozen=True, kw_only=True):
    """Probes from `start` until the next bucket. Latencies are those of probes that found the model up."""

    start: UtcTime
    probes: int
    counts: dict[Outcome, int]
    uptime: Annotated[float | None, Meta(description="a fraction; None when no probe was telling")]
    latency_p50_ms: float | None
    latency_p95_ms: float | None


class AvailabilityHistory(Struct, frozen=True, kw_only=True):
    """How a model, or all at an endpoint, answered: buckets of equal length, empty ones too, and all of the time.

    A query for a model gets `model` back, a query for an endpoint gets `endpoint`.
    """

    model: ModelRef | None
    since: UtcTime
    until: UtcTime
    buckets: tuple[AvailabilityBucket, ...]
    probes: int
    uptime: float | None
    down_by_cause: Annotated[
        dict[ProbeCause, int], Meta(description="probes that count as downtime, by what failed")
    ]
    endpoint: EndpointName | None = None


class PerformancePoint(Struct, frozen=True, kw_only=True):
    """One benchmark, or those of one bucket: medians of their figures, the rest as of the last of them.

    A benchmark's figures are the rolling ones after it; one that failed has none.
    """

    measured_at: UtcTime
    outcome: Outcome
    benchmarks: int
    failed: int
    n: Annotated[int, Meta(description="warm runs behind the figures")]
    contended: Annotated[int, Meta(description="of the n, those during which the endpoint had other work")]
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
    lost_at: Annotated[UtcTime | None, Meta(description="it is not there any more since then")]
    probes: int
    uptime: Annotated[float | None, Meta(description="a fraction; None when no probe was telling")]
    down_by_cause: dict[ProbeCause, int]
    latency_p50_ms: Annotated[float | None, Meta(description="of probes that found the model up")]
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
    probes_since: Annotated[
        UtcTime | None, Meta(description="the oldest probe that is still recorded, of whatever model")
    ] = None
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
