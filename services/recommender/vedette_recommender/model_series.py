"""The figures of each model as series for Prometheus, for dashboards and routers. Pure.

Replicas export the same, so queries take `max by (vedette_endpoint, model)`.
"""

from collections.abc import Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vedette.types import ModelRef
from vedette_recommender.figures import ModelFigures


class ModelSeries(Collector):
    """Gives Prometheus the last figures of `update`. A lost model has no series any more."""

    def __init__(self) -> None:
        self._figures: tuple[ModelFigures, ...] = ()
        self._winners: Mapping[str, ModelRef] = {}

    def update(self, figures: Iterable[ModelFigures], winners: Mapping[str, ModelRef]) -> None:
        """Replace the given parts: the figures of models, and the best model by use case."""
        self._figures, self._winners = tuple(figures), winners

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the metrics are known only when they are collected."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return all families."""
        return families(self._figures, self._winners)


def families(figures: Iterable[ModelFigures], winners: Mapping[str, ModelRef]) -> list[Metric]:
    """Return *figures* and *winners* as metrics."""
    available = GaugeMetricFamily(
        "vedette_model_available", "1 while a model is available.", None, ["vedette_endpoint", "model"]
    )
    speed = GaugeMetricFamily(
        "vedette_model_output_tokens_per_second",
        "Measured output tokens per second: median, model loaded.",
        None,
        ["vedette_endpoint", "model"],
    )
    ttft = GaugeMetricFamily(
        "vedette_model_ttft_seconds",
        "Measured time to the first token: median, model loaded, short prompt.",
        None,
        ["vedette_endpoint", "model"],
    )
    uptime = GaugeMetricFamily(
        "vedette_model_uptime_ratio",
        "Share of probes and calls of the last 24 hours that succeeded.",
        None,
        ["vedette_endpoint", "model"],
    )
    score = GaugeMetricFamily(
        "vedette_model_score",
        "Score of a model for a use case, of 100; only of candidates.",
        None,
        ["vedette_endpoint", "model", "use_case"],
    )
    quality = GaugeMetricFamily(
        "vedette_model_quality_ratio",
        "Estimated quality of a model for a use case, of 1.",
        None,
        ["vedette_endpoint", "model", "use_case"],
    )
    winner = GaugeMetricFamily(
        "vedette_winner",
        "1: this model is best for a use case.",
        None,
        ["vedette_endpoint", "model", "use_case"],
    )
    for one in figures:
        labels = [one.model.endpoint, one.model.name]
        available.add_metric(labels, one.available)
        if one.output_tps is not None:
            speed.add_metric(labels, one.output_tps)
        if one.ttft_ms is not None:
            ttft.add_metric(labels, one.ttft_ms / 1000)
        if one.uptime_24h is not None:
            uptime.add_metric(labels, one.uptime_24h)
        for use_case, value in one.scores.items():
            score.add_metric([*labels, use_case], value)
        for use_case, value in one.quality.items():
            quality.add_metric([*labels, use_case], value)
    for use_case, model in winners.items():
        winner.add_metric([model.endpoint, model.name, use_case], 1)
    return [available, speed, ttft, uptime, score, quality, winner]
