"""Each field of `Constraints` is a keyword of the client, an option, a property of the MCP tools, and rejects."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from samples import model_info
from vedette.cli import app
from vedette.cli.need import Need, option
from vedette.client import Client
from vedette.client.mcp_server import serve
from vedette.messages.constraints import CONSTRAINTS, Constraint, Constraints, Limits
from vedette.messages.queries import ModelsRequest, RecommendRequest
from vedette.testing import EPOCH
from vedette.types import (
    Capability,
    Claim,
    Evidence,
    Figure,
    Health,
    ModelRef,
    Performance,
    Price,
    Status,
    Tally,
)
from vedette.usecases import BUILT_IN
from vedette_recommender.candidate import Facts
from vedette_recommender.columns import Columns
from vedette_recommender.field import UseCaseScores
from vedette_recommender.filtering import DEFAULT_STATUSES, FILTERS, narrow, satisfying
from vedette_recommender.standing import Standing

# What the model below does not satisfy. A new constraint fails first here.
REJECTS: dict[str, dict[str, Any]] = {
    "min_context_tokens": {"min_context_tokens": 8193},
    "max_ttft_ms": {"max_ttft_ms": 499.0},
    "min_output_tps": {"min_output_tps": 41.0},
    "max_price_usd_per_mtok": {"max_price_usd_per_mtok": 2.0},
    "locality": {"locality": "local"},
    "providers": {"providers": ("vllm",)},
    "endpoints": {"endpoints": ("cpu",)},
    "families": {"families": ("qwen2",)},
    "licenses": {"licenses": ("mit",)},
    "min_parameters": {"min_parameters": 1001},
    "max_parameters": {"max_parameters": 999},
    "exclude": {"exclude": ("m",)},
    "statuses": {"statuses": (Status.BUSY,)},
    "min_uptime_24h": {"min_uptime_24h": 0.9},
    "evidence": {"evidence": Evidence.VERIFIED},
    "unmeasured": {"min_output_tps": 1.0, "unmeasured": "reject"},
    "unknown_capabilities": {"unknown_capabilities": "reject"},
}
KEEPS: dict[str, Any] = {"unmeasured": "keep", "unknown_capabilities": "keep"}
BY_NAME = {one.name: one for one in CONSTRAINTS}


def candidates(measured: bool, **constraints: Any) -> int:
    """Return how many of one model, which may have tools or not, are candidates for a request with tools."""
    figures = Figure(n=6, median=40.0, p95=40.0, min=40.0, max=40.0, spread=0.0)
    times = Figure(n=6, median=500.0, p95=500.0, min=500.0, max=500.0, spread=0.0)
    tallies = (Tally(start=EPOCH - timedelta(hours=1), counts={"ok": 1, "timeout": 1}),)
    columns = Columns()
    columns.put(
        Facts(
            info=model_info(
                ModelRef("gpu", "m"),
                locality="remote",
                family="llama",
                license="apache-2.0",
                native_context_tokens=8192,
                parameters=1000,
                price=Price(input_usd_per_mtok=3.0, output_usd_per_mtok=3.0, source="test"),
                capabilities={"chat": Claim(value=True, evidence=Evidence.DECLARED, source="test")},
            ),
            health=Health(
                status=Status.AVAILABLE, since=EPOCH, checked_at=EPOCH, daily=tallies, hourly=tallies
            ),
            performance=Performance(measured_at=EPOCH, n=6, output_tps=figures, ttft_ms=times)
            if measured
            else None,
        )
    )
    scores = UseCaseScores(BUILT_IN["chat"], columns, Standing(columns, 5400))
    scores.refresh(EPOCH.timestamp())
    need = Constraints(**(KEEPS | constraints))
    able = (Capability.CHAT, Capability.TOOLS)
    listed = satisfying(scores, columns, ModelsRequest(capabilities=able, constraints=need))
    request = RecommendRequest(use_case="chat", capabilities=(Capability.TOOLS,), constraints=need)
    left = narrow(scores, columns, request).left
    assert int(listed.sum()) == left  # a list of models has the same
    return left


def test_every_constraint_has_a_model_that_it_rejects() -> None:
    """So that the next test covers all of them."""
    assert REJECTS.keys() == BY_NAME.keys()
    assert FILTERS.keys() == BY_NAME.keys() - {"statuses", "evidence", *KEEPS}


@pytest.mark.parametrize("name", REJECTS)
def test_a_constraint_rejects(name: str) -> None:
    measured = name != "unmeasured"
    without = {key: value for key, value in REJECTS[name].items() if key != name}
    assert candidates(measured, **without) == 1
    assert candidates(measured, **REJECTS[name]) == 0


@pytest.mark.parametrize("one", CONSTRAINTS, ids=lambda one: one.name)
def test_a_constraint_is_described(one: Constraint) -> None:
    assert one.description
    assert one.description[0].isupper()
    assert one.description.endswith(".")


def test_the_default_statuses_are_those_of_the_recommender() -> None:
    named = BY_NAME["statuses"].description.partition("Default: ")[2].removesuffix(".")
    assert named.split(", ") == list(DEFAULT_STATUSES)


@pytest.mark.parametrize("name", REJECTS)
def test_a_constraint_is_a_keyword_of_the_client(name: str) -> None:
    """With a type that takes the same values."""
    assert Limits.__annotations__.keys() == BY_NAME.keys()
    given = msgspec.json.encode(REJECTS[name])
    assert msgspec.json.encode(msgspec.json.decode(given, type=Limits)) == given


@pytest.mark.parametrize("command", ["recommend", "explain"])
@pytest.mark.parametrize("one", CONSTRAINTS, ids=lambda one: one.name)
def test_a_constraint_is_an_option(command: str, one: Constraint) -> None:
    options = {
        argument.name: argument.parameter.help
        for argument in app[command].assemble_argument_collection()
        if not argument.children
    }
    assert (options[option(f"constraints.{one.name}")] or "").startswith(one.description)


def test_what_is_given_as_options_becomes_the_keywords() -> None:
    given = Need(families=("llama",), max_ttft_ms=500.0)  # type: ignore[call-arg] # made from the table
    assert given.wanted().items() >= {"families": ("llama",), "max_ttft_ms": 500.0}.items()
    assert given.wanted().keys() <= Limits.__annotations__.keys()


async def test_a_constraint_is_a_property_of_the_tools() -> None:
    tools = {tool.name: tool for tool in await serve(Client()).list_tools()}
    for name in ("recommend", "explain"):
        offered = tools[name].inputSchema["properties"]
        assert {one: offered[one]["description"] for one in BY_NAME} == {
            one.name: one.description for one in CONSTRAINTS
        }
        assert tools[name].inputSchema["required"] == ["use_case"]
