"""The nouns that events carry: what a model is, whether it answers, how fast and how well.

All are frozen and keyword-only. Times are aware UTC. A value that is not known is `None` (or absent from a
mapping); it is never zero, never false, never best. Units stand in the names: `_ms`, `_s`, `_bytes`,
`_tokens`, `_usd_per_mtok` (US dollars per million tokens), `_tps` (tokens per second).
"""

import math
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

UtcTime = Annotated[datetime, Meta(tz=True)]
EndpointName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\Z")]
# A provider's own name for a model: any text without control characters. Subjects carry it escaped.
ModelName = Annotated[str, Meta(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f\x7f-\x9f]+\Z")]
Text = Annotated[str, Meta(max_length=2048)]
# SQL and JSON readers elsewhere hold 64-bit integers at most; servers have been seen to send more.
Count = Annotated[int, Meta(ge=0, le=2**62)]
Positive = Annotated[float, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
# `extra` in the `Meta` of a request's field: where a service ignores the field, its reply is right, only less good.
HINT: Final = {"hint": True}


class Value(Struct, frozen=True, gc=False):
    """The base of every noun: a value that the garbage collector ignores, because values form no cycles.

    A catalogue of ten thousand models has a million values, which the collector would scan again and again.
    """


class ModelRef(Value, frozen=True, order=True):
    """A model at one configured endpoint, written `endpoint/name`."""

    endpoint: EndpointName
    name: ModelName

    def __str__(self) -> str:
        return f"{self.endpoint}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> "ModelRef":
        """Return the model that *text* (`endpoint/name`) names. Raises ValueError when it names none."""
        endpoint, slash, name = text.partition("/")
        if not slash:
            raise ValueError(f"{text!r} is not of the form endpoint/name")
        try:
            return msgspec.convert({"endpoint": endpoint, "name": name}, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"{text!r} does not name a model: {error}") from error


# Models, and what they can do ---------------------------------------------------------------------------------


class Evidence(StrEnum):
    """Why a capability is believed, weakest first."""

    INFERRED = "inferred"
    DECLARED = "declared"
    VERIFIED = "verified"

    @property
    def strength(self) -> int:
        """Zero for the weakest; compare with `>=`."""
        return _EVIDENCE.index(self)


_EVIDENCE = tuple(Evidence)


class Capability(StrEnum):
    """What a model can be asked to do. The first group are interfaces, the second tasks."""

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"
    RERANK = "rerank"
    TOOLS = "tools"
    JSON_SCHEMA = "json_schema"
    VISION = "vision"
    AUDIO = "audio"
    THINKING = "thinking"
    INSERT = "insert"

    CODE_GENERATION = "code_generation"
    CODE_UNDERSTANDING = "code_understanding"
    REASONING = "reasoning"
    DOCUMENTATION = "documentation"
    SUMMARISATION = "summarisation"
    EXTRACTION = "extraction"


class Claim(Value, frozen=True, kw_only=True):
    """One capability: yes or no, on what evidence, from where. An absent claim means unknown."""

    value: bool
    evidence: Evidence
    source: Text
    contradicted_by: Text | None = None

    def beside(self, other: "Claim") -> "Claim":
        """Return the claim on stronger evidence, self where they are equal; what contradicts it is noted."""
        stronger, weaker = (
            (self, other) if self.evidence.strength >= other.evidence.strength else (other, self)
        )
        if stronger.value == weaker.value or stronger.contradicted_by is not None:
            return stronger
        return msgspec.structs.replace(stronger, contradicted_by=f"{weaker.evidence}: {weaker.source}")


class Price(Value, frozen=True, kw_only=True):
    """The price of a million tokens (USD), its source and its date."""

    input_usd_per_mtok: Positive
    output_usd_per_mtok: Positive
    source: Text
    as_of: Text | None = None

    def usd(self, input_tokens: float, output_tokens: float) -> float:
        """Return what calls of that many tokens cost (USD)."""
        return (input_tokens * self.input_usd_per_mtok + output_tokens * self.output_usd_per_mtok) / 1e6


Kind = Literal["chat", "completion", "embedding", "rerank", "unknown"]
Locality = Literal["local", "remote", "unknown"]
Signal = Literal["quality", "speed", "ttft", "reliability", "context", "price"]  # what a score is made of
Bound = Literal["answer_s", "answer_usd", "quality", "context_tokens"]  # what no signal makes up for


class ModelInfo(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What is known about a model without calling it. `sources` names the source of each field."""

    model: ModelRef
    provider: Text
    url: Text
    api: Text
    kind: Kind = "unknown"
    digest: Text | None = None
    canonical: Annotated[
        Text | None, Meta(description="equal for the same weights by any name at any endpoint")
    ] = None
    family: Text | None = None
    architecture: Text | None = None
    parameters: Count | None = None
    active_parameters: Count | None = None
    quantization: Text | None = None
    format: Text | None = None
    size_bytes: Count | None = None
    license: Text | None = None
    native_context_tokens: Count | None = None
    configured_context_tokens: Count | None = None
    served_context_tokens: Count | None = None
    embedding_dimensions: Count | None = None
    input_modalities: tuple[Text, ...] = ()
    output_modalities: tuple[Text, ...] = ()
    locality: Locality = "unknown"
    knowledge_cutoff: Text | None = None
    modified_at: UtcTime | None = None
    retires_at: Annotated[UtcTime | None, Meta(description="when the model ends, by its service")] = None
    capabilities: dict[str, Claim] = {}
    price: Price | None = None
    free: Annotated[
        bool | None, Meta(description="whether a call is known to cost nothing; `sources` says why")
    ] = None
    behind: Annotated[
        Text | None,
        Meta(description="URL of the one server behind a gateway's name, if the gateway reports it"),
    ] = None
    passed_on: Annotated[
        Text | None,
        Meta(description="the gateway that passes calls on; its listing shows only that the name exists"),
    ] = None
    disturbs: Annotated[
        Text | None, Meta(description="why a call may interrupt answers to other clients")
    ] = None
    base_url: Annotated[Text | None, Meta(description="for OpenAI clients, if a call found it")] = None
    key_ref: Annotated[
        Text | None, Meta(description="where the caller finds the key ('env:GPU_KEY'), never the key")
    ] = None
    described: Annotated[bool, Meta(description="False: listed, but the description could not be read")] = (
        True
    )
    description_error: Text | None = None
    sources: dict[str, Text] = {}

    @property
    def asked_as(self) -> Kind:
        """The kind of call that it gets: a chat where nothing says the kind and no claim denies chat."""
        if self.kind != "unknown":
            return self.kind
        chats = self.capabilities.get(Capability.CHAT)
        return "chat" if chats is None or chats.value else "unknown"

    @property
    def thinks(self) -> bool | None:
        """Whether it thinks before it answers, or None where nothing says so."""
        claim = self.capabilities.get(Capability.THINKING)
        return claim.value if claim else None

    @property
    def context_tokens(self) -> int | None:
        """The context a caller can count on: served, else configured, else native."""
        return self.served_context_tokens or self.configured_context_tokens or self.native_context_tokens


class FieldChange(Value, frozen=True, kw_only=True):
    """One field of ModelInfo before and after, as JSON values."""

    field: str
    old: Any = None
    new: Any = None


# Probes and health --------------------------------------------------------------------------------------------


class Outcome(StrEnum):
    """How one contact with an endpoint ended."""

    OK = "ok"
    LOADING = "loading"
    BUSY = "busy"
    RATE_LIMITED = "rate_limited"
    QUOTA_USED = "quota_used"  # one model's own quota, of a day say
    AUTH_FAILED = "auth_failed"
    NO_CREDIT = "no_credit"  # the account has none left
    FORBIDDEN = "forbidden"  # by the service's policy, for this model, place or account; the key is right
    NOT_FOUND = "not_found"
    UNSUPPORTED = "unsupported"
    BAD_REQUEST = "bad_request"
    SERVER_ERROR = "server_error"
    GARBAGE = "garbage"
    TOO_LARGE = "too_large"
    INCOMPLETE = "incomplete"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    RESET = "reset"
    UNREACHABLE = "unreachable"


class Level(StrEnum):
    """How deep a probe went, shallowest first."""

    REACH = "reach"
    LIST = "list"
    DESCRIBE = "describe"
    RESIDENCY = "residency"
    ANSWER = "answer"


class SortKey(StrEnum):
    """The order of a list of models; `name` is endpoint and name."""

    NAME = "name"
    OUTPUT_TPS = "output_tps"
    TTFT_MS = "ttft_ms"
    UPTIME = "uptime"
    CONTEXT = "context"
    PARAMETERS = "parameters"
    PRICE = "price"
    CHECKED_AT = "checked_at"


class Status(StrEnum):
    """Whether a model can be called now."""

    AVAILABLE = "available"
    DEGRADED = "degraded"
    BUSY = "busy"
    LOADING = "loading"
    RATE_LIMITED = "rate_limited"
    AUTH_FAILED = "auth_failed"
    UNSUPPORTED = "unsupported"
    NOT_FOUND = "not_found"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


# What may be called; unknown is there so that a stopped prober does not stop every agent (ADR 0003).
CALLABLE = frozenset({Status.AVAILABLE, Status.BUSY, Status.DEGRADED, Status.UNKNOWN})
PINNED_BEYOND = timedelta(days=365)  # Ollama writes "never" as the year 2319


class Percentiles(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Percentiles that a service publishes. For a speed, higher percentiles are slower."""

    p50: Positive | None = None
    p75: Positive | None = None
    p90: Positive | None = None
    p99: Positive | None = None


class Published(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What a service publishes about a model. Vedette did not measure it, and no score includes it.

    `by` is the server behind the service, if the service forwards requests. `uptime` is the fraction of requests that
    succeeded within a day; the percentiles are over half an hour.
    """

    source: Text
    by: Text = ""
    as_of: UtcTime
    uptime: Fraction | None = None
    ttft_ms: Percentiles | None = None
    output_tps: Percentiles | None = None


class Residency(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Whether a model is loaded. `expires_at` is when the server will unload it, if the server publishes that."""

    resident: bool
    expires_at: UtcTime | None = None
    context_tokens: Count | None = None
    size_bytes: Count | None = None
    vram_bytes: Count | None = None
    swaps: Annotated[
        bool,
        Meta(
            description="the server unloads it when idle, or to load another model, and does not publish when"
        ),
    ] = False

    def is_resident(self, now: datetime) -> bool:
        """Return whether the model is loaded at *now*, which is true only until the seen expiry."""
        return self.resident and (self.expires_at is None or now < self.expires_at)

    def is_pinned(self, now: datetime) -> bool:
        """Return whether no unloading is in sight at *now*."""
        if self.expires_at is None:
            return not self.swaps
        return self.expires_at - now > PINNED_BEYOND


class ModelLoad(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The load of one model on its server, as far as the server reports it: requests, and output tokens per second."""

    running: Count | None = None
    waiting: Count | None = None
    slots: Count | None = None
    cache_use: Fraction | None = None
    output_tps: Positive | None = None


ProbeCause = Literal["model", "endpoint"]


class ProbeSample(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One probe. `cause` is `endpoint` if the endpoint itself failed, which counts for all its models."""

    job_id: str
    at: UtcTime
    outcome: Outcome
    level: Level
    latency_ms: Positive | None = None
    cause: ProbeCause = "model"
    detail: Text | None = None


class Exchange(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One request and the response that arrived, both shortened for people. No secrets."""

    sent: Text
    received: Text | None = None


class Failure(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The transcript of a probe that failed because of the model, not the endpoint."""

    at: UtcTime
    level: Level
    outcome: Outcome
    exchange: Exchange


class Tally(Value, frozen=True, kw_only=True):
    """Probes by outcome within one hour or one day that begins at `start`."""

    start: UtcTime
    counts: dict[str, int]


# A probe that was turned away for its rate says nothing about downtime; a wrong question neither.
NOT_DOWNTIME = frozenset({Outcome.RATE_LIMITED, Outcome.QUOTA_USED, Outcome.UNSUPPORTED, Outcome.BAD_REQUEST})
UP = frozenset({Outcome.OK, Outcome.BUSY, Outcome.LOADING})


def uptime(counts: Mapping[Outcome, int]) -> float | None:
    """Return the fraction of probes, counted by outcome, that found a model up; None when none counts."""
    counted = sum(n for outcome, n in counts.items() if outcome not in NOT_DOWNTIME)
    if not counted:
        return None
    return sum(n for outcome, n in counts.items() if outcome in UP) / counted


class Health(Value, frozen=True, kw_only=True):
    """A model's availability after its last probe, computed from all its probes."""

    status: Status
    since: UtcTime
    checked_at: UtcTime
    answered_at: UtcTime | None = None
    streak: Annotated[
        int, Meta(description="consecutive probes with the same verdict, which may not be the status yet")
    ] = 1
    outcomes: Annotated[tuple[ProbeSample, ...], Meta(description="the last 20, oldest first")] = ()
    hourly: Annotated[tuple[Tally, ...], Meta(description="the last 24 hours with a probe")] = ()
    daily: Annotated[tuple[Tally, ...], Meta(description="the last 30 days with a probe")] = ()
    residency: Residency | None = None
    failures: Annotated[tuple[Failure, ...], Meta(description="the last 20, oldest first")] = ()
    published: Annotated[tuple[Published, ...], Meta(description="the last that the service published")] = ()

    def counts(self, now: datetime, *, hours: int) -> dict[str, int]:
        """Return probes by outcome over the last *hours*: hourly tallies to 24, daily ones beyond."""
        tallies = self.hourly if hours <= 24 else self.daily
        since = now - timedelta(hours=hours)
        total: dict[str, int] = {}
        for tally in tallies:
            if since < tally.start <= now:
                for outcome, n in tally.counts.items():
                    total[outcome] = total.get(outcome, 0) + n
        return total

    def uptime(self, now: datetime, *, hours: int) -> float | None:
        """Return the fraction of probes that found the model up, or None when none counts."""
        counts = {Outcome(o): n for o, n in self.counts(now, hours=hours).items() if o in _OUTCOMES}
        return uptime(counts)


_OUTCOMES = frozenset(Outcome)


# Speed --------------------------------------------------------------------------------------------------------


class Figure(Value, frozen=True, kw_only=True):
    """A measured quantity over n samples. `spread` is the interquartile range over the median."""

    n: int
    median: float
    p95: float
    min: float
    max: float
    spread: float


PromptLength = Literal["short", "long"]


class RunSample(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One measured generation or embedding call, with the figures of the client and of the server."""

    job_id: str
    at: UtcTime
    prompt: PromptLength
    cold: Annotated[bool, Meta(description="the model was not resident when the request was sent")]
    outcome: Outcome = Outcome.OK
    detail: Text | None = None
    prompt_tokens: Count | None = None
    output_tokens: Count | None = None
    estimated: Annotated[
        bool, Meta(description="output_tokens are counted deltas, because the server gave no usage")
    ] = False
    ttft_ms: Annotated[Positive | None, Meta(description="request sent to first content or thinking")] = None
    ttfo_ms: Annotated[
        Positive | None, Meta(description="request sent to first content that is not thinking")
    ] = None
    itl_p50_ms: Positive | None = None
    itl_p95_ms: Positive | None = None
    e2e_ms: Positive | None = None
    output_tps: Annotated[
        Positive | None, Meta(description="rate of the tokens after the first packet, by the client's clock")
    ] = None
    buffered: Annotated[
        bool, Meta(description="tokens came in too few packets to compute a rate: a proxy buffers the stream")
    ] = False
    load_ms: Positive | None = None
    server_output_tps: Positive | None = None
    server_prompt_tps: Positive | None = None
    texts_per_s: Positive | None = None
    embedding_tps: Positive | None = None
    digest: Text | None = None
    server_version: Text | None = None
    contended: Annotated[Text | None, Meta(description="other activity of the endpoint during the run")] = (
        None
    )
    others: Annotated[
        Count | None, Meta(description="other requests that ran when it began or ended, where that is known")
    ] = None
    context_limit_tokens: Annotated[
        Count | None, Meta(description="the served context, from the refusal of this run")
    ] = None


class StreamsLoad(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What an endpoint delivers to several concurrent streams: total throughput, latency of each."""

    streams: int
    throughput_tps: Annotated[
        Positive, Meta(description="output tokens of all streams over the time from first token to last")
    ]
    output_tps: Annotated[Figure, Meta(description="each stream alone")]
    ttft_ms: Figure
    failures: int = 0


class Sweep(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One concurrency sweep, by rising number of streams."""

    measured_at: UtcTime
    loads: tuple[StreamsLoad, ...]
    digest: Text | None = None


class Performance(Value, frozen=True, kw_only=True, omit_defaults=True):
    """How fast a model is: figures over its last samples of the current digest, cold and warm separately."""

    measured_at: UtcTime
    n: Annotated[int, Meta(description="number of successful warm samples")]
    failures: int = 0
    contended: Annotated[int, Meta(description="of the n, runs during which the endpoint had other work")] = 0
    digest: Text | None = None
    server_version: Text | None = None
    output_tps: Annotated[Figure | None, Meta(description="warm, both prompt lengths")] = None
    ttft_ms: Annotated[Figure | None, Meta(description="warm, short prompt")] = None
    ttft_long_ms: Annotated[Figure | None, Meta(description="warm, long prompt")] = None
    itl_ms: Annotated[Figure | None, Meta(description="medians of the runs")] = None
    e2e_ms: Figure | None = None
    ttft_cold_ms: Figure | None = None
    load_ms: Figure | None = None
    texts_per_s: Figure | None = None
    embedding_tps: Figure | None = None
    server_output_tps: Figure | None = None
    samples: Annotated[
        tuple[RunSample, ...], Meta(description="the last 30 per prompt length and temperature, oldest first")
    ] = ()
    sweep: Annotated[Sweep | None, Meta(description="the last sweep, if there was one")] = None

    @property
    def refused_beyond(self) -> RunSample | None:
        """The last run whose refusal named the context served, unless a longer one succeeded since."""
        last = None
        for sample in self.samples:
            if sample.context_limit_tokens is not None:
                last = sample
            elif last and (sample.prompt_tokens or 0) > (last.context_limit_tokens or 0):
                last = None
        return last


# Outcome reports ----------------------------------------------------------------------------------------------


class Reported(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Outcome reports of a model with the weights `digest`: sums as of `as_of`, which halve every day.

    They are separate from Vedette's own measurements. Logarithms are natural, of milliseconds and of output tokens per
    second: `exp(sum / n)` is the geometric mean, which one absurd report hardly changes.
    """

    as_of: UtcTime
    digest: Text | None = None
    calls: Annotated[
        float,
        Meta(description="that count for the model: ok, or failed for a reason that is not the caller's"),
    ] = 0.0
    succeeded: float = 0.0
    failures: Annotated[dict[str, float], Meta(description="by outcome")] = {}
    ttft_n: float = 0.0
    ttft_log_sum: float = 0.0
    output_tps_n: float = 0.0
    output_tps_log_sum: float = 0.0

    @property
    def ttft_ms(self) -> float | None:
        """The geometric mean of the reported times to the first token."""
        return math.exp(self.ttft_log_sum / self.ttft_n) if self.ttft_n > 0 else None

    @property
    def output_tps(self) -> float | None:
        """The geometric mean of the reported rates."""
        return math.exp(self.output_tps_log_sum / self.output_tps_n) if self.output_tps_n > 0 else None

    def at(self, now: datetime) -> "Reported":
        """Return these sums as they count at *now*."""
        left = 2.0 ** -(max(0.0, (now - self.as_of).total_seconds()) / REPORTS_HALF_LIFE_S)
        return msgspec.structs.replace(
            self,
            as_of=max(now, self.as_of),
            calls=self.calls * left,
            succeeded=self.succeeded * left,
            failures={outcome: n * left for outcome, n in self.failures.items()},
            ttft_n=self.ttft_n * left,
            ttft_log_sum=self.ttft_log_sum * left,
            output_tps_n=self.output_tps_n * left,
            output_tps_log_sum=self.output_tps_log_sum * left,
        )


REPORTS_HALF_LIFE_S = 86_400.0
CHANGE_HOLDS_S = 1800.0  # without a further report, a detected change counts for so long


class Deviation(Value, frozen=True, kw_only=True, array_like=True):
    """Reports of one account since a sum of the change detector was zero: their number and total deviation."""

    n: float = 0.0
    total: float = 0.0

    def __add__(self, other: "Deviation") -> "Deviation":
        return Deviation(n=self.n + other.n, total=self.total + other.total)


class Watch(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What outcome reports show of one signal now: the state of a change detector.

    Of TTFT and output rate, values are natural logarithms of "times slower than measured at rest"; of reliability, they
    are the share of calls that fail. `level` is the detected change, in the same unit: 0 is as usual, above it is
    worse. Accounts have short digests for names.
    """

    level: float = 0.0
    changed_at: Annotated[UtcTime | None, Meta(description="when the level last changed")] = None
    suspected_at: Annotated[
        UtcTime | None,
        Meta(description="when the evidence last reached a third of the threshold for a change"),
    ] = None
    heard_at: Annotated[UtcTime | None, Meta(description="of the last report that counts here")] = None
    usual_n: Annotated[float, Meta(description="reports behind the usual value; halves every day")] = 0.0
    usual_total: float = 0.0
    worse: Annotated[
        dict[str, Deviation], Meta(description="by account, since the sum for the worse was zero")
    ] = {}
    better: Annotated[
        dict[str, Deviation], Meta(description="by account, since the sum for the better was zero")
    ] = {}

    def level_at(self, now: datetime) -> float:
        """Return the change that still counts at *now*."""
        if self.heard_at is None or (now - self.heard_at).total_seconds() > CHANGE_HOLDS_S:
            return 0.0
        return self.level


# Quality ------------------------------------------------------------------------------------------------------


class Score(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Successes and trials of one suite kind at one suite version (`kind@version`).

    `weight` is how much each trial counts: less than 1 where answers could not be graded fully, as `note` says.
    """

    successes: int
    trials: int
    suite: str
    weight: Annotated[float, Meta(gt=0, le=1)] = 1.0
    note: Text = ""

    @property
    def counted(self) -> float:
        """How many full trials it is worth."""
        return self.weight * self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the rate of right answers [Wilson 1927]; all of [0, 1] before any trial."""
        if not self.trials:
            return 0.0, 1.0
        n, rate = self.counted, self.successes / self.trials
        middle = (rate + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
        reach = _Z95 / (1 + _Z95**2 / n) * math.sqrt(rate * (1 - rate) / n + _Z95**2 / (4 * n * n))
        return max(0.0, middle - reach), min(1.0, middle + reach)

    def __add__(self, other: "Score") -> "Score":
        return Score(
            successes=self.successes + other.successes,
            trials=self.trials + other.trials,
            suite=self.suite,
            weight=other.weight,
            note=other.note,
        )


_Z95 = 1.959964  # the standard normal's 97.5 % quantile


class Miss(Value, frozen=True, kw_only=True):
    """A wrong answer: the question, the answer, and what is wrong."""

    suite: str
    prompt: Text
    answer: Text
    why: Text


class Ungraded(Value, frozen=True, kw_only=True):
    """Answers to one kind of suite whose grading failed."""

    answers: int
    why: Annotated[Text, Meta(description="why the last grading failed")]


class Baseline(Value, frozen=True, kw_only=True):
    """How well a model answered before its weights or its server changed."""

    digest: Text | None = None
    server_version: Text | None = None
    scores: dict[str, Score] = {}


class Thoughts(Value, frozen=True, kw_only=True):
    """How much a model thought before its answers: tokens before all of them together."""

    answers: int
    tokens: int

    def __add__(self, other: "Thoughts") -> "Thoughts":
        return Thoughts(answers=self.answers + other.answers, tokens=self.tokens + other.tokens)


class Quality(Value, frozen=True, kw_only=True, omit_defaults=True):
    """How well a model answers: by kind of suite, for the current weights and server version.

    Easier and harder questions of a kind have scores of their own, under `kind:level`.
    """

    measured_at: UtcTime
    digest: Text | None = None
    server_version: Text | None = None
    scores: dict[str, Score] = {}
    misses: Annotated[
        tuple[Miss, ...], Meta(description="up to ten wrong answers of the last evaluation")
    ] = ()
    baseline: Baseline | None = None
    thoughts: Annotated[Thoughts | None, Meta(description="before the answers; None if none was counted")] = (
        None
    )


class Drop(Value, frozen=True, kw_only=True):
    """A kind of suite in which a model became worse beyond both intervals."""

    kind: str
    before: Score
    after: Score


class Rating(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A score from a user, for one use case or for all: 0 to 1, with its source and date."""

    score: Annotated[float, Meta(ge=0, le=1)]
    source: Annotated[str, Meta(min_length=1, max_length=500)]
    as_of: date
    use_case: Annotated[str, Meta(max_length=64)] | None = None


# Judges -------------------------------------------------------------------------------------------------------


class Prose(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A text that a model wrote for a judge, cut to the compared length. `place` is the position of its task."""

    place: int
    text: Text = ""
    refused: Annotated[bool, Meta(description="the service or the model gave no text")] = False


class Bias(Value, frozen=True, kw_only=True):
    """How often a judge preferred something, of *n* answers, and how often a judge without the bias would.

    `low` and `high` are the 95 % interval of `share`.
    """

    n: int
    share: Fraction
    expected: Fraction
    low: Fraction
    high: Fraction


class JudgeReport(Value, frozen=True, kw_only=True, omit_defaults=True):
    """How a judge answered in one session of comparisons. `tasks` is the series of tasks (`kind@version`).

    `test` counts pairs of texts of which one is known to be worse. The judge must find the better text in both orders.
    `doubts` says why the session does not count.
    """

    judge: ModelRef
    digest: Annotated[Text | None, Meta(description="of the weights of the judge")] = None
    tasks: Text
    test: Score
    answers: Annotated[int, Meta(description="comparisons that were answered, in either order")] = 0
    unread: Annotated[int, Meta(description="refusals, and answers that name none of the texts")] = 0
    position: Annotated[Bias | None, Meta(description="for the text that stands first")] = None
    itself: Annotated[Bias | None, Meta(description="for its own texts, which never count")] = None
    family: Annotated[Bias | None, Meta(description="for texts of its own family, which never count")] = None
    doubts: Text = ""


class Judgement(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The result of judging the texts of a model for one use case, compared with the texts of `rivals`.

    Strengths are logits of being preferred [Bradley & Terry 1952; ties: Davidson 1970]. The strengths of one `session`
    have the mean 0, and compare only within it.
    """

    at: UtcTime
    session: str
    report: JudgeReport
    rivals: tuple[ModelRef, ...] = ()
    strength: Annotated[float | None, Meta(description="None: too few answers")] = None
    error: Annotated[
        Positive | None, Meta(description="1.96 times it is half the width of the 95 % interval")
    ] = None
    wins: Annotated[int, Meta(description="answers that preferred this model")] = 0
    ties: int = 0
    losses: int = 0

    @property
    def compared(self) -> int:
        """How many comparisons of its texts with others have a verdict."""
        return self.wins + self.ties + self.losses

    @property
    def counts(self) -> bool:
        """Whether it may count, next to checked answers."""
        return not self.report.doubts and self.strength is not None and bool(self.error)


class Judged(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Texts that a model with the weights `digest` wrote for judges, and the judgements, by use case."""

    digest: Text | None = None
    tasks: Annotated[dict[str, Text], Meta(description="the series of tasks of the texts")] = {}
    texts: dict[str, tuple[Prose, ...]] = {}
    judgements: dict[str, Judgement] = {}


# Endpoints ----------------------------------------------------------------------------------------------------


class Listed(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A model in an endpoint's listing. `misses` counts successful listings in a row without it."""

    name: ModelName
    digest: Text | None = None
    misses: int = 0


class Use(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Usage of an endpoint: requests, input and output tokens, and their cost if it is known.

    `seconds` is how long the requests took, all together: the server's processor was busy for that time at most.
    """

    requests: int = 0
    tokens: int = 0
    usd: Positive = 0.0
    seconds: Positive = 0.0

    def __add__(self, other: "Use") -> "Use":
        return Use(
            requests=self.requests + other.requests,
            tokens=self.tokens + other.tokens,
            usd=self.usd + other.usd,
            seconds=round(self.seconds + other.seconds, 3),
        )


class Ledger(Value, frozen=True, kw_only=True):
    """Vedette's own usage of an endpoint on one day (UTC), by purpose (the kinds of job)."""

    day: str
    by: dict[str, Use] = {}

    @property
    def total(self) -> Use:
        """All purposes together."""
        return sum(self.by.values(), Use())


class Intake(Value, frozen=True, kw_only=True, omit_defaults=True):
    """How many new names an endpoint listed since a time (at most 24 h), and how many were refused last."""

    since: UtcTime
    names: int = 0
    refused: int = 0


class Occupancy(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The models that a measurement last saw loaded at an endpoint, and when it last saw use by others.

    `loaded` has the time of unloading of each model, by name; None if the server does not publish it. `ours` are the
    models that Vedette loaded, and that no other user was seen to use since.
    """

    loaded: dict[str, UtcTime | None] = {}
    used_at: UtcTime | None = None
    ours: tuple[str, ...] = ()


class Pause(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An endpoint is not contacted, until it is resumed or until a time."""

    since: UtcTime
    by: Text = ""
    reason: Text = ""
    until: UtcTime | None = None

    def holds(self, now: datetime) -> bool:
        """Return whether it still holds at *now*."""
        return self.until is None or now < self.until

    @property
    def in_words(self) -> str:
        """By whom, until when and why."""
        by = f" by {self.by}" if self.by else ""
        until = f" until {self.until:%Y-%m-%d %H:%M}Z" if self.until else ""
        return f"paused{by}{until}" + (f": {self.reason}" if self.reason else "")


class Origin(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The origin of an endpoint in force. An endpoint of the file alone, without changes, has none."""

    source: Annotated[str, Meta(description="`file`, `operator`, or the source that found the endpoint")] = (
        "file"
    )
    seen_as: Annotated[
        str, Meta(description="the object that its source read, such as `Service ml/vllm`")
    ] = ""
    changed: Annotated[
        tuple[str, ...], Meta(description="keys that an operator set instead of its source")
    ] = ()
    by: Annotated[str, Meta(description="who defined it last")] = ""
    at: UtcTime | None = None
    reason: str = ""
    paused: Annotated[Pause | None, Meta(description="not measured and not recommended meanwhile")] = None
    asleep: Annotated[str | None, Meta(description="`scaled to zero`, or why else it is not contacted")] = (
        None
    )
    trouble: Annotated[str, Meta(description="why an operator's setting is not in force")] = ""
    left_behind: Annotated[
        tuple[str, ...],
        Meta(description="credentials that do not follow a URL to another host or port; give them again"),
    ] = ()

    @property
    def closed(self) -> str | None:
        """Why the endpoint is not contacted, or None."""
        if self.paused is not None:
            return self.paused.in_words
        return f"asleep: {self.asleep}" if self.asleep is not None else None


class LeftOut(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A definition that is not in force, and why."""

    endpoint: EndpointName
    source: str
    why: str
    url: str = ""
    by: str = ""
    at: UtcTime | None = None
    wrong: Annotated[
        bool, Meta(description="it cannot be used; other definitions were left out by decision")
    ] = False


class EndpointState(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The result of the last contact with an endpoint, and what the next contact needs."""

    url: Text
    provider: Text
    fingerprint: Annotated[Text, Meta(description="fingerprint of the configuration, without secrets")]
    checked_at: UtcTime
    outcome: Outcome
    latency_ms: Positive | None = None
    detail: Text | None = None
    remedy: Text | None = None  # what to do, if more is known than the outcome says; the end of the detail
    exchange: Annotated[Exchange | None, Meta(description="the transcript of a contact that failed")] = None
    server: Text | None = None
    server_version: Text | None = None
    listing: tuple[Listed, ...] = ()
    listed_at: UtcTime | None = None
    discovery_job: Annotated[str | None, Meta(description="the last discovery that counted misses")] = None
    intake: Annotated[
        Intake | None, Meta(description="limit of new names; refused names are not in the listing")
    ] = None
    failing_since: UtcTime | None = None
    paused_until: UtcTime | None = None
    paused_reason: Text | None = None
    ledger: Ledger | None = None
    occupancy: Occupancy | None = None
