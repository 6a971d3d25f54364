"""How long models think before short answers, by published measurements: whose figures count for a name."""

import csv
from io import StringIO
from statistics import fmean

import pytest

from samples import model_info
from vedette.knowledge import table, thoughts_of
from vedette.knowledge.thoughts import THOUGHTS, measured
from vedette.types import ModelRef
from vedette.usecases import KINDS
from vedette.usecases.thinking import THOUGHT_TOKENS


def tokens(name: str) -> float:
    return thoughts_of(model_info(ModelRef("hosted", name)))


def published(*models: str) -> float:
    """Return the mean of these rows of the table: nine of thirteen suites ask what is known, four pose a problem."""
    rows = {row["model"]: row for row in csv.DictReader(StringIO(table.read(THOUGHTS)))}
    return fmean((9 * float(rows[one]["simple"]) + 4 * float(rows[one]["problem"])) / 13 for one in models)


@pytest.mark.parametrize(
    ("name", "models"),
    [
        ("gpt-oss-120b", ["gpt-oss-120b"]),
        ("gpt-oss-safeguard", ["gpt-oss-120b", "gpt-oss-20b"]),
        ("o3", ["o3-mini"]),
        ("anthropic/claude-opus-4-5-20251101", ["claude-opus-4", "claude-opus-4.1"]),
        ("gemini-2.5-pro-preview", ["gemini-2.5-pro"]),
        ("gemini-3-pro", ["gemini-2.5-flash", "gemini-2.5-pro"]),
        ("qwen3:8b", ["qwen3-30b-a3b", "qwen3-235b-a22b", "qwen3-235b-a22b-thinking-2507"]),
    ],
)
def test_the_most_similar_name_counts(name: str, models: list[str]) -> None:
    assert tokens(name) == pytest.approx(published(*models))


@pytest.mark.parametrize("name", ["acme-prod", "openai/gpt-5-mini"])  # gpt-oss is another family
def test_a_name_like_none_gets_the_mean_of_all(name: str) -> None:
    assert tokens(name) == pytest.approx(fmean(one.tokens for one in measured()))


def test_the_ranking_expects_about_their_mean() -> None:
    assert fmean(one.tokens for one in measured()) == pytest.approx(THOUGHT_TOKENS, rel=0.1)


def test_thoughts_are_within_the_room_that_evaluations_give() -> None:
    """The measurements had up to 30,000 tokens of room; an evaluation gives 1,024."""
    assert all(0 < one.simple < one.problem <= 1024 for one in measured())


def test_four_of_thirteen_suites_pose_problems() -> None:
    kinds = {kind for use_case in KINDS if use_case != "embedding" for kind in KINDS[use_case]}
    assert len(kinds) == 13
    assert kinds > {"arithmetic", "choice", "code_generation", "code_understanding"}
