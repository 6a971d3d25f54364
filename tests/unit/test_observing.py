"""The gauges say what the catalogue holds."""

from prometheus_client import REGISTRY

import casebook
from vedette_recommender.observing import update


def test_gauges_follow_the_catalogue() -> None:
    case = casebook.read(casebook.FILES[0].read_text())
    answers, catalogue = casebook.answering(case)
    update(answers, catalogue, ["laptop"])
    assert REGISTRY.get_sample_value("vedette_models", {"status": "available"}) == len(case.model)
    assert REGISTRY.get_sample_value("vedette_models", {"status": "unreachable"}) == 0
    assert REGISTRY.get_sample_value("vedette_catalogue_sequence") == catalogue.sequence > 0
