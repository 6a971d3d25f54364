"""The example that narrows LiteLLM's deployments by Vedette's ranking: LiteLLM itself is not needed."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from vedette.messages.queries import Recommendation
from vedette.types import ModelRef, Status

EXAMPLE = Path(__file__).parents[2] / "examples" / "litellm_routing.py"


def _example() -> Any:
    spec = importlib.util.spec_from_file_location("litellm_routing", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _ranked(endpoint: str, port: int) -> Recommendation:
    return Recommendation(
        model=ModelRef(endpoint, "m"),
        provider="openai-compatible",
        url=f"http://host:{port}",
        base_url=f"http://host:{port}/v1",
        api="openai",
        score=90.0,
        raw_score=90.0,
        confidence=1.0,
        status=Status.AVAILABLE,
    )


def _deployment(port: int, **more: Any) -> dict[str, Any]:
    return {"litellm_params": {"model": "openai/m", "api_base": f"http://host:{port}/v1/"}, **more}


RANKING = (_ranked("b", 2), _ranked("a", 1))


def test_the_deployments_that_rank_best_are_kept() -> None:
    narrowed = _example().narrowed
    one, two, unknown = _deployment(1), _deployment(2), _deployment(3)
    assert narrowed([unknown, one, two], RANKING, 1) == [two]
    assert narrowed([unknown, one, two], RANKING, 2) == [two, one]


def test_a_deployment_may_say_which_model_it_is() -> None:
    named = _deployment(9, model_info={"vedette": "b/m"})
    assert _example().narrowed([_deployment(1), named], RANKING, 1) == [named]


@pytest.mark.parametrize("ranking", [(), RANKING])
def test_all_are_kept_where_none_is_ranked(ranking: tuple[Recommendation, ...]) -> None:
    deployments = [_deployment(7), {"litellm_params": {"model": "gpt-5"}}]
    assert _example().narrowed(deployments, ranking, 1) == deployments
