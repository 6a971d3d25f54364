"""Benchmark jobs: measure one model at a time, fold the samples in, publish."""

from random import Random

from vedette import identity, subjects
from vedette.bus import Bus
from vedette.catalogue import Catalogue, Held, ModelState
from vedette.clock import Clock
from vedette.endpoints import Endpoints, OpenEndpoint
from vedette.errors import ProviderError
from vedette.events import Job, ModelBenchmarked, ModelChanged, ModelFound, Tick
from vedette.settings import Benchmarking
from vedette.types import ModelInfo, Outcome, Residency, RunSample
from vedette_benchmarker.load import measure, plan
from vedette_benchmarker.statistics import fold


class Benchmarks:
    """Turns ticks and newly found models into jobs, and jobs into `model.benchmarked`."""

    def __init__(
        self,
        *,
        bus: Bus,
        catalogue: Catalogue,
        endpoints: Endpoints,
        settings: Benchmarking,
        clock: Clock,
        rng: Random,
    ) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._endpoints = endpoints
        self._settings = settings
        self._clock = clock
        self._rng = rng

    async def on_tick(self, tick: Tick) -> None:
        """Queue every model that has not been measured since the tick's slot."""
        for state in list(self._catalogue.present()):
            performance = state.performance
            endpoint = self._endpoints.get(state.model.endpoint)
            if endpoint and (performance is None or performance.measured_at < tick.slot):
                await self._bus.enqueue(
                    endpoint.job("benchmark", at=tick.slot, cause="tick", seed=tick.id, model=state.model)
                )

    async def on_found(self, event: ModelFound) -> None:
        """Queue the first benchmark of a model that has just come."""
        endpoint = self._endpoints.get(event.model.endpoint)
        if endpoint is not None:
            await self._bus.enqueue(
                endpoint.job("benchmark", at=event.at, cause="found", seed=event.id, model=event.model)
            )

    async def on_changed(self, event: ModelChanged) -> None:
        """Queue a benchmark of a model whose weights are new."""
        endpoint = self._endpoints.get(event.model.endpoint)
        if endpoint is not None and event.digest_changed:
            await self._bus.enqueue(
                endpoint.job("benchmark", at=event.at, cause="changed", seed=event.id, model=event.model)
            )

    async def on_job(self, job: Job) -> None:
        """Measure one model."""
        state = await self._current(job)
        endpoint = self._endpoints.get(job.endpoint)
        if endpoint is None or state is None or state.info is None or not state.present:
            await self._bus.tell(job, "failed", f"{job.model or job.endpoint}: no such model")
            return
        if self._is_done(state, job):
            await self._bus.tell(job, "done", f"{state.model}: measured")
            return
        reason = _left_alone(endpoint, state.info, job)
        if reason:
            await self._bus.tell(job, "failed", f"{state.model}: {reason}")
            return
        await self._measure(endpoint, state.info, job)

    async def _current(self, job: Job) -> ModelState | None:
        """Return the model as the stream holds it: our own view may lag behind the job that names it."""
        return await self._bus.read_model(job.model) if job.model else None

    def _is_done(self, state: ModelState, job: Job) -> bool:
        return state.benchmarked is not None and _holds(state.benchmarked, job)

    async def _measure(self, endpoint: OpenEndpoint, info: ModelInfo, job: Job) -> None:
        await self._bus.tell(job, "started", str(info.model))
        before = await _residency(endpoint, info)

        async def on_step(step: int, steps: int, message: str) -> None:
            await self._bus.tell(job, "step", f"{info.model}: {message}", step=step, steps=steps)

        held = self._catalogue.endpoint(endpoint.name)
        samples = await measure(
            endpoint.endpoint,
            info,
            job_id=job.id,
            rng=self._rng,
            clock=self._clock,
            plan=plan(info, self._settings),
            on_step=on_step,
            server_version=held.event.server_version if held else None,
        )
        event = await self._publish(info, samples, before, await _residency(endpoint, info), job)
        ok = event is None or event.outcome is Outcome.OK
        detail = event.detail or event.outcome if event else ""
        await self._bus.tell(
            job, "done" if ok else "failed", str(info.model) if ok else f"{info.model}: {detail}"
        )

    async def _publish(
        self,
        info: ModelInfo,
        samples: list[RunSample],
        before: Residency | None,
        after: Residency | None,
        job: Job,
    ) -> ModelBenchmarked | None:
        subject = subjects.of_model("benchmarked", info.model)
        worst = next((s for s in samples if s.outcome is not Outcome.OK), samples[0])
        told = next((s for s in samples if s.outcome is Outcome.OK), worst)
        now = self._clock.now()

        def step(held: Held[ModelBenchmarked] | None) -> ModelBenchmarked | None:
            if held is not None and _holds(held, job):
                return None
            return ModelBenchmarked(
                id=identity.derive(job.at, subject, job.id),
                at=now,
                model=info.model,
                job_id=job.id,
                outcome=told.outcome,
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
                ),
            )

        event = await self._bus.advance("MODELS", subject, step)
        self._bus.log.info("benchmark.done", model=str(info.model), outcome=told.outcome)
        return event


def _holds(held: Held[ModelBenchmarked], job: Job) -> bool:
    return held.event.job_id == job.id or any(s.job_id == job.id for s in held.event.performance.samples)


def _left_alone(endpoint: OpenEndpoint, info: ModelInfo, job: Job) -> str | None:
    if job.cause == "manual":
        return None
    if not endpoint.settings.benchmark:
        return f"benchmarks are off for {endpoint.name}"
    if not endpoint.endpoint.features.free_to_ask or info.locality == "remote":
        return "remote and perhaps paid for, so it is measured only when asked"
    return None


async def _residency(endpoint: OpenEndpoint, info: ModelInfo) -> Residency | None:
    try:
        loaded = await endpoint.endpoint.resident()
    except ProviderError:
        return None
    return None if loaded is None else loaded.get(info.model.name, Residency(resident=False))


def _vram_share(residency: Residency | None) -> float | None:
    if residency is None or not residency.size_bytes or residency.vram_bytes is None:
        return None
    return min(1.0, residency.vram_bytes / residency.size_bytes)
