"""What the command line says of a request: its options, and the values that are known."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from samples import model_info
from vedette.cli.asking import refuse_unknown
from vedette.cli.defined import missing
from vedette.cli.findings import pause, refusal, services
from vedette.cli.need import option
from vedette.errors import RequestError
from vedette.messages.events import AsOf
from vedette.messages.queries import EndpointsReply, EndpointView
from vedette.runtime.telemetry import Readiness
from vedette.types import EndpointState, Intake, LeftOut, ModelRef, Origin, Outcome, Pause

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
INFOS = [
    model_info(ModelRef("gpu", "a"), family="qwen2", license="apache-2.0"),
    model_info(ModelRef("gpu", "b"), family="command-r"),
]


def view(intake: Intake | None) -> EndpointView:
    state = EndpointState(
        url="http://gpu",
        provider="ollama",
        fingerprint="f",
        outcome=Outcome.OK,
        checked_at=NOW,
        intake=intake,
    )
    return EndpointView(
        endpoint="gpu", provider="ollama", url="http://gpu", group="gpu", models=1, state=state
    )


def test_a_relaxation_is_told_by_its_option() -> None:
    assert option("constraints.max_ttft_ms") == "--max-ttft-ms"
    assert option("constraints.families") == "--family"


@pytest.mark.parametrize("value", ["qwen2", "QWEN2", "command_r"])
def test_a_known_value_is_accepted_in_either_spelling(value: str) -> None:
    refuse_unknown("family", (value,), INFOS)


@pytest.mark.fault("a filter names a family or a licence that no model has")
def test_an_unknown_value_names_the_known_ones() -> None:
    """As an unknown endpoint does."""
    with pytest.raises(RequestError) as caught:
        refuse_unknown("family", ("qwen2", "zzz"), INFOS)
    assert str(caught.value) == "no family zzz; known: command-r, qwen2"
    with pytest.raises(RequestError, match=r'no license apache2\.0; did you mean "apache-2\.0"'):
        refuse_unknown("license", ("apache2.0",), INFOS)


def test_doctor_says_that_new_names_are_refused() -> None:
    """With what to do; and nothing where all are taken."""
    assert refusal(view(None)) is None
    assert refusal(view(Intake(since=NOW, names=5))) is None
    found = refusal(view(Intake(since=NOW, names=5, refused=1200)))
    assert found is not None
    assert (found.what, found.ok) == ("new models of gpu", False)
    assert found.seen == "1,200 new names in its listing are ignored until 2026-11-02 12:00Z"
    assert found.remedy == "raise [probing] new_models_per_day if they are real"


def test_doctor_lists_a_paused_endpoint_with_the_command_that_resumes_it() -> None:
    """A pause is intended, so it is no fault."""
    paused = Pause(since=NOW, by="anna", reason="new driver")
    assert pause(view(None)) is None
    assert pause(replace(view(None), origin=Origin(asleep="scaled to zero"))) is None
    found = pause(replace(view(None), origin=Origin(paused=paused)))
    assert found is not None
    assert found.ok
    assert found.seen.startswith("paused by anna: new driver")
    assert found.remedy == "vedette endpoints resume gpu"


def test_doctor_says_what_nats_does_not_allow() -> None:
    """Accounts of an older version lack what this one does; all services are ready meanwhile."""
    told = Readiness(problems={}, notes={"permissions": "recorder: this login on NATS may not publish to x"})
    ready, refused = services(told)
    assert (ready.ok, refused.ok) == (True, False)
    assert "may not publish to x" in refused.seen
    assert "vedette contracts --accounts" in refused.remedy


def test_an_export_lacks_what_is_in_force_and_of_a_file_that_is_not_known_here() -> None:
    """Not what left the cluster after it was changed, nor what cannot be used."""
    left_out = [
        LeftOut(endpoint="gpu", source="operator", why="changes an endpoint that is not there"),
        LeftOut(endpoint="gone", source="operator", why="changes an endpoint that is not there"),
        LeftOut(endpoint="bad", source="operator", why="url: is no URL", wrong=True),
        LeftOut(endpoint="ml-vllm", source="kubernetes", why="the name is taken"),
    ]
    in_force = EndpointsReply(endpoints=(view(None),), as_of=AsOf(sequence=1, scored_at=NOW))
    assert missing(left_out, in_force) == ["gpu"]
    assert missing(left_out, None) == ["gpu", "gone"]  # no recommender says what is in force
