"""Every event, and what else services publish: the facts that go over the bus.

Each says itself on which subject and stream it is, who publishes and who consumes it, what people read of it, and an
example. `channels` has all of them in one table.

An event carries the new fact **and the state that results from it**, so the last message of a subject is the
current state. Events are open: readers ignore fields they do not know, and fields are only ever added, with
defaults. Times are aware UTC; units stand in the names, as in `types`.
"""

from datetime import date, datetime, timedelta
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple, Self

from msgspec import Meta, Struct

from vedette.messages import ids, story, subjects
from vedette.messages.consumers import Durable, choosing, jobs, lifecycle, recording, ticks
from vedette.messages.consumers import JobKind as JobKind
from vedette.messages.declaring import SERVICES, WORKERS, Role, Row
from vedette.text.figures import ms, number, percent, size, tokens
from vedette.text.shown import shown_name
from vedette.types import (
    Baseline,
    Bias,
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
    Judgement,
    JudgeReport,
    Level,
    Listed,
    ModelInfo,
    ModelLoad,
    ModelRef,
    Outcome,
    Pause,
    Performance,
    Positive,
    ProbeSample,
    Prose,
    Quality,
    Rating,
    Reported,
    Residency,
    RunSample,
    Score,
    Signal,
    Status,
    Tally,
    Text,
    Ungraded,
    Use,
    UtcTime,
    Watch,
)

MISSED_READINGS: Final = 2.5  # intervals without a new load, after which the last one is stale
ScheduledJob = Literal["discovery", "availability", "performance", "quality", "retention"]
JobCause = Literal["tick", "found", "changed", "listing", "start", "suspicion", "manual"]
LossReason = Literal["absent", "endpoint_removed"]
DefinedBy = Literal["add", "edit", "pause", "resume", "remove", "restore"]
ProgressState = Literal["queued", "started", "step", "done", "failed"]


Tone = Literal["good", "bad", "changed", "measured", "unknown", ""]
_TONES: Final[dict[Status, Tone]] = {
    Status.AVAILABLE: "good",
    Status.UNKNOWN: "unknown",
    Status.BUSY: "changed",
}
STATUS_TONES: Final[dict[Status, Tone]] = {status: _TONES.get(status, "bad") for status in Status}
_LOST: Final = {"absent": "its endpoint no longer lists it", "endpoint_removed": "its endpoint was removed"}
# Events that webhooks may receive. Of probes, only those that change a status.
_OF_MODELS: Final = choosing(
    "MODELS", *(f"model.{event}.>" for event in ("found", "changed", "lost", "probed", "regressed"))
)
# Services that must know the endpoints: each of their processes follows these events.
_KNOWING: Final[tuple[Role, ...]] = (*WORKERS, "recommender", "console", "gateway")


def _of_model(kind: str, *publishers: Role, durables: tuple[Durable, ...] = ()) -> Row:
    # After a rename, the discoverer repeats events of other services under the new name.
    return Row(
        subject=f"{kind}.{{endpoint}}.{{name}}",
        stream="MODELS",
        publishers=publishers,
        followers=(*WORKERS, "recommender", "console"),
        durables=(*durables, recording("MODELS")),
        copy=kind,
    )


def _share(score: Score) -> str:
    return percent(score.successes / score.trials if score.trials else None)


class Sentence(NamedTuple):
    """What people read of an event: what happened, whether that is good, and details."""

    what: str
    tone: Tone = ""
    more: str = ""


class Message(Struct, frozen=True, kw_only=True):
    """What services publish. It says how it travels, and has an example."""

    CHANNEL: ClassVar[Row]

    @classmethod
    def example(cls) -> Self:
        """Return the one that documents show."""
        raise NotImplementedError(f"{cls.__name__} has no example")


class Event(Message, frozen=True, kw_only=True, gc=False):
    """A fact about the past. `id` is deterministic: the same work done twice gives the same id."""

    TYPE: ClassVar[str]
    id: str
    at: UtcTime

    @property
    def subject(self) -> str:
        """The subject this event is published on."""
        raise NotImplementedError

    def sentence(self) -> Sentence:
        """Return what people read of it."""
        return Sentence(self.TYPE)


class Tick(Event, frozen=True, kw_only=True):
    """A job is due. `slot` is its aligned time; `missed` is how many slots before it had no tick."""

    TYPE = "schedule"
    CHANNEL = Row(
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
    )
    job: ScheduledJob
    slot: UtcTime
    missed: int = 0

    @property
    def subject(self) -> str:
        return f"schedule.{self.job}"

    @classmethod
    def example(cls) -> Self:
        return cls(**story.fact("tick"), job="availability", slot=story.AT)


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
    CHANNEL = Row(
        subject="job.{kind}.{group}.{endpoint and name...}",
        stream="JOBS",
        publishers=(*WORKERS, "operator", "console"),
        durables=(jobs("discoverer", "discover"), jobs("prober", "probe")),
        others=("benchmarker",),  # by `consumers.host_jobs`, one for each host group
    )
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
        return subjects.of_job(self.kind, self.group, self.endpoint, self.model)

    @classmethod
    def example(cls) -> Self:
        return cls(**story.fact("job"), kind="benchmark", group="gpu-box", endpoint="gpu", model=story.QWEN)


class EndpointDefined(Event, frozen=True, kw_only=True, omit_defaults=True):
    """An operator changed an endpoint at run time. The event has the complete definition from then on.

    Its keys take precedence over the configuration file and the sources of endpoints, unless it is `whole`: then it
    replaces them. The last messages of a subject record who changed the endpoint, what and when.
    """

    TYPE = "endpoint.defined"
    CHANNEL = Row(
        subject="endpoint.defined.{endpoint}",
        stream="DEFINITIONS",
        publishers=("operator", "console"),
        followers=_KNOWING,
        durables=(recording("DEFINITIONS"),),
        others=("operator",),  # it shows who changed what
    )
    endpoint: EndpointName
    action: Annotated[DefinedBy, Meta(description="the change that led to this definition")]
    settings: Annotated[
        dict[str, Any],
        Meta(
            description="keys of `[endpoints.NAME]` as in the configuration file; secrets by reference only"
        ),
    ] = {}
    whole: Annotated[bool, Meta(description="this definition replaces the file and the sources")] = False
    removed: Annotated[bool, Meta(description="no endpoint of this name is used, from any source")] = False
    paused: Annotated[Pause | None, Meta(description="not measured and not recommended meanwhile")] = None
    left_behind: Annotated[
        tuple[str, ...],
        Meta(description="credentials set at run time that did not follow a URL to another host or port"),
    ] = ()
    by: Annotated[Text, Meta(description="who made the change, by their own statement")] = ""
    via: Annotated[Text, Meta(description="the tool that made it: `command line`, `console`")] = ""
    reason: Text = ""

    @property
    def subject(self) -> str:
        return f"endpoint.defined.{self.endpoint}"

    @classmethod
    def example(cls) -> Self:
        return cls(
            **story.fact("defined"),
            endpoint="gpu",
            action="pause",
            settings={"timeout_s": 20},
            paused=Pause(since=story.AT, by="anna", reason="new driver", until=story.AT + timedelta(hours=2)),
            by="anna",
            via="command line",
            reason="new driver",
        )


class EndpointAppeared(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A source of endpoints, such as Kubernetes or DNS, shows a new or changed endpoint, or no longer shows one."""

    TYPE = "endpoint.appeared"
    CHANNEL = Row(
        subject="endpoint.appeared.{source}.{endpoint}",
        stream="APPEARED",
        publishers=("discoverer",),
        followers=_KNOWING,
        others=("operator",),
    )
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
    origin: Annotated[Text, Meta(description="the object it was read from, such as `Service ml/vllm`")] = ""
    state: Annotated[
        Literal["there", "asleep", "gone", "refused"],
        Meta(
            description="asleep: scaled to zero or not found; never contacted. refused: not allowed as an endpoint"
        ),
    ] = "there"
    reason: Annotated[Text, Meta(description="why it is asleep, gone or refused")] = ""

    @property
    def subject(self) -> str:
        return f"endpoint.appeared.{self.source}.{self.endpoint}"

    @classmethod
    def example(cls) -> Self:
        return cls(
            **story.fact("appeared"),
            source="kubernetes",
            endpoint="ml-vllm",
            settings={"provider": "openai-compatible", "url": "http://vllm.ml.svc:8000"},
            key="vllm",
            origin="Service ml/vllm, port 8000",
        )


class EndpointObserved(Event, frozen=True, kw_only=True):
    """An endpoint was contacted."""

    TYPE = "endpoint.observed"
    CHANNEL = Row(
        subject="endpoint.observed.{endpoint}",
        stream="ENDPOINTS",
        publishers=WORKERS,
        followers=(*WORKERS, "recommender", "console"),
        durables=(recording("ENDPOINTS"),),
    )
    endpoint: EndpointName
    state: EndpointState

    @property
    def subject(self) -> str:
        return f"endpoint.observed.{self.endpoint}"

    @classmethod
    def example(cls) -> Self:
        return cls(
            **story.fact("observed"),
            endpoint="gpu",
            state=EndpointState(
                url="http://gpu-box:11434",
                provider="ollama",
                fingerprint="5f2a",
                checked_at=story.AT,
                outcome=Outcome.OK,
                latency_ms=12.0,
                server="Ollama",
                server_version="0.12.3",
                listing=(Listed(name="qwen2.5:7b", digest=story.DIGEST),),
                listed_at=story.AT,
            ),
        )


class EndpointLoad(Event, frozen=True, kw_only=True, omit_defaults=True):
    """The load of a model server, as the server reports it. A figure that it does not report is absent, never guessed.

    `running`, `waiting`, `slots`, `cache_use` and `output_tps` are figures of the whole server; `models` has the same
    figures for each model, if the server reports them. `running` and `waiting` exclude the requests of Vedette itself,
    which are `own`. If `outcome` is not `ok`, the reading failed and there are no figures.
    """

    TYPE = "endpoint.load"
    CHANNEL = Row(
        subject="endpoint.load.{endpoint}",
        stream="LOADS",
        publishers=("prober",),
        followers=("prober", "benchmarker", "recommender", "console"),
        copy="endpoint.load",
        frequent=True,
    )
    endpoint: EndpointName
    outcome: Outcome = Outcome.OK
    every_s: Annotated[
        Positive, Meta(description="seconds until the next reading; a load of 2.5 times that age is stale")
    ]
    source: Annotated[
        Text, Meta(description="the page that was read: `vllm metrics`, `llama.cpp slots`, `ollama ps`")
    ]
    running: Annotated[Count | None, Meta(description="requests that are being worked on, without `own`")] = (
        None
    )
    mean_running: Annotated[
        Positive | None,
        Meta(
            description="mean of `running` over the last readings; one counts half as much as one 30 s later"
        ),
    ] = None
    lasting: Annotated[
        Positive | None,
        Meta(
            description="running requests that last: follows `mean_running` if it differs by more than 40 %"
        ),
    ] = None
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
        dict[str, ModelLoad], Meta(description="by name; the busiest 64, if there are more")
    ] = {}
    day: Annotated[Text, Meta(description="the day (UTC) of `used`")] = ""
    used: Annotated[Use, Meta(description="of the endpoint by all readings of that day")] = Use()
    elapsed_ms: Annotated[
        Positive, Meta(description="from the first request of the reading to its last reply")
    ]
    bytes: Annotated[Count, Meta(description="of the replies that were read")]

    @property
    def subject(self) -> str:
        return f"endpoint.load.{self.endpoint}"

    @property
    def stale_at(self) -> float:
        """When the load becomes stale, because later readings are missing; in seconds since 1970."""
        return self.at.timestamp() + MISSED_READINGS * self.every_s

    def is_stale(self, now: datetime) -> bool:
        """Return whether it is too old to describe *now*: too many later readings are missing."""
        return now.timestamp() > self.stale_at

    def sentence(self) -> Sentence:
        if self.outcome is not Outcome.OK:
            return Sentence("load is not known", "changed", str(self.outcome))
        slots = f" of {self.slots}" if self.slots is not None else ""
        figures = (
            f"{self.waiting} waiting" if self.waiting is not None else None,
            f"{self.own} of Vedette itself" if self.own else None,
            f"cache {percent(self.cache_use)}" if self.cache_use is not None else None,
            f"{number(self.output_tps, 1)} tokens/s" if self.output_tps is not None else None,
            f"{len(self.loaded)} loaded" if self.loaded is not None else None,
        )
        running = "load" if self.running is None else f"{self.running}{slots} running"
        return Sentence(running, "measured", ", ".join(filter(None, figures)))

    @classmethod
    def example(cls) -> Self:
        return cls(
            **story.fact("load"),
            endpoint="gpu",
            every_s=10.0,
            source="vllm metrics",
            running=3,
            waiting=1,
            cache_use=0.42,
            output_tps=118.5,
            models={"qwen2.5:7b": ModelLoad(running=3, waiting=1, cache_use=0.42, output_tps=118.5)},
            elapsed_ms=2.4,
            bytes=1310,
        )


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
    CHANNEL = _of_model(TYPE, "discoverer", durables=(lifecycle("benchmarker", "found"), _OF_MODELS))
    again: bool = False
    afresh: bool = False
    formerly: Formerly | None = None

    def sentence(self) -> Sentence:
        if self.formerly and self.formerly.model != self.model:
            return Sentence("renamed", "changed", f"until now {shown_name(self.formerly.model)}")
        info = self.info
        facts = (
            size(info.parameters) if info.parameters is not None else None,
            info.quantization,
            f"context {tokens(info.context_tokens)}" if info.context_tokens is not None else None,
            info.description_error,
        )
        return Sentence("is back" if self.again else "found", "good", ", ".join(filter(None, facts)))

    @classmethod
    def example(cls) -> Self:
        return cls(**story.of_model("found"), info=story.INFO, revision=1)


class ModelChanged(Lifecycle, frozen=True, kw_only=True):
    """A model's description changed. After `digest_changed` its speed and quality must be measured again."""

    TYPE = "model.changed"
    CHANNEL = _of_model(
        TYPE,
        "discoverer",
        durables=(lifecycle("prober", "changed"), lifecycle("benchmarker", "changed"), _OF_MODELS),
    )
    changes: tuple[FieldChange, ...]
    digest_changed: bool = False

    def sentence(self) -> Sentence:
        what = "has new weights" if self.digest_changed else "changed"
        return Sentence(what, "changed", ", ".join(change.field for change in self.changes))

    @classmethod
    def example(cls) -> Self:
        return cls(
            **story.of_model("changed"),
            info=story.INFO,
            revision=2,
            changes=(FieldChange(field="digest", old=story.FORMER_DIGEST, new=story.DIGEST),),
            digest_changed=True,
        )


class ModelLost(Lifecycle, frozen=True, kw_only=True):
    """A model was lost: `absent` from two successful listings, or its endpoint was removed from the configuration.

    With `renamed_to` the model is present under that name: its endpoint was renamed.
    """

    TYPE = "model.lost"
    CHANNEL = _of_model(TYPE, "discoverer", durables=(_OF_MODELS,))
    reason: LossReason
    renamed_to: ModelRef | None = None

    def sentence(self) -> Sentence:
        return Sentence("lost", "bad", _LOST[self.reason])

    @classmethod
    def example(cls) -> Self:
        return cls(**story.of_model("lost"), info=story.INFO, revision=3, reason="absent")


class ModelProbed(ModelEvent, frozen=True, kw_only=True):
    """A model was probed; `health` is the state after it."""

    TYPE = "model.probed"
    CHANNEL = _of_model(TYPE, "prober", "discoverer", durables=(_OF_MODELS,))
    sample: ProbeSample
    health: Health

    def sentence(self) -> Sentence:
        sample, status = self.sample, self.health.status
        took = f"{sample.level} in {ms(sample.latency_ms)}" if sample.latency_ms is not None else sample.level
        more = took if sample.outcome is Outcome.OK else f"{sample.outcome}, {sample.detail or took}"
        return Sentence(f"is {status}".replace("_", " "), STATUS_TONES[status], more)

    @classmethod
    def example(cls) -> Self:
        return cls(
            **story.of_model("probed"),
            sample=ProbeSample(
                job_id=story.JOB, at=story.AT, outcome=Outcome.OK, level=Level.ANSWER, latency_ms=182.0
            ),
            health=Health(
                status=Status.AVAILABLE,
                since=story.EARLIER,
                checked_at=story.AT,
                answered_at=story.AT,
                streak=3,
                hourly=(Tally(start=story.AT, counts={"ok": 3}),),
            ),
        )


class ModelBenchmarked(ModelEvent, frozen=True, kw_only=True):
    """A model was benchmarked; `performance` holds the rolling figures after it."""

    TYPE = "model.benchmarked"
    CHANNEL = _of_model(TYPE, "benchmarker", "discoverer")
    job_id: str
    outcome: Outcome
    detail: Text | None = None
    samples: tuple[RunSample, ...] = ()
    resident_before: bool | None = None
    vram_share: Annotated[float | None, Meta(description="fraction of the loaded model held in VRAM")] = None
    performance: Performance

    def sentence(self) -> Sentence:
        if self.outcome is not Outcome.OK:
            return Sentence("could not be benchmarked", "bad", self.detail or str(self.outcome))
        speed = self.performance
        if speed.texts_per_s is not None:
            return Sentence("benchmarked", "measured", f"{number(speed.texts_per_s.median, 1)} texts/s")
        rate = number(speed.output_tps.median if speed.output_tps else None, 1)
        first = ms(speed.ttft_ms.median if speed.ttft_ms else None)
        return Sentence("benchmarked", "measured", f"{rate} tokens/s, TTFT {first}")

    @classmethod
    def example(cls) -> Self:
        return cls(
            **story.of_model("benchmarked"),
            job_id=story.JOB,
            outcome=Outcome.OK,
            resident_before=True,
            performance=Performance(
                measured_at=story.AT,
                n=6,
                digest=story.DIGEST,
                output_tps=story.figure(61.5),
                ttft_ms=story.figure(140.0),
            ),
        )


class Attempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One capability check: the request, the reply, and the conclusion."""

    capability: Capability
    asked: Text
    answered: Text | None = None
    proved: Annotated[bool | None, Meta(description="None: the check failed or was inconclusive")] = None
    detail: Text | None = None


class ModelVerified(ModelEvent, frozen=True, kw_only=True):
    """Capabilities of a model were checked; `claims` hold for the weights `digest`."""

    TYPE = "model.verified"
    CHANNEL = _of_model(TYPE, "benchmarker", "discoverer")
    job_id: str
    outcome: Outcome
    digest: Text | None = None
    claims: dict[str, Claim] = {}
    embedding_dimensions: int | None = None
    attempts: tuple[Attempt, ...] = ()

    def sentence(self) -> Sentence:
        if self.outcome is not Outcome.OK:
            return Sentence("could not be verified", "bad", str(self.outcome))
        proofs = (f"{name} {'yes' if claim.value else 'no'}" for name, claim in self.claims.items())
        return Sentence("verified", "measured", ", ".join(proofs) or "no result either way")

    @classmethod
    def example(cls) -> Self:
        return cls(
            **story.of_model("verified"),
            job_id=story.JOB,
            outcome=Outcome.OK,
            digest=story.DIGEST,
            claims=story.CHAT,
        )


class ModelEvaluated(ModelEvent, frozen=True, kw_only=True):
    """A model was evaluated: `scores` are those of this evaluation, `quality` is the state after it.

    Both have a score for each kind of suite, and for each level of it that was asked in addition to the standard one
    (`kind:level`).
    `claims` are capabilities that the evaluation confirmed or refuted, for the weights that `quality` names.
    `ungraded` counts, by kind of suite, answers whose grading failed.
    """

    TYPE = "model.evaluated"
    CHANNEL = _of_model(TYPE, "benchmarker", "discoverer")
    job_id: str
    outcome: Outcome
    detail: Text | None = None
    scores: dict[str, Score] = {}
    claims: dict[str, Claim] = {}
    ungraded: dict[str, Ungraded] = {}
    use: Use = Use()
    took_s: float = 0.0
    quality: Quality

    def sentence(self) -> Sentence:
        if self.outcome is not Outcome.OK:
            return Sentence("could not be evaluated", "bad", self.detail or str(self.outcome))
        scores = (f"{kind} {score.successes} of {score.trials}" for kind, score in self.scores.items())
        return Sentence("evaluated", "measured", ", ".join(scores))

    @classmethod
    def example(cls) -> Self:
        return cls(
            **story.of_model("evaluated"),
            job_id=story.JOB,
            outcome=Outcome.OK,
            scores={"instructions": story.SCORE},
            took_s=74.0,
            quality=Quality(measured_at=story.AT, digest=story.DIGEST, scores={"instructions": story.SCORE}),
        )


class ModelJudged(ModelEvent, frozen=True, kw_only=True):
    """A model wrote texts for a judge, or a judge compared them; `judged` is the state after that.

    `use` is what the model itself used; the calls of the judge are usage of the judge's endpoint.
    """

    TYPE = "model.judged"
    CHANNEL = _of_model(TYPE, "benchmarker", "discoverer")
    job_id: str
    use: Use = Use()
    took_s: float = 0.0
    judged: Judged

    def sentence(self) -> Sentence:
        found = (
            f"{use_case} by {shown_name(str(one.report.judge))}: "
            + (
                f"{one.wins} preferred, {one.ties} ties, {one.losses} not"
                if one.compared
                else f"nothing compared, {one.report.doubts}"
            )
            for use_case, one in self.judged.judgements.items()
            if one.session == self.job_id
        )
        return Sentence("judged", "measured", "; ".join(found) or f"texts for {', '.join(self.judged.texts)}")

    @classmethod
    def example(cls) -> Self:
        return cls(
            **story.of_model("judged"),
            job_id=story.JOB,
            judged=Judged(
                digest=story.DIGEST,
                tasks={"summarisation": "summarisation@1"},
                texts={"summarisation": (Prose(place=0, text="The council moved the market to Monday."),)},
                judgements={
                    "summarisation": Judgement(
                        at=story.AT,
                        session=story.JOB,
                        report=JudgeReport(
                            judge=ModelRef("gpu", "llama3.3:70b"),
                            tasks="summarisation@1",
                            test=Score(successes=8, trials=8, suite="summarisation@1"),
                            answers=36,
                            position=Bias(n=30, share=0.57, expected=0.5, low=0.39, high=0.73),
                        ),
                        rivals=(story.LLAMA,),
                        strength=0.6,
                        error=0.2,
                        wins=8,
                        ties=2,
                        losses=2,
                    )
                },
            ),
        )


class ModelRegressed(ModelEvent, frozen=True, kw_only=True):
    """A model answers worse than before its weights or its server changed, beyond the intervals of both."""

    TYPE = "model.regressed"
    CHANNEL = _of_model(TYPE, "benchmarker", durables=(_OF_MODELS,))
    job_id: str
    digest: Text | None = None
    server_version: Text | None = None
    before: Baseline
    drops: tuple[Drop, ...]

    def sentence(self) -> Sentence:
        drops = (f"{drop.kind} {_share(drop.before)} to {_share(drop.after)}" for drop in self.drops)
        return Sentence("has lower quality than before", "bad", ", ".join(drops))

    @classmethod
    def example(cls) -> Self:
        return cls(
            **story.of_model("regressed"),
            job_id=story.JOB,
            digest=story.DIGEST,
            before=Baseline(digest=story.FORMER_DIGEST, scores={"instructions": story.SCORE}),
            drops=(
                Drop(
                    kind="instructions",
                    before=story.SCORE,
                    after=Score(successes=22, trials=50, suite="instructions@1"),
                ),
            ),
        )


class ModelRated(ModelEvent, frozen=True, kw_only=True):
    """A user rated a model; `ratings` are all current ratings, one for each use case."""

    TYPE = "model.rated"
    CHANNEL = _of_model(TYPE, "operator", "discoverer")
    ratings: tuple[Rating, ...]

    def sentence(self) -> Sentence:
        ratings = (f"{r.score:.2f} for {r.use_case or 'all use cases'} by {r.source}" for r in self.ratings)
        return Sentence("rated", "measured", ", ".join(ratings))

    @classmethod
    def example(cls) -> Self:
        return cls(
            **story.of_model("rated"),
            ratings=(
                Rating(score=0.8, source="our support team", as_of=date(2026, 11, 20), use_case="chat"),
            ),
        )


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
    CHANNEL = Row(
        subject="answer.{use case}",
        stream="ANSWERS",
        publishers=("recommender",),
        followers=("recommender", "console", "gateway"),
        durables=(choosing("ANSWERS", "answer.*"),),
        copy="recommend.changed.{use case}",
    )
    use_case: Text
    reason: Literal["first", "better", "gone", "none"]
    model: ModelRef | None
    score: float | None
    before: ModelRef | None = None
    before_score: Annotated[float | None, Meta(description="now; None when it is no candidate")] = None
    margin: Annotated[float | None, Meta(description="difference of the two scores")] = None
    renamed: bool = False
    detail: Annotated[Text, Meta(description="a sentence for people")]
    as_of: AsOf

    @property
    def subject(self) -> str:
        return f"answer.{subjects.escape(self.use_case)}"

    def sentence(self) -> Sentence:
        if self.model is None:
            return Sentence("no model", "bad", self.detail)
        winner = shown_name(self.model)
        if self.before is not None:
            winner += f"{', until now' if self.renamed else ' instead of'} {shown_name(self.before)}"
        return Sentence(winner, "good", self.detail)

    @classmethod
    def example(cls) -> Self:
        return cls(
            **story.fact("answer"),
            use_case="chat",
            reason="better",
            model=story.QWEN,
            score=78.4,
            before=story.LLAMA,
            before_score=71.9,
            margin=6.5,
            detail="gpu/qwen2.5:7b scores 78.4, local/llama3.2:3b 71.9.",
            as_of=AsOf.example(),
        )


class WebhookDelivery(Event, frozen=True, kw_only=True):
    """An event in the queue of a webhook, until the receiver accepts it or it becomes a dead letter.

    `event_id` and `event_at` come from the event; `data` is the event itself.
    """

    TYPE = "delivery"
    CHANNEL = Row(
        subject="delivery.{webhook}",
        stream="DELIVERIES",
        publishers=("console",),
        others=("console",),  # by `consumers.deliveries`, one for each webhook
    )
    webhook: Text
    event: Annotated[Text, Meta(description="as the receiver gets it: `model.found`, `recommend.changed`, …")]
    event_id: str
    event_at: UtcTime
    data: dict[str, Any]

    @property
    def subject(self) -> str:
        return f"delivery.{self.webhook}"

    @classmethod
    def example(cls) -> Self:
        return cls(
            **story.fact("delivery"),
            webhook="ops",
            event="model.lost",
            event_id=ids.derive(story.AT, "example", "lost"),
            event_at=story.AT,
            data={
                "id": ids.derive(story.AT, "example", "lost"),
                "at": "2026-11-27T10:00:00Z",
                "reason": "absent",
            },
        )


class WebhookState(Event, frozen=True, kw_only=True):
    """The state of a webhook. It gets the events since `since`; `fingerprint` is the fingerprint of its configuration.

    `stopped_at` is set if its receiver replied 410 Gone: then nothing is sent until the configuration changes.
    """

    TYPE = "webhook"
    CHANNEL = Row(
        subject="webhook.{webhook}",
        stream="WEBHOOKS",
        publishers=("console",),
        followers=("console",),
        others=("operator",),
    )
    webhook: Text
    fingerprint: Text
    since: UtcTime
    receiver: Annotated[Text, Meta(description="scheme and host of its URL")]
    events: tuple[Text, ...]
    enabled: bool = True
    delivered_at: Annotated[UtcTime | None, Meta(description="when the receiver last accepted an event")] = (
        None
    )
    failed_at: Annotated[UtcTime | None, Meta(description="when an attempt last failed")] = None
    failing_since: UtcTime | None = None
    problem: Annotated[Text | None, Meta(description="why the last attempt failed")] = None
    stopped_at: UtcTime | None = None

    @property
    def subject(self) -> str:
        return f"webhook.{self.webhook}"

    @classmethod
    def example(cls) -> Self:
        return cls(
            **story.fact("webhook"),
            webhook="ops",
            fingerprint="5f2a",
            since=story.EARLIER,
            receiver="https://ops.example.com",
            events=("model.lost", "recommend.changed"),
            delivered_at=story.EARLIER,
            failed_at=story.AT,
            failing_since=story.AT,
            problem="HTTP 503",
        )


class ModelReported(Event, frozen=True, kw_only=True):
    """Outcome reports of a model to one recommender since `since`; `reported` is the state after them.

    `calls` and the means belong to this event only, and count as in `Reported`. `included` names, by replica, the last
    window in the state, so that a window whose acknowledgement was lost is not added twice.
    """

    TYPE = "report"
    CHANNEL = Row(
        subject="report.{endpoint}.{name}",
        stream="REPORTS",
        publishers=("recommender", "discoverer"),
        followers=("benchmarker", "recommender"),
        durables=(recording("REPORTS"),),
    )
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
        dict[Signal, Watch],
        Meta(description="the state of the last minutes, for ttft, speed and reliability"),
    ] = {}
    renamed_from: ModelRef | None = None

    @property
    def subject(self) -> str:
        return subjects.of_report(self.model)

    @classmethod
    def example(cls) -> Self:
        return cls(
            **story.of_model("reported"),
            since=story.EARLIER,
            calls=20,
            failures={"timeout": 1},
            ttft_ms=150.0,
            reported=Reported(as_of=story.AT, digest=story.DIGEST, calls=20.0, succeeded=19.0),
        )


class CallerUsage(Event, frozen=True, kw_only=True, omit_defaults=True):
    """The usage of a caller of the gateway at one replica in a day (UTC): sums since the day began.

    The usage of a caller is the sum over all replicas, including replicas that have ended.
    """

    TYPE = "usage"
    CHANNEL = Row(
        subject="usage.{caller}.{replica}",
        stream="USAGE",
        publishers=("gateway",),
        followers=("gateway",),
    )
    caller: Annotated[Text, Meta(description="the name of its key; `anybody` where the gateway has no keys")]
    replica: Text
    day: Annotated[Text, Meta(description="the day (UTC), as in 2026-11-30")]
    requests: Annotated[Count, Meta(description="requests to which a model replied")] = 0
    tokens: Annotated[
        Count, Meta(description="of prompts and answers; estimated where no server counted")
    ] = 0
    usd: Annotated[float, Meta(ge=0, description="by the prices of the models, if they are known")] = 0.0

    @property
    def subject(self) -> str:
        return f"usage.{self.caller}.{self.replica}"

    @classmethod
    def example(cls) -> Self:
        return cls(
            **story.fact("usage"),
            caller="team-a",
            replica="4f1c2a90b7d3",
            day=story.DAY,
            requests=120,
            tokens=84_000,
            usd=0.31,
        )


class Progress(Message, frozen=True, kw_only=True, omit_defaults=True):
    """The progress of a job: step of steps, with a line for people. Core NATS: only the newest counts.

    While the job is queued, `waits_for` says why: its turn (`position` of `queue` jobs for the same workers, `behind`
    the running one), a worker (none is running), or the next attempt, in `retry_s` seconds. A job that `failed` with
    `waits_for` "retry" gave way to another user: it has ended, and the same work is queued again as another job, in
    `retry_s` seconds. People see it as deferred. A worker repeats the last progress of a running job every 20 s.
    """

    CHANNEL = Row(
        subject="progress.{job id}",
        stream=None,
        publishers=WORKERS,
        others=("operator", "console"),
    )

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
        return f"progress.{self.job_id}"

    @property
    def shown_state(self) -> ProgressState | Literal["deferred"]:
        """The state as people see it: a job that gave way has not failed."""
        return "deferred" if self.state == "failed" and self.waits_for == "retry" else self.state

    @classmethod
    def example(cls) -> Self:
        return cls(
            job_id=story.JOB,
            at=story.AT,
            state="step",
            step=2,
            steps=6,
            message="2 of 6 runs",
            model=story.QWEN,
        )


class DeadLetter(Message, frozen=True, kw_only=True, omit_defaults=True):
    """A complete message that could not be processed, with the reason."""

    CHANNEL = Row(
        subject="dead.{service}",
        stream="DEAD",
        publishers=SERVICES,
        others=("operator",),
    )

    service: str
    at: UtcTime
    reason: str
    subject: str
    payload: bytes
    headers: dict[str, str] = {}
    stream: str | None = None
    sequence: int | None = None
    deliveries: int = 1

    @classmethod
    def example(cls) -> Self:
        return cls(
            service="prober",
            at=story.AT,
            reason="UndecodableMessage: job.probe.gpu-box.gpu: Expected `object`, got `array`",
            subject="job.probe.gpu-box.gpu",
            payload=b"[]",
            stream="JOBS",
            sequence=17,
        )
