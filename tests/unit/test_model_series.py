"""Each model has series of its own, the best ones where there are too many."""

from prometheus_client import CollectorRegistry

import casebook
from vedette_recommender.model_series import ModelSeries

CASE = casebook.read(casebook.FILES[0].read_text())


def told(most: int) -> CollectorRegistry:
    """Return what Prometheus gets of the case with series of *most* models."""
    answers, _ = casebook.answering(CASE)
    series, registry = ModelSeries(), CollectorRegistry()
    registry.register(series)
    series.update(*answers.figures(most))
    return registry


def models(registry: CollectorRegistry, name: str) -> set[str]:
    """Return which models have the metric *name*."""
    return {
        sample.labels["model"]
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def test_every_model_has_its_series() -> None:
    registry = told(most=1000)
    assert len(models(registry, "vedette_model_available")) == len(CASE.model)
    answers, _ = casebook.answering(CASE)
    figures, winners = answers.figures(1000)
    chat = winners["chat"]
    labels = {"vedette_endpoint": chat.endpoint, "model": chat.name}
    (best,) = [one for one in figures if one.model == chat]
    assert registry.get_sample_value("vedette_winner", {**labels, "use_case": "chat"}) == 1
    assert (
        registry.get_sample_value("vedette_model_score", {**labels, "use_case": "chat"})
        == best.scores["chat"]
        > 0
    )
    assert best.scores["chat"] == max(one.scores.get("chat", 0.0) for one in figures)
    assert best.ttft_ms is not None
    assert registry.get_sample_value("vedette_model_ttft_seconds", labels) == best.ttft_ms / 1000


def test_of_too_many_the_best_are_told() -> None:
    registry = told(most=1)
    (model,) = models(registry, "vedette_model_available")
    assert model in models(registry, "vedette_winner")


def test_none_are_told_where_none_are_wanted() -> None:
    assert not models(told(most=0), "vedette_model_available")
    assert not models(told(most=0), "vedette_winner")
