"""Errors have typed fields, which survive a pipe and a pickle."""

import pickle
from inspect import signature
from pathlib import Path
from signal import Signals

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


def test_the_tree_is_whole() -> None:
    """The module's docstring names every error below its base."""
    tree = [line for line in (errors.__doc__ or "").splitlines() if line.startswith("    ")]
    shown = [(line.split()[-1], (len(line) - len(line.split()[-1]) - 4) // 4) for line in tree]
    assert sorted(shown) == sorted((kind.__name__, depth(kind)) for kind in (VedetteError, *KINDS[:-1]))


def depth(kind: type[BaseException]) -> int:
    """Return how far below VedetteError *kind* is."""
    return kind.__mro__.index(VedetteError)


@pytest.mark.parametrize("kind", KINDS)
class TestEvery:
    def test_message(self, kind: type[VedetteError]) -> None:
        """It has one, in which the fields stand for their names."""
        message = str(one(kind))
        assert message
        assert "{" not in message

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
