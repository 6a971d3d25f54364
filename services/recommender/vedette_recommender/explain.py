"""Explains a score: the part of every signal, and why. Pure."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

import numpy as np

from vedette.knowledge import Known, known
from vedette.messages.queries import Contribution, ContributionKind
from vedette.text.figures import counted
from vedette.text.shown import quoted_name
from vedette.types import Signal
from vedette.usecases import SIGNALS
from vedette.usecases.levels import split
from vedette_recommender import scoring
from vedette_recommender.candidate import Facts
from vedette_recommender.columns import Columns
from vedette_recommender.constants import (
    RELIABILITY_WINDOW_H,
)
from vedette_recommender.field import Terms, UseCaseScores
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
        self.expected_quality = field.quality.expected(self.rows)
        self.quality_interval = field.quality.interval(self.rows)
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
        self.field = among.field
        self.columns = among.columns
        self.terms = among.terms
        self._known = tuple(_one(signal, place) for signal in among.known)
        self._reported = (
            self._known
            if among.reported is among.known
            else tuple(_one(signal, place) for signal in among.reported)
        )
        self.expected_quality, self.quality_spread = (
            values[place].item() for values in among.expected_quality
        )
        low, high = (end[place].item() for end in among.quality_interval)
        self._quality_interval = (None, None) if math.isnan(low) else (low, high)
        context = among.context[place].item()
        self._own = [
            *among.field.utility[:CONTEXT, self.row].tolist(),
            context,
        ]  # without outcome reports
        self.worth = [*among.counted[:, place].tolist(), context]
        self._probes = among.probes[place].item()

    @classmethod
    def of(cls, field: UseCaseScores, columns: Columns, rows: Sequence[int], terms: Terms) -> list["Account"]:
        """Return the accounts of the models in *rows*. Their parts are computed for all rows together."""
        among = _Known(field, columns, rows, terms)
        return [cls(among, place) for place in range(len(rows))]

    @property
    def facts(self) -> Facts:
        """Whose account it is."""
        facts = self.columns.facts[self.row]
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
        known, share = self._known[place], self.terms.shares[place]
        raw = known.raw[0].item()
        if math.isnan(raw):
            raw = self._reported[place].raw[0].item()
        n, measured_at = self._samples(signal)
        low, high = self._quality_interval if place == QUALITY else (None, None)
        points, own = (scoring.points(share, worth[place]) for worth in (self.worth, self._own))
        kind = self._kind(signal) if not math.isnan(raw) else self._source(place)
        return Contribution(
            signal=signal,
            raw=None if math.isnan(raw) else raw,
            unit=self.unit(signal),
            utility=self.worth[place],
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
            else np.maximum(0.0, self.field.at - measured_at).item(),
            note="; ".join(filter(None, (self._note(place, raw, points - own), self._thoughts(place)))),
        )

    def unit(self, signal: Signal) -> str:
        """Return the unit of the signal's value."""
        return "texts/s" if signal == "speed" and self.field.use_case.embeds else _UNITS[signal]

    def _samples(self, signal: Signal) -> tuple[int | None, float]:
        """Return how many samples of our own are behind a signal, and when the last was taken."""
        columns, facts = self.columns, self.facts
        if signal == "quality":
            trials = self.field.quality.trials(self.row)
            at = facts.quality.measured_at.timestamp() if facts.quality else math.nan
            return (int(trials), at) if trials and math.isfinite(trials) else (None, at)
        if signal == "reliability" and self._probes:
            return int(self._probes), columns.checked_at[self.row].item()
        if signal in ("speed", "ttft") and facts.performance:
            return facts.performance.n, columns.measured_at[self.row].item()
        return None, math.nan

    def _kind(self, signal: Signal) -> ContributionKind:
        facts, embeds = self.facts, self.field.use_case.embeds
        if signal == "quality":
            return "user" if math.isinf(self.field.quality.trials(self.row)) else "measured"
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
        embeds = self.field.use_case.embeds
        return "peers" if place in (SPEED, TTFT) and not embeds else "floor"

    @cached_property
    def _published(self) -> Known:
        return known(self.facts.info, self.columns.published)

    def reports(self, place: int) -> float:
        """Return how many of our own samples callers' reports count for."""
        reported = self._reported[place].reported
        return float(reported[0]) if reported is not None else 0.0

    def _note(self, place: int, raw: float, moved: float) -> str:
        reported = self.reports(place)
        beside = (
            f"callers' reports count for {reported:.1f} samples: {moved:+.1f} points" if reported > 0 else ""
        )
        if place == QUALITY:
            return self._quality_note(raw)
        if place in (SPEED, TTFT) and math.isnan(raw):
            return f"not measured: expected {self._expected_speed(place)}"
        if slowed := self.slowed(place):
            return "; ".join(filter(None, (slowed, beside)))
        if place in (PRICE, CONTEXT) and math.isnan(raw):
            return f"not known: counts as {self._known[place].expected[0]:.2f}"
        return beside

    def _thoughts(self, place: int) -> str:
        """Return the thinking tokens that the speed must offset, and whether they were counted or are expected."""
        tokens = self.columns.thought_tokens[self.row].item()
        if place != SPEED or tokens < 1.0:
            return ""
        quality = self.facts.quality
        counted = "thinks" if quality and quality.thoughts else "is expected to think"
        return f"it {counted} for {tokens:,.0f} tokens before an answer"

    def slowed(self, place: int) -> str:
        """Return the speed or the TTFT at rest, the expected one, and why; empty where they are the same."""
        if place not in (SPEED, TTFT):
            return ""
        facts, signal = self.facts, SIGNALS[place]
        unit, raw = self.unit(signal), self.evidence(signal).raw[0].item()
        rest = facts.output_tps if place == SPEED else facts.ttft_ms
        if rest is None or math.isnan(raw) or rest == raw or self.field.use_case.embeds:
            return ""
        shown = [f"{value:,.0f}" if value >= 10 else f"{value:.1f}" for value in (rest, raw)]
        load = self.columns.loads.get(facts.model.endpoint)
        busy = load.words(facts.model.name) if load and load.until >= self.field.at else ""
        because = ", ".join(filter(None, (busy, because_of(facts.change, self.field.at))))
        return f"{shown[0]} {unit} at rest, {shown[1]} {unit} now: {because}"

    def _quality_note(self, raw: float) -> str:
        """Return what was expected of the quality, and where that is from."""
        rating = self.facts.rating(self.field.use_case.name)
        if rating is not None:
            return f"{rating.source}, {rating.as_of}"
        here = self._known[QUALITY].expected[0].item()
        expected = f"{here:.2f} ± {self.quality_spread:.2f}"
        published = self._published
        named = published.sources[:_MAX_SOURCES] if published.basis == "model" else ()
        by = ", ".join(named) or _BASES[published.basis]
        text = f"expected {expected} ({by})"
        evaluated = ("not evaluated here",) if math.isnan(raw) else self._graded()
        return "; ".join((text, *evaluated, *self._judged()))

    def _judged(self) -> Sequence[str]:
        """Return what a judge found, and what that moves the quality by, or why it does not count."""
        found = self.field.quality.judgement(self.row)
        if found is None:
            return ()
        judge, asked = quoted_name(found.report.judge), found.compared
        if not asked:
            return (f"{judge} judged no texts of it: {found.report.doubts or 'there were none'}",)
        moved, as_many = self.field.quality.by_judge[:, self.row].tolist()
        preferred = f"judged by {judge}: preferred in {found.wins} of {counted(asked, 'comparison')}, "
        preferred += counted(found.ties, "tie")
        if as_many:
            return (f"{preferred}; counts as {as_many:.1f} answers: {moved:+.3f}",)
        why = found.report.doubts or "no checked answers, or no rival is left"
        return (f"{preferred}; does not count: {why}",)

    def _graded(self) -> Sequence[str]:
        """Return a note if the answers that count for the use case were graded with limits."""
        quality, kinds = self.facts.quality, self.field.use_case.kinds
        scores = quality.scores if quality else {}
        return sorted(
            {score.note for name, score in scores.items() if split(name)[0] in kinds and score.note}
        )

    def _expected_speed(self, place: int) -> str:
        columns, row = self.columns, self.row
        value = (columns.expected_output_tps if place == SPEED else columns.expected_ttft_ms_warm)[row]
        unit = self.unit("speed" if place == SPEED else "ttft")
        return f"{value:.3g} {unit}" if not self.field.use_case.embeds else "like others"


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
