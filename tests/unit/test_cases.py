"""Vedette answers each question of `tests/cases/` as the expert did (`tests/casebook.py`)."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from casebook import FILES, Case, answer, read


def _cases() -> Iterator[Any]:
    for file in FILES:
        case = read(file.read_text())
        marks = (
            [pytest.mark.xfail(reason=case.xfail, strict=True, raises=AssertionError)] if case.xfail else []
        )
        yield pytest.param(case, id=file.stem, marks=marks)


@pytest.mark.parametrize("case", list(_cases()))
def test_the_answer_is_the_experts(case: Case) -> None:
    """The model, and whatever else the expert spoke of."""
    assert answer(case) == case.expected, case.why


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_answer_comes_from_the_catalogue(file: Path) -> None:
    """Without the model that the expert names, the answer is another."""
    case = read(file.read_text())
    named = case.expected.best or (case.expected.relax and str(case.expected.relax.model))
    left = tuple(model for model in case.model if model.name != named)
    assert len(left) == len(case.model) - 1
    assert answer(msgspec.structs.replace(case, model=left)) != case.expected


@pytest.mark.parametrize(
    "table",
    [
        "",
        "expected",
        "endpoint.laptop",
        "model.0",
        "model.0.context",
        "model.0.yes",
        "model.0.probes",
        "model.0.residency",
        "model.0.speed",
        "model.0.quality",
    ],
)
def test_a_key_that_is_not_known_is_an_error(table: str) -> None:
    """A misspelling in a case would otherwise leave out what it means to say."""
    document = tomllib.loads(FILES[0].read_text())
    inner: Any = document
    for key in filter(None, table.split(".")):
        inner = inner[int(key) if key.isdigit() else key]
    inner["ttft"] = 1
    with pytest.raises(msgspec.ValidationError, match="unknown field `ttft`"):
        msgspec.convert(document, Case)


def test_a_kind_that_no_suite_has_is_an_error() -> None:
    document = tomllib.loads(FILES[0].read_text())
    document["model"][0]["quality"]["right"] = {"codegen": "1/2"}
    with pytest.raises(ValueError, match="codegen"):
        answer(msgspec.convert(document, Case))
