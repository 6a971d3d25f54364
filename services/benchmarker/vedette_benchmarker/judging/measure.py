"""The measure `judge`: models write texts, and a clearly better one compares them."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial

import msgspec

from vedette.bus.bus import Bus
from vedette.clock import Clock
from vedette.endpoints import OpenEndpoint, judging
from vedette.endpoints.budget import cost
from vedette.endpoints.judging import Contender, Session
from vedette.errors import ProviderError, RequestError
from vedette.messages import ids, subjects
from vedette.messages.catalogue import Catalogue, ModelState, Versioned
from vedette.messages.events import Job, ModelJudged
from vedette.messages.validation import unknown_name
from vedette.settings import Evaluating
from vedette.text.figures import counted
from vedette.types import Judged, Judgement, JudgeReport, ModelInfo, ModelRef, Prose, Use
from vedette.usecases import UseCase
from vedette.usecases.judging import Able
from vedette_benchmarker.asking import Asker, room_to_think
from vedette_benchmarker.day_limit import DayLimit
from vedette_benchmarker.grader import Grading
from vedette_benchmarker.judging.asking import MAX_ANSWER_TOKENS
from vedette_benchmarker.judging.author import Answers, Author, TooCostly
from vedette_benchmarker.judging.comparing import Comparing, Steps
from vedette_benchmarker.judging.sessions import is_passed, judgements, report
from vedette_benchmarker.judging.steps import May, Next, allowed, next_steps
from vedette_benchmarker.judging.strengths import Vote
from vedette_benchmarker.judging.tasks import MAX_TEXT_CHARACTERS, MAX_TEXT_TOKENS, SERIES, Series
from vedette_benchmarker.work import Ended, Work
from vedette_benchmarker.yielding import GaveWay

_Change = Callable[[Judged], Judged]


class Judging:
    """Lets models write texts, and a judge compare them. Each job is for one model."""

    def __init__(
        self,
        *,
        bus: Bus,
        catalogue: Catalogue,
        settings: Evaluating,
        grader: Grading,
        clock: Clock,
        use_cases: Mapping[str, UseCase],
        limit: DayLimit,
    ) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._settings = settings
        self._grader = grader
        self._clock = clock
        self._use_cases = use_cases
        self._limit = limit
        self._answers: Answers = OrderedDict()  # so that a deferred session continues where it stopped

    def reload(self, use_cases: Mapping[str, UseCase]) -> None:
        """From now on, judge for *use_cases*."""
        self._use_cases = use_cases

    def is_done(self, state: ModelState, job: Job) -> bool:
        """Return whether this job is done: its texts, or the judge's results for the pool, are published."""
        held = [self._catalogue.get(model) for model in _pool(job, self._contenders())] or [state]
        return all(one and one.judgement and one.judgement.event.job_id == job.id for one in held)

    def measured_at(self, state: ModelState) -> datetime | None:
        """Return when the present weights were last evaluated: of several names for them, that one writes."""
        return state.quality.measured_at if state.quality else None

    def is_due(self, state: ModelState) -> bool:
        """Return False: the next work depends on all models together (`next_steps`)."""
        return False

    def is_wanted(self, endpoint: OpenEndpoint) -> bool:
        """Return whether models of the endpoint may write and judge by schedule."""
        return endpoint.settings.evaluate and bool(self._settings.judge.use_cases)

    def pays(
        self, endpoint: OpenEndpoint, info: ModelInfo, job: Job | None = None, *, today: bool = True
    ) -> bool:
        """Return whether `usd_per_day` permits all of *job* with a paid model."""
        return self._limit.gives_leave(endpoint, info, self._most_usd(endpoint, info, job), today=today)

    def _most_usd(self, endpoint: OpenEndpoint, info: ModelInfo, job: Job | None) -> float | None:
        if job is None or job.pool:
            return self._session_cost(info).thinking_usd
        return self.estimate(endpoint, info, job).usd if info.price else None

    def _session_cost(self, info: ModelInfo) -> judging.Work:
        state = self._catalogue.get(info.model)
        thoughts = state.quality.thoughts if state and state.quality else None
        return judging.session_cost(judging.Contender(info=info, thoughts=thoughts), self._settings.judge)

    def estimate(self, endpoint: OpenEndpoint, info: ModelInfo, job: Job) -> Use:
        """Return the maximum usage of *job*."""
        tasks = self._settings.judge.tasks
        if job.pool:
            most = self._session_cost(info)
            requests, prompt_tokens, texts = most.requests, most.prompt_tokens, tasks
        else:
            requests = texts = tasks * max(1, len(job.suites))
            prompt_tokens = judging.TASK_TOKENS * texts
        answers = texts * MAX_TEXT_TOKENS + (requests - texts) * MAX_ANSWER_TOKENS
        return cost(
            endpoint.settings,
            info,
            requests=requests,
            prompt_tokens=prompt_tokens,
            output_tokens=answers + requests * room_to_think(info),
        )

    async def next_steps(self, may: May) -> list[Next]:
        """Return the next work by the catalogue, as far as models *may* do it."""
        settings = self._settings.judge
        if not settings.use_cases:
            return []
        contenders = {
            model: allowed(one, may, settings.use_cases) for model, one in self._contenders().items()
        }
        paid = bool(self._settings.usd_per_day)
        # In a thread: with a thousand models it takes a while, which would distort concurrent measurements.
        return await asyncio.to_thread(next_steps, contenders, self._use_cases, settings, paid=paid)

    def _contenders(self) -> dict[ModelRef, Contender]:
        found = (judging.contender(state) for state in self._catalogue.present())
        return {one.model: one for one in found if one is not None}

    async def run(self, work: Work) -> Ended:
        """Write or compare, and publish. Raises RequestError for a use case without tasks, or models without texts."""
        endpoint, info, known, job = work.endpoint, work.info, work.known, work.job
        if not job.suites or any(name not in SERIES for name in job.suites):
            name = next((name for name in job.suites if name not in SERIES), "")
            raise unknown_name("use case of a judge", name, list(SERIES), field="suites")
        with self._limit.reserved(endpoint, known, job, self._most_usd(endpoint, known, job)) as max_usd:
            author = Author(
                Asker(
                    work.in_turn,
                    known,
                    self._settings,
                    self._grader,
                    secrets=endpoint.secrets,
                    max_usd=max_usd,
                ),
                who=f"{info.model} {info.digest} {job.suites} {job.pool}",
                answers=self._answers,
            )
            gave_way, problem, detail = None, "", ""
            try:
                doing = self._compare(author, known, job) if job.pool else self._write(author, known, job)
                detail = await doing
            except GaveWay as error:
                gave_way = error
            except ProviderError as error:
                problem = error.detail or str(error.outcome)
            except TooCostly as error:
                problem = str(error)
            else:
                author.forget()
        ok = gave_way is None and not problem
        use = author.spent.at(endpoint.settings, known)
        return Ended(ok=ok, detail=problem or detail, use=use, gave_way=gave_way)

    # Writing -------------------------------------------------------------------------------------------------

    async def _write(self, author: Author, info: ModelInfo, job: Job) -> str:
        """Write the texts that *job* names, and publish them. Raises ProviderError and TooCostly."""
        started = self._clock.monotonic()
        steps = Steps(self._bus, job, self._settings.judge.tasks * len(job.suites))
        texts = {name: await self._texts(author, SERIES[name], steps) for name in job.suites}

        def change(before: Judged) -> Judged:
            # Results about other texts no longer count.
            kept = {name: one for name, one in before.judgements.items() if name not in texts}
            tasks = before.tasks | {name: SERIES[name].name for name in texts}
            return msgspec.structs.replace(before, tasks=tasks, texts=before.texts | texts, judgements=kept)

        spent = author.spent
        use = Use(requests=spent.requests, tokens=spent.prompt_tokens + spent.output_tokens)
        took_s = self._clock.monotonic() - started
        await self._publish(info.model, info.digest, job, change, use=use, took_s=took_s)
        written = sum(not text.refused for some in texts.values() for text in some)
        return f"{written} texts for {', '.join(texts)}"

    async def _texts(self, author: Author, series: Series, steps: Steps) -> tuple[Prose, ...]:
        tasks = series.tasks(self._settings.judge.tasks)
        texts = []
        for place, task in enumerate(tasks):
            await steps.next(f"{series.use_case}, text {place + 1} of {len(tasks)}")
            text = await author.say(task.prompt, MAX_TEXT_TOKENS)
            cut = text[:MAX_TEXT_CHARACTERS] if text else ""
            texts.append(Prose(place=place, text=cut, refused=not cut))
        return tuple(texts)

    # Comparing -----------------------------------------------------------------------------------------------

    async def _compare(self, judge: Author, info: ModelInfo, job: Job) -> str:
        """Compare the texts of the pool, and publish the results. Raises ProviderError and TooCostly."""
        started = self._clock.monotonic()
        name, tasks = job.suites[0], self._settings.judge.tasks
        series, contenders = SERIES[name], self._contenders() | await self._now(job.pool)
        able = self._able(job, info.model, name, contenders)
        session = judging.of(name, info.model, job.pool, contenders, able)
        self._require_texts(session, contenders)
        steps = Steps(self._bus, job, session.comparisons(tasks) + tasks)
        comparing = Comparing(judge, steps)
        test = await comparing.test(series, job)
        votes, unread = list[Vote](), 0
        if is_passed(test):  # if it failed, it gets no more questions, because its answers would not count
            texts = {model: _texts_of(contenders[model], name) for model in session.compared}
            texts[info.model] = _by_place(await self._texts(judge, series, steps))
            votes, unread = await comparing.votes(session, series, tasks, texts)
        judge_report = report(
            session,
            series.name,
            test,
            votes,
            unread,
            {model: one.middle for model, one in able.items()},
            info.digest,
        )
        found = judgements(session, votes, judge_report, session_id=job.id, at=self._clock.now())
        for model, judgement in found.items():
            change = partial(_with_judgement, use_case=name, judgement=judgement)
            took_s = self._clock.monotonic() - started
            digest = contenders[model].info.digest
            await self._publish(model, digest, job, change, took_s=took_s, is_of_texts=True)
        self._bus.log.info(
            "judging.done",
            judge=str(info.model),
            use_case=name,
            answers=judge_report.answers,
            doubts=judge_report.doubts,
        )
        return _summary(judge_report)

    async def _now(self, models: Iterable[ModelRef]) -> dict[ModelRef, Contender]:
        """Return *models* from the stream, because the catalogue may lag behind the texts that were just written."""
        states = [await self._bus.streams.read_model(model) for model in models]
        found = (judging.contender(state) for state in states if state is not None)
        return {one.model: one for one in found if one is not None}

    def _able(
        self, job: Job, judge: ModelRef, name: str, contenders: Mapping[ModelRef, Contender]
    ) -> Mapping[ModelRef, Able]:
        """Return the quality of all chat models. Raises RequestError if a model of the pool is not one of them."""
        able = judging.abilities(list(contenders.values()), self._use_cases[name])
        for model in (*job.pool, judge):
            if model not in able:
                raise RequestError(
                    code="unknown_target", message=f"no model {model} that chats", field="pool"
                )
        return able

    def _require_texts(self, session: Session, contenders: Mapping[ModelRef, Contender]) -> None:
        """Raise RequestError if the judge has nothing to compare."""
        lacking = judging.lacking(session, contenders, self._settings.judge.tasks)
        if lacking or len(session.pool) < judging.MIN_POOL:
            message = (
                f"{lacking[0]} has written no texts for {session.use_case}"
                if lacking
                else f"{session.judge} cannot compare them: at least two models of other families are needed"
            )
            raise RequestError(code="invalid_value", message=message, field="pool")

    async def _publish(
        self,
        model: ModelRef,
        digest: str | None,
        job: Job,
        change: _Change,
        *,
        use: Use = Use(),  # noqa: B008 - immutable
        took_s: float = 0.0,
        is_of_texts: bool = False,
    ) -> None:
        """Publish the result of *change* on the judged state of the weights with the digest *digest*.

        With *is_of_texts*, nothing is published if the model has other weights by now, because its texts are gone.
        """
        subject, now = subjects.of_model("judged", model), self._clock.now()

        def step(held: Versioned[ModelJudged] | None) -> ModelJudged | None:
            if held is not None and held.event.job_id == job.id:
                return None
            before = held.event.judged if held else None
            if is_of_texts and (before is None or before.digest != digest):
                return None
            if before is None or before.digest != digest:
                before = Judged(digest=digest)
            return ModelJudged(
                id=ids.derive(job.at, subject, job.id),
                at=now,
                model=model,
                job_id=job.id,
                use=use,
                took_s=round(took_s, 3),
                judged=change(before),
            )

        await self._bus.publisher.advance("MODELS", subject, step)


def _with_judgement(before: Judged, *, use_case: str, judgement: Judgement) -> Judged:
    return msgspec.structs.replace(before, judgements=before.judgements | {use_case: judgement})


def _texts_of(one: Contender, use_case: str) -> dict[int, str]:
    """Return the texts of a model by the place of their task, without those that it refused."""
    return _by_place(one.judged.texts.get(use_case, ())) if one.judged else {}


def _by_place(texts: Iterable[Prose]) -> dict[int, str]:
    return {text.place: text.text for text in texts if not text.refused}


def _pool(job: Job, contenders: Mapping[ModelRef, Contender]) -> Sequence[ModelRef]:
    """Return the models for which the job publishes results. Relatives of the judge only show its bias."""
    judge = contenders.get(job.model) if job.model else None
    return [
        model
        for model in job.pool
        if model not in contenders or judge is None or judging.may_be_judged(contenders[model], judge)
    ]


def _summary(judge_report: JudgeReport) -> str:
    worth = (
        f"does not count: {judge_report.doubts}"
        if judge_report.doubts
        else counted(judge_report.answers, "answer")
    )
    return f"test {judge_report.test.successes}/{judge_report.test.trials}, {worth}"
