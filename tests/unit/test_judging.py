"""Who judges whom, what of it counts, and by how much it moves a recommendation."""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import combinations, permutations
from random import Random
from time import process_time
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from catalogues import EPOCH, Pair, Recommender, catalogue
from samples import lifecycle_event, model_info
from vedette.endpoints import judging
from vedette.endpoints.gate import MAX_MEASUREMENT_S
from vedette.endpoints.judging import Contender, Session, choose
from vedette.knowledge import thoughts_of
from vedette.messages import ids
from vedette.messages.events import ModelEvaluated, ModelJudged
from vedette.settings import Judge
from vedette.types import (
    Claim,
    Evidence,
    Judged,
    Judgement,
    JudgeReport,
    ModelRef,
    Outcome,
    Price,
    Prose,
    Quality,
    Score,
    Thoughts,
)
from vedette.usecases import BUILT_IN, KINDS, estimating
from vedette.usecases import judging as worth
from vedette.usecases.estimating import Scale
from vedette_benchmarker.judging import strengths
from vedette_benchmarker.judging.sessions import comparisons, judgements, report
from vedette_benchmarker.judging.steps import Next, allowed, next_steps
from vedette_benchmarker.judging.strengths import Preferred, Vote

NOW = datetime(2026, 11, 30, tzinfo=UTC)
USE_CASE = BUILT_IN["summarisation"]
SETTINGS = Judge(use_cases=("summarisation",), tasks=4)
TOLD = JudgeReport(
    judge=ModelRef("box", "judge"),
    tasks="summarisation@1",
    test=Score(successes=8, trials=8, suite="summarisation@1"),
)


def model(name: str, right: float = 0.5, of: int = 40, **facts: Any) -> Contender:
    """Return a model with that rate of right answers in every kind that counts."""
    claims = {"chat": Claim(value=True, evidence=Evidence.VERIFIED, source="call")}
    kinds = {kind for kinds in KINDS.values() for kind in kinds}
    free = facts.pop("free", True)
    return Contender(
        info=model_info(
            ModelRef("box", name),
            kind="chat",
            capabilities=claims,
            free=free,
            digest=name,
            **{"family": name} | facts,
        ),
        scores={
            kind: Score(successes=round(right * of), trials=of, suite=f"{kind}@1") for kind in kinds if of
        },
    )


def chosen(*contenders: Contender, paid: bool = False, **settings: Any) -> Session | str:
    return choose(contenders, USE_CASE, replace(SETTINGS, **settings), paid=paid)


def held(session: Session | str) -> Session:
    assert isinstance(session, Session), session
    return session


class TestChoice:
    def test_the_judge_is_clearly_better_than_all_that_it_compares(self) -> None:
        """The others are compared by what is known of them; a model between the two is neither."""
        session = held(chosen(model("strong", 0.98), model("able", 0.96), model("one"), model("two", 0.45)))
        assert session.judge == ModelRef("box", "strong")
        assert session.pool == (ModelRef("box", "one"), ModelRef("box", "two"))
        assert not session.doubts

    def test_without_a_clearly_better_one_there_is_no_session(self) -> None:
        assert "clearly better" in str(chosen(model("one"), model("two"), model("three", 0.55)))
        assert "a judge and 2 models of other families" in str(chosen(model("one", 0.9), model("two")))
        kin = [model("judge", family="qwen3"), model("kin", family="qwen2.5"), model("one")]
        assert "box/judge needs at least" in str(chosen(*kin, model="box/judge"))

    def test_models_of_its_family_are_watched_and_never_counted(self) -> None:
        """One of them is: whether the judge favours it."""
        session = held(
            chosen(
                model("strong", 0.98, family="qwen3"),
                model("kin", 0.5, family="qwen2.5"),
                model("one"),
                model("two"),
            )
        )
        assert ModelRef("box", "kin") not in session.pool
        assert session.relatives == (ModelRef("box", "kin"),)
        assert not judging.kin(model_info(ModelRef("box", "m1")))

    @pytest.mark.parametrize(
        ("one", "other", "related"),
        [
            ("o3", "gpt-5-mini", True),
            ("openai/o4-mini", "gpt-oss:20b", True),
            ("c4ai-command-r-08-2024", "aya-expanse:8b", True),
            ("gemini-2.5-pro", "gemma3:12b", True),
            ("mixtral:8x7b", "codestral-latest", True),
            ("qwq:32b", "Qwen/Qwen2.5-7B-Instruct-AWQ", True),
            ("deepseek-r1:8b-llama-distill", "llama3.2:3b", True),
            ("deepseek-r1:8b-llama-distill", "deepseek-chat", True),
            ("smollm2:135m", "llama3.2:3b", False),  # Ollama says of both that their family is llama
            ("mistral:7b", "llama3.3:70b", False),
            ("claude-sonnet-4-5", "gpt-5", False),
        ],
    )
    def test_kin_are_models_of_one_house(self, one: str, other: str, related: bool) -> None:
        """Whatever family the server says, where the name names a house."""
        infos = (model_info(ModelRef("box", name), family="llama") for name in (one, other))
        houses = [judging.kin(info) for info in infos]
        assert bool(houses[0] & houses[1]) is related

    def test_without_a_known_name_the_family_that_the_server_says_counts(self) -> None:
        tuned = model_info(ModelRef("box", "acme-support"), family="llama")
        assert judging.kin(tuned) == judging.kin(model_info(ModelRef("box", "llama3.2:3b")))

    def test_the_same_weights_elsewhere_are_not_compared(self) -> None:
        copy = model("copy", 0.5, canonical="same", family=None)
        session = chosen(
            model("strong", 0.98, canonical="same", family=None), copy, model("one"), model("two")
        )
        assert copy.model not in held(session).pool

    def test_none_that_costs_money_takes_part_without_leave(self) -> None:
        price = Price(input_usd_per_mtok=1.0, output_usd_per_mtok=5.0, source="test")
        paid, others = model("strong", 0.98, free=False, price=price), [model("one"), model("two")]
        assert isinstance(chosen(paid, *others), str)
        assert held(chosen(paid, *others, paid=True)).judge == paid.model
        # Where one that is free will do, it is asked.
        assert held(chosen(paid, model("free", 0.97), *others, paid=True)).judge == ModelRef("box", "free")

    def test_a_named_judge_that_is_not_clearly_better_compares_and_does_not_count(self) -> None:
        session = held(chosen(model("one"), model("two"), model("three"), model="box/three"))
        assert session.judge == ModelRef("box", "three")
        assert "not clearly better" in session.doubts
        assert "may not take part" in str(
            chosen(model("one"), model("two"), model("three"), model="box/gone")
        )

    @pytest.mark.parametrize("may_not", [{"writes": False}, {"judges": False}])
    def test_one_that_may_never_be_asked_makes_room_for_the_next(self, may_not: dict[str, bool]) -> None:
        """Otherwise its session never starts, and no other session is held."""
        able, others = model("able", 0.97), [model("one"), model("two")]
        strong = replace(model("strong", 0.98), **may_not)
        assert held(chosen(strong, able, *others)).judge == able.model
        assert "may not take part" in str(chosen(strong, able, *others, model=str(strong.model)))
        silent = replace(model("better", 0.6), writes=False)
        assert held(chosen(able, silent, *others)).pool == (ModelRef("box", "one"), ModelRef("box", "two"))

    def test_who_may_be_asked_is_asked_for_each_kind_of_work(self) -> None:
        """A budget can cover the texts of a model, and not all comparisons of a judge."""
        one = allowed(model("one"), lambda step: not step.pool, ("summarisation",))
        assert (one.writes, one.judges) == (True, False)

    def test_a_large_fleet_is_looked_through_in_little_time(self) -> None:
        """Where the best ones are of one family, and with that no judge of each other, too: it took 12 s."""
        many = [model(f"m{number}", 0.5 + number / 900, family="qwen3") for number in range(400)]
        began = process_time()
        assert isinstance(chosen(*many), str)
        assert process_time() - began < 6.0

    def test_so_many_are_compared_at_most_the_best_of_them(self) -> None:
        weak = [model(f"{letter}weak", 0.1) for letter in "abc"]
        session = held(chosen(model("strong", 0.98), model("one"), model("two", 0.4), *weak, models=2))
        assert session.pool == (ModelRef("box", "one"), ModelRef("box", "two"))

    def test_what_it_costs_is_told(self) -> None:
        """Each task once for each model, each pair in both orders, and the test."""
        contenders = {one.model: one for one in (model("strong", 0.98), model("one"), model("two"))}
        session = held(chosen(*contenders.values()))
        takes = judging.work(session, contenders, SETTINGS)
        assert [(one.model.name, one.does, one.requests) for one in takes] == [
            ("one", "write", 4),
            ("two", "write", 4),
            ("strong", "write", 4),
            ("strong", "judge", 2 * (4 * 2 + judging.TEST_PAIRS)),
        ]
        assert all(one.usd == 0.0 for one in takes)
        assert "44 requests" in judging.session_summary(session, takes)

    def test_a_budget_is_shared_and_never_exceeded(self) -> None:
        price = Price(input_usd_per_mtok=100.0, output_usd_per_mtok=500.0, source="test")
        contenders = {
            one.model: one
            for one in (model("strong", 0.98, free=False, price=price), model("one"), model("two"))
        }
        session = held(chosen(*contenders.values(), paid=True))
        plan = [(session, judging.work(session, contenders, SETTINGS))]
        assert judging.shares(plan, 0.01) is None
        assert judging.shares(plan, 40.0) == {ModelRef("box", "strong"): pytest.approx(40.0)}
        assert sum((judging.shares(plan * 2, 40.0) or {}).values()) * 2 == pytest.approx(40.0)

    def test_one_that_may_think_is_expected_to(self) -> None:
        """Else a session breaks off at its limit: it has cost, and nothing is found."""
        price = Price(input_usd_per_mtok=1.0, output_usd_per_mtok=10.0, source="test")
        facts = {"free": False, "price": price}
        chat = {"chat": Claim(value=True, evidence=Evidence.VERIFIED, source="call")}
        claims = [{}, {"thinking": replace(chat["chat"], value=False)}, {"thinking": chat["chat"]}]
        costs = [
            judging.session_cost(
                Contender(info=replace(model("m", **facts).info, capabilities=chat | claim)), SETTINGS
            )
            for claim in claims
        ]
        unknown, terse, thinks = [(one.usd, one.thinking_usd) for one in costs]
        assert terse[0] == terse[1] == unknown[0]
        assert thinks[0] == thinks[1] == unknown[1]
        assert (unknown[1] or 0.0) > 3 * (unknown[0] or 0.0)
        contenders = {one.model: one for one in (model("strong", 0.98, **facts), model("one"), model("two"))}
        session = held(chosen(*contenders.values(), paid=True))
        takes = judging.work(session, contenders, SETTINGS)
        expected = sum(one.usd or 0.0 for one in takes)
        assert judging.shares([(session, takes)], 1.1 * expected) is None
        assert " if they think." in judging.session_summary(session, takes)

    def test_its_thoughts_are_those_of_an_evaluation(self) -> None:
        """What is published of models of its name, and what was counted before its answers."""
        price = Price(input_usd_per_mtok=1.0, output_usd_per_mtok=10.0, source="test")
        chat = Claim(value=True, evidence=Evidence.VERIFIED, source="call")

        def thoughts(name: str, counted: Thoughts | None = None, *, thinks: bool | None = True) -> float:
            claims = {"chat": chat} | ({} if thinks is None else {"thinking": replace(chat, value=thinks)})
            info = replace(model(name, free=False, price=price).info, capabilities=claims)
            takes = [
                judging.session_cost(replace(model(name), info=one, thoughts=counted), SETTINGS)
                for one in (
                    info,
                    replace(info, capabilities=claims | {"thinking": replace(chat, value=False)}),
                )
            ]
            return (takes[0].output_tokens - takes[1].output_tokens) / takes[0].requests

        for name in ("gpt-oss-120b", "minimax-m1"):
            assert thoughts(name) == round(thoughts_of(model_info(ModelRef("box", name))))
        assert thoughts("m", Thoughts(answers=1000, tokens=2_000_000)) == pytest.approx(2000, rel=0.01)
        assert thoughts("m", Thoughts(answers=9, tokens=0), thinks=None) == 0

    def test_the_same_weights_are_compared_once_wherever_they_are_served(self) -> None:
        copies = [
            Contender(
                info=replace(one.info, model=ModelRef(box, one.model.name)),
                scores=one.scores if box == "box" else {},
            )
            for one in (model("phi"), model("tiny"))
            for box in ("box", "den", "hut")
        ]
        session = held(chosen(model("strong", 0.98), *copies))
        assert session.pool == (ModelRef("box", "phi"), ModelRef("box", "tiny"))

    def test_a_named_judge_is_the_one_that_was_named_not_a_copy_of_it(self) -> None:
        """What is known of its copies holds for it, too."""
        evaluated = model("judge:8b", 0.98, family="strong")
        latest = replace(evaluated.info, model=ModelRef("a", "judge:latest"))
        session = held(
            chosen(evaluated, Contender(info=latest), model("one"), model("two"), model="a/judge:latest")
        )
        assert (session.judge, session.doubts) == (latest.model, "")

    def test_who_is_clearly_better_is_the_same_when_a_session_is_held(self) -> None:
        """Also where models that may not take part are known."""
        others = [
            replace(model(f"o{number}", 0.2 + number / 20), serves=False, writes=number % 2 == 0)
            for number in range(8)
        ]
        found = []
        for right in range(200, 400, 4):
            everyone = [model("strong", right / 400, 400), model("one"), model("two"), *others]
            session = chosen(*everyone)
            if isinstance(session, Session):
                by_model = {one.model: one for one in everyone}
                able = judging.abilities(everyone, USE_CASE)
                found.append(
                    judging.of(USE_CASE.name, session.judge, session.compared, by_model, able) == session
                )
        assert found
        assert all(found)


def written(one: Contender, **judged: Any) -> Contender:
    """Return *one* with its texts."""
    texts = tuple(Prose(place=place, text=f"{one.model.name} {place}") for place in range(SETTINGS.tasks))
    tasks = {"summarisation": "summarisation@1"}
    return replace(
        one, judged=Judged(digest=one.info.digest, tasks=tasks, texts={"summarisation": texts}, **judged)
    )


def test_texts_come_first_then_one_session_and_then_nothing() -> None:
    """A session is held again when a model that belongs to it has other weights, which have written nothing."""
    strong, one, two = model("strong", 0.98), model("one"), model("two")

    def steps(*contenders: Contender) -> list[Next]:
        return next_steps({c.model: c for c in contenders}, BUILT_IN, SETTINGS, paid=False)

    texts = ("summarisation",)
    assert steps(strong, one, two) == [Next(model=m.model, use_cases=texts) for m in (one, two)]
    assert steps(strong, written(one), two) == [Next(model=two.model, use_cases=texts)]
    compare = Next(model=strong.model, use_cases=texts, pool=(one.model, two.model))
    assert steps(strong, written(one), written(two)) == [compare]
    judged = judged_by(strong, one, two)
    assert steps(strong, *judged) == []
    assert steps(strong, judged[0], two) == [Next(model=two.model, use_cases=texts)]
    new = replace(strong, info=replace(strong.info, digest="new"))
    assert steps(new, *judged) == [compare]
    three = written(model("three", 0.45))
    assert steps(strong, judged[0], *judged_by(strong, two, three)) == [
        replace(compare, pool=(one.model, three.model, two.model))
    ]
    assert next_steps({}, BUILT_IN, Judge(), paid=False) == []


def judged_by(judge: Contender, *pool: Contender, **told: Any) -> list[Contender]:
    """Return the models of *pool* with their texts, and what *judge* found of them in one session."""
    report = replace(TOLD, judge=judge.model, digest=judge.info.digest, **told)
    names = {one.model for one in pool}
    return [
        written(
            one,
            judgements={
                "summarisation": judgement("s", 0.0, report=report, rivals=tuple(sorted(names - {one.model})))
            },
        )
        for one in pool
    ]


def test_a_doubt_about_standing_is_lifted_once_the_judge_is_clearly_better() -> None:
    """Any other doubt stays: the same judge would fail again."""
    settings = replace(SETTINGS, model="box/three")
    pool = model("one"), model("two")

    def is_held(right: float, doubts: str) -> bool:
        judge = model("three", right)
        contenders = {one.model: one for one in (judge, *judged_by(judge, *pool, doubts=doubts))}
        session = held(choose(contenders.values(), USE_CASE, settings, paid=False))
        return judging.is_held(session, contenders)

    weak = held(chosen(model("three"), *pool, model="box/three")).doubts
    assert weak
    assert is_held(0.5, weak)
    assert not is_held(0.98, weak)
    assert is_held(0.98, "it fails its test")


def test_another_order_of_the_best_repeats_no_session() -> None:
    """As long as all that were compared are still clearly worse than the judge."""
    strong = model("strong", 0.98)
    compared = judged_by(strong, model("one"), model("two", 0.45))
    rising = model("rising", 0.55)
    session = held(chosen(strong, *compared, rising, models=2))
    assert session.pool == tuple(one.model for one in compared)
    able = model("two", 0.97)
    again = held(chosen(strong, compared[0], replace(compared[1], scores=able.scores), rising, models=2))
    assert again.pool == (ModelRef("box", "one"), rising.model)


def test_a_session_is_no_longer_than_a_job_may_be() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"tasks": 40, "models": 8}, Judge)
    most = Session(use_case="chat", judge=JUDGE, pool=(JUDGE,) * 6, relatives=(JUDGE,))
    assert most.comparisons(16) + 16 < MAX_MEASUREMENT_S / 5


def judgement(session: str, strength: float, error: float = 0.3, **facts: Any) -> Judgement:
    return Judgement(
        **{"at": NOW, "session": session, "report": TOLD, "strength": strength, "error": error, "wins": 9}
        | facts
    )


# --- A session -------------------------------------------------------------------------------------------------

JUDGE, KIN = ModelRef("box", "judge"), ModelRef("box", "kin")
POOL = tuple(ModelRef("box", name) for name in "abc")
SESSION = Session(use_case="summarisation", judge=JUDGE, pool=POOL, relatives=(KIN,))
TEXTS: Mapping[ModelRef, Mapping[int, str]] = {
    author: {task: f"{author} {task}" for task in range(4)} for author in (*POOL, KIN, JUDGE)
}
ABILITY = dict.fromkeys(POOL, 0.0) | {KIN: 0.0, JUDGE: 2.0}


def test_each_pair_is_compared_in_both_orders_and_what_lacks_never() -> None:
    asked = comparisons(SESSION, 4, TEXTS)
    assert len(asked) == SESSION.comparisons(4) - 2 * judging.TEST_PAIRS
    assert {(one.task, one.second, one.first) for one in asked} == {
        (one.task, one.first, one.second) for one in asked
    }
    refused = comparisons(SESSION, 4, {**TEXTS, POOL[0]: {1: "only this"}})
    assert {one.task for one in refused if POOL[0] in (one.first, one.second)} == {1}


def votes(rng: Random) -> list[Vote]:
    """Return answers of a judge that likes its own texts, and those of its family, whatever they are."""
    found = []
    for one in comparisons(SESSION, 4, TEXTS):
        favoured = [author for author in (one.first, one.second) if author in (JUDGE, KIN)]
        said: Preferred = rng.choice(("first", "second"))
        if favoured:
            said = "first" if one.first == favoured[0] else "second"
        found.append(Vote(task=one.task, first=one.first, second=one.second, preferred=said))
    return found


@given(st.randoms(use_true_random=False))
def test_what_favours_the_judge_or_its_family_is_seen_and_counts_for_nothing(rng: Random) -> None:
    answers = votes(rng)
    told = report(SESSION, "summarisation@1", TOLD.test, answers, 0, ABILITY)
    assert told.itself is not None
    assert told.itself.share == 1.0
    assert told.family is not None
    assert told.family.share == 1.0
    assert told.family.expected == 0.5
    found = judgements(SESSION, answers, told, session_id="s", at=NOW)
    assert set(found) == set(POOL)
    without = [vote for vote in answers if vote.first in POOL and vote.second in POOL]
    assert found == judgements(SESSION, without, told, session_id="s", at=NOW)


@pytest.mark.parametrize(
    ("right", "answers", "unread", "doubt"),
    [
        (8, 30, 0, ""),
        (7, 30, 0, ""),
        (6, 30, 0, "6 of 8 pairs"),
        (0, 0, 0, "0 of 8"),
        (8, 3, 9, "9 of its 12"),
    ],
)
def test_a_judge_that_cannot_be_believed_does_not_count(
    right: int, answers: int, unread: int, doubt: str
) -> None:
    """It fails its test, which a guess passes in one pair of four, or says nothing that can be read."""
    given_votes = [Vote(task=0, first=POOL[0], second=POOL[1], preferred="first")] * answers
    told = report(
        SESSION, "summarisation@1", replace(TOLD.test, successes=right), given_votes, unread, ABILITY
    )
    assert (doubt in told.doubts) if doubt else not told.doubts
    found = judgements(SESSION, given_votes, told, session_id="s", at=NOW)
    assert found[POOL[0]].counts is (not doubt)
    assert not found[POOL[2]].counts  # nothing was asked about it


# --- What it is worth ------------------------------------------------------------------------------------------

QUALITY = np.array([0.5, 0.6, 0.4])
CHECKED = np.array([20.0, 20.0, 20.0])
logits = st.floats(-4, 4)


def counted(judged: list[Judgement | None], checked: Any = CHECKED) -> worth.Worth:
    return worth.judged(QUALITY, np.array(checked, float), Scale(), judged)


@given(st.tuples(logits, logits, logits), st.floats(0.01, 5))
def test_a_judge_counts_for_a_quarter_of_the_checked_answers_at_most(
    strength: tuple[float, float, float], error: float
) -> None:
    """And for none where it is no surer than before it was asked."""
    found = counted([judgement("s", one, error) for one in strength])
    assert (found.effective <= worth.MAX_SHARE * CHECKED).all()
    before = worth.STRENGTH_SPREAD * np.sqrt(1 - 1 / 3)  # of three strengths around their mean
    assert ((found.effective > 0) == (error < before)).all()
    assert ((found.rate > 0) & (found.rate < 1)).all()


@pytest.mark.parametrize("models", [2, 3])
def test_a_judge_that_says_only_tie_counts_for_nothing(models: int) -> None:
    """It counted as two answers, because two strengths are surer around their mean than each alone."""
    names = POOL[:models]
    ties = [
        Vote(task=task, first=one, second=other, preferred="tie")
        for task in range(8)
        for one, other in permutations(names, 2)
    ]
    found = strengths.fit(ties).strengths
    judged = [judgement("s", found[name].value, found[name].error) for name in names]
    assert not worth.judged(QUALITY[:models], CHECKED[:models], Scale(), judged).effective.any()


def test_a_judge_is_never_the_only_evidence() -> None:
    """Without checked answers it counts for nothing, and so does what is left of a session for one model."""
    assert not counted([judgement("s", 1.0), judgement("s", -1.0), None], [0.0, 0.0, 20.0]).effective.any()
    assert not counted([judgement("s", 1.0), judgement("s", -1.0), None], [20.0, 0.0, 20.0]).effective.any()
    assert not counted([judgement("s", 1.0), judgement("other", -1.0), None]).effective.any()
    doubted = replace(TOLD, doubts="it fails")
    assert not counted([judgement("s", v, report=doubted) for v in (1.0, 0.0, -1.0)]).effective.any()
    # A user vouches for one: its answers have no end, and nothing is added to them.
    assert not counted([judgement("s", 1.0), judgement("s", -1.0), None], [np.inf, 20, 20]).effective.any()


@given(st.tuples(logits, logits, logits), st.floats(0.05, 2), st.floats(0.1, 3))
def test_a_better_word_never_lowers_a_model_and_the_mean_stays(
    strength: tuple[float, float, float], error: float, more: float
) -> None:
    """On the scale of logits, before it is weighed: a judge says who writes better, never how well."""
    before = counted([judgement("s", one, error) for one in strength])
    middle = np.log(before.rate / (1 - before.rate)).mean()
    assert middle == pytest.approx(np.log(QUALITY / (1 - QUALITY)).mean())
    raised = (strength[0] + more, *strength[1:])
    after = counted([judgement("s", one, error) for one in raised])
    assert after.rate[0] > before.rate[0]
    assert after.rate[1] < before.rate[1]


def test_a_sure_judge_moves_a_quality_by_little() -> None:
    """Two models of the same quality by checked answers: the sure word of a judge moves each by a few points of 100."""
    rate, checked = np.array([0.5, 0.5]), np.array([20.0, 20.0])
    expected, spread = np.array([0.5, 0.5]), np.array([0.1, 0.1])
    quality = estimating.estimate(rate, checked, expected, spread)
    found = worth.judged(
        quality.quality, checked, Scale(), [judgement("s", 2.0, 0.1), judgement("s", -2.0, 0.1)]
    )
    after = estimating.estimate(*worth.together(rate, checked, found), expected, spread)
    moved = after.quality - quality.quality
    assert 0.005 < moved[0] < 0.06
    assert moved[1] == pytest.approx(-moved[0])


# --- In a recommendation ---------------------------------------------------------------------------------------


def fleet(judged: Mapping[str, Judgement | None], right: int = 6) -> Recommender:
    """Return a recommender that knows models of the same answers, and what a judge says of them."""
    events: list[Any] = []
    for name, found in judged.items():
        ref = ModelRef("host-0", name)
        one = model(name)
        info = replace(
            one.info, model=ref, free=True, locality="local", url="http://h:1", digest=None, family=None
        )
        claims = info.capabilities | {"summarisation": info.capabilities["chat"]}
        events.append(lifecycle_event("found", ref, at=EPOCH, info=replace(info, capabilities=claims)))
        scores = {kind: Score(successes=right, trials=12, suite=f"{kind}@1") for kind in USE_CASE.kinds}
        events.append(
            ModelEvaluated(
                id=ids.derive(EPOCH, "evaluated", name),
                at=EPOCH,
                model=ref,
                job_id="j",
                outcome=Outcome.OK,
                quality=Quality(measured_at=EPOCH, scores=scores if right >= 0 else {}),
            )
        )
        if found is not None:
            events.append(judged_event(ref, found))
    return Recommender().hear(*enumerate(events, start=1))


def judged_event(ref: ModelRef, found: Judgement, use_case: str = "summarisation") -> ModelJudged:
    return ModelJudged(
        id=ids.derive(EPOCH, "judged", str(ref)),
        at=EPOCH,
        model=ref,
        job_id="s",
        judged=Judged(judgements={use_case: found}),
    )


def explained(recommender: Recommender) -> dict[str, dict[str, Any]]:
    """Return the account of each model by name."""
    told = recommender.told("recommend.explain", {"use_case": "summarisation", "limit": 100})
    return {one["model"]["name"]: one for one in told["recommendations"]}


def quality_of(one: dict[str, Any]) -> dict[str, Any]:
    return next(part for part in one["contributions"] if part["signal"] == "quality")


def test_of_equals_the_preferred_one_is_first_and_the_explanation_says_why() -> None:
    found = explained(fleet({"a": judgement("s", -1.5), "b": judgement("s", 1.5), "c": judgement("s", 0.0)}))
    assert list(found) == ["b", "c", "a"]
    note = quality_of(found["b"])["note"]
    assert "judged by box/judge: preferred in 9 of 9 comparisons, 0 ties; counts as " in note
    assert quality_of(found["b"])["n"] == quality_of(found["a"])["n"]  # checked answers alone
    for one in found.values():
        assert sum(part["points"] for part in one["contributions"]) == pytest.approx(one["raw_score"])


def test_a_word_that_does_not_count_is_shown_and_moves_nothing() -> None:
    doubted = replace(TOLD, doubts="it recognised the better text in 2 of 8 pairs that test a judge")
    shown = explained(
        fleet({"a": judgement("s", -1.5, report=doubted), "b": judgement("s", 1.5, report=doubted)})
    )
    silent = explained(fleet({"a": None, "b": None}))
    assert {name: one["score"] for name, one in shown.items()} == {
        name: one["score"] for name, one in silent.items()
    }
    assert "does not count: it recognised the better text in 2 of 8" in quality_of(shown["b"])["note"]


def test_without_checked_answers_it_is_only_shown() -> None:
    shown = explained(fleet({"a": judgement("s", -1.5), "b": judgement("s", 1.5)}, right=-1))
    assert quality_of(shown["a"])["utility"] == quality_of(shown["b"])["utility"]
    assert "does not count: no checked answers" in quality_of(shown["b"])["note"]


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_events_does_not_matter(seed: int) -> None:
    """Also of what is known of one model by its rivals: replicas reply with the same bytes."""
    rng = Random(seed)
    known_of, pairs = catalogue(rng, 40)
    rivals = list(known_of)[:12]
    more: list[Pair] = [
        (
            1000 + number,
            judged_event(
                ref, judgement(f"s{number % 3}", rng.uniform(-2, 2)), rng.choice(("chat", "summarisation"))
            ),
        )
        for number, ref in enumerate(rivals)
    ]
    lost = lifecycle_event("lost", rivals[0], at=EPOCH, revision=9)
    pairs = [*pairs, *more, (2000, lost)]
    recommenders = [Recommender().hear(*order) for order in (pairs, rng.sample(pairs, len(pairs)))]
    step_by_step = Recommender()
    for pair in pairs:
        step_by_step.hear(pair).ask("recommend.top", {"use_case": "chat", "limit": 3})
    asked = {"use_case": "chat", "limit": 100}
    replies = [one.ask("recommend.explain", asked) for one in (*recommenders, step_by_step)]
    assert replies[0] == replies[1] == replies[2]


def test_all_pairs_of_a_pool_are_compared() -> None:
    asked = {frozenset((one.first, one.second)) for one in comparisons(SESSION, 4, TEXTS)}
    assert {frozenset(pair) for pair in combinations(POOL, 2)} <= asked
