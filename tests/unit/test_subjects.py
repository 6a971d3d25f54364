"""Names become tokens."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.messages import subjects
from vedette.types import ModelRef

TOKEN = re.compile(r"[A-Za-z0-9_=-]+\Z")


@given(st.text(min_size=1, max_size=20))
def test_a_short_name_comes_back_as_it_was(name: str) -> None:
    """Whatever a name holds, its token is legal and gives the name again."""
    try:
        token = subjects.escape(name)
    except UnicodeEncodeError:
        return  # a lone surrogate is no text; no provider's JSON can carry one into a name
    assert TOKEN.match(token)
    if len(token) <= subjects.MAX_TOKEN_BYTES and "=-" not in token:
        assert unquote(token.replace("=", "%")) == name


@given(st.text(alphabet="é/:.*> 模😀", min_size=41, max_size=300))
def test_a_long_name_is_shortened_without_cutting_an_escape(name: str) -> None:
    """A long token stays within its bound and is legal."""
    token = subjects.escape(name)
    assert len(token) <= subjects.MAX_TOKEN_BYTES
    assert TOKEN.match(token)
    assert not re.search(r"=(?![0-9A-F]{2}|-)", token)
    digest = token.rpartition("=-")[2]
    assert len(digest) == 16


def test_two_long_names_that_begin_alike_have_different_tokens() -> None:
    """The hash keeps apart what the cut would have made one."""
    assert subjects.escape("x" * 300) != subjects.escape("x" * 301)


def test_the_documented_example_holds() -> None:
    """`llama3.1:8b` is `llama3=2E1=3A8b`."""
    assert subjects.of_model("found", ModelRef("local", "llama3.1:8b")) == "model.found.local.llama3=2E1=3A8b"


@pytest.mark.parametrize("text", ["noslash", "/name", "UPPER/x", "local/", "local/a\x00b", "a" * 64 + "/x"])
def test_what_names_no_model_is_refused(text: str) -> None:
    """A reference has a legal endpoint and a name without control characters."""
    with pytest.raises(ValueError, match=r"endpoint/name|does not name"):
        ModelRef.parse(text)


def test_a_reference_keeps_slashes_in_the_name() -> None:
    """Only the first slash divides."""
    assert ModelRef.parse("gpu/org/model:tag") == ModelRef("gpu", "org/model:tag")
