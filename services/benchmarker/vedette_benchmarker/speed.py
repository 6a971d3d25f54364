"""The measure `benchmark`: the speed of a model, and its throughput with several streams if the job requests it."""

from collections.abc import Sequence
from datetime import datetime
from random import Random

from vedette.bus.bus import Bus
from vedette.clock import Clock
from vedette.endpoints import OpenEndpoint
from vedette.endpoints.budget import cost
from vedette.errors import ProviderError
from vedette.messages import ids, subjects
from vedette.messages.catalogue import Catalogue, ModelState, Versioned
from vedette.messages.events import Job, ModelBenchmarked
from vedette.settings import Benchmarking
from vedette.text.figures import counted
from vedette.types import ModelInfo, Outcome, Residency, RunSample, StreamsLoad, Sweep, Use
from vedette_benchmarker.load import OnStep, Run, measure, plan, small
from vedette_benchmarker.statistics import fold
from vedette_benchmarker.sweep import GENERATING, at_once
from vedette_benchmarker.work import Ended, Work


class Speed:
    """Benchmarks one model for one job."""

    def __init__(
        self,
        *,
        bus: Bus,
        catalogue: Catalogue,
        settings: Benchmarking,
        clock: Clock,
        own: Clock,
        rng: Random,
    ) -> None:
        """*own* is the machine's clock, which steps at once when the machine has slept.

        *clock*, which is compared with the NATS server's, keeps its old correction until the next comparison.
        """
        self._own = own
        self._bus = bus
        self._catalogue = catalogue
        self._settings = settings
        self._clock = clock
        self._rng = rng

    def is_done(self, state: ModelState, job: Job) -> bool:
        """Return whether the figures already contain the job's samples, or a suspicion was checked since."""
        measured_at = self.measured_at(state)
        if job.cause == "suspicion" and measured_at is not None and measured_at >= job.at:
            return True
        return state.benchmarked is not None and _holds(state.benchmarked, job)

    def measured_at(self, state: ModelState) -> datetime | None:
        """Return when the present weights were last measured."""
        return state.performance.measured_at if state.performance else None

    def is_due(self, state: ModelState) -> bool:
        """Return True: every tick repeats the benchmark."""
        return True

    def is_wanted(self, endpoint: OpenEndpoint) -> bool:
        """Return whether the endpoint is benchmarked by schedule."""
        return endpoint.settings.benchmark

    def pays(
        self, endpoint: OpenEndpoint, info: ModelInfo, job: Job | None = None, *, today: bool = True
    ) -> bool:
        """Return False: benchmarks have no budget of their own."""
        return False

    def estimate(self, endpoint: OpenEndpoint, info: ModelInfo, job: Job) -> Use:
        """Return the cost of the plan if every run succeeds."""
        runs = plan(info, self._settings)
        return cost(
            endpoint.settings,
            info,
            requests=len(runs),
            prompt_tokens=sum(run.prompt_tokens for run in runs),
            output_tokens=sum(run.output_tokens for run in runs),
        )

    async def run(self, work: Work) -> Ended:
        """Measure, update the figures, publish."""
        endpoint, info, job = work.endpoint, work.info, work.job
        runs = plan(work.known, self._settings)  # within the context limit that an earlier refusal named
        if job.cause == "suspicion":
            runs = small(runs)
        steps = len(runs) + len(job.streams)

        async def on_step(step: int, _: int, message: str) -> None:
            await self._bus.jobs.publish_progress(
                job, "step", f"{info.model}: {message}", step=step, steps=steps
            )

        before = await _residency_of(endpoint, info)
        observed = self._catalogue.endpoint(endpoint.name)
        samples = await measure(
            endpoint.endpoint,
            info,
            job_id=job.id,
            rng=self._rng,
            clock=self._own,
            plan=runs,
            on_step=on_step,
            turn=work.turn,
            server_version=observed.server_version if observed else None,
        )
        loads = await self._sweep(work, runs, on_step) if _went_well(samples) else []
        event = await self._publish(info, samples, loads, before, await _residency_of(endpoint, info), job)
        ok = event is None or event.outcome is Outcome.OK
        detail = "" if ok or event is None else str(event.detail or event.outcome)
        return Ended(ok=ok, detail=detail, use=_used(endpoint, info, samples, loads, runs))

    async def _sweep(self, work: Work, runs: Sequence[Run], on_step: OnStep) -> list[StreamsLoad]:
        """Run the numbers of concurrent streams in the job, fewest first; stop if the endpoint fails."""
        loads: list[StreamsLoad] = []
        endpoint, info, job = work.endpoint, work.info, work.job
        if info.asked_as not in GENERATING:
            return loads
        for number, streams in enumerate(sorted(set(job.streams)), start=1):
            await on_step(len(runs) + number, 0, f"{counted(streams, 'stream')} at once")
            await work.turn()
            load = await at_once(streams, endpoint.endpoint, info, runs[0], rng=self._rng, clock=self._clock)
            if load is None:
                break
            loads.append(load)
        return loads

    async def _publish(
        self,
        info: ModelInfo,
        samples: list[RunSample],
        loads: list[StreamsLoad],
        before: Residency | None,
        after: Residency | None,
        job: Job,
    ) -> ModelBenchmarked | None:
        subject = subjects.of_model("benchmarked", info.model)
        worst = next((s for s in samples if s.outcome is not Outcome.OK), samples[0])
        first_good = next((s for s in samples if s.outcome is Outcome.OK), worst)
        now = self._clock.now()
        sweep = Sweep(measured_at=now, loads=tuple(loads), digest=info.digest) if loads else None

        def step(held: Versioned[ModelBenchmarked] | None) -> ModelBenchmarked | None:
            if held is not None and _holds(held, job):
                return None
            return ModelBenchmarked(
                id=ids.derive(job.at, subject, job.id),
                at=now,
                model=info.model,
                job_id=job.id,
                outcome=first_good.outcome,
                detail=worst.detail,
                samples=tuple(samples),
                resident_before=before.resident if before else None,
                vram_share=_vram_share(after),
                performance=fold(
                    held.event.performance if held else None,
                    samples,
                    at=now,
                    digest=info.digest,
                    server_version=samples[-1].server_version,
                    sweep=sweep,
                ),
            )

        event = await self._bus.publisher.advance("MODELS", subject, step)
        self._bus.log.info("benchmark.done", model=str(info.model), outcome=first_good.outcome)
        return event


def _went_well(samples: Sequence[RunSample]) -> bool:
    return samples[-1].outcome is Outcome.OK


def _used(
    endpoint: OpenEndpoint,
    info: ModelInfo,
    samples: Sequence[RunSample],
    loads: Sequence[StreamsLoad],
    runs: Sequence[Run],
) -> Use:
    """Return the usage of the runs: by the servers' counts, else by the plan."""
    streams = sum(load.streams for load in loads)
    asked = runs[0] if runs else None
    return cost(
        endpoint.settings,
        info,
        requests=len(samples) + streams,
        prompt_tokens=sum(s.prompt_tokens or 0 for s in samples)
        + (streams * asked.prompt_tokens if asked else 0),
        output_tokens=sum(s.output_tokens or 0 for s in samples)
        + (streams * asked.output_tokens if asked else 0),
    )


def _holds(held: Versioned[ModelBenchmarked], job: Job) -> bool:
    return held.event.job_id == job.id or any(s.job_id == job.id for s in held.event.performance.samples)


async def _residency_of(endpoint: OpenEndpoint, info: ModelInfo) -> Residency | None:
    try:
        loaded = await endpoint.endpoint.resident()
    except ProviderError:
        return None
    return None if loaded is None else loaded.get(info.model.name, Residency(resident=False))


def _vram_share(residency: Residency | None) -> float | None:
    if residency is None or not residency.size_bytes or residency.vram_bytes is None:
        return None
    return min(1.0, residency.vram_bytes / residency.size_bytes)
