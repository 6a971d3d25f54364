"""The measure `evaluate`: how well a model answers questions whose answers can be checked."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import islice
from random import Random

from vedette.bus.bus import Bus
from vedette.clock import Clock
from vedette.endpoints import OpenEndpoint, evaluating
from vedette.endpoints.budget import cost
from vedette.messages import ids, subjects
from vedette.messages.catalogue import Catalogue, ModelState, Versioned
from vedette.messages.events import Job, ModelEvaluated, ModelRegressed
from vedette.settings import Evaluating
from vedette.text.shown import shown
from vedette.types import ModelInfo, Outcome, Use
from vedette_benchmarker.asking import Asker, Spent, room_to_think
from vedette_benchmarker.day_limit import DayLimit
from vedette_benchmarker.grader import Grading
from vedette_benchmarker.grading import (
    Graded,
    added,
    claims,
    drops,
    fold,
    is_done,
    most_useful,
    together,
    ungraded,
)
from vedette_benchmarker.racing import PART
from vedette_benchmarker.selecting import Selecting, is_of, next_part
from vedette_benchmarker.suites import Item, Suite, VectorItem
from vedette_benchmarker.work import Ended, Work
from vedette_benchmarker.yielding import GaveWay

_PROMPT_TOKENS = 200  # of an average item, with its template


class Evaluation:
    """Evaluates one model for one job. *selecting* selects the questions."""

    def __init__(
        self,
        *,
        bus: Bus,
        catalogue: Catalogue,
        selecting: Selecting,
        settings: Evaluating,
        grader: Grading,
        clock: Clock,
        limit: DayLimit | None = None,
    ) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._selecting = selecting
        self._settings = settings
        self._grader = grader
        self._clock = clock
        self._limit = limit or DayLimit(settings=settings, catalogue=catalogue, clock=clock)

    def is_done(self, state: ModelState, job: Job) -> bool:
        """Return whether this job already evaluated the model."""
        return state.evaluated is not None and state.evaluated.event.job_id == job.id

    def measured_at(self, state: ModelState) -> datetime | None:
        """Return when the present weights were last evaluated."""
        return state.quality.measured_at if state.quality else None

    def is_due(self, state: ModelState) -> bool:
        """Return whether a tick should evaluate the model: a suite was never asked, or the model has no digest.

        Without a digest, Vedette does not notice other weights under the same name. Models with a digest race for
        more questions.
        """
        info = state.known
        return info is not None and (info.digest is None or bool(self._selecting.first_share(state, info)))

    def is_wanted(self, endpoint: OpenEndpoint) -> bool:
        """Return whether the endpoint's models are evaluated by schedule."""
        return endpoint.settings.evaluate

    def estimate(self, endpoint: OpenEndpoint, info: ModelInfo, job: Job) -> Use:
        """Return the maximum usage of a scheduled job: all suites, with answers of the maximum length."""
        state, suites = self._catalogue.get(info.model), self._selecting.fitting(info, ())
        first = self._selecting.first_share(state, state.known or info) if state else {}
        part = min(PART, self._settings.items)
        counts = {suite.kind: max(part, sum(first.get(name, 0) for name in suite.asked)) for suite in suites}
        items = sum(counts.values())
        return cost(
            endpoint.settings,
            info,
            requests=items,
            prompt_tokens=_PROMPT_TOKENS * items,
            output_tokens=sum(_longest(suite, counts[suite.kind]) for suite in suites)
            + room_to_think(info) * items,
        )

    def pays(
        self, endpoint: OpenEndpoint, info: ModelInfo, job: Job | None = None, *, today: bool = True
    ) -> bool:
        """Return whether `usd_per_day` covers the next questions to a paid model."""
        cost = _expected(self._catalogue.get(info.model), info, PART)
        return self._limit.gives_leave(endpoint, info, cost.usd if cost else None, today=today)

    async def run(self, work: Work) -> Ended:
        """Ask, grade, publish. Raises RequestError for a suite that is unknown here."""
        known, started = work.known, self._clock.monotonic()
        wanted = await self._selecting.wanted(work.state, known, work.job)
        if not wanted:
            return Ended(ok=True, detail="no more questions are worth asking", use=Use())
        cost = _expected(work.state, known, evaluating.ITEMS)
        most_usd = max(cost.thinking_usd, cost.usd) if cost else None
        with self._limit.reserved(work.endpoint, known, work.job, most_usd) as limit_usd:
            return await self._run(work, wanted, limit_usd, started)

    async def _run(
        self, work: Work, wanted: Sequence[tuple[Suite, int]], limit_usd: float | None, started: float
    ) -> Ended:
        endpoint, info, job = work.endpoint, work.known, work.job
        asker = Asker(
            work.in_turn,
            info,
            self._settings,
            self._grader,
            secrets=endpoint.secrets,
            max_usd=limit_usd,
        )
        graded: list[Graded] = []
        scores = dict(self._selecting.scores_so_far(work.state, info))
        left, steps, asked = list(wanted), sum(count for _, count in wanted), 0
        while left and asker.spent.failure is None and asker.spent.over_usd is None:
            suite, count = left.pop(0)
            level, items = next_part(suite, count, scores, job)

            async def on_trial(so_far: Graded, asked: int = asked) -> None:
                await self._publish_step(so_far, job, asked, steps)

            held = scores.get(level.kind)
            before = held if is_of(held, level) else None
            # One seed for all models, each going on where it stopped: what they are compared by are the same items,
            # and none is asked twice. A suite with a fixed number of items is asked again, in another order.
            seed, start = (
                (level.name, before.trials if before else 0)
                if level.endless
                else (f"{job.id} {level.name}", 0)
            )
            asked += items
            try:
                found = await asker.grade(level, seed, on_trial, start=start, count=items)
            except GaveWay as gave_way:
                return Ended(ok=False, use=asker.spent.at(endpoint.settings, info), gave_way=gave_way)
            graded.append(found)
            if found.trials:
                scores[level.kind] = added(before, found.score)
            if items < count and is_done(found, items):
                left.insert(0, (suite, count - items))
        spent = asker.spent
        use = spent.at(endpoint.settings, info)
        took_s = self._clock.monotonic() - started
        event = await self._publish(work, together(graded), spent, use, took_s)
        ok = event is None or event.outcome is Outcome.OK
        return Ended(ok=ok, detail=_summary(event) if event else "", use=use)

    async def _publish_step(self, graded: Graded, job: Job, before: int, steps: int) -> None:
        message = f"{job.model}: {graded.suite.kind} {graded.successes} of {graded.trials}"
        await self._bus.jobs.publish_progress(job, "step", message, step=before + graded.trials, steps=steps)

    async def _publish(
        self, work: Work, graded: list[Graded], spent: Spent, use: Use, took_s: float
    ) -> ModelEvaluated | None:
        endpoint, info, job = work.endpoint, work.known, work.job
        observed = self._catalogue.endpoint(endpoint.name)
        version = observed.server_version if observed else None
        subject, now = subjects.of_model("evaluated", info.model), self._clock.now()
        scores = {one.suite.kind: one.score for one in graded if one.trials}

        def step(held: Versioned[ModelEvaluated] | None) -> ModelEvaluated | None:
            if held is not None and held.event.job_id == job.id:
                return None
            previous = held.event.quality if held else None
            return ModelEvaluated(
                id=ids.derive(job.at, subject, job.id),
                at=now,
                model=info.model,
                job_id=job.id,
                outcome=spent.failure.outcome if spent.failure else Outcome.OK,
                detail=spent.failure.detail if spent.failure else _stopped(spent),
                scores=scores,
                claims=claims(graded),
                ungraded=ungraded(graded),
                use=use,
                took_s=round(took_s, 3),
                quality=fold(
                    previous,
                    scores,
                    most_useful(graded),
                    at=now,
                    digest=info.digest,
                    server_version=version,
                    thoughts=spent.thoughts,
                ),
            )

        event = await self._bus.publisher.advance("MODELS", subject, step)
        if event is not None:
            await self._warn(event, job)
            self._bus.log.info("evaluation.done", model=str(info.model), outcome=event.outcome)
        return event

    async def _warn(self, event: ModelEvaluated, job: Job) -> None:
        """Publish that the model has become worse, once for each baseline."""
        fallen, quality = drops(event.quality), event.quality
        baseline = quality.baseline
        if not fallen or baseline is None:
            return
        subject = subjects.of_model("regressed", event.model)

        def step(held: Versioned[ModelRegressed] | None) -> ModelRegressed | None:
            if held is not None and (held.event.digest, held.event.server_version, held.event.before) == (
                quality.digest, quality.server_version, baseline,
            ):  # fmt: skip
                return None
            return ModelRegressed(
                id=ids.derive(job.at, subject, job.id),
                at=event.at,
                model=event.model,
                job_id=job.id,
                digest=quality.digest,
                server_version=quality.server_version,
                before=baseline,
                drops=fallen,
            )

        await self._bus.publisher.advance("MODELS", subject, step)


@lru_cache
def _longest(suite: Suite, count: int) -> int:
    """Return the maximum tokens of the answers to *count* items, over all levels."""
    sizes = []
    for level in suite.asked.values():
        items: Iterator[Item | VectorItem] = level.items(Random(0))  # noqa: S311 - only their size matters
        sizes.append(sum(item.max_tokens for item in islice(items, count) if isinstance(item, Item)))
    return max(sizes)


def _stopped(spent: Spent) -> str | None:
    if spent.over_usd is None:
        return None
    return f"stopped: one more question could have cost more than {spent.over_usd:.2f} USD"


def _expected(state: ModelState | None, info: ModelInfo, items: int) -> evaluating.Cost | None:
    """Return the cost of *items* of each suite, by the reasoning counted so far; None without a known price."""
    return evaluating.expected(info, items, state.quality.thoughts if state and state.quality else None)


def _summary(event: ModelEvaluated) -> str:
    if event.outcome is not Outcome.OK or (event.detail and not event.scores):
        return str(event.detail or event.outcome)
    scores = [f"{kind} {score.successes}/{score.trials}" for kind, score in event.scores.items()]
    failed = [f"{kind}: {one.answers} not graded ({shown(one.why)})" for kind, one in event.ungraded.items()]
    return ", ".join((*scores, *failed, *((shown(event.detail),) if event.detail else ())))
