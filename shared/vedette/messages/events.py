"""Every event, and what else services publish: the facts that go over the bus.

Which subject and stream they have, who publishes and who consumes them: `channels`, the one table.

An event carries the new fact **and the state that results from it**, so the last message of a subject is the
current state. Events are open: readers ignore fields they do not know, and fields are only ever added, with
defaults. Times are aware UTC; units stand in the names, as in `types`.
"""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from vedette.messages import subjects
from vedette.types import (
    Baseline,
    Capability,
    Claim,
    Drop,
    EndpointName,
    EndpointState,
    FieldChange,
    Health,
    ModelInfo,
    ModelRef,
    Outcome,
    Performance,
    ProbeSample,
    Quality,
    Rating,
    Reported,
    RunSample,
    Score,
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
    the kinds of question of an evaluation, none standing for all. `max_usd` is what an evaluation may cost.
    """

    TYPE = "job"
    kind: JobKind
    group: Text
    endpoint: EndpointName
    model: ModelRef | None = None
    cause: JobCause = "tick"
    streams: tuple[Annotated[int, Meta(ge=1, le=256)], ...] = ()
    suites: tuple[Text, ...] = ()
    max_usd: Annotated[float, Meta(ge=0)] | None = None

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
    """A model's description changed. After `digest_changed` its speed and quality must be measured again."""

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
    vram_share: Annotated[float | None, Meta(description="fraction of the loaded model held in VRAM")] = None
    performance: Performance


class Attempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call that was to prove a capability: what was asked, what came, what that says."""

    capability: Capability
    asked: Text
    answered: Text | None = None
    proved: Annotated[bool | None, Meta(description="None: it failed, or proved nothing either way")] = None
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
    before_score: Annotated[float | None, Meta(description="now; None when it is no candidate")] = None
    margin: Annotated[float | None, Meta(description="points between the two")] = None
    renamed: bool = False
    detail: Annotated[Text, Meta(description="a sentence for people")]
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
    failures: Annotated[dict[str, int], Meta(description="by outcome")] = {}
    callers: Annotated[int, Meta(description="a lower bound")] = 1
    uncounted: Annotated[int, Meta(description="reports over the limits")] = 0
    use_cases: Annotated[dict[str, int], Meta(description="reports by use case, where one was said")] = {}
    prompt_tokens: Annotated[int, Meta(description="of all calls whose number was said")] = 0
    output_tokens: int = 0
    ttft_ms: Annotated[float | None, Meta(description="geometric means")] = None
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
    field: Annotated[
        str | None,
        Meta(description="of the job, where the job failed because it asks for what does not exist"),
    ] = None
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
