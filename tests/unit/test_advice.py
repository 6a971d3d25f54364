"""What the command line says of a request: its options, and the values that are known."""

from datetime import UTC, datetime

import pytest

from samples import model_info
from vedette.cli.administering import refusal
from vedette.cli.asking import refuse_unknown
from vedette.cli.need import option
from vedette.errors import RequestError
from vedette.messages.queries import EndpointView
from vedette.types import EndpointState, Intake, ModelRef, Outcome

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
