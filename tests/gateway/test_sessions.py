"""Which conversation a request belongs to, by what clients send of it anyway."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from vedette_gateway.sessions import session

ID = "01a22b34-a32c-7fc2-877d-ec9860a54b9e"


def of(fields: dict[str, Any], **headers: str) -> str | None:
    raw = {name: Raw(msgspec.json.encode(value)) for name, value in fields.items()}
    return session({name.replace("_", "-"): value for name, value in headers.items()}, raw)


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({}, {"x_session_id": ID}),  # opencode
        ({}, {"x_session_affinity": ID}),
        ({}, {"session_id": ID}),  # Codex CLI
        ({"prompt_cache_key": ID}, {}),
        ({"session_id": ID}, {}),
        ({"conversation": ID}, {}),
        ({"conversation": {"id": ID}}, {}),
        ({"metadata": {"session_id": ID, "id": 7}}, {}),
        ({"metadata": "x", "session_id": 7, "prompt_cache_key": ID}, {}),
    ],
)
def test_what_clients_send_of_a_conversation_is_its_session(
    fields: dict[str, Any], headers: dict[str, str]
) -> None:
    assert of(fields, **headers) == of({"prompt_cache_key": ID}) is not None


@pytest.mark.parametrize(
    "fields",
    [{}, {"user": "me"}, {"metadata": {"user_id": "me"}}, {"prompt_cache_key": ""}, {"conversation": None}],
)
def test_what_is_no_conversation_is_none(fields: dict[str, Any]) -> None:
    assert of(fields) is None


def test_conversations_share_a_few_sessions_evenly_and_none_is_readable() -> None:
    found = [of({"prompt_cache_key": f"{ID}{number}"}) for number in range(6400)]
    counts = [found.count(one) for one in set(found)]
    assert len(counts) == 64
    assert max(counts) < 2 * min(counts)
    assert all(one and len(one) <= 3 for one in found)


def test_a_header_comes_before_the_body() -> None:
    assert of({"prompt_cache_key": "other"}, x_session_id=ID) == of({}, x_session_id=ID)
