"""Requests are strict, and their errors name the field and the remedy."""

import json

import msgspec
import pytest

from vedette.client import Wanted
from vedette.errors import RequestError
from vedette.messages.constraints import Limits
from vedette.messages.parameters import request_from
from vedette.messages.queries import (
    MAX_REQUEST_BYTES,
    ModelsRequest,
    RecommendPastRequest,
    RecommendRequest,
)
from vedette.messages.validation import decode, spelt

RECOMMEND = msgspec.json.Decoder(RecommendRequest)


@pytest.mark.parametrize(
    ("payload", "code", "field", "says"),
    [
        (b"best model, please", "invalid_json", None, "not JSON"),
        (b'{"use_case": "ch\xff"}', "invalid_json", None, "not JSON"),
        (b'{"use_case": "ch', "invalid_json", None, "not JSON"),
        (b"[]", "invalid_value", None, "object"),
        (b"{}", "missing_field", "use_case", "required"),
        (b'{"use_case": 7}', "invalid_value", "use_case", "str"),
        (b'{"usecase": "chat"}', "unknown_field", "usecase", 'did you mean "use_case"?'),
        (
            b'{"use_case": "chat", "constraints": {"min_context": 1}}',
            "unknown_field",
            "constraints.min_context",
            'did you mean "min_context_tokens"?',
        ),
        (b'{"use_case": "chat", "qqqqqq": 1}', "unknown_field", "qqqqqq", "known: use_case"),
        (b'{"use_case": "chat", "limit": 101}', "invalid_value", "limit", "100"),
        (b'{"use_case": "chat", "limit": 0}', "invalid_value", "limit", "1"),
        (b'{"use_case": "chat", "capabilities": ["flying"]}', "invalid_value", "capabilities", "known: chat"),
        (b'{"use_case": "chat", "weights": {"beauty": 1}}', "invalid_value", "weights", "beauty"),
        (b'{"use_case": "chat", "weights": {"speed": -1}}', "invalid_value", "weights", "0"),
        (
            b'{"use_case": "chat", "constraints": {"min_uptime_24h": 1.5}}',
            "invalid_value",
            "constraints.min_uptime_24h",
            "1",
        ),
        (b'{"use_case": "chat", "risk": "wild"}', "invalid_value", "risk", "wild"),
        (b'{"use_case": "chat", "caller": "' + b"x" * MAX_REQUEST_BYTES + b'"}', "too_large", None, "65536"),
    ],
)
def test_a_bad_request_names_the_field(payload: bytes, code: str, field: str | None, says: str) -> None:
    """Every way to be wrong has a stable code, the path of the field, and a sentence that helps."""
    with pytest.raises(RequestError) as caught:
        decode(payload, RECOMMEND)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert says in caught.value.message
    assert len(caught.value.message) < 700


@pytest.mark.parametrize("at", ["2026-11-30", "2026-11-30T10:00:00", "24h", "2026-02-29T00:00:00Z"])
def test_a_time_that_cannot_be_read_is_answered_with_one_that_can(at: str) -> None:
    """An agent sees how to write it."""
    with pytest.raises(RequestError, match="write a time as 2026-11-24T10:00:00Z"):
        request_from(RecommendPastRequest, [("use_case", "chat"), ("at", at)])


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [
        ("json-schema", ["json_schema", "tools"], "json_schema"),
        ("My_Suite", ["my-suite"], "my-suite"),
        ("a-b", ["a_b", "a-b"], "a-b"),
        ("A-b", ["a_b", "a-b"], None),
        ("tool", ["tools"], None),
    ],
)
def test_a_name_is_found_in_either_spelling(name: str, known: list[str], found: str | None) -> None:
    """But never one of two."""
    assert spelt(name, known) == found


def test_nothing_stands_for_no_conditions() -> None:
    """A list may be asked for with an empty payload."""
    assert decode(b"", msgspec.json.Decoder(ModelsRequest)) == ModelsRequest()


def test_the_client_can_say_everything_a_request_can() -> None:
    """The client's typed arguments are exactly the request's fields."""
    fields = set(RecommendRequest.__struct_fields__) - {"use_case", "constraints"}
    assert set(Wanted.__annotations__) - set(Limits.__annotations__) == fields
    assert json.loads(msgspec.json.encode(RecommendRequest(use_case="chat"))) == {"use_case": "chat"}
