"""Scores that users vouch for: how they are read, and how they count."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from samples import lifecycle_event, model_info, rating_event
from vedette.cli.rating import meant, nearest, read
from vedette.errors import ConfigurationError
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import ModelEvaluated, ModelEvent
from vedette.messages.queries import Contribution
from vedette.settings import CustomUseCase, Vouched, parse
from vedette.types import ModelRef, Outcome, Quality, Rating, Score
from vedette.usecases import UseCase, known
from vedette_recommender.candidate import facts_of
from vedette_recommender.columns import Columns
from vedette_recommender.explain import Account
from vedette_recommender.field import UseCaseScores
from vedette_recommender.standing import Standing

NOW = datetime(2026, 11, 25, tzinfo=UTC)
MODEL = ModelRef("gpu", "qwen3:8b")
TOML = """
[[quality]]
model = "gpu/qwen3:8b"
use_case = "chat"
score = 0.75
source = "our tests"
as_of = 2026-07-01
"""
LINE = '{"model": "gpu/qwen3:8b", "use_case": "chat", "score": 0.75, "source": "our tests", "as_of": "2026-07-01"}'
VOUCHED = Vouched(
    model="gpu/qwen3:8b", use_case="chat", score=0.75, source="our tests", as_of=date(2026, 7, 1)
)


@pytest.mark.parametrize(("name", "text"), [("s.toml", TOML), ("s.jsonl", f"{LINE}\n\n")])
def test_a_file_of_scores_is_read(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    assert read(file) == [VOUCHED]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no scores"),
        ("[[quality", "is not TOML"),
        (TOML.replace("0.75", "75"), "entry 1"),
        (TOML.replace('source = "our tests"\n', ""), "source"),
        (TOML.replace("as_of = 2026-07-01\n", ""), "as_of"),
        (TOML.replace("use_case", "usecase"), "usecase"),
    ],
)
def test_a_mistake_in_it_is_named(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "scores.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=says):
        read(file)


def test_the_configuration_takes_the_same_tables() -> None:
    """And a misspelt key in one is named with the nearest."""
    document = {"quality": [{"model": "gpu/qwen3:8b", "use_case": "chat", "score": 0.75, "source": "our tests",
                             "as_of": date(2026, 7, 1)}]}  # fmt: skip
    assert parse(document, where="x").quality == (VOUCHED,)
    document["quality"][0]["usecase"] = "chat"
    with pytest.raises(
        ConfigurationError, match=r'quality\[0\].usecase: unknown key; did you mean "use_case"'
    ):
        parse(document, where="x")


def scored(**scores: tuple[int, int]) -> ModelEvaluated:
    made = {kind: Score(successes=s, trials=n, suite=f"{kind}@1") for kind, (s, n) in scores.items()}
    return ModelEvaluated(
        id="e",
        at=NOW,
        model=MODEL,
        job_id="j",
        outcome=Outcome.OK,
        quality=Quality(measured_at=NOW, scores=made),
    )


def quality(*events: ModelEvent, use_case: UseCase, configured: tuple[Vouched, ...] = ()) -> Contribution:
    """Return what is told of the quality of a model of which all that is known are *events*."""
    found = lifecycle_event("found", MODEL, at=NOW, info=model_info(MODEL))
    state = Catalogue.of(enumerate((found, *events), start=1)).get(MODEL)
    facts = facts_of(state, configured=configured) if state else None
    assert facts is not None
    columns = Columns()
    row = columns.put(facts)
    field = UseCaseScores(use_case, columns, Standing(columns, 3600))
    field.refresh(NOW.timestamp())
    assert row is not None
    (account,) = Account.of(field, columns, [row], field.default)
    return account.contributions()[0]


def rated(*ratings: Rating) -> ModelEvent:
    return rating_event(MODEL, *ratings, at=NOW)


def test_a_use_case_is_told_by_its_own_kinds() -> None:
    """Each by its weight; what says nothing of it does not count; what was not asked is not there."""
    use_cases = known({})
    one = scored(tools=(10, 10), instructions=(0, 10), arithmetic=(0, 30))
    agent = quality(one, use_case=use_cases["agent"])
    assert agent.raw == pytest.approx(3 / 4)  # tools weigh 3, instructions 1
    assert (agent.kind, agent.n) == ("measured", 20)
    assert quality(one, use_case=use_cases["embedding"]).raw is None
    own = known({"mine": CustomUseCase(weights={"quality": 1}, kinds={"arithmetic": 1})})["mine"]
    assert quality(one, use_case=own).raw == 0.0


def test_what_a_user_vouches_for_counts_first() -> None:
    """For its use case before for all, the newer before the older, imported or configured alike."""
    use_cases = known({})
    everywhere = Rating(score=0.2, source="paper", as_of=date(2026, 1, 1))
    chat = Rating(score=0.9, source="us", as_of=date(2025, 1, 1), use_case="chat")
    said = scored(instructions=(0, 40)), rated(everywhere, chat)
    found = quality(*said, use_case=use_cases["chat"])
    assert (found.raw, found.kind, found.confidence, found.note) == (0.9, "user", 1.0, "us, 2025-01-01")
    assert quality(*said, use_case=use_cases["reasoning"]).raw == 0.2
    assert quality(rated(chat), use_case=use_cases["chat"], configured=(VOUCHED,)).raw == 0.75
    other = (Vouched(model="gpu/other", score=1.0, source="x", as_of=date(2026, 1, 1)),)
    assert quality(use_case=use_cases["chat"], configured=other).raw is None


@pytest.mark.parametrize(
    ("pattern", "rated"),
    [
        ("*", True),
        (f"{MODEL.endpoint}/*", True),
        (f"*{MODEL.name[-3:]}", True),
        (MODEL.name, True),
        ("other/*", False),
    ],
)
def test_a_table_of_the_configuration_may_name_a_pattern(pattern: str, rated: bool) -> None:
    """As `exclude` does: of the name with its endpoint, or alone."""
    vouched = Vouched(model=pattern, score=0.5, source="x", as_of=date(2026, 1, 1))
    found = quality(use_case=known({})["chat"], configured=(vouched,))
    assert (found.raw == 0.5) is rated


def test_every_built_in_use_case_names_suites_that_exist() -> None:
    from vedette_benchmarker.suites.registry import SUITES

    kinds = {suite.kind for suite in SUITES}
    for use_case in known({}).values():
        assert set(use_case.kinds) <= kinds, use_case.name


KNOWN = [
    model_info(ModelRef("box", name), quantization=quantization, canonical=canonical)
    for name, quantization, canonical in (
        ("qwen2.5:7b", "Q4_K_M", "qwen2.5-7b-instruct:q4_k_m"),
        ("qwen2.5:7b-instruct-q8_0", "Q8_0", "qwen2.5-7b-instruct:q8_0"),
        ("Qwen/Qwen2.5-Coder-7B-Instruct", None, None),
        ("MyTune:latest", None, None),
        ("someone/Llama-3.1-8B", None, None),
    )
]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("qwen2.5:7b", ["qwen2.5:7b"]),
        ("BOX/Qwen2.5:7B", ["qwen2.5:7b"]),
        ("Qwen2.5:7B-latest", ["qwen2.5:7b"]),
        ("qwen2.5-coder-7b-instruct", ["Qwen/Qwen2.5-Coder-7B-Instruct"]),
        ("Qwen/Qwen2.5-7B-Instruct-GGUF:Q8_0", ["qwen2.5:7b-instruct-q8_0"]),
        ("Qwen/Qwen2.5-7B-Instruct", ["qwen2.5:7b", "qwen2.5:7b-instruct-q8_0"]),
        ("mytune", ["MyTune:latest"]),
        ("other/qwen2.5:7b", []),
        ("Llama-3.1-8B", []),  # someone may have tuned it
        ("qwen2.5:14b", []),
    ],
)
def test_a_score_is_of_the_model_that_its_name_means(name: str, found: list[str]) -> None:
    """By spelling and by identity, never by likeness."""
    assert [model.name for model in meant(name, KNOWN)] == found


def test_a_name_that_is_not_known_has_its_nearest() -> None:
    assert nearest("qwen2.5:14b", KNOWN)[0] == "box/qwen2.5:7b"
    assert nearest("zzz", KNOWN) == ()
