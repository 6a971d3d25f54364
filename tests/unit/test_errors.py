"""Errors have typed fields, which survive a pipe and a pickle."""

import pickle
import subprocess
import sys
from inspect import signature
from pathlib import Path
from signal import Signals
from string import Formatter

import msgspec
import pytest

from vedette import errors
from vedette.errors import ConfigurationError, MessageTooLarge, ProviderError, VedetteError
from vedette.runtime.apart import Said
from vedette.types import Outcome
from vedette_recorder.errors import DatabaseUnavailable

VALUES = {int: 7, float: 0.5, Path: Path("state"), Signals: Signals.SIGTERM, Outcome: Outcome.TIMEOUT}


KINDS = [
    *(
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, VedetteError) and each is not VedetteError
    ),
    DatabaseUnavailable,
]


def one(kind: type[VedetteError]) -> VedetteError:
    """Return an error of *kind* with a value for each field that it needs."""
    needed = [each for each in signature(kind).parameters.values() if each.default is each.empty]
    return kind(**{each.name: VALUES.get(each.annotation, each.name) for each in needed})


@pytest.mark.fault("Python runs without docstrings", "I4")
def test_a_message_without_docstrings() -> None:
    """`python -OO` leaves them out; what the fields say stays."""
    code = "from vedette.errors import NotRunning; print(NotRunning(problem='process 7 is gone'))"
    done = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "process 7 is gone\n"


@pytest.mark.parametrize("kind", KINDS)
class TestEvery:
    def test_message(self, kind: type[VedetteError]) -> None:
        """What its message names are its fields."""
        named = {name.partition(".")[0] for _, name, _, _ in Formatter().parse(kind.__doc__ or "") if name}
        error = one(kind)
        assert named <= error.fields.keys()
        assert "{" not in str(error)

    def test_unknown_field(self, kind: type[VedetteError]) -> None:
        """It takes no field that it does not have."""
        with pytest.raises(TypeError, match="nonsense"):
            kind(**one(kind).fields, nonsense=1)

    def test_pickle(self, kind: type[VedetteError]) -> None:
        """A pickle keeps message and fields."""
        error = one(kind)
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), copy.fields) == (kind, str(error), error.fields)


def test_a_remedy_is_added_once() -> None:
    """The detail of a failed contact ends with its remedy, also after a pickle."""
    error = ProviderError(Outcome.REFUSED, "connection refused", remedy="start the server")
    assert str(pickle.loads(pickle.dumps(error))) == "connection refused; start the server"


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError(where=Path("/etc/vedette.toml"), problem="is gone"),
        MessageTooLarge(subject="model.found.a.b", size=2, limit=1),
        errors.ClockWrong(problem="the clock is wrong"),
        errors.NoAnswer(code="unavailable", message="no recommender", field="use_case"),
    ],
)
def test_a_process_apart_tells_of(error: VedetteError) -> None:
    """The parent raises the error that its child has raised."""
    said = msgspec.json.decode(msgspec.json.encode(Said.of(error)), type=Said)
    with pytest.raises(type(error)) as raised:
        said.check()
    assert str(raised.value) == str(error)
