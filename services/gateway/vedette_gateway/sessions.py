"""The conversation of a request, from headers and fields that clients already send. Pure."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct

# Names of its headers and fields in clients and gateways, in order of precedence.
_HEADERS: Final = (
    "x-session-id",  # opencode, LLM Gateway
    "x-session-affinity",  # opencode, Fireworks
    "x-opencode-session",
    "session-id",  # Codex CLI
    "session_id",  # and before 0.60
    "x-conversation-id",  # LibreChat, where it is configured
    "x-openwebui-chat-id",  # Open WebUI, where it forwards what it knows of users
    "x-grok-conv-id",  # xAI
)
_FIELDS: Final = (
    "session_id",  # OpenRouter
    "conversation",  # OpenAI, Responses: an id, or an object with one
    "prompt_cache_key",  # OpenAI
)
_SESSIONS: Final = 64  # so that the cache of rankings stays small; several conversations share one


class _Named(Struct):
    """An object with an id, or OpenAI's `metadata`: the keys that tracers of LangChain and LiteLLM use."""

    id: object = ""
    session_id: object = ""
    conversation_id: object = ""


_NAMED: Final = msgspec.json.Decoder(str | _Named)


def session(headers: Mapping[str, str], fields: Mapping[str, Raw]) -> str | None:
    """Return the session (`s0` to `s63`) of the conversation that a request names, or None if it names none.

    It is a hash, so that the name does not leave the gateway. The field `user` does not count: many programs send one
    value for all conversations.
    """
    name = next((value for name in _HEADERS if (value := headers.get(name))), None) or next(
        _named_in(fields), None
    )
    if name is None:
        return None
    digest = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=2).digest()
    return f"s{int.from_bytes(digest) % _SESSIONS}"


def _named_in(fields: Mapping[str, Raw]) -> Iterator[str]:
    """Yield the names of the conversation in the body, in order of precedence."""
    for name in _FIELDS:
        value = _decoded(fields.get(name))
        yield from _texts(value if isinstance(value, str) else value.id)
    metadata = _decoded(fields.get("metadata"))
    if isinstance(metadata, _Named):
        yield from _texts(metadata.session_id, metadata.conversation_id)


def _texts(*values: object) -> Iterator[str]:
    return (one for one in values if isinstance(one, str) and one)


def _decoded(raw: Raw | None) -> "str | _Named":
    try:
        return "" if raw is None else _NAMED.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
