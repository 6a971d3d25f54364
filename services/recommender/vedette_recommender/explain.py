"""Explains a ranking: the part of every signal, and what would change the winner. Pure."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

import numpy as np

from vedette.knowledge import Known, known
from vedette.messages.queries import Contribution, ContributionKind, Improvement
from vedette.text.figures import counted
from vedette.text.shown import quoted_name
from vedette.types import Signal
from vedette.usecases import SIGNALS, estimating
from vedette.usecases.levels import split
from vedette.usecases.utility import HALF_PRICE_USD_PER_MTOK, falling, rising
from vedette_recommender import scoring
from vedette_recommender.bounds import BOUNDS
from vedette_recommender.candidate import Facts
from vedette_recommender.columns import Columns
from vedette_recommender.constants import (
    HALF_FAILURES,
    MIN_CONTEXT_TOKENS,
    RELIABILITY_WINDOW_H,
)
from vedette_recommender.field import Place, Terms, UseCaseScores
from vedette_recommender.present import Change
from vedette_recommender.scoring import CONTEXT, PRICE, QUALITY, SPEED, TTFT, Evidence

_UNITS: Final[dict[Signal, str]] = {
    "quality": "fraction",
    "speed": "tokens/s",
    "ttft": "ms",
    "reliability": "probability",
    "price": "USD/Mtok",
    "context": "tokens",
}
_BASES: Final[Mapping[str, str]] = {
    "model": "what is published of it",
    "family": "what is published of its family",
    "tier": "the tier and date of its name",
    "size_and_date": "its size and date",
    "size": "its size",
    "nothing": "nothing is known of it",
}
_MAX_SOURCES: Final = 2
# So that a tie is not a win.
_EPSILON: Final = 1e-9


class _Known:
    """The known values of some models, by place."""

    def __init__(self, field: UseCaseScores, columns: Columns, rows: Sequence[int], terms: Terms) -> None:
        self.field = field
        self.columns = columns
        self.terms = terms
        self.rows = np.array(rows, np.intp)
        self.known = field.evidence(self.rows, terms.wanted_context)
        self.reported = (
            field.evidence(self.rows, terms.wanted_context, reports=True)
            if columns.has_reports(self.rows).any()
            else self.known
        )
        self.expected_quality = field.expected_quality(self.rows)
        self.quality_interval = field.quality_interval(self.rows)
        self.context = field.context(self.rows, terms.wanted_context)
        self.counted = field.counted(self.rows, terms.shares)
        _, self.probes = columns.daily.before(field.at, RELIABILITY_WINDOW_H * 3600, self.rows)


def _one(signal: Evidence, place: int) -> Evidence:
    """Return what *signal* says of the model in *place*."""
    here = slice(place, place + 1)
    reported = None if signal.reported is None else signal.reported[here]
    return Evidence(
        signal.raw[here], signal.utility[here], signal.confidence[here], signal.expected[here], reported
    )


class Account:
    """How one model's score comes about: the value of each signal, and its points."""

    def __init__(self, among: "_Known", place: int) -> None:
        self.row: int = among.rows[place].item()
        self._field = among.field
        self._columns = among.columns
        self._terms = among.terms
        self._known = tuple(_one(signal, place) for signal in among.known)
        self._reported = (
            self._known
            if among.reported is among.known
            else tuple(_one(signal, place) for signal in among.reported)
        )
        self._expected_quality, self._quality_spread = (
            values[place].item() for values in among.expected_quality
        )
        low, high = (end[place].item() for end in among.quality_interval)
        self._quality_interval = (None, None) if math.isnan(low) else (low, high)
        context = among.context[place].item()
        self._own = [
            *among.field.utility[:CONTEXT, self.row].tolist(),
            context,
        ]  # without outcome reports
        self._worth = [*among.counted[:, place].tolist(), context]
        self._probes = among.probes[place].item()

    @classmethod
    def of(cls, field: UseCaseScores, columns: Columns, rows: Sequence[int], terms: Terms) -> list["Account"]:
        """Return the accounts of the models in *rows*. Their parts are computed for all rows together."""
        among = _Known(field, columns, rows, terms)
        return [cls(among, place) for place in range(len(rows))]

    @property
    def facts(self) -> Facts:
        """Whose account it is."""
        facts = self._columns.facts[self.row]
        if facts is None:
            raise LookupError(f"no model is in row {self.row}")
        return facts

    def evidence(self, signal: Signal) -> Evidence:
        """Return our own measurements of *signal*."""
        return self._known[SIGNALS.index(signal)]

    def contributions(self) -> tuple[Contribution, ...]:
        """Return the part of each signal; the points add up to the raw score."""
        return self._contributions

    @cached_property
    def _contributions(self) -> tuple[Contribution, ...]:
        return tuple(self._contribution(place, signal) for place, signal in enumerate(SIGNALS))

    def _contribution(self, place: int, signal: Signal) -> Contribution:
        known, share = self._known[place], self._terms.shares[place]
        raw = known.raw[0].item()
        if math.isnan(raw):
            raw = self._reported[place].raw[0].item()
        n, measured_at = self._samples(signal)
        low, high = self._quality_interval if place == QUALITY else (None, None)
        points, own = (scoring.points(share, worth[place]) for worth in (self._worth, self._own))
        kind = self._kind(signal) if not math.isnan(raw) else self._source(place)
        return Contribution(
            signal=signal,
            raw=None if math.isnan(raw) else raw,
            unit=self.unit(signal),
            utility=self._worth[place],
            low=low,
            high=high,
            confidence=known.confidence[0].item(),
            weight=share,
            points=points,
            reported_points=points - own,
            kind=kind,
            n=None if n is None or kind == "reported" else n,
            age_s=None
            if n is None or kind == "reported"
            else np.maximum(0.0, self._field.at - measured_at).item(),
            note="; ".join(filter(None, (self._note(place, raw, points - own), self._thoughts(place)))),
        )

    def unit(self, signal: Signal) -> str:
        """Return the unit of the signal's value."""
        return "texts/s" if signal == "speed" and self._field.use_case.embeds else _UNITS[signal]

    def _samples(self, signal: Signal) -> tuple[int | None, float]:
        """Return how many samples of our own are behind a signal, and when the last was taken."""
        columns, facts = self._columns, self.facts
        if signal == "quality":
            trials = self._field.trials(self.row)
            at = facts.quality.measured_at.timestamp() if facts.quality else math.nan
            return (int(trials), at) if trials and math.isfinite(trials) else (None, at)
        if signal == "reliability" and self._probes:
            return int(self._probes), columns.checked_at[self.row].item()
        if signal in ("speed", "ttft") and facts.performance:
            return facts.performance.n, columns.measured_at[self.row].item()
        return None, math.nan

    def _kind(self, signal: Signal) -> ContributionKind:
        facts, embeds = self.facts, self._field.use_case.embeds
        if signal == "quality":
            return "user" if math.isinf(self._field.trials(self.row)) else "measured"
        if signal == "reliability":
            return "measured" if self._probes else "reported"
        if signal == "price":
            return "declared" if facts.info.price else "inferred"
        if signal == "context":
            return "declared"
        own = facts.output_tps if signal == "speed" else facts.ttft_ms
        return "measured" if embeds or own is not None else "reported"

    def _source(self, place: int) -> ContributionKind:
        """Return the source of the expectation of a signal: the model itself, its endpoint, or nothing."""
        if place == QUALITY:
            return "prior" if self._published.basis != "nothing" else "floor"
        embeds = self._field.use_case.embeds
        return "peers" if place in (SPEED, TTFT) and not embeds else "floor"

    @cached_property
    def _published(self) -> Known:
        return known(self.facts.info, self._columns.published)

    def _reports(self, place: int) -> float:
        """Return how many of our own samples callers' reports count for."""
        reported = self._reported[place].reported
        return float(reported[0]) if reported is not None else 0.0

    def _note(self, place: int, raw: float, moved: float) -> str:
        reported = self._reports(place)
        beside = (
            f"callers' reports count for {reported:.1f} samples: {moved:+.1f} points" if reported > 0 else ""
        )
        if place == QUALITY:
            return self._quality_note(raw)
        if place in (SPEED, TTFT) and math.isnan(raw):
            return f"not measured: expected {self._expected_speed(place)}"
        if place in (SPEED, TTFT) and (now := self._now(place, raw)):
            return "; ".join(filter(None, (now, beside)))
        if place in (PRICE, CONTEXT) and math.isnan(raw):
            return f"not known: counts as {self._known[place].expected[0]:.2f}"
        return beside

    def _thoughts(self, place: int) -> str:
        """Return the thinking tokens that the speed must offset, and whether they were counted or are expected."""
        tokens = self._columns.thought_tokens[self.row].item()
        if place != SPEED or tokens < 1.0:
            return ""
        quality = self.facts.quality
        counted = "thinks" if quality and quality.thoughts else "is expected to think"
        return f"it {counted} for {tokens:,.0f} tokens before an answer"

    def _now(self, place: int, raw: float) -> str:
        """Return what was measured at rest, what is expected now, and why; nothing where they are the same."""
        facts, unit = self.facts, self.unit("speed" if place == SPEED else "ttft")
        rest = facts.output_tps if place == SPEED else facts.ttft_ms
        if rest is None or rest == raw or self._field.use_case.embeds:
            return ""
        shown = [f"{value:,.0f}" if value >= 10 else f"{value:.1f}" for value in (rest, raw)]
        load = self._columns.loads.get(facts.model.endpoint)
        busy = load.words(facts.model.name) if load and load.until >= self._field.at else ""
        because = ", ".join(filter(None, (busy, because_of(facts.change, self._field.at))))
        return f"{shown[0]} {unit} at rest, {shown[1]} {unit} now: {because}"

    def _quality_note(self, raw: float) -> str:
        """Return what was expected of the quality, and where that is from."""
        rating = self.facts.rating(self._field.use_case.name)
        if rating is not None:
            return f"{rating.source}, {rating.as_of}"
        here = self._known[QUALITY].expected[0].item()
        expected = f"{here:.2f} ± {self._quality_spread:.2f}"
        published = self._published
        named = published.sources[:_MAX_SOURCES] if published.basis == "model" else ()
        by = ", ".join(named) or _BASES[published.basis]
        text = f"expected {expected} ({by})"
        evaluated = ("not evaluated here",) if math.isnan(raw) else self._graded()
        return "; ".join((text, *evaluated, *self._judged()))

    def _judged(self) -> Sequence[str]:
        """Return what a judge found, and what that moves the quality by, or why it does not count."""
        found = self._field.judgement(self.row)
        if found is None:
            return ()
        judge, asked = quoted_name(found.report.judge), found.compared
        if not asked:
            return (f"{judge} judged no texts of it: {found.report.doubts or 'there were none'}",)
        moved, as_many = self._field.by_judge[:, self.row].tolist()
        preferred = f"judged by {judge}: preferred in {found.wins} of {counted(asked, 'comparison')}, "
        preferred += counted(found.ties, "tie")
        if as_many:
            return (f"{preferred}; counts as {as_many:.1f} answers: {moved:+.3f}",)
        why = found.report.doubts or "no checked answers, or no rival is left"
        return (f"{preferred}; does not count: {why}",)

    def _graded(self) -> Sequence[str]:
        """Return a note if the answers that count for the use case were graded with limits."""
        quality, kinds = self.facts.quality, self._field.use_case.kinds
        scores = quality.scores if quality else {}
        return sorted(
            {score.note for name, score in scores.items() if split(name)[0] in kinds and score.note}
        )

    def _expected_speed(self, place: int) -> str:
        columns, row = self._columns, self.row
        value = (columns.expected_output_tps if place == SPEED else columns.expected_ttft_ms_warm)[row]
        unit = self.unit("speed" if place == SPEED else "ttft")
        return f"{value:.3g} {unit}" if not self._field.use_case.embeds else "like others"

    def improvement(self, standing: Place, needed: float) -> Improvement | None:
        """Return the smallest change by which the model, now at the place *standing*, would score *needed*."""
        multiplier = math.prod(standing.multipliers.values())
        status = scoring.STATUS_MULTIPLIER[self._field.status[self.row]].item()
        aim = needed * (1.0 + _EPSILON)
        if status < 1.0 and standing.raw * multiplier / status >= aim:
            return Improvement(model=self.facts.model, signal="status", to="available")
        if any(name in standing.multipliers for name in BOUNDS):
            return None  # what brings it within its bounds changes more than one signal
        lacking = aim / multiplier - standing.raw
        if lacking < _EPSILON:
            return None  # a tie, which no change that can be shown would end
        found = [
            change
            for place, signal in enumerate(SIGNALS)
            if (change := self._change(place, signal, lacking)) is not None
        ]
        return min(found, key=lambda change: math.inf if change.by is None else change.by, default=None)

    def _change(self, place: int, signal: Signal, lacking: float) -> Improvement | None:
        """Return what *signal* would have to be to add *lacking* points, all else being as it is."""
        share, raw = self._terms.shares[place], self._known[place].raw[0].item()
        if not share or math.isnan(raw):
            return None
        more = lacking / (100.0 * share)
        to = self._quality_to(more) if place == QUALITY else self._measured_to(place, signal, raw, more)
        if to is None:
            return None
        by = abs(to - raw) / abs(raw) if raw else None
        return Improvement(
            model=self.facts.model, signal=signal, raw=raw, to=to, unit=self.unit(signal), by=by
        )

    def _quality_to(self, more: float) -> float | None:
        """Return the rate of right answers that makes the quality so much *more*, if one does."""
        if self._field.by_judge[1, self.row]:
            return None  # what a judge found moves with the answers, so that no single change can be named
        effective = self._field.effective_trials(self.row)
        wanted: float = self._worth[QUALITY] + more
        if wanted >= 1.0:
            return None
        if math.isinf(effective):
            return wanted
        expected, spread = self._expected_quality, self._quality_spread
        mix = self._field.mix(self.row)
        rate: float = estimating.rate_for(wanted, effective, expected, spread, self._field.scale, mix)
        return estimating.at_standard(rate, effective, mix) if rate <= 1.0 else None

    def _measured_to(self, place: int, signal: Signal, raw: float, more: float) -> float | None:
        part = self._own_part(place, signal)
        return self._value_of(signal, self._utility_of(signal, raw) + more / part) if part else None

    def _own_part(self, place: int, signal: Signal) -> float:
        """Return the share by which our own measurement would move the signal: callers' reports keep the rest."""
        if signal in ("reliability", "price", "context"):
            return 1.0
        sure: float = self._known[place].confidence[0].item()
        reported = self._reports(place)
        if not reported or self._field.held_back(self.row, self._terms.shares):
            return sure
        own = self._columns.runs[self.row].item()
        spread = self._columns.output_tps_spread if place == SPEED else self._columns.ttft_spread
        age_s = self._field.at - self._columns.measured_at[self.row]
        unsure = self._columns.spread_now(self._field.at, np.array([self.row]))
        beside = scoring.timed_confidence(own + reported, spread[self.row], age_s, np.max(unsure))
        return float(beside * own / (own + reported))

    def _utility_of(self, signal: Signal, value: float) -> float:
        match signal:
            case "speed":
                return float(rising(value, self._half_speed))
            case "ttft":
                return float(falling(value, self._field.use_case.half_ttft_ms))
            case "price":
                return float(falling(value, HALF_PRICE_USD_PER_MTOK))
            case "reliability":
                return float(scoring.succeeding(value))
            case "context":
                return float(scoring.context_utility(value, self._terms.wanted_context))
            case _:
                return value

    def _value_of(self, signal: Signal, utility: float) -> float | None:
        """Return the value that is worth *utility*, or None where none is."""
        if utility > 1.0 or (utility == 1.0 and signal in ("speed", "ttft")):
            return None
        match signal:
            case "speed":
                return self._half_speed * utility / (1.0 - utility)
            case "ttft":
                return self._field.use_case.half_ttft_ms * (1.0 - utility) / utility
            case "price":
                return HALF_PRICE_USD_PER_MTOK * (1.0 - utility) / utility
            case "reliability":
                return float(1.0 - HALF_FAILURES * (1.0 - utility) / utility)
            case "context":
                wanted = max(self._terms.wanted_context, MIN_CONTEXT_TOKENS)
                return float(math.ceil(MIN_CONTEXT_TOKENS * (wanted / MIN_CONTEXT_TOKENS) ** utility))
            case _:
                return utility

    @property
    def _half_speed(self) -> float:
        return float(scoring.half_speed(self._field.use_case, self._columns.thought_tokens[self.row]))


def because_of(change: Change, at: float) -> str:
    """Return in words what was detected of a model, as it counts at *at*."""
    if change.until < at or not change.by:
        return ""
    by = {
        "reports": "callers report it",
        "benchmark": "the last benchmark measured it",
        "probes": "its probes take longer",
    }[change.by]
    return f"{by} since {change.since:%H:%M} UTC"
