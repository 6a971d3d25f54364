"""Reads the bytes of an OpenAI request: its model, its required capabilities, and its wishes. Pure.

Only the top level of a body is parsed. Each field is passed on unchanged, except the name of the model.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from vedette.errors import RequestError
from vedette.messages.constraints import Constraints
from vedette.messages.parameters import document
from vedette.messages.queries import MAX_REQUEST_BYTES, RecommendRequest
from vedette.messages.validation import decode
from vedette.providers.observing import Api
from vedette.types import Capability
from vedette_gateway.sessions import session

VIRTUAL: Final = "vedette/"
AUTO: Final = "auto"
_OWN: Final = "vedette"  # the field of a body with wishes; no server gets it
_HEADER: Final = "x-vedette-"
_AMONG: Final = "x-vedette-use-cases"
_TABLES: Final = {"weight-": "weights.", "bound-": "bounds."}
# Steps of the context, so that requests of similar length share one ranking.
_STEPS: Final = (1.0, 1.25, 1.5, 1.75)
_SMALL_TOKENS: Final = 1024  # a request that every model has room for
_MAX_TOKENS: Final = 2**40  # above it, a limit means none
_BYTES_A_TOKEN: Final = 4
_SENSED: Final = re.compile(rb'"(?:image_url|input_image|input_audio)"')
_ITEMS: Final = re.compile(rb"\s*+\[\s*+[^\s\]]")
# Pictures, sounds and files. One pass without backtracking: 30 MB of `"data:` took seconds and stopped all streams.
_DATA_URLS: Final = re.compile(rb'"data:[^",]{0,120};base64,[^"]*')
_MAX_MODEL_CHARACTERS: Final = 1024
_LIMITS: Final = frozenset(
    {
        *("min_context_tokens", "max_ttft_ms", "min_output_tps", "max_price_usd_per_mtok"),
        *("min_parameters", "max_parameters", "min_uptime_24h"),
    }
)

_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_REQUEST: Final = msgspec.json.Decoder(RecommendRequest, strict=False)
_RECOMMENDS: Final = frozenset(RecommendRequest.__struct_fields__)
# Without wishes. The request implies its capabilities, so models with unknown capabilities are kept.
_OPEN: Final = RecommendRequest(use_case=AUTO, constraints=Constraints(unknown_capabilities="keep"))

T = TypeVar("T")
Kind = Literal["use case", "model", "name", "auto"]


class _Form(Struct, frozen=True):
    type: str = ""


class _Text(Struct, frozen=True):
    format: _Form = _Form()


class _Message(Struct):
    content: Raw = Raw(b"null")


class Target(Struct, frozen=True):
    """What the `model` of a request names: a use case, one model at one endpoint, or a name at any endpoint."""

    kind: Kind
    name: str = ""

    @classmethod
    def parse(cls, model: str) -> "Target":
        """Return the target of *model*: `vedette/<use case>`, `vedette/auto`, `endpoint/name`, or a name alone."""
        if model.startswith(VIRTUAL):
            use_case = model.removeprefix(VIRTUAL)
            return cls("auto") if use_case == AUTO else cls("use case", use_case)
        if model in (AUTO, _OWN):
            return cls("auto")
        return cls("model" if "/" in model else "name", model)


class Wanted(Struct, frozen=True, kw_only=True):
    """One request: its API, its target, its unchanged fields, and their requirements for a model."""

    api: Api
    target: Target
    fields: Mapping[str, Raw]
    stream: bool
    capabilities: frozenset[Capability]
    tokens: int  # estimate for prompt and answer together; 0: so few that every model has room
    least_tokens: int  # estimate for the prompt alone; 0 as above
    max_tokens: int | None
    wishes: RecommendRequest  # the caller's constraints and weights; its use case and limit are not used
    keeps_unmeasured: bool  # models with unmeasured figures, because the caller limits none
    among: tuple[str, ...] = ()  # the use cases that `vedette/auto` may choose from; without any, all

    def body(self, name: str) -> bytes:
        """Return the request for the model *name* at its server."""
        return msgspec.json.encode({**self.fields, "model": name})

    @property
    def rooms(self) -> tuple[int, ...]:
        """The contexts (tokens) to search models with, in this order.

        Agents set the limit of an answer to the longest that any model can give (opencode: 32,000), but do not expect
        such an answer. So if no model has a context for that, a context for the prompt is enough.
        """
        return (self.tokens,) if self.tokens == self.least_tokens else (self.tokens, self.least_tokens)

    def recommendation(self, use_case: str, *, caller: str, limit: int, room: int) -> RecommendRequest:
        """Return the query for the models of *use_case* that can take this request, with *room* in tokens."""
        limits = self.wishes.constraints
        if room:
            limits = replace(
                limits,
                min_context_tokens=max(limits.min_context_tokens or 0, room),
                unmeasured="keep" if self.keeps_unmeasured else limits.unmeasured,
            )
        return replace(
            self.wishes,
            use_case=use_case,
            limit=limit,
            capabilities=tuple(sorted({*self.wishes.capabilities, *self.capabilities})),
            constraints=limits,
            caller=self.wishes.caller or caller,
        )


def read(
    api: Api, body: bytes, headers: Iterable[tuple[str, str]], *, deployment: str | None = None
) -> Wanted:
    """Return the request in *body* for *api*, including wishes in *headers* (names in lower case). Raises RequestError.

    A *deployment* from the path takes priority over the model in the body.
    """
    try:
        if not body.isascii():
            body.decode()  # JSON is UTF-8; the decoder does not check the bytes within a field
        fields = _FIELDS.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = f"the body is no JSON object: {error}"
        raise RequestError(code="invalid_json", message=problem) from error
    model = deployment or _value(fields, "model", str)
    if not model or len(model) > _MAX_MODEL_CHARACTERS:
        problem = (
            f"the field 'model' is required: a model of /v1/models, such as {VIRTUAL}chat or {VIRTUAL}{AUTO}"
        )
        raise RequestError(code="missing_field", message=problem, field="model")
    if api == "chat/completions" and "messages" not in fields and "input" in fields:
        # Cursor's agent sends this.
        problem = "the field 'messages' is required; 'input' belongs to /v1/responses"
        raise RequestError(code="missing_field", message=problem, field="messages")
    limits = ("max_completion_tokens", "max_tokens", "max_output_tokens")
    given = [found for name in limits if (found := _value(fields, name, int)) and found > 0]
    max_tokens = max(given) if given else None
    prompt = prompt_tokens(fields)
    given_headers = dict(headers)
    wishes, keeps_unmeasured = _wishes(fields.pop(_OWN, None), given_headers.items())
    if wishes.session is None and (conversation := session(given_headers, fields)) is not None:
        wishes = replace(wishes, session=conversation)
    return Wanted(
        api=api,
        target=Target.parse(model),
        fields=fields,
        stream=bool(_value(fields, "stream", bool)),
        capabilities=frozenset(_capabilities(api, fields)),
        tokens=_stepped(prompt + (max_tokens or 0)),
        least_tokens=_stepped(prompt),
        max_tokens=max_tokens,
        wishes=wishes,
        keeps_unmeasured=keeps_unmeasured,
        among=tuple(_among(given_headers.items())),
    )


def _value(fields: Mapping[str, Raw], name: str, kind: type[T]) -> T | None:
    """Return the field *name* if it has the type *kind*, else None: the server will refuse another type."""
    raw = fields.get(name)
    return None if raw is None else _decoded(raw, kind)


def _decoded(raw: Raw, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _capabilities(api: Api, fields: Mapping[str, Raw]) -> Iterator[Capability]:
    """Yield the capabilities that a model needs for this request."""
    if api == "embeddings":
        yield Capability.EMBEDDING
        return
    if api == "completions":
        return  # chat models can complete text, too, and most servers do not report which do
    yield Capability.CHAT
    if _has_items(fields, "tools") and _value(fields, "tool_choice", str) != "none":
        yield Capability.TOOLS
    elif _has_items(fields, "functions") and _value(fields, "function_call", str) != "none":
        yield Capability.TOOLS  # as OpenAI's API had them before
    form = _value(fields, "response_format", _Form) or (_value(fields, "text", _Text) or _Text()).format
    if form.type == "json_schema":
        yield Capability.JSON_SCHEMA
    yield from _senses(fields)


def _has_items(fields: Mapping[str, Raw], name: str) -> bool:
    """Return whether the field *name* is a list with anything in it."""
    raw = fields.get(name)
    return raw is not None and _ITEMS.match(raw) is not None


def _senses(fields: Mapping[str, Raw]) -> Iterator[Capability]:
    """Yield the capabilities that the parts of the messages need."""
    found = set()
    for name in ("messages", "input"):
        raw = fields.get(name)
        if raw is None or not _SENSED.search(raw):
            continue
        for message in _value(fields, name, list[_Message]) or ():
            if not _SENSED.search(message.content):
                continue
            for part in _decoded(message.content, list[_Form]) or ():
                if part.type in ("image_url", "input_image"):
                    found.add(Capability.VISION)
                elif part.type == "input_audio":
                    found.add(Capability.AUDIO)
    yield from found


def prompt_tokens(fields: Mapping[str, Raw]) -> int:
    """Return an estimate of the tokens of the prompt: four bytes each, without embedded pictures, sounds and files."""
    size = 0
    for name in ("messages", "prompt", "input", "instructions", "tools"):
        raw = fields.get(name)
        if raw is not None:
            size += len(_DATA_URLS.sub(b"", raw))
    return size // _BYTES_A_TOKEN


def _stepped(tokens: int) -> int:
    """Return *tokens* rounded up to a step; 0 where every model has room for them."""
    if tokens <= _SMALL_TOKENS:
        return 0
    tokens = min(tokens, _MAX_TOKENS)
    power = 1 << (tokens - 1).bit_length() - 1
    return next((int(power * step) for step in _STEPS if power * step >= tokens), 2 * power)


def _wishes(own: Raw | None, headers: Iterable[tuple[str, str]]) -> tuple[RecommendRequest, bool]:
    """Return the caller's wishes for a recommendation; the field `vedette` of the body takes priority over headers.

    Also return whether to keep models with unmeasured figures, because the caller limits none. Raises RequestError.
    """
    wishes: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    for given in (document(RecommendRequest, _parameters(headers)), _object(own)):
        for name, value in given.items():
            if name == "constraints":
                limits.update(_object(Raw(msgspec.json.encode(value))))
            else:  # a constraint at the top level, or an unknown name, for which the error names the nearest constraint
                (wishes if name in _RECOMMENDS else limits)[name] = value
    if not wishes and not limits:
        return _OPEN, True
    keeps_unmeasured = "unmeasured" not in limits and _LIMITS.isdisjoint(limits)
    limits = {"unknown_capabilities": _OPEN.constraints.unknown_capabilities, **limits}
    asked = {**wishes, "use_case": _OPEN.use_case, "limit": _OPEN.limit, "constraints": limits}
    return decode(msgspec.json.encode(asked), _REQUEST), keeps_unmeasured


def _object(own: Raw | None) -> dict[str, Any]:
    if own is None:
        return {}
    if memoryview(own).nbytes > MAX_REQUEST_BYTES:
        problem = f"the field {_OWN!r} has at most {MAX_REQUEST_BYTES} bytes"
        raise RequestError(code="too_large", message=problem, field=_OWN)
    try:
        return msgspec.json.decode(own, type=dict[str, Any] | None) or {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = f"vedette: {error}; it is an object with the fields of a recommendation's request"
        raise RequestError(code="invalid_value", message=problem, field=_OWN) from error


def _parameters(headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the parameters that headers such as `X-Vedette-Max-Ttft-Ms` and `X-Vedette-Weight-Speed` hold."""
    for header, value in headers:
        if not header.startswith(_HEADER) or header == _AMONG:
            continue
        name = header.removeprefix(_HEADER)
        for begin, table in _TABLES.items():
            if name.startswith(begin):
                yield table + name.removeprefix(begin).replace("-", "_"), value
                break
        else:
            yield name.replace("-", "_"), value


def _among(headers: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield the use cases that `X-Vedette-Use-Cases: chat, reasoning` names."""
    for header, names in headers:
        if header == _AMONG:
            yield from filter(None, map(str.strip, names.split(",")))
