"""Every query: its request, its reply and, right after them, its declaration.

Requests are strict: an unknown field is an error that names the field. `channels` has all queries in one table.
"""

from typing import Annotated, Any, Final, Literal, Self

import msgspec
from msgspec import Meta, Struct

from vedette.errors import RequestError
from vedette.messages import story
from vedette.messages.constraints import Constraints
from vedette.messages.declaring import Query
from vedette.messages.events import AsOf, Attempt, EndpointLoad, ModelFound
from vedette.types import (
    HINT,
    Bound,
    Capability,
    Claim,
    EndpointName,
    EndpointState,
    Failure,
    Judged,
    LeftOut,
    ModelInfo,
    ModelRef,
    Origin,
    Outcome,
    Performance,
    Price,
    ProbeCause,
    ProbeSample,
    Published,
    Quality,
    Rating,
    Reported,
    Signal,
    SortKey,
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
MAX_LISTED = 1000
MAX_MEASURED = 200  # outcome reports in one request of the gateway


# Recommendations ----------------------------------------------------------------------------------------------


class RecommendRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an agent needs: a use case, capabilities and constraints."""

    use_case: Annotated[str, Meta(min_length=1, max_length=64)]
    capabilities: Annotated[tuple[Capability, ...], Meta(max_length=32)] = ()
    limit: Limit = 3
    constraints: Constraints = Constraints()
    weights: dict[Signal, Annotated[float, Meta(ge=0, le=1000)]] = {}
    bounds: Annotated[
        dict[Bound, Annotated[float, Meta(ge=0, le=1e9)]],
        Meta(description="bounds that replace those of the use case; 0 removes a bound"),
    ] = {}
    risk: Risk = "neutral"
    caller: Annotated[
        Annotated[str, Meta(max_length=128)] | None,
        Meta(description="any name; callers are spread over models that are equally good"),
    ] = None
    session: Annotated[
        Annotated[str, Meta(max_length=128)] | None,
        Meta(description="a conversation: it keeps its model while that is equally good", extra=HINT),
    ] = None

    @classmethod
    def example(cls) -> Self:
        """Return the request of the examples."""
        return cls(
            use_case="chat",
            capabilities=(Capability.CHAT,),
            constraints=Constraints(max_ttft_ms=500.0, min_output_tps=20.0),
        )


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
    reported_points: Annotated[
        float, Meta(description="part of the points that comes from outcome reports")
    ] = 0.0
    kind: ContributionKind
    n: int | None = None
    age_s: float | None = None
    note: str = ""
    low: Annotated[
        float | None,
        Meta(description="95 % interval of the utility: of the quality alone, unless a user rated it"),
    ] = None
    high: float | None = None


class Now(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The present state of a model, if it differs from the measurements at rest. See docs/now.md."""

    ttft_times_slower: Annotated[float, Meta(description="by a detected change")] = 1.0
    output_times_slower: Annotated[float, Meta(description="the same of the output rate")] = 1.0
    failing: Annotated[float, Meta(description="share of calls that fail, beyond the usual")] = 0.0
    detected_by: Literal["reports", "benchmark", "probes", ""] = ""
    since: UtcTime | None = None
    running: Annotated[
        int | None, Meta(description="requests that its server works on, of this model if it says")
    ] = None
    waiting: int | None = None
    slots: int | None = None


class Recommendation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model, its score, and everything that a call needs. Scores are 0 to 100."""

    model: ModelRef
    provider: str
    url: str
    api: str
    score: float
    raw_score: float
    confidence: float
    status: Status
    resident: bool | None = None
    may_unload: Annotated[
        tuple[str, ...],
        Meta(description="if it is not loaded: models loaded now, which its server may unload to load it"),
    ] = ()
    equivalent: Annotated[bool, Meta(description="within the error band of the best")] = False
    base_url: Annotated[str | None, Meta(description="for OpenAI clients")] = None
    key_ref: str | None = None
    context_tokens: int | None = None
    price: Price | None = None
    output_tps: float | None = None
    ttft_ms: float | None = None
    ttft_cold_ms: float | None = None
    expected_ttft_ms: Annotated[
        float | None, Meta(description="expected now: cold if the model is not resident")
    ] = None
    expected_output_tps: Annotated[float | None, Meta(description="expected now")] = None
    now: Annotated[
        Now | None, Meta(description="only if the present differs from the measurements at rest")
    ] = None
    multipliers: dict[str, float] = {}
    contributions: tuple[Contribution, ...] = ()
    score_without_reports: Annotated[
        float | None, Meta(description="only with contributions, if outcome reports changed the score")
    ] = None
    measured_as: Annotated[
        ModelRef | None,
        Meta(description="its former name, if its figures or scores were measured under that one"),
    ] = None
    retires_at: Annotated[
        UtcTime | None,
        Meta(description="when the model will be shut down, by its service or by published dates"),
    ] = None

    @classmethod
    def example(cls) -> Self:
        """Return the recommendation of the examples."""
        return cls(
            model=story.QWEN,
            provider="ollama",
            url="http://gpu-box:11434",
            api="ollama",
            score=78.4,
            raw_score=81.0,
            confidence=0.9,
            status=Status.AVAILABLE,
            resident=True,
            base_url="http://gpu-box:11434/v1",
            context_tokens=32_768,
            output_tps=61.5,
            ttft_ms=140.0,
        )


class Rejection(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a model is not a candidate: a code, the requirement, and the model's value."""

    model: ModelRef
    code: str
    need: Any = None
    value: Any = None


class Relaxation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The constraint to relax, so that the nearest miss becomes a candidate."""

    constraint: str
    need: Any = None
    to: Any = None
    model: ModelRef
    also: Annotated[tuple[str, ...], Meta(description="further constraints that reject the same model")] = ()
    score: Annotated[float | None, Meta(description="the score that the model would have")] = None


class Improvement(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The smallest change of one signal that makes the model the winner.

    `by` is the change relative to the current value; None if that is zero.
    """

    model: ModelRef
    signal: Signal | Literal["status"]
    raw: float | None = None
    to: float | str
    unit: str = ""
    by: float | None = None


UnknownCapabilities = Annotated[
    tuple[Capability, ...],
    Meta(description="capabilities of which it is unknown whether these models have them"),
]


class BestReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The best model, its fallbacks, and the number of rejected models by reason."""

    use_case: str
    recommendation: Recommendation | None
    fallbacks: tuple[Recommendation, ...]
    considered: int
    rejected: dict[str, int]
    as_of: AsOf
    relax: Relaxation | None = None
    unknown_capabilities: UnknownCapabilities = ()


RECOMMEND_BEST: Final = Query(
    subject="recommend.best",
    request=RecommendRequest,
    reply=BestReply,
    service="recommender",
    path="/recommend/{use_case}",
    doc="The best model for a use case under constraints, and fallbacks in order.",
    example=lambda: (
        RecommendRequest.example(),
        BestReply(
            use_case="chat",
            recommendation=Recommendation.example(),
            fallbacks=(),
            considered=12,
            rejected={"capability": 3},
            as_of=AsOf.example(),
        ),
    ),
)


class TopReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The best models in order."""

    use_case: str
    recommendations: tuple[Recommendation, ...]
    considered: int
    rejected: dict[str, int]
    as_of: AsOf
    relax: Relaxation | None = None
    unknown_capabilities: UnknownCapabilities = ()


RECOMMEND_TOP: Final = Query(
    subject="recommend.top",
    request=RecommendRequest,
    reply=TopReply,
    service="recommender",
    askers=("console", "gateway"),
    path="/top/{use_case}",
    doc="The best models in order, as many as `limit`.",
    example=lambda: (
        RecommendRequest.example(),
        TopReply(
            use_case="chat",
            recommendations=(Recommendation.example(),),
            considered=12,
            rejected={"capability": 3},
            as_of=AsOf.example(),
        ),
    ),
)


class ExplainReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The ranking with every contribution, every rejection, and what would change it.

    `relax` admits the nearest miss; `improve` makes the second model the winner.
    """

    use_case: str
    recommendations: tuple[Recommendation, ...]
    rejections: Annotated[tuple[Rejection, ...], Meta(description="the rejections of the near misses")]
    rejections_omitted: Annotated[int, Meta(description="further rejected models, not listed")] = 0
    considered: int
    rejected: dict[str, int]
    weights: dict[str, float]
    risk: Risk
    as_of: AsOf
    summary: tuple[str, ...]
    relax: Relaxation | None = None
    improve: Improvement | None = None
    spread: Annotated[
        dict[str, float],
        Meta(description="share of all callers by model, where several are equally good"),
    ] = {}
    unmeasured: Annotated[
        tuple[str, ...],
        Meta(description="models that wait for permission to be benchmarked: a sentence for each endpoint"),
    ] = ()
    unknown_capabilities: UnknownCapabilities = ()

    @classmethod
    def example(cls) -> Self:
        """Return the explanation of the examples."""
        return cls(
            use_case="chat",
            recommendations=(Recommendation.example(),),
            rejections=(Rejection(model=story.LLAMA, code="min_output_tps", need=20.0, value=14.2),),
            weights={"quality": 4.0, "speed": 2.0},
            risk="conservative",
            summary=("gpu/qwen2.5:7b is first: quality 0.92, 61.5 tokens/s.",),
            considered=12,
            rejected={"capability": 3},
            as_of=AsOf.example(),
        )


RECOMMEND_EXPLAIN: Final = Query(
    subject="recommend.explain",
    request=RecommendRequest,
    reply=ExplainReply,
    service="recommender",
    askers=("console", "gateway"),
    path="/explain/{use_case}",
    doc="The ranking with every contribution, rejection, and what would change it.",
    example=lambda: (RecommendRequest.example(), ExplainReply.example()),
)


# Models -------------------------------------------------------------------------------------------------------


class ModelsRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which models to list. `text` matches anywhere in `endpoint/name`. Lost models are not listed.

    A reply has at most `limit` models, starting at `offset`, and fewer if they do not fit into one message (about 500
    fit). Models without the figure to sort by come last.
    """

    capabilities: Annotated[tuple[Capability, ...], Meta(max_length=32)] = ()
    provider: Text | None = None
    endpoint: Text | None = None
    family: Text | None = None
    status: Status | None = None
    text: Text | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_LISTED)] = MAX_LISTED
    offset: Annotated[int, Meta(ge=0)] = 0
    sort: Annotated[SortKey, Meta(description="`uptime` is the uptime of the last 24 h")] = SortKey.NAME
    descending: bool = False
    distinct: Annotated[
        bool, Meta(description="of models with the same weights, only the first in this order")
    ] = False
    constraints: Annotated[
        Constraints,
        Meta(description="as in a recommendation; models of any status satisfy them if `statuses` is absent"),
    ] = Constraints()


class ModelRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model with all details, by `endpoint/name` or by its two parts."""

    model: ModelRef | Annotated[str, Meta(min_length=3, max_length=1024)]


class Availability(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How reliably a model answered: fractions of the probes that count, and when it last answered."""

    checked_at: UtcTime
    since: UtcTime
    answered_at: UtcTime | None = None
    uptime_24h: float | None = None
    uptime_7d: float | None = None
    uptime_30d: float | None = None
    probes_24h: int = 0
    last: ProbeSample | None = None


class MeasuredCall(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the last benchmark, capability check or evaluation of a model ended. These calls request tokens."""

    at: UtcTime
    purpose: Literal["benchmark", "capability check", "evaluation"]
    outcome: Outcome
    detail: str | None = None


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
    """One model as it is in the catalogue now. `info` and `capabilities` include their evidence."""

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
        tuple[ModelRef, ...],
        Meta(description="models with the same weights at other endpoints, or by other names"),
    ] = ()
    quality: Quality | None = None
    judged: Annotated[
        Judged | None,
        Meta(description="the judgements of its texts; the texts only in replies to `models.get`"),
    ] = None
    ratings: tuple[Rating, ...] = ()
    figures: Annotated[
        Performance | None, Meta(description="every figure with its spread; only in replies to `models.get`")
    ] = None
    failures: Annotated[
        tuple[Failure, ...], Meta(description="transcripts; only in replies to `models.get`")
    ] = ()
    published: Annotated[
        tuple[Published, ...],
        Meta(description="figures that its service publishes; only in replies to `models.get`"),
    ] = ()
    attempts: Annotated[
        tuple[Attempt, ...],
        Meta(description="the calls that checked its capabilities; only in replies to `models.get`"),
    ] = ()
    notes: Annotated[
        tuple[str, ...],
        Meta(description="problems of its name: invisible characters, similar names"),
    ] = ()
    formerly: Annotated[
        ModelRef | None,
        Meta(description="its name before its endpoint was renamed; older measurements have that name"),
    ] = None
    measured_as: Annotated[
        ModelRef | None,
        Meta(description="its former name, if its figures or scores were measured under that one"),
    ] = None
    last_call: Annotated[
        MeasuredCall | None,
        Meta(description="how its last benchmark, capability check or evaluation ended"),
    ] = None
    reported: Annotated[
        Reported | None,
        Meta(description="outcome reports of callers, as they count now; only in replies to `models.get`"),
    ] = None

    @classmethod
    def example(cls) -> Self:
        """Return the model of the examples."""
        return cls(
            model=story.QWEN,
            provider="ollama",
            url="http://gpu-box:11434",
            api="ollama",
            info=story.INFO,
            capabilities=story.CHAT,
            status=Status.AVAILABLE,
            stale=False,
            resident=True,
            availability=Availability(
                checked_at=story.AT,
                since=story.EARLIER,
                answered_at=story.AT,
                uptime_24h=0.993,
                probes_24h=144,
            ),
            performance=None,
            found_at=story.EARLIER,
            revision=1,
        )


class Counts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many of the models that match have which status, and how many were not measured or not evaluated yet."""

    statuses: dict[Status, int] = {}
    unmeasured: Annotated[int, Meta(description="without a figure of speed")] = 0
    unevaluated: Annotated[int, Meta(description="without a score of quality")] = 0


class ModelsReply(Struct, frozen=True, kw_only=True):
    """Models, the total that match, how many were considered, and the stream sequence that the reply reflects."""

    models: tuple[ModelView, ...]
    total: int
    considered: int = 0
    as_of: AsOf
    counts: Annotated[
        Counts, Meta(description="counts of all models that match; only in replies to `models.list`")
    ] = Counts()


MODELS_LIST: Final = Query(
    subject="models.list",
    request=ModelsRequest,
    reply=ModelsReply,
    service="recommender",
    askers=("console", "gateway"),
    path="/models",
    doc="Models by capability, provider, endpoint, family, status and text.",
    example=lambda: (
        ModelsRequest(capabilities=(Capability.CHAT,), endpoint="gpu", limit=10),
        ModelsReply(models=(ModelView.example(),), total=1, considered=12, as_of=AsOf.example()),
    ),
)


MODELS_GET: Final = Query(
    subject="models.get",
    request=ModelRequest,
    reply=ModelsReply,
    service="recommender",
    askers=("console", "gateway"),
    path="/models/{model:path}",
    doc="One model with all details.",
    example=lambda: (
        ModelRequest(model="gpu/qwen2.5:7b"),
        ModelsReply(
            models=(ModelView.example(),),
            total=1,
            considered=12,
            as_of=AsOf.example(),
        ),
    ),
)


# Endpoints ----------------------------------------------------------------------------------------------------


class EndpointsRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All endpoints."""


class EndpointView(Struct, frozen=True, kw_only=True):
    """An endpoint in force with its last observation, or None before the first."""

    endpoint: str
    provider: str
    url: str
    group: Annotated[str, Meta(description="the host group whose processor it uses")]
    models: int
    state: EndpointState | None
    load: Annotated[
        EndpointLoad | None,
        Meta(description="the last reading of its load: stale after 2.5 times its `every_s`"),
    ] = None
    used: Annotated[
        Use, Meta(description="usage by Vedette itself today (UTC); by purpose in `state.ledger`")
    ] = Use()
    budget: Annotated[dict[str, float], Meta(description="limits per day; an absent limit is unlimited")] = {}
    unmeasured: Annotated[
        int,
        Meta(description="models that are not benchmarked without permission, because calls may cost money"),
    ] = 0
    unmeasured_why: Annotated[
        str, Meta(description="why calls may cost money, and which setting permits them")
    ] = ""
    origin: Annotated[
        Origin | None,
        Meta(description="its origin; absent if only the configuration file defines it"),
    ] = None

    @property
    def closed_state(self) -> str:
        """`paused` or `asleep`; empty if the endpoint is contacted."""
        if self.origin is None or self.origin.closed is None:
            return ""
        return "paused" if self.origin.paused else "asleep"


class EndpointsReply(Struct, frozen=True, kw_only=True):
    """All endpoints in force, by name, and the definitions that are not in force."""

    endpoints: tuple[EndpointView, ...]
    as_of: AsOf
    left_out: tuple[LeftOut, ...] = ()
    definitions: Annotated[
        int | None,
        Meta(
            description="sequence in DEFINITIONS up to which changes at run time are in force; null: none are"
        ),
    ] = None
    appeared: Annotated[
        int | None, Meta(description="the same of APPEARED and of endpoints that appear by themselves")
    ] = None


ENDPOINTS_LIST: Final = Query(
    subject="endpoints.list",
    request=EndpointsRequest,
    reply=EndpointsReply,
    service="recommender",
    path="/endpoints",
    doc="Endpoints in force with their last observation, where they are from, and definitions that are left out.",
    example=lambda: (
        EndpointsRequest(),
        EndpointsReply(
            endpoints=(
                EndpointView(
                    endpoint="gpu",
                    provider="ollama",
                    url="http://gpu-box:11434",
                    group="gpu-box",
                    models=4,
                    state=None,
                    used=Use(requests=320, tokens=41_000),
                    budget={"requests": 5000},
                ),
            ),
            as_of=AsOf.example(),
        ),
    ),
)


# Outcome reports ----------------------------------------------------------------------------------------------


class ReportRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The outcome report of one call to a model, from its caller: `ok`, or the class of the error.

    `ttft_ms` is the time from the request to the first token, `e2e_ms` to the last token. `caller` is any name. Limits
    count by account, which NATS supplies, so `caller` changes no limit.
    """

    model: ModelRef | Annotated[str, Meta(min_length=3, max_length=1024)]
    outcome: Outcome
    use_case: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    ttft_ms: Milliseconds | None = None
    e2e_ms: Milliseconds | None = None
    prompt_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    caller: Annotated[str, Meta(max_length=128)] | None = None


class ReportReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether a report counts; if not, the reason, for example a limit."""

    counted: bool
    reason: str | None = None


REPORT_OUTCOME: Final = Query(
    subject="report.outcome",
    request=ReportRequest,
    reply=ReportReply,
    service="recommender",
    repeatable=False,
    path="/outcomes",
    method="POST",
    doc="Report how a call to a model ended.",
    example=lambda: (
        ReportRequest(
            model="gpu/qwen2.5:7b", outcome=Outcome.OK, use_case="chat", ttft_ms=150.0, e2e_ms=2300.0
        ),
        ReportReply(counted=True),
    ),
)


class MeasuredRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Outcome reports of calls that the gateway made and measured itself, of several callers and models."""

    reports: Annotated[tuple[ReportRequest, ...], Meta(max_length=MAX_MEASURED)]


class MeasuredReply(Struct, frozen=True, kw_only=True):
    """How many of the reports count. Reports of models that are gone, or over the limits, do not count."""

    counted: int


REPORT_MEASURED: Final = Query(
    subject="report.measured",
    request=MeasuredRequest,
    reply=MeasuredReply,
    service="recommender",
    askers=("gateway",),
    public=False,
    repeatable=False,
    doc="Outcome reports of calls that the gateway measured; no agent may send them.",
    example=lambda: (
        MeasuredRequest(
            reports=(
                ReportRequest(
                    model="gpu/qwen2.5:7b",
                    outcome=Outcome.OK,
                    use_case="chat",
                    ttft_ms=150.0,
                    e2e_ms=2300.0,
                    prompt_tokens=812,
                    output_tokens=96,
                    caller="team-a",
                ),
            )
        ),
        MeasuredReply(counted=1),
    ),
)


# Between services ---------------------------------------------------------------------------------------------


class UsageRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Asks for the usage of every caller today. It has no fields."""


class Used(Struct, frozen=True, kw_only=True):
    """The usage of one caller in a day."""

    requests: int = 0
    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: "Used") -> "Used":
        """Return both together."""
        return Used(
            requests=self.requests + other.requests,
            tokens=self.tokens + other.tokens,
            usd=self.usd + other.usd,
        )


class Left(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The rest of the budgets of a day; absent: no limit."""

    requests: int | None = None
    tokens: int | None = None
    usd: float | None = None


class CallerView(Struct, frozen=True, kw_only=True):
    """A caller of the gateway: its usage today at all replicas, and the rest of its budgets."""

    name: str
    used: Used
    left: Left
    known: Annotated[bool, Meta(description="false: its key was removed today")] = True


class UsageReply(Struct, frozen=True, kw_only=True):
    """The usage of a day (UTC), callers by name."""

    day: str
    callers: tuple[CallerView, ...]


GATEWAY_USAGE: Final = Query(
    subject="gateway.usage",
    request=UsageRequest,
    reply=UsageReply,
    service="gateway",
    askers=(),
    public=False,
    doc="What callers of the gateway have used today, and what is left of their budgets; for operators alone.",
    example=lambda: (
        UsageRequest(),
        UsageReply(
            day=story.DAY,
            callers=(
                CallerView(
                    name="team-a",
                    used=Used(requests=120, tokens=84_000, usd=0.31),
                    left=Left(tokens=916_000, usd=4.69),
                ),
            ),
        ),
    ),
)


class OwnRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Asks for the requests that Vedette itself has in progress at an endpoint."""

    endpoint: str


class OwnReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Requests of one measurement or probe, or those that ended less than two seconds ago."""

    requests: int
    model: Annotated[str | None, Meta(description="absent if the requests are for several models")] = None


OWN_REQUESTS: Final = Query(
    subject="own.requests",
    request=OwnRequest,
    reply=OwnReply,
    service="benchmarker",
    beside=("prober",),
    askers=("prober",),
    public=False,
    doc="How many requests Vedette itself has at an endpoint; only a process that has some replies.",
    example=lambda: (OwnRequest(endpoint="gpu"), OwnReply(requests=1, model="qwen2.5:7b")),
)


# History ------------------------------------------------------------------------------------------------------


class HistoryRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The history of one model, or of all at an endpoint, from `since` until just before `until`, in `buckets`.

    Default of `until`: now. Default of `since`: 24 h before `until` for availability, 7 days for performance.
    """

    model: ModelRef | Annotated[str, Meta(min_length=3, max_length=1024)] | None = None
    endpoint: Annotated[EndpointName | None, Meta(description="instead of `model`")] = None
    since: UtcTime | None = None
    until: UtcTime | None = None
    buckets: Annotated[int, Meta(ge=1, le=500)] = 60


class AvailabilityBucket(Struct, frozen=True, kw_only=True):
    """Probes from `start` until the next bucket. Latencies include only probes that found the model up."""

    start: UtcTime
    probes: int
    counts: dict[Outcome, int]
    uptime: Annotated[float | None, Meta(description="a fraction; None if no probe counts")]
    latency_p50_ms: float | None
    latency_p95_ms: float | None


class AvailabilityHistory(Struct, frozen=True, kw_only=True):
    """The availability of a model, or of all models at an endpoint: buckets of equal length, also empty ones; totals.

    A query for a model returns `model`, a query for an endpoint returns `endpoint`.
    """

    model: ModelRef | None
    since: UtcTime
    until: UtcTime
    buckets: tuple[AvailabilityBucket, ...]
    probes: int
    uptime: float | None
    down_by_cause: Annotated[
        dict[ProbeCause, int], Meta(description="probes that count as downtime, by cause")
    ]
    endpoint: EndpointName | None = None


HISTORY_AVAILABILITY: Final = Query(
    subject="history.availability",
    request=HistoryRequest,
    reply=AvailabilityHistory,
    service="recorder",
    path="/history/availability",
    doc="How a model, or all at an endpoint, answered probes over time.",
    example=lambda: (
        HistoryRequest(model="gpu/qwen2.5:7b", since=story.EARLIER, until=story.AT, buckets=1),
        AvailabilityHistory(
            model=story.QWEN,
            since=story.EARLIER,
            until=story.AT,
            buckets=(
                AvailabilityBucket(
                    start=story.EARLIER,
                    probes=6,
                    counts={Outcome.OK: 5, Outcome.TIMEOUT: 1},
                    uptime=0.8333,
                    latency_p50_ms=182.0,
                    latency_p95_ms=260.0,
                ),
            ),
            probes=6,
            uptime=0.8333,
            down_by_cause={"model": 1},
        ),
    ),
)


class PerformancePoint(Struct, frozen=True, kw_only=True):
    """One benchmark, or the benchmarks of one bucket: medians of their figures, other fields from the last one.

    The figures of a benchmark are the rolling figures after it; a failed benchmark has none.
    """

    measured_at: UtcTime
    outcome: Outcome
    benchmarks: int
    failed: int
    n: Annotated[int, Meta(description="number of warm runs")]
    contended: Annotated[int, Meta(description="how many of the n runs met other work at the endpoint")]
    output_tps: float | None
    ttft_ms: float | None
    ttft_cold_ms: float | None
    load_ms: float | None
    texts_per_s: float | None


class PerformanceHistory(Struct, frozen=True, kw_only=True):
    """How fast a model, or the models of an endpoint, were over time.

    With more benchmarks than buckets, a point is a bucket.
    """

    model: ModelRef | None
    since: UtcTime
    until: UtcTime
    points: tuple[PerformancePoint, ...]
    benchmarks: int
    endpoint: EndpointName | None = None


HISTORY_PERFORMANCE: Final = Query(
    subject="history.performance",
    request=HistoryRequest,
    reply=PerformanceHistory,
    service="recorder",
    path="/history/performance",
    doc="How fast a model, or those at an endpoint, were over time.",
    example=lambda: (
        HistoryRequest(endpoint="gpu", since=story.EARLIER, until=story.AT),
        PerformanceHistory(
            model=None,
            since=story.EARLIER,
            until=story.AT,
            points=(
                PerformancePoint(
                    measured_at=story.AT,
                    outcome=Outcome.OK,
                    benchmarks=1,
                    failed=0,
                    n=6,
                    contended=0,
                    output_tps=61.5,
                    ttft_ms=140.0,
                    ttft_cold_ms=None,
                    load_ms=None,
                    texts_per_s=None,
                ),
            ),
            benchmarks=1,
            endpoint="gpu",
        ),
    ),
)


class SummariesRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The history of many models, one line each: all models, those at `endpoint`, or the named `models`.

    The default time range is the last 24 h. A page has at most `limit` models, by endpoint and name. Send the `next`
    of a reply as `after` to get the next page.
    """

    models: Annotated[
        tuple[ModelRef | Annotated[str, Meta(min_length=3, max_length=1024)], ...], Meta(max_length=100)
    ] = ()
    endpoint: EndpointName | None = None
    since: UtcTime | None = None
    until: UtcTime | None = None
    limit: Limit = 20
    after: ModelRef | None = None


class ModelSummary(Struct, frozen=True, kw_only=True):
    """The history of one model: `first` and `last` are the rates after its first and its last successful benchmark.

    The rate is in texts per second if `embeds`, else in output tokens per second.
    """

    model: ModelRef
    lost_at: Annotated[UtcTime | None, Meta(description="when it was lost; None if it is present")]
    probes: int
    uptime: Annotated[float | None, Meta(description="a fraction; None if no probe counts")]
    down_by_cause: dict[ProbeCause, int]
    latency_p50_ms: Annotated[float | None, Meta(description="of probes that found the model up")]
    benchmarks: int
    failed: int
    first: float | None
    last: float | None
    embeds: bool = False


class SummariesReply(Struct, frozen=True, kw_only=True):
    """Models by endpoint and name, and the start of the next page: None at the end."""

    since: UtcTime
    until: UtcTime
    models: tuple[ModelSummary, ...]
    next: ModelRef | None = None


HISTORY_MODELS: Final = Query(
    subject="history.models",
    request=SummariesRequest,
    reply=SummariesReply,
    service="recorder",
    path="/history/models",
    doc="The history of many models, one line each.",
    example=lambda: (
        SummariesRequest(endpoint="gpu", since=story.EARLIER, until=story.AT, limit=1),
        SummariesReply(
            since=story.EARLIER,
            until=story.AT,
            models=(
                ModelSummary(
                    model=story.QWEN,
                    lost_at=None,
                    probes=6,
                    uptime=0.8333,
                    down_by_cause={"model": 1},
                    latency_p50_ms=182.0,
                    benchmarks=1,
                    failed=0,
                    first=61.5,
                    last=61.5,
                ),
            ),
            next=story.QWEN,
        ),
    ),
)


# As of a time -------------------------------------------------------------------------------------------------


class PastRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The catalogue as of `at`, in pages of at most `limit` models that follow `after`."""

    at: UtcTime
    limit: Limit = 20
    after: ModelRef | None = None


class PastEvent(Struct, frozen=True, kw_only=True):
    """A recorded event as it was in its stream, without the parts that the history does not keep."""

    subject: str
    sequence: int
    event: msgspec.Raw


class PastModel(Struct, frozen=True, kw_only=True):
    """A model that was present: the last event of each kind up to then, oldest first."""

    model: ModelRef
    events: tuple[PastEvent, ...]


class PastReply(Struct, frozen=True, kw_only=True):
    """The models that were present at `at`, by endpoint and name, and the start of the next page: None at the end.

    The events include what history keeps. The health of a probe has its status and its tallies, counted from the
    recorded probes, but no streak and no transcripts. The figures of a benchmark have no samples.
    """

    at: UtcTime
    models: tuple[PastModel, ...]
    probes_since: Annotated[UtcTime | None, Meta(description="the oldest recorded probe of any model")] = None
    next: ModelRef | None = None


HISTORY_ASOF: Final = Query(
    subject="history.asof",
    request=PastRequest,
    reply=PastReply,
    service="recorder",
    askers=("recommender", "console"),
    doc="The catalogue as it stood at a time.",
    example=lambda: (
        PastRequest(at=story.AT, limit=1),
        PastReply(
            at=story.AT,
            models=(
                PastModel(
                    model=story.QWEN,
                    events=(
                        PastEvent(
                            subject="model.found.gpu.qwen2=2E5=3A7b",
                            sequence=12,
                            event=msgspec.Raw(msgspec.json.encode(ModelFound.example())),
                        ),
                    ),
                ),
            ),
            probes_since=story.EARLIER,
        ),
    ),
)


class RecommendPastRequest(
    RecommendRequest, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The recommendation as of `at`."""

    at: UtcTime


class RecommendPastReply(Struct, frozen=True, kw_only=True):
    """The recommendation as of `at`, explained, and how it may differ from the recommendation given then."""

    at: UtcTime
    explanation: ExplainReply
    unknown: tuple[str, ...]


RECOMMEND_ASOF: Final = Query(
    subject="recommend.asof",
    request=RecommendPastRequest,
    reply=RecommendPastReply,
    service="recommender",
    repeatable=False,
    path="/recommend/{use_case}/asof",
    doc="What would have been recommended at a time, explained.",
    example=lambda: (
        RecommendPastRequest(use_case="chat", at=story.EARLIER),
        RecommendPastReply(at=story.EARLIER, explanation=ExplainReply.example(), unknown=()),
    ),
)


class ModelsPastRequest(
    ModelsRequest, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The models as of `at`, as in `models.list`; or one `model` with all details, as in `models.get`."""

    at: UtcTime
    model: ModelRef | Annotated[str, Meta(min_length=3, max_length=1024)] | None = None


class ModelsPastReply(Struct, frozen=True, kw_only=True):
    """The models as of `at`, and which facts of that time are unknown."""

    at: UtcTime
    reply: ModelsReply
    unknown: tuple[str, ...]


MODELS_ASOF: Final = Query(
    subject="models.asof",
    request=ModelsPastRequest,
    reply=ModelsPastReply,
    service="recommender",
    repeatable=False,
    path="/models/asof",
    doc="The models as they were at a time, or one model with all details.",
    example=lambda: (
        ModelsPastRequest(at=story.EARLIER, text="qwen", limit=1),
        ModelsPastReply(
            at=story.EARLIER,
            reply=ModelsReply(models=(ModelView.example(),), total=1, considered=12, as_of=AsOf.example()),
            unknown=("use cases, weights and endpoints are those configured now",),
        ),
    ),
)


# Errors -------------------------------------------------------------------------------------------------------


class ErrorBody(Struct, frozen=True, kw_only=True):
    """The error of a request: a stable code, a sentence, and the path of the field."""

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
