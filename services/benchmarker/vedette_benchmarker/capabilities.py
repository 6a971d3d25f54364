"""The measure `verify`: which capabilities a model shows when a call asks for them."""

from datetime import datetime
from random import Random

from vedette.bus.bus import Bus
from vedette.clock import Clock
from vedette.endpoints import OpenEndpoint
from vedette.endpoints.budget import cost
from vedette.messages import ids, subjects
from vedette.messages.catalogue import ModelState, Versioned
from vedette.messages.events import Attempt, Job, ModelVerified
from vedette.types import ModelInfo, Outcome, Use
from vedette_benchmarker.proof import Proof, calls, claims, prove, prove_embedding, prove_rerank
from vedette_benchmarker.work import Ended, Work

_PROMPT_TOKENS = 150  # of the longest call, with tool and template
_VECTORS = {"embedding": prove_embedding, "rerank": prove_rerank}


class Capabilities:
    """Checks the capabilities of one model for one job."""

    def __init__(self, *, bus: Bus, clock: Clock, rng: Random) -> None:
        self._bus = bus
        self._clock = clock
        self._rng = rng

    def is_done(self, state: ModelState, job: Job) -> bool:
        """Return whether this job already checked the model."""
        return state.verified is not None and state.verified.event.job_id == job.id

    def measured_at(self, state: ModelState) -> datetime | None:
        """Return when the model was last checked."""
        return state.verified.event.at if state.verified else None

    def is_due(self, state: ModelState) -> bool:
        """Return True: every tick repeats the check."""
        return True

    def is_wanted(self, endpoint: OpenEndpoint) -> bool:
        """Return whether the endpoint's models are checked by schedule."""
        return endpoint.settings.verify_capabilities

    def pays(
        self, endpoint: OpenEndpoint, info: ModelInfo, job: Job | None = None, *, today: bool = True
    ) -> bool:
        """Return False: capability checks have no budget of their own."""
        return False

    def estimate(self, endpoint: OpenEndpoint, info: ModelInfo, job: Job) -> Use:
        """Return the usage of all calls if each answer has the maximum length."""
        made = [call.generation.max_tokens for call in calls(info, self._rng)] or [0]
        return cost(
            endpoint.settings,
            info,
            requests=len(made),
            prompt_tokens=_PROMPT_TOKENS * len(made),
            output_tokens=sum(made),
        )

    async def run(self, work: Work) -> Ended:
        """Send the calls, judge the answers, publish the result."""
        proof = await self._prove(work)
        event = await self._publish(work.info, proof, work.job)
        ok = event is None or event.outcome is Outcome.OK
        return Ended(
            ok=ok,
            detail=_summary(event.attempts)
            if event and ok
            else (proof.failure.detail if proof.failure else ""),
            use=cost(
                work.endpoint.settings,
                work.info,
                requests=proof.requests,
                prompt_tokens=proof.prompt_tokens,
                output_tokens=proof.output_tokens,
            ),
        )

    async def _prove(self, work: Work) -> Proof:
        endpoint, info = work.endpoint, work.info
        if info.kind in _VECTORS:
            return await _VECTORS[info.kind](work.in_turn, info)
        made = calls(info, self._rng)
        proof = Proof()
        for step, call in enumerate(made, start=1):
            await self._bus.jobs.publish_progress(
                work.job, "step", f"{info.model}: {call.capability}", step=step, steps=len(made)
            )
            proof = await prove(work.in_turn, call, proof, endpoint.secrets)
            if proof.failure is not None:
                break  # the endpoint failed: further calls would show nothing
        return proof

    async def _publish(self, info: ModelInfo, proof: Proof, job: Job) -> ModelVerified | None:
        subject, now = subjects.of_model("verified", info.model), self._clock.now()

        def step(held: Versioned[ModelVerified] | None) -> ModelVerified | None:
            if held is not None and held.event.job_id == job.id:
                return None
            return ModelVerified(
                id=ids.derive(job.at, subject, job.id),
                at=now,
                model=info.model,
                job_id=job.id,
                outcome=proof.failure.outcome if proof.failure else Outcome.OK,
                digest=info.digest,
                claims=claims(proof.attempts),
                embedding_dimensions=proof.dimensions,
                attempts=proof.attempts,
            )

        event = await self._bus.publisher.advance("MODELS", subject, step)
        self._bus.log.info("capability_check.done", model=str(info.model), claims=_summary(proof.attempts))
        return event


def _summary(attempts: tuple[Attempt, ...]) -> str:
    words = {True: "yes", False: "no", None: "no result"}
    return ", ".join(f"{attempt.capability} {words[attempt.proved]}" for attempt in attempts)
