"""What evaluating models that cost money costs, is said, and is bound by a budget."""

from collections import Counter
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samples import model_info
from vedette.endpoints import evaluating
from vedette.settings import Evaluating
from vedette.types import Capability, Claim, Evidence, ModelInfo, ModelRef, Price, Thoughts
from vedette.usecases.levels import split
from vedette_benchmarker.suites import Item
from vedette_benchmarker.suites.registry import SUITES


def hosted(name: str = "gpt-5", *, usd: float | None = 1.0, thinks: bool | None = None) -> ModelInfo:
    claim = (
        {}
        if thinks is None
        else {Capability.THINKING: Claim(value=thinks, evidence=Evidence.DECLARED, source="t")}
    )
    price = None if usd is None else Price(input_usd_per_mtok=usd, output_usd_per_mtok=8 * usd, source="test")
    return model_info(
        ModelRef("hosted", name), free=False, price=price, capabilities=claim, locality="remote"
    )


def test_the_cost_is_that_of_the_suites() -> None:
    """Within a tenth above what the built-in suites ask of a good model, so that a changed suite is noticed.

    The first questions are standard ones, then come harder ones, which are longer.
    """
    asked = [
        level
        for suite in SUITES
        for name, level in suite.asked.items()
        if name == suite.kind or name.endswith((":hard", ":hardest"))
    ]
    levels = Counter(split(level.kind)[0] for level in asked)
    made = [
        item
        for level in asked
        for item in islice(level.items(Random(1)), Evaluating().items // levels[split(level.kind)[0]])
        if isinstance(item, Item)
    ]
    prompts = sum(item.prompt_tokens for item in made)
    assert prompts * 0.95 <= evaluating.PROMPT_TOKENS <= prompts * 1.1
    assert len(made) == evaluating.ANSWERS
    assert 40 * len(made) <= evaluating.ANSWER_TOKENS


def test_thoughts_are_counted_where_they_may_come() -> None:
    """A frontier model at 1.25 and 10 USD, terse, is ten cents; its thoughts cost more than all else."""
    terse, unsure, thinking = (
        evaluating.expected(hosted(usd=1.25, thinks=one)) for one in (False, None, True)
    )
    assert terse
    assert unsure
    assert thinking
    assert terse.usd == unsure.usd == pytest.approx(0.098, abs=0.005)
    assert unsure.thinking_usd == thinking.usd == pytest.approx(0.786, abs=0.005)
    step = evaluating.expected(hosted(usd=1.25), 3)
    assert step
    assert (4 * step.usd, 4 * step.thinking_usd) == pytest.approx((unsure.usd, unsure.thinking_usd))
    assert evaluating.expected(hosted(usd=None)) is None


def test_thoughts_cost_what_is_published_of_models_of_that_name() -> None:
    """Some think three times as long as others before the same questions."""
    usd = {
        name: cost.usd
        for name in ("gpt-oss-120b", "claude-opus-4-5", "qwen3-235b-a22b", "minimax-m1", "of-no-vendor")
        if (cost := evaluating.expected(hosted(name, thinks=True)))
    }
    order = ["gpt-oss-120b", "claude-opus-4-5", "of-no-vendor", "qwen3-235b-a22b", "minimax-m1"]
    assert sorted(usd, key=lambda name: usd[name]) == order
    assert usd["minimax-m1"] > 2 * usd["gpt-oss-120b"]


@pytest.mark.parametrize("thinks", [None, True])
def test_thoughts_that_were_counted_replace_what_is_published(thinks: bool | None) -> None:
    """Whether or not it is known to think: the count says so."""
    info = hosted(usd=1.0, thinks=thinks)
    cost = evaluating.expected(info, thoughts=Thoughts(answers=100, tokens=100_000))
    assert cost
    assert cost.thinking_usd == pytest.approx((28_000 + 8 * (6_300 + 156 * 984)) / 1e6, rel=0.01)
    assert cost.usd == pytest.approx(cost.thinking_usd, rel=0.02)
    none = evaluating.expected(info, thoughts=Thoughts(answers=0, tokens=0))
    assert none == evaluating.expected(info)


@pytest.mark.parametrize("answers", [0, 1, 5, 26])
def test_a_model_that_was_seen_not_to_think_pays_for_no_thoughts(answers: int) -> None:
    """Where it is not known whether it thinks: an answer without thoughts is no reason to expect them."""
    info = hosted(usd=1.25)
    terse, cost = (
        evaluating.expected(info),
        evaluating.expected(info, thoughts=Thoughts(answers=answers, tokens=0)),
    )
    assert terse
    assert cost
    assert cost.usd == terse.usd
    assert cost.usd < cost.thinking_usd <= terse.thinking_usd
    known = evaluating.expected(hosted(usd=1.25, thinks=True), thoughts=Thoughts(answers=answers, tokens=0))
    assert known
    assert known.usd == known.thinking_usd == cost.thinking_usd


def test_what_is_missing_is_said_with_its_cost_and_the_command() -> None:
    assert evaluating.never_evaluated([hosted(usd=1.25, thinks=False)]) == (
        "never evaluated: hosted/gpt-5 (about 0.10 USD): vedette evaluate --hosted --budget 0.11, "
        "or set [evaluating] usd_per_day"
    )
    assert "0.10 USD, 0.79 if it thinks" in evaluating.never_evaluated([hosted(usd=1.25)])
    assert "price unknown: set price in [endpoints.hosted]" in evaluating.never_evaluated([hosted(usd=None)])
    assert "and 2 more" in evaluating.never_evaluated([hosted(f"m{n}") for n in range(5)])
    assert evaluating.never_evaluated([]) == ""


@given(prices=st.lists(st.floats(0.01, 100), min_size=1, max_size=12), budget=st.floats(0.01, 20))
def test_the_limits_of_a_plan_never_exceed_its_budget(prices: list[float], budget: float) -> None:
    plan = evaluating.planned([hosted(f"m{n}", usd=usd) for n, usd in enumerate(prices)], budget)
    assert sum(one.max_usd for one in plan) <= budget * (1 + 1e-9)
    assert len({one.model for one in plan}) == len(plan)


def test_who_promises_most_is_evaluated_first() -> None:
    """A frontier model before an old small one, where the budget covers one."""
    plan = evaluating.planned([hosted("gpt-3.5-turbo", thinks=False), hosted("gpt-5", thinks=False)], 0.10)
    assert [one.model.name for one in plan] == ["gpt-5"]
