"""What was not measured is expected to be like what was measured beside it."""

from typing import Any

import numpy as np
import pytest

from samples import model_info
from vedette.testing import EPOCH
from vedette.types import Figure, ModelRef, Performance
from vedette_recommender import expecting
from vedette_recommender.candidate import Facts, bytes_per_token
from vedette_recommender.columns import Columns
from vedette_recommender.constants import HOSTED_OUTPUT_TPS


def figure(value: float) -> Figure:
    """Return six equal runs."""
    return Figure(n=6, median=value, p95=value, min=value, max=value, spread=0.0)


def model(name: str, billions: float | None, tps: float | None = None, **facts: Any) -> Facts:
    """Return a model of an endpoint, `endpoint/name`."""
    performance = None
    if tps is not None:
        performance = Performance(measured_at=EPOCH, n=6, output_tps=figure(tps), ttft_ms=figure(6000 / tps))
    described = {"locality": "local", "parameters": int(billions * 1e9) if billions else None} | facts
    return Facts(info=model_info(ModelRef.parse(name), **described), performance=performance)


def expected(*models: Facts) -> dict[str, float]:
    """Return the tokens per second to expect, by name."""
    columns = Columns()
    for one in models:
        columns.put(one)
    expecting.settle(columns)
    return {str(ref): float(columns.expected_output_tps[row]) for ref, row in columns.rows.items()}


def test_half_the_size_is_twice_as_fast_at_the_same_endpoint() -> None:
    """Tokens come as fast as weights are read."""
    told = expected(model("a/7b", 7, 40), model("a/14b", 14), model("b/14b", 14))
    assert told["a/14b"] == pytest.approx(20.0, rel=0.1)
    assert told["b/14b"] != pytest.approx(20.0, rel=0.1)


def test_a_mixture_of_experts_is_as_fast_as_what_is_read_of_it() -> None:
    """And a coarser quantisation is faster."""
    moe = model("a/moe", 30, active_parameters=3_000_000_000)
    told = expected(model("a/7b", 7, 40), moe, model("a/q8", 7, quantization="Q8_0"))
    assert told["a/moe"] == pytest.approx(40 * 7 / 3, rel=0.1)
    assert told["a/q8"] < told["a/7b"]


def test_a_hosted_model_is_as_fast_as_services_are() -> None:
    """Of unknown size; and as the others of its service, where they were measured."""
    alone = expected(model("c/x", None, locality="remote"))
    beside = expected(model("c/x", None, locality="remote"), model("c/y", None, 90, locality="remote"))
    assert alone["c/x"] == HOSTED_OUTPUT_TPS
    assert beside["c/x"] == pytest.approx(90, rel=0.1)


@pytest.mark.parametrize(
    ("quantization", "bits"),
    [("Q4_K_M", 4.8), ("IQ2_XXS", 2.8), ("F16", 16), ("BF16", 16), ("FP8", 8.8), ("int4", 4.8), (None, 5)],
)
def test_bytes_of_a_token(quantization: str | None, bits: float) -> None:
    """By the bits that the quantisation names."""
    info = model_info(ModelRef("a", "m"), parameters=8_000_000_000, quantization=quantization)
    assert bytes_per_token(info) == pytest.approx(bits * 1e9)


def test_only_models_whose_expectation_changed_are_worked_out_again() -> None:
    """A benchmark at one endpoint changes nothing elsewhere."""
    columns = Columns()
    for one in (model("a/7b", 7), model("a/14b", 14), model("b/7b", 7)):
        columns.put(one)
    expecting.settle(columns)
    columns.put(model("a/7b", 7, 40))
    changed = expecting.settle(columns)
    assert changed == {columns.rows[ModelRef("a", "7b")], columns.rows[ModelRef("a", "14b")]}
    assert expecting.settle(columns) == set()
    assert not np.isnan(columns.expected_output_tps).any()


def test_the_size_of_a_hosted_model_tells_nothing_of_its_speed() -> None:
    """Each may run on another machine; so a small one is not expected to be a hundred times as fast."""
    told = expected(model("c/405b", 405, 40, locality="remote"), model("c/0.5b", 0.5, locality="remote"))
    assert told["c/0.5b"] == pytest.approx(40, rel=0.1)


def test_a_speed_of_none_spoils_no_neighbour() -> None:
    """What was measured as zero tells nothing of the machine."""
    alone = expected(model("a/y", 7))
    zero = Facts(
        info=model("a/x", 7).info, performance=Performance(measured_at=EPOCH, n=6, output_tps=figure(0.0))
    )
    assert expected(zero, model("a/y", 7))["a/y"] == alone["a/y"]
