"""What a load of a server changes is worked out for its models alone, and comes to the same as all worked out again."""

from datetime import timedelta

import numpy as np
import pytest

from samples import model_info
from vedette.messages.events import EndpointLoad
from vedette.testing import EPOCH
from vedette.types import Claim, Evidence, Figure, ModelLoad, ModelRef, Performance, Reported, Residency
from vedette.usecases import BUILT_IN
from vedette_recommender.candidate import Facts
from vedette_recommender.columns import Columns
from vedette_recommender.field import ALL, UseCaseScores
from vedette_recommender.standing import Standing

AT = EPOCH.timestamp()


def facts(name: str, *, tps: float, reported: bool = False) -> Facts:
    ref = ModelRef.parse(name)
    can = {one: Claim(value=True, evidence=Evidence.DECLARED, source="x") for one in ("chat", "embedding")}
    figures = Figure(n=6, median=tps, p95=tps, min=tps, max=tps, spread=0.1)
    reports = Reported(
        as_of=EPOCH,
        calls=20.0,
        succeeded=18.0,
        ttft_n=20.0,
        ttft_log_sum=120.0,
        output_tps_n=20.0,
        output_tps_log_sum=60.0,
    )
    return Facts(
        info=model_info(ref, capabilities=can, locality="local", size_bytes=10**9),
        performance=Performance(measured_at=EPOCH, n=6, output_tps=figures, ttft_ms=figures),
        reports=reports if reported else None,
    )


def load(running: int, waiting: int, *, at: int = 0) -> EndpointLoad:
    return EndpointLoad(
        id=str(at),
        at=EPOCH + timedelta(seconds=at),
        endpoint="a",
        every_s=60.0,
        source="x",
        running=running,
        waiting=waiting,
        slots=4,
        models={"two": ModelLoad(running=1, waiting=0)},
        loaded={"one": Residency(resident=True)},
        elapsed_ms=1.0,
        bytes=1,
    )


def columns() -> Columns:
    made = Columns()
    for one in (facts("a/one", tps=40.0, reported=True), facts("a/two", tps=20.0), facts("b/one", tps=30.0)):
        made.put(one)
    return made


@pytest.mark.parametrize("use_case", ["chat", "embedding"])
def test_a_load_comes_to_the_same_as_all_worked_out_again(use_case: str) -> None:
    kept = columns()
    kept.press(load(1, 0))
    standing = Standing(kept, 5400)
    field = UseCaseScores(BUILT_IN[use_case], kept, standing)
    field.refresh(AT)
    before = field.scores(ALL, field.default).score.copy()
    pressed = kept.press(load(4, 3, at=1))
    assert sorted(pressed) == kept.at_endpoint("a")
    standing.press(pressed)
    field.press(pressed)
    field.refresh(AT)
    again = columns()
    again.press(load(4, 3, at=1))
    whole = UseCaseScores(BUILT_IN[use_case], again, Standing(again, 5400))
    whole.refresh(AT)
    for mine, theirs in (
        (field.scores(ALL, field.default), whole.scores(ALL, whole.default)),
        (field.pace, whole.pace),
        ((field.expected_ttft_ms, field.answer_s), (whole.expected_ttft_ms, whole.answer_s)),
    ):
        for one, other in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
    changed = (field.scores(ALL, field.default).score != before).nonzero()[0].tolist()
    assert set(changed) <= set(pressed)
    assert bool(changed) is (use_case == "chat")


def test_a_load_like_the_last_one_changes_nothing() -> None:
    kept = columns()
    kept.press(load(2, 0))
    assert kept.press(load(2, 0, at=10)) == []
