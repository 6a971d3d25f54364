"""How models, endpoints and scores look in a reply. Pure."""

import math
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import msgspec

from vedette.messages.catalogue import ModelState
from vedette.messages.queries import Availability, MeasuredSpeed, ModelView, Now, Recommendation
from vedette.types import Judged, ModelRef, Performance, Prose, Quality
from vedette_recommender.candidate import Candidate, Facts, ends_at, median
from vedette_recommender.field import UseCaseScores
from vedette_recommender.loading import Load
from vedette_recommender.measured_calls import with_calls
from vedette_recommender.present import NONE

# From a provider's name and an endpoint's URL to the base URL for OpenAI clients, if there is one.
BaseUrl = Callable[[str, str], str | None]


class Expected(NamedTuple):
    """The expectation for a call now."""

    ttft_ms: float | None
    output_tps: float | None
    now: Now | None
    may_unload: tuple[str, ...] = ()  # to load it, if it is not loaded


def expected_now(field: UseCaseScores, row: int, facts: Facts, load: Load | None) -> Expected:
    """Return what to expect of the model of *facts* in *row*, whose endpoint has that *load*."""
    ttft_ms, output_tps = field.expected_ttft_ms[row].item(), field.pace.output_tps[row].item()
    may_unload: tuple[str, ...] = ()
    if load and load.until >= field.at:
        name = facts.model.name
        # The pace of the field is that of the requests that last; a call meets those of now.
        output_tps *= load.lasting_pressure(name).output / load.pressure(name).output
        may_unload = load.others(name)  # no server says by which rule it unloads models
    return Expected(_known(ttft_ms), _known(output_tps), now_of(facts, load, field.at), may_unload)


def now_of(facts: Facts, load: Load | None, at: float) -> Now | None:
    """Return how a model is at *at* (seconds since 1970), or None where it is as at rest."""
    change = facts.change if facts.change.until >= at else NONE
    speed = change.speed if change.speed_until >= at else 0.0
    failing = facts.change.failing if facts.change.failing_until >= at else 0.0
    running, waiting, slots = (
        load.requests(facts.model.name) if load and load.until >= at else (None, None, None)
    )
    if not (change.any or failing or running or waiting):
        return None
    return Now(
        ttft_times_slower=math.exp(change.ttft),
        output_times_slower=math.exp(speed),
        failing=failing,
        detected_by=change.by,
        since=change.since,
        running=running,
        waiting=waiting,
        slots=slots,
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def recommendation(candidate: Candidate, expected: Expected, base_url: BaseUrl) -> Recommendation:
    """Return what is needed to call the model of *candidate* at once; its score is still to be filled in."""
    facts, info = candidate.facts, candidate.facts.info
    return Recommendation(
        model=info.model,
        provider=info.provider,
        url=info.url,
        api=info.api,
        score=0.0,
        raw_score=0.0,
        confidence=0.0,
        status=candidate.status,
        resident=candidate.resident,
        may_unload=expected.may_unload,
        base_url=info.base_url or base_url(info.provider, info.url),
        key_ref=info.key_ref,
        context_tokens=info.context_tokens,
        price=facts.price,
        output_tps=facts.output_tps,
        ttft_ms=facts.ttft_ms,
        ttft_cold_ms=facts.ttft_cold_ms,
        expected_ttft_ms=expected.ttft_ms,
        expected_output_tps=expected.output_tps if expected.output_tps != facts.output_tps else None,
        now=expected.now,
        measured_as=facts.measured_as,
        retires_at=ends_at(info),
    )


def model_view(
    candidate: Candidate,
    state: ModelState | None,
    same: tuple[ModelRef, ...],
    *,
    whole: bool,
    notes: tuple[str, ...] = (),
) -> ModelView:
    """Return one model as the catalogue holds it; *whole* with transcripts of failed probes and of checks."""
    facts, info = candidate.facts, candidate.facts.info
    return ModelView(
        model=info.model,
        provider=info.provider,
        url=info.url,
        api=info.api,
        info=info,
        capabilities=info.capabilities,
        status=candidate.status,
        stale=candidate.stale,
        resident=candidate.resident,
        availability=_availability(facts, candidate.at),
        performance=_speed(facts.performance) if facts.performance else None,
        found_at=state.found_at if state else None,
        revision=state.revision if state else 0,
        formerly=_formerly(state),
        measured_as=facts.measured_as,
        last_call=facts.calls[-1] if facts.calls else None,
        same_weights=same,
        figures=_figures(facts.performance) if whole and facts.performance else None,
        quality=_quality(facts.quality, whole=whole) if facts.quality else None,
        judged=_judged(facts.judged, whole=whole) if facts.judged else None,
        ratings=facts.ratings,
        failures=facts.health.failures if whole and facts.health else (),
        published=facts.health.published if whole and facts.health else (),
        notes=notes,
        attempts=state.verified.event.attempts if whole and state and state.verified else (),
        reported=state.reports.at(candidate.at) if whole and state and state.reports else None,
    )


def _formerly(state: ModelState | None) -> ModelRef | None:
    """Return the other name that a model had, if any: its own may have come back to it."""
    was = state.formerly.model if state and state.formerly else None
    return was if state and was != state.model else None


def _figures(performance: Performance) -> Performance:
    """Return *performance* without the single runs behind it."""
    return msgspec.structs.replace(performance, samples=())


def _quality(quality: Quality, *, whole: bool) -> Quality:
    return quality if whole else msgspec.structs.replace(quality, misses=(), baseline=None)


def _judged(judged: Judged, *, whole: bool) -> Judged:
    """Return *judged*; unless *whole*, of each text only that it is there."""
    if whole:
        return judged
    texts = {
        use_case: tuple(Prose(place=one.place, refused=one.refused) for one in written)
        for use_case, written in judged.texts.items()
    }
    return msgspec.structs.replace(judged, texts=texts)


def _availability(facts: Facts, at: datetime) -> Availability | None:
    """Return what the last probe said, and how often probes and Vedette's other calls went well."""
    probed, health = facts.health, with_calls(facts.info, facts.calls, facts.health)
    if probed is None or health is None:
        return None
    return Availability(
        checked_at=health.checked_at,
        since=health.since,
        answered_at=health.answered_at,
        uptime_24h=health.uptime(at, hours=24),
        uptime_7d=health.uptime(at, hours=7 * 24),
        uptime_30d=health.uptime(at, hours=30 * 24),
        probes_24h=sum(probed.counts(at, hours=24).values()),
        last=health.outcomes[-1] if health.outcomes else None,
    )


def _speed(performance: Performance) -> MeasuredSpeed:
    tps, ttft, itl = performance.output_tps, performance.ttft_ms, performance.itl_ms
    headline = tps or performance.texts_per_s
    return MeasuredSpeed(
        output_tps=median(tps),
        ttft_ms=median(ttft),
        ttft_cold_ms=median(performance.ttft_cold_ms),
        load_ms=median(performance.load_ms),
        ttft_p95_ms=ttft.p95 if ttft else None,
        ttft_long_ms=median(performance.ttft_long_ms),
        itl_p50_ms=median(itl),
        itl_p95_ms=itl.p95 if itl else None,
        output_tps_min=tps.min if tps else None,
        output_tps_max=tps.max if tps else None,
        texts_per_s=median(performance.texts_per_s),
        n=performance.n,
        failures=performance.failures,
        contended=performance.contended,
        spread=headline.spread if headline else None,
        measured_at=performance.measured_at,
    )
