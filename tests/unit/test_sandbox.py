"""What a test of a program may look like, and how values come out of the process that nobody trusts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette_benchmarker.sandbox import Case, decoded, parsed
from vedette_benchmarker.sandboxed import encoded

KEYS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
HASHABLE = st.recursive(
    KEYS,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
PLAIN = st.recursive(
    HASHABLE | st.sets(HASHABLE, max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HASHABLE, inner, max_size=3),
    max_leaves=6,
)


@given(PLAIN)
def test_round_trip(value: object) -> None:
    """A plain value is the same on the other side."""
    assert decoded(json.loads(json.dumps(encoded(value)))) == value


@pytest.mark.parametrize("value", [object(), 1j, range(3), iter([]), [print]])
def test_not_plain(value: object) -> None:
    """What has no literal does not come out."""
    with pytest.raises(TypeError):
        encoded(value)


@pytest.mark.parametrize(
    "said", [[], ["list2", 1], {"a": 1}, [1], ["dict", 1], ["dict", [1]], ["set", ["list"]], ["bytes", "x"]]
)
def test_forged_values(said: object) -> None:
    """What `encoded` never says is refused."""
    with pytest.raises((ValueError, TypeError)):
        decoded(said)


def test_form() -> None:
    """A test is a call and the literal that it equals."""
    assert parsed("assert add(2, 3) == 5") == Case(call="add(2, 3)", expected=5)
    assert parsed("assert sorted(f([1])) == [{'a': (-1.5, None)}]").expected == [{"a": (-1.5, None)}]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "assert f(1)",
        "assert f(1) != 2",
        "assert f(1) == f(2)",
        "assert f(1) == x",
        "assert 2 == f(1)",
        "assert f(1) == 2, 'why'",
        "assert f(1) == 2 == 2",
        "assert f(1) == 2; import os",
        "import os",
        "assert f(1 == 2",
    ],
)
def test_other_forms(line: str) -> None:
    """Any other line is refused, and named."""
    with pytest.raises(ValueError) as refused:
        parsed(line)
    assert repr(line) in str(refused.value)
