"""What a caller is told when no model can take a request: whether to ask again, what is missing, who comes nearest."""

from typing import Any

import pytest

from gateway.test_finding import explanation, reply
from vedette.messages.queries import ExplainReply, Rejection, Relaxation
from vedette.types import Capability, ModelRef
from vedette_gateway.fitting import unfit
from vedette_gateway.problems import Problem

TOOLS, VISION, CHAT = Capability.TOOLS, Capability.VISION, Capability.CHAT
Reason = tuple[str, object, object]
NO_TOOLS: Reason = ("capability", TOOLS, "no (declared)")
NO_VISION: Reason = ("capability", VISION, "no (declared)")
DOWN: Reason = ("status", ["available"], "unreachable")
REFUSES: Reason = ("status", ["available"], "auth_failed")
UNTESTED: Reason = ("capability_unknown", TOOLS, None)
UNKNOWN_KIND: Reason = ("capability_unknown", CHAT, "a model of unknown kind")


def explained(*models: tuple[str, list[Reason]]) -> ExplainReply:
    rejections = tuple(
        Rejection(model=ModelRef("gpu", name), code=code, need=need, value=value)
        for name, reasons in models
        for code, need, value in reasons
    )
    return explanation(*rejections)


def problem(*models: tuple[str, list[Reason]], **fields: Any) -> Problem:
    return unfit("agent", reply(considered=len(models), **fields), explained(*models))


@pytest.mark.parametrize(
    ("models", "said"),
    [
        (
            [("a", [NO_TOOLS]), ("b", [NO_TOOLS, DOWN])],
            "none is known to have tools; nearest: gpu/a (tools missing)",
        ),
        (
            [("a", [UNTESTED]), ("b", [NO_TOOLS])],
            "none is known to have tools; nearest: gpu/a (tools unknown)",
        ),
        ([("a", [NO_TOOLS]), ("b", [NO_VISION])], "none has tools and vision and meets the other limits"),
        ([("a", [("locality", ["local"], "remote")])], "nearest: gpu/a (locality remote)"),
        ([("a", [("price_unknown", 2.0, None)])], "nearest: gpu/a (price unknown)"),
    ],
)
def test_what_waiting_does_not_change_is_no_reason_to_ask_again(
    models: list[tuple[str, list[Reason]]], said: str
) -> None:
    told = problem(*models)
    assert (told.status, told.code, told.retry_after_s) == (400, "no_model_fits", None)
    assert said in told.message


@pytest.mark.parametrize(
    "models",
    [
        [],  # none is known yet
        [("a", [NO_TOOLS]), ("b", [DOWN])],
        [("a", [UNKNOWN_KIND])],
        [("a", [DOWN, ("ttft", 800.0, 900.0)])],
        [("a", [("never_answered", None, None)])],
    ],
)
def test_what_may_pass_is(models: list[tuple[str, list[Reason]]]) -> None:
    told = problem(*models)
    assert (told.status, told.code) == (503, "no_model")
    assert told.headers["retry-after"] == "5"


@pytest.mark.parametrize(
    "models", [[("a", [REFUSES]), ("b", [REFUSES])], [("a", [REFUSES]), ("b", [NO_TOOLS, REFUSES])]]
)
def test_a_key_that_endpoints_refuse_is_named_and_not_the_fault_of_the_caller(
    models: list[tuple[str, list[Reason]]],
) -> None:
    told = problem(*models)
    assert (told.status, told.code, told.retry_after_s) == (424, "endpoint_refuses_key", None)
    assert "gpu" in told.message
    assert "vedette doctor" in told.message


def test_another_model_that_comes_back_is_worth_a_wait() -> None:
    assert problem(("a", [REFUSES]), ("b", [DOWN])).status == 503


def test_without_the_reasons_it_may_pass() -> None:
    relax = Relaxation(constraint="constraints.statuses", model=ModelRef("gpu", "a"))
    told = unfit("agent", reply(relax=relax, rejected={"status": 1}), None)
    assert (told.status, told.code) == (503, "no_model")
    assert "1 for status" in told.message
    assert "relax constraints.statuses, and gpu/a fits" in told.message
