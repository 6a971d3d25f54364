"""What must hold of every answer, whatever the catalogue: asked as the service asks."""

import operator
from functools import reduce
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogues import EPOCH, Facts, Pair, Recommender, catalogue, figure, model, request
from samples import lifecycle_event, model_info
from vedette.messages.events import ModelBenchmarked, ModelEvaluated, ModelProbed
from vedette.messages.queries import ExplainReply
from vedette.types import (
    Claim,
    Evidence,
    Health,
    Level,
    ModelRef,
    Outcome,
    Performance,
    Price,
    ProbeSample,
    Quality,
    Score,
    Status,
    Tally,
)
from vedette.usecases import BUILT_IN
from vedette_recommender.constants import STATUS_MULTIPLIERS

SEEDS = st.integers(0, 2**32)
# As Hypothesis: 15 examples, and 100 with `--hypothesis-profile=ci`.
EXAMPLES = settings().max_examples
CHAT = {"chat": Claim(value=True, evidence=Evidence.DECLARED, source="test")}


def ref(shown: dict[str, Any]) -> ModelRef:
    return ModelRef(**shown["model"])


# --- Constraints -----------------------------------------------------------------------------------------------


def fits(one: Facts, asked: dict[str, Any]) -> bool:
    """Return whether a model may be recommended, worked out without the product's own filter."""
    need = asked["constraints"]
    least = list(Evidence).index(Evidence(need.get("evidence", "inferred")))
    for name in (*BUILT_IN[asked["use_case"]].requires, *asked.get("capabilities", ())):
        claim = one.capabilities.get(str(name))
        if claim is None or not claim.value or list(Evidence).index(claim.evidence) < least:
            return False
    if one.status not in need.get("statuses", [*map(str, STATUS_MULTIPLIERS)]):
        return False
    if set(need.get("exclude", ())) & {str(one.model), one.model.name}:
        return False
    for key, value in (
        ("families", one.family),
        ("licenses", one.license),
        ("endpoints", one.model.endpoint),
        ("locality", None if one.locality == "unknown" else one.locality),
    ):
        allowed = need.get(key)
        if allowed is not None:
            allowed = [allowed] if isinstance(allowed, str) else allowed
            if value is None or value.lower() not in [name.lower() for name in allowed]:
                return False
    return all(
        limit is None or (need.get("unmeasured") == "keep" if value is None else holds(value, limit))
        for limit, value, holds in (
            (need.get("min_context_tokens"), one.context_tokens, float.__ge__),
            (need.get("max_ttft_ms"), one.ttft_ms, float.__le__),
            (need.get("min_output_tps"), one.output_tps, float.__ge__),
            (need.get("max_price_usd_per_mtok"), one.usd_per_mtok, float.__le__),
            (need.get("min_parameters"), one.parameters, float.__ge__),
            (need.get("max_parameters"), one.parameters, float.__le__),
            (need.get("min_uptime_24h"), one.uptime_24h, float.__ge__),
        )
        for value, limit in [
            (None if value is None else float(value), None if limit is None else float(limit))
        ]
    )


@pytest.mark.parametrize("block", range(5))
def test_every_constraint_is_honoured_by_every_answer(block: int) -> None:
    """Many catalogues: exactly the models that fit are ranked, and the others are counted."""
    answered = 0
    for seed in range(2 * block * EXAMPLES, 2 * (block + 1) * EXAMPLES):
        rng = Random(seed)
        facts, pairs = catalogue(rng, rng.choice((0, 1, 5, 30)))
        recommender = Recommender().hear(*pairs)
        for _ in range(3):
            asked = request(rng, facts) | {"limit": 100}
            reply = recommender.told("recommend.top", asked)
            expected = {one.model for one in facts.values() if fits(one, asked)}
            assert {ref(shown) for shown in reply["recommendations"]} == expected, (seed, asked)
            assert reply["considered"] == len(facts)
            assert sum(reply["rejected"].values()) == len(facts) - len(expected)
            answered += bool(expected)
    assert answered  # or nothing was tested


def relaxed(asked: dict[str, Any], relax: dict[str, Any]) -> dict[str, Any]:
    """Return *asked* with what *relax* names changed as it says."""
    name, need, to = relax["constraint"].removeprefix("constraints."), relax.get("need"), relax.get("to")
    limits = dict(asked["constraints"])
    if to is None or name == "exclude":
        del limits[name]
    elif name == "locality":
        limits[name] = to
    elif isinstance(need, list):
        limits[name] = [*need, to]
    else:
        limits[name] = to
    return asked | {"constraints": limits}


def test_the_relaxation_that_is_told_admits_the_model() -> None:
    """Do as it says, and the model is among those recommended, with the score that was told."""
    tried = set()
    for seed in range(12 * EXAMPLES):
        rng = Random(seed)
        facts, pairs = catalogue(rng, 6)
        recommender, asked = Recommender().hear(*pairs), request(rng, facts) | {"limit": 100}
        relax = recommender.told("recommend.explain", asked).get("relax")
        if relax is None or relax.get("also"):
            continue
        shown = recommender.told("recommend.top", relaxed(asked, relax))["recommendations"]
        scores = {ref(one): one["score"] for one in shown}
        assert ref(relax) in scores, (seed, asked, relax)
        if relax["constraint"] != "constraints.min_context_tokens":  # which says what is wanted, too
            assert scores[ref(relax)] == relax["score"]
        tried.add(relax["constraint"])
    assert len(tried) > 10, tried


@pytest.mark.parametrize("block", range(3))
def test_the_nearest_model_has_every_capability(block: int) -> None:
    """Whatever is asked: what is named as nearest can do the task, else nothing is named."""
    named = silent = 0
    for seed in range(2 * block * EXAMPLES, 2 * (block + 1) * EXAMPLES):
        rng = Random(seed)
        facts, pairs = catalogue(rng, 6)
        asked = request(rng, facts)
        reply = Recommender().hear(*pairs).told("recommend.explain", asked)
        able = {
            one.model
            for one in facts.values()
            if all(
                (claim := one.capabilities.get(str(name))) is not None and claim.value
                for name in (*BUILT_IN[asked["use_case"]].requires, *asked.get("capabilities", ()))
            )
        }
        relax = reply.get("relax")
        if relax is None:
            silent += reply["considered"] > 0
            assert able <= {ref(one) for one in reply["recommendations"]} or reply["recommendations"]
        else:
            assert ref(relax) in able, (seed, asked)
            named += 1
    assert named > EXAMPLES / 5
    assert silent > EXAMPLES / 5


# --- Agreement -------------------------------------------------------------------------------------------------


@given(seed=SEEDS)
def test_replies_agree_with_each_other_and_with_their_parts(seed: int) -> None:
    """Contributions add up exactly; best, top and explain say the same; scores fall; all reasons are told."""
    rng = Random(seed)
    facts, pairs = catalogue(rng, 25)
    recommender, asked = Recommender().hear(*pairs), request(rng, facts)
    explained = recommender.told("recommend.explain", asked)
    msgspec.convert(explained, ExplainReply)  # which JSON's null for an infinity would not be
    top = recommender.told("recommend.top", asked)["recommendations"]
    best = recommender.told("recommend.best", asked)
    for shown in explained["recommendations"]:
        points = (part["points"] for part in shown["contributions"])
        assert shown["raw_score"] == reduce(
            operator.add, points
        )  # `sum` rounds only once from Python 3.12 on
        multiplied = shown["raw_score"]
        for factor in shown["multipliers"].values():
            multiplied *= factor
        assert shown["score"] == pytest.approx(multiplied, rel=1e-12)
    plain = [
        {k: v for k, v in shown.items() if k not in ("contributions", "score_without_reports")}
        for shown in explained["recommendations"]
    ]
    assert plain == top
    first = [one for one in (best["recommendation"], *best["fallbacks"]) if one]
    assert first[: asked["limit"]] == top
    scores = [shown["score"] for shown in top]
    assert scores == sorted(scores, reverse=True)
    told = {ref(reason) for reason in explained["rejections"]}
    assert len(told) + explained.get("rejections_omitted", 0) == sum(explained["rejected"].values())


@given(seed=SEEDS, order=st.randoms(use_true_random=False))
@pytest.mark.fault("replicas that saw the same in another order", "I10")
def test_replicas_that_have_seen_the_same_give_the_same_bytes(seed: int, order: Any) -> None:
    """All at once or one by one, in whatever order, with questions between, and a minute later as well."""
    rng = Random(seed)
    facts, pairs = catalogue(rng, 12)
    questions = [request(rng, facts) for _ in range(3)]
    shuffled: list[Pair] = list(pairs)
    order.shuffle(shuffled)
    one, other = Recommender().hear(*pairs), Recommender()
    for number, pair in enumerate(shuffled):
        other.hear(pair)
        if number % 3 == 0:
            other.ask("recommend.top", questions[number % 2])
    for _ in range(2):
        for subject in ("recommend.best", "recommend.top", "recommend.explain"):
            for asked in questions:
                assert one.ask(subject, asked) == other.ask(subject, asked)
        assert one.ask("models.list", {}) == other.ask("models.list", {})
        one.clock.advance(61)
        other.clock.advance(61)


def nudged(rng: Random, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the question of another caller, with other limits near those of *asked*."""
    limits = {
        name: limit * rng.uniform(0.97, 1.03) if isinstance(limit, float) else limit
        for name, limit in asked["constraints"].items()
        if name != "min_uptime_24h"
    }
    if "min_context_tokens" in limits:
        limits["min_context_tokens"] += rng.randint(0, 300)
    return asked | {"constraints": limits, "caller": f"agent-{rng.random()}"}


def test_questions_that_are_answered_alike_would_be_when_asked_alone() -> None:
    """A reply that is given again is the one that a recommender gives that was never asked anything else."""
    given_again = 0
    for seed in range(3 * EXAMPLES):
        rng = Random(seed)
        facts, pairs = catalogue(rng, 12)
        recommender, asked = Recommender().hear(*pairs), request(rng, facts) | {"caller": "agent"}
        for subject in ("recommend.best", "recommend.top"):
            first, question = recommender.ask(subject, asked), nudged(rng, asked)
            again = recommender.ask(subject, question)
            assert again == Recommender().hear(*pairs).ask(subject, question), (seed, question)
            given_again += again is first
    # Not where several models are equal: there each caller has its own.
    assert given_again > EXAMPLES // 2, given_again


# --- Order -----------------------------------------------------------------------------------------------------


def measured(name: str, start: int, **values: float) -> list[Pair]:
    """Return a chat model of which everything is known, with *values* of its signals."""
    of = ModelRef("host-0", name)
    v = {"tps": 40.0, "ttft_ms": 500.0, "right": 20, "up": 50, "context": 8192, "usd": 1.0} | values
    price = Price(input_usd_per_mtok=v["usd"], output_usd_per_mtok=v["usd"], source="test")
    info = model_info(of, capabilities=CHAT, price=price, native_context_tokens=int(v["context"]))
    counts = {"ok": int(v["up"]), "timeout": 100 - int(v["up"])}
    sample = ProbeSample(job_id="p", at=EPOCH, outcome=Outcome.OK, level=Level.ANSWER)
    tallies = (Tally(start=EPOCH, counts=counts),)
    health = Health(status=Status.AVAILABLE, since=EPOCH, checked_at=EPOCH, hourly=tallies, daily=tallies)
    performance = Performance(
        measured_at=EPOCH, n=6, output_tps=figure(v["tps"]), ttft_ms=figure(v["ttft_ms"])
    )
    score = Score(successes=int(v["right"]), trials=40, suite="instructions@1")
    quality = Quality(measured_at=EPOCH, scores={"instructions": score})
    events = (
        lifecycle_event("found", of, at=EPOCH, info=info),
        ModelProbed(id=f"p{name}", at=EPOCH, model=of, sample=sample, health=health),
        ModelBenchmarked(
            id=f"b{name}", at=EPOCH, model=of, job_id="b", outcome=Outcome.OK, performance=performance
        ),
        ModelEvaluated(id=f"e{name}", at=EPOCH, model=of, job_id="e", outcome=Outcome.OK, quality=quality),
    )
    return list(enumerate(events, start=start))


def ranking(*models: list[Pair], **asked: Any) -> list[str]:
    recommender = Recommender().hear(*(pair for one in models for pair in one))
    reply = recommender.told("recommend.top", {"use_case": "chat", "limit": 100} | asked)
    return [shown["model"]["name"] for shown in reply["recommendations"]]


VALUES = {
    "tps": st.floats(0.5, 300),
    "ttft_ms": st.floats(5, 8000),
    "right": st.integers(0, 40),
    "up": st.integers(0, 100),
    "context": st.integers(512, 200_000),
    "usd": st.floats(0, 20),
}
FALLING = ("ttft_ms", "usd")
MODEL = st.fixed_dictionaries(VALUES)


@given(
    mine=MODEL,
    others=st.lists(MODEL, min_size=1, max_size=5),
    signal=st.sampled_from(sorted(VALUES)),
    share=st.floats(0, 1),
    risk=st.sampled_from(["conservative", "neutral", "explore"]),
)
def test_raising_a_signal_never_lowers_the_rank(
    mine: dict[str, float], others: list[dict[str, float]], signal: str, share: float, risk: str
) -> None:
    """Whatever the signal, whatever the others: better measured is no worse placed."""
    rest = [measured(f"other-{n}", 10 * n + 10, **values) for n, values in enumerate(others)]

    def place(**change: float) -> int:
        return ranking(measured("mine", 1, **(mine | change)), *rest, risk=risk).index("mine")

    worst, best = {
        "tps": (0.5, 300),
        "ttft_ms": (8000, 5),
        "right": (0, 40),
        "up": (0, 100),
        "context": (512, 200_000),
        "usd": (20, 0),
    }[signal]
    better = mine[signal] + share * (best - mine[signal])
    if isinstance(mine[signal], int):
        better = int(better)
    assert place(**{signal: better}) <= place()
    assert place(**{signal: best}) <= place(**{signal: worst})


@given(mine=st.lists(MODEL, min_size=2, max_size=6), seed=SEEDS)
def test_an_unrelated_model_changes_no_order(mine: list[dict[str, float]], seed: int) -> None:
    """One that cannot do what is asked for is no peer: nothing changes, scores neither."""
    models = [measured(f"m{n}", 10 * n + 1, **values) for n, values in enumerate(mine)]
    _, events = model(Random(seed), 1)
    first = events[0]
    embeds = {"embedding": CHAT["chat"]}
    events[0] = msgspec.structs.replace(first, info=msgspec.structs.replace(first.info, capabilities=embeds))  # type: ignore[attr-defined]
    unrelated = list(enumerate(events, start=1000))

    def scores(*those: list[Pair]) -> list[tuple[str, float]]:
        recommender = Recommender().hear(*(pair for one in those for pair in one))
        reply = recommender.told("recommend.top", {"use_case": "chat", "limit": 100})
        return [(shown["model"]["name"], shown["score"]) for shown in reply["recommendations"]]

    assert scores(*models, unrelated) == scores(*models)


@given(
    tps=st.floats(40, 300),
    ttft_ms=st.floats(5, 400),
    right=st.integers(30, 40),
    up=st.integers(99, 100),
    others=st.lists(MODEL, max_size=6),
    risk=st.sampled_from(["conservative", "neutral"]),
    weights=st.dictionaries(st.sampled_from(["quality", "speed", "ttft", "reliability"]), st.floats(0, 1)),
)
def test_unknown_never_beats_the_same_model_measured_good(
    tps: float,
    ttft_ms: float,
    right: int,
    up: int,
    others: list[dict[str, float]],
    risk: str,
    weights: dict[str, float],
) -> None:
    """Nothing is gained by not having been looked at, whoever else is there and whatever counts."""
    good = measured("good", 1, tps=tps, ttft_ms=ttft_ms, right=right, up=up)
    unseen = [(20, msgspec.structs.replace(good[0][1], model=ModelRef("host-0", "unseen")))]
    info = msgspec.structs.replace(unseen[0][1].info, model=ModelRef("host-0", "unseen"))  # type: ignore[attr-defined]
    unseen = [(20, msgspec.structs.replace(unseen[0][1], info=info))]
    rest = [measured(f"other-{n}", 10 * n + 100, **values) for n, values in enumerate(others)]
    order = ranking(good, unseen, *rest, risk=risk, weights=weights)
    assert order.index("good") < order.index("unseen")
