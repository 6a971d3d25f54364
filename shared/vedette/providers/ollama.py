"""Ollama, by its own API.

Facts about versions come from its source code (v0.1 to v0.32) and recorded replies of 0.12.11 and 0.32.15,
2026-11-23. No request contains `keep_alive` or a runner option such as `num_ctx`, because these change the order of
eviction or force a reload.
"""

import base64
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import msgspec

from vedette.clock import Clock
from vedette.errors import ProviderError
from vedette.providers import (
    Access,
    Activity,
    Delta,
    Described,
    Embedded,
    Endpoint,
    Features,
    Finished,
    Generation,
    Listing,
    Reranked,
    Server,
    ToolCall,
)
from vedette.providers._http import Http
from vedette.providers._lenient import (
    count,
    decoded,
    embedded,
    http_date,
    is_name,
    known,
    listings,
    mapping,
    milliseconds,
    moment,
    parameter_count,
    rate,
    sequence,
    text,
    tokens,
    tool_object,
)
from vedette.providers._places import stands_on_own_machine
from vedette.providers._refusals import in_stream
from vedette.providers._remedies import OPEN_WEBUI
from vedette.providers._stream import arguments, lines
from vedette.types import Capability, Claim, Evidence, Kind, Locality, Outcome, Residency

# Names of capabilities in /api/show (types/model/capability.go, v0.32), and Vedette's capabilities.
_CAPABILITIES = {
    "completion": None,  # chat or raw completion: the template decides
    "tools": Capability.TOOLS,
    "insert": Capability.INSERT,
    "vision": Capability.VISION,
    "audio": Capability.AUDIO,
    "embedding": Capability.EMBEDDING,
    "thinking": Capability.THINKING,
}
_SAID_BY_SHOW = "ollama /api/show capabilities"
_CONTEXT_PARAMETER = re.compile(r"^num_ctx\s+(\d+)\s*$", re.MULTILINE)
_API_PATH = re.compile(
    r"(?:/v1(?:/(?:chat/completions|completions|models|embeddings|responses))?"
    r"|/api(?:/(?:chat|generate|tags|embed|embeddings|ps|show|version|pull|push|create))?)\Z"
)
_SPEAKS_OPENAIS = 'set provider = "openai-compatible"'
_NOT_OLLAMA = (
    "it is not Ollama, or the path of its url is wrong; for any server with OpenAI's protocol, "
    f"{_SPEAKS_OPENAIS}"
)
# The date of a reply has whole seconds, and the reply took time to arrive.
MAX_CLOCK_DIFFERENCE = timedelta(seconds=5)
_MAX_STUB_BYTES = 1_000_000  # no weights are smaller
_UNLOADED_WITHIN = timedelta(seconds=30)
# Mixture-of-experts architectures, and the key with the width of an expert. Each block has the same experts of three
# matrices, except the first `leading_dense_block_count` blocks (llama.cpp, src/llama-model.cpp, 2026-11).
_EXPERT_WIDTH = {
    "llama": "feed_forward_length",
    "qwen3moe": "expert_feed_forward_length",
    "qwen2moe": "expert_feed_forward_length",
    "deepseek2": "expert_feed_forward_length",
}


class OllamaEndpoint:
    """One Ollama server."""

    def __init__(self, http: Http, *, own: bool, clock: Clock) -> None:
        self.features = Features(free_to_ask=own)
        self._own = own
        self._http = http
        self._brief = http.brief()
        self._clock = clock
        self._listed: dict[str, str | None] = {}

    async def reach(self) -> Server:
        """Return the server's version; without it before Ollama 0.1.14, which only has the listing."""
        try:
            with _another_server(self._http.url):
                version = mapping(await self._http.get("/api/version"))
            return Server(product="ollama", version=text(version.get("version")))
        except ProviderError as error:
            if error.outcome is not Outcome.NOT_FOUND:
                raise
        with _another_server(self._http.url):
            await self._http.status("HEAD", "/api/tags")
        return Server(product="ollama")

    async def list_models(self) -> list[Listing]:
        """Return the models in /api/tags. The capabilities in /api/tags can be wrong, so they are ignored."""
        with _another_server(self._http.url):
            body = await self._http.get("/api/tags")
            if mapping(body).get("error"):
                raise in_stream(body)
        if "data" in mapping(body):
            raise ProviderError(
                Outcome.GARBAGE, "this is llama.cpp's server, not Ollama", remedy=_SPEAKS_OPENAIS
            )
        if not isinstance(mapping(body).get("models"), list | None):
            raise ProviderError(Outcome.GARBAGE, "/api/tags did not list models")
        if "models" not in mapping(body):
            raise ProviderError(
                Outcome.GARBAGE,
                "/api/tags has no models field; is this an Ollama server?",
                remedy=_NOT_OLLAMA,
            )
        entries = [_with_name(mapping(entry)) for entry in sequence(body["models"])]
        found = list(listings(_listing(entry) for entry in entries if is_name(entry.get("name"))))
        self._listed = {entry.name: entry.digest for entry in found}
        return found

    async def describe(self, model: Listing) -> Described:
        """Return what /api/show declares. The request has `name` for old versions, and `model` since 0.1.18."""
        body, _ = await self._http.call("POST", "/api/show", {"model": model.name, "name": model.name})
        described = _described(mapping(body), remote=model.facts.get("locality") == "remote")
        return described if self._own else msgspec.structs.replace(described, locality="remote")

    async def resident(self) -> Mapping[str, Residency] | None:
        """Return the models that /api/ps lists as loaded; None before Ollama 0.1.38."""
        loaded, now = await self._loaded(), self._clock.now()
        return (
            None if loaded is None else {name: _in_use_past_its_end(one, now) for name, one in loaded.items()}
        )

    async def _loaded(self) -> dict[str, Residency] | None:
        """Return the loaded models by /api/ps; None before Ollama 0.1.38.

        Names with the same digest share a runner, but /api/ps lists one of them only. The result has all of them.
        """
        try:
            body, headers = await self._brief.call("GET", "/api/ps")
        except ProviderError as error:
            if error.outcome is Outcome.NOT_FOUND:  # before 0.1.38
                return None
            raise
        loaded: dict[str, Residency] = {}
        ahead = _ahead(headers, self._clock.now())
        same: dict[str, list[str]] = {}  # names by digest
        for listed, of in self._listed.items():
            if of is not None:
                same.setdefault(of, []).append(listed)
        for entry in map(mapping, sequence(mapping(body).get("models"))):
            residency = _residency(entry, ahead)
            # Each digest once: a hostile listing may have thousands of entries with the same digest.
            names = same.pop(text(entry.get("digest")) or "", ())
            for name in (*names, str(entry.get("name"))):
                loaded[name] = residency
        return loaded

    async def activity(self) -> Activity | None:
        """Return the expiry of each loaded model as its mark of use, because every use moves the expiry."""
        loaded = await self._loaded()
        if loaded is None:
            return None
        return Activity(
            used={name: r.expires_at.isoformat() for name, r in loaded.items() if r.expires_at is not None}
        )

    async def load(self, server: str | None) -> Activity | None:
        """Return the loaded models by /api/ps; Ollama does not report its requests (up to 0.32).

        None if the server is not on a machine of your own, or older than 0.1.38.
        """
        if not self._own:
            return None
        if not self._listed:
            await self.list_models()  # for names with the same digest, of which /api/ps lists one
        loaded = await self.resident()
        return None if loaded is None else Activity(loaded=loaded, source="ollama ps")

    async def generate(self, request: Generation) -> AsyncGenerator[Delta | Finished, None]:
        """Stream an answer by /api/chat, or by /api/generate if the request is no chat."""
        path, body = ("/api/chat", _chat(request)) if request.chat else ("/api/generate", _raw(request))
        called: list[ToolCall] = []
        async with aclosing(self._http.chunks(path, body, deadline_s=request.deadline_s)) as chunks:
            async for at, line in lines(chunks):
                item = mapping(decoded(line, "a line of the stream"))
                called += _tool_calls(item)
                if item.get("error"):
                    raise in_stream(item)
                delta = _delta(at, item)
                if delta is not None:
                    yield delta
                if item.get("done") is True:
                    yield _finished(at, item, called)
                    return
        raise ProviderError(Outcome.INCOMPLETE, "the stream ended before it was done")

    async def rerank(
        self, model: str, query: str, documents: list[str], *, deadline_s: float = 60.0
    ) -> Reranked:
        """Raise ProviderError (UNSUPPORTED): no version of Ollama reranks (up to 0.32)."""
        raise ProviderError(Outcome.UNSUPPORTED, "Ollama does not rerank")

    async def embed(self, model: str, texts: list[str], *, deadline_s: float = 60.0) -> Embedded:
        """Embed *texts* by /api/embed; before Ollama 0.2.6 by /api/embeddings, with one text in each call."""
        sent_at = self._clock.monotonic()
        try:
            body, done_at = await self._http.timed(
                "/api/embed", {"model": model, "input": texts}, deadline_s=deadline_s
            )
            vectors = sequence(mapping(body).get("embeddings"))
        except ProviderError as error:
            if error.outcome is not Outcome.NOT_FOUND or "not found" in error.detail:
                raise
            body, vectors = {}, [await self._embed_one(model, one, deadline_s) for one in texts]
            done_at = self._clock.monotonic()
        return embedded(
            vectors,
            texts,
            sent_at=sent_at,
            done_at=done_at,
            prompt_tokens=tokens(mapping(body).get("prompt_eval_count")),
            load_ms=milliseconds(mapping(body).get("load_duration")),
        )

    async def _embed_one(self, model: str, one: str, deadline_s: float) -> list[Any]:
        body, _ = await self._http.call(
            "POST", "/api/embeddings", {"model": model, "prompt": one}, deadline_s=deadline_s
        )
        return sequence(mapping(body).get("embedding"))


@contextmanager
def _another_server(url: str) -> Iterator[None]:
    """Add a remedy to errors inside this context that show another server at *url*, or a refused host name."""
    try:
        yield
    except ProviderError as error:
        if error.outcome is Outcome.NOT_FOUND:
            remedy = _NOT_OLLAMA
        elif error.outcome is Outcome.GARBAGE and OPEN_WEBUI.search(error.detail):  # its page, at any path
            remedy = (
                f'Open WebUI passes requests on to its Ollama under /ollama: set url = "{url}/ollama"; for all its '
                f'models, {_SPEAKS_OPENAIS} and url = "{url}/api"'
            )
        elif error.detail.endswith("HTTP 403"):  # the server gives no reason
            remedy = (
                "an Ollama that listens on loopback refuses other host names: write its address in its url, start it "
                "with OLLAMA_HOST=0.0.0.0, or have the proxy in front of it send the header Host: localhost"
            )
        else:
            raise
        seen = error.detail.removesuffix(f"; {error.remedy}")
        raise ProviderError(error.outcome, seen, exchange=error.exchange, remedy=remedy) from error


def _with_name(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *entry* with a `name`. Some servers with Ollama's API send the name as `model` only."""
    return entry if entry.get("name") else {**entry, "name": entry.get("model")}


def _listing(entry: Mapping[str, Any]) -> Listing:
    details = mapping(entry.get("details"))
    remote = _is_in_cloud(entry)
    return Listing(
        name=entry["name"],
        digest=text(entry.get("digest")),
        facts=known(
            locality="remote" if remote else None,
            size_bytes=None if remote else count(entry.get("size")) or None,
            modified_at=moment(entry.get("modified_at")),
            format=text(details.get("format")),
            family=text(details.get("family")),
            quantization=_quantization(details),
            parameters=parameter_count(details.get("parameter_size")),
        ),
    )


def _is_in_cloud(entry: Mapping[str, Any]) -> bool:
    """Return whether Ollama's cloud runs the model of *entry*, and only a stub is on the server."""
    if text(entry.get("remote_host")) or text(entry.get("remote_model")):  # since 0.12
        return True
    return entry["name"].endswith(("-cloud", ":cloud")) and (count(entry.get("size")) or 0) < _MAX_STUB_BYTES


def _quantization(details: Mapping[str, Any]) -> str | None:
    level = text(details.get("quantization_level"))
    return None if level == "unknown" else level


def _described(body: Mapping[str, Any], *, remote: bool) -> Described:
    details, model_info = mapping(body.get("details")), mapping(body.get("model_info"))
    architecture = text(model_info.get("general.architecture"))
    own = {
        key.removeprefix(f"{architecture}."): value
        for key, value in model_info.items()
        if architecture and key.startswith(f"{architecture}.")
    }
    claims = _claims(body, own, details)
    remote = remote or text(body.get("remote_host")) is not None
    kind = _kind(claims, body, remote=remote)
    parameters = count(model_info.get("general.parameter_count")) or parameter_count(
        details.get("parameter_size")
    )
    configured = (
        _CONTEXT_PARAMETER.search(body["parameters"]) if isinstance(body.get("parameters"), str) else None
    )
    facts = known(
        architecture=architecture,
        parameters=parameters,
        active_parameters=_active(parameters, architecture, own),
        family=text(details.get("family")),
        format=text(details.get("format")),
        quantization=_quantization(details),
        license=text(model_info.get("general.license"), 200) or _first_line(body.get("license")),
        native_context_tokens=tokens(own.get("context_length")) or None,
        configured_context_tokens=tokens(int(configured[1]))
        if configured and len(configured[1]) < 12
        else None,
        embedding_dimensions=count(own.get("embedding_length")) if kind == "embedding" else None,
        input_modalities=_inputs(claims),
        output_modalities=("embedding",) if kind == "embedding" else ("text",),
    )
    locality: Locality = "remote" if remote else "local"
    sources = dict.fromkeys(facts, "ollama /api/show")
    if "active_parameters" in sources:
        sources["active_parameters"] = "ollama /api/show, parameters without the experts that rest"
    return Described(
        kind=kind,
        facts=facts,
        sources=sources,
        claims=claims,
        locality=locality,
    )


def _claims(body: Mapping[str, Any], own: Mapping[str, Any], details: Mapping[str, Any]) -> dict[str, Claim]:
    declared = body.get("capabilities")
    if isinstance(declared, list):  # since 0.6.4
        claims: dict[str, Claim] = {
            capability: Claim(value=name in declared, evidence=Evidence.DECLARED, source=_SAID_BY_SHOW)
            for name, capability in _CAPABILITIES.items()
            if capability is not None
        }
        if "image" in declared and "completion" not in declared:  # it draws; since 0.14
            claims[Capability.CHAT] = Claim(value=False, evidence=Evidence.DECLARED, source=_SAID_BY_SHOW)
        return claims
    template = body.get("template") if isinstance(body.get("template"), str) else ""
    families = {text(family) for family in sequence(details.get("families"))} | {text(details.get("family"))}
    implied = {
        Capability.TOOLS: ".Tools" in str(template),
        Capability.INSERT: ".Suffix" in str(template),
        Capability.VISION: bool(body.get("projector_info")) or bool(families & {"clip", "mllama"}),
        Capability.EMBEDDING: "pooling_type" in own or bool(families & {"bert", "nomic-bert"}),
    }
    return {
        capability: Claim(value=True, evidence=Evidence.INFERRED, source="ollama /api/show template and keys")
        for capability, value in implied.items()
        if value
    }


def _claimed(claims: Mapping[str, Claim], capability: Capability) -> bool:
    claim = claims.get(capability)
    return claim is not None and claim.value


def _inputs(claims: Mapping[str, Claim]) -> tuple[str, ...]:
    also = (("image", Capability.VISION), ("audio", Capability.AUDIO))
    return ("text", *(modality for modality, capability in also if _claimed(claims, capability)))


def _active(parameters: int | None, architecture: str | None, own: Mapping[str, Any]) -> int | None:
    """Return the number of parameters that one token uses: all parameters except unused experts. None if unknown."""
    experts, used, blocks, length, width = (
        count(own.get(key))
        for key in (
            "expert_count",
            "expert_used_count",
            "block_count",
            "embedding_length",
            _EXPERT_WIDTH.get(architecture or "", ""),
        )
    )
    if not (parameters and experts and used and blocks and length and width):
        return None
    sparse = blocks - (count(own.get("leading_dense_block_count")) or 0)
    active = parameters - (experts - used) * 3 * length * width * sparse
    return active if 0 < active < parameters else None


def _kind(claims: Mapping[str, Claim], body: Mapping[str, Any], *, remote: bool) -> Kind:
    if _claimed(claims, Capability.EMBEDDING):
        return "embedding"
    if Capability.CHAT in claims:
        return "unknown"
    # Since 0.12 a renderer can replace the template. The template of a cloud model is not on the server.
    if remote or text(body.get("renderer")) or _claimed(claims, Capability.TOOLS) or _is_hidden(body):
        return "chat"
    template = text(body.get("template"), 100_000) or ""
    # A template that only repeats the prompt belongs to a base model, which continues text.
    return "completion" if template.replace(" ", "") in ("", "{{.Prompt}}") else "chat"


def _is_hidden(body: Mapping[str, Any]) -> bool:
    """Return whether /api/show says that the model completes text, but shows no weights: ollama.com shows none."""
    shown = text(body.get("template"), 64) or text(mapping(body.get("details")).get("format"), 64)
    return shown is None and "completion" in sequence(body.get("capabilities"))


def _first_line(license_text: object) -> str | None:
    return (
        text(license_text.strip().splitlines()[0], 200)
        if isinstance(license_text, str) and license_text.strip()
        else None
    )


def _in_use_past_its_end(residency: Residency, now: datetime) -> Residency:
    """Return *residency*, without its expiry if that passed more than 30 seconds ago.

    Ollama sets a new expiry when a request ends. So a model that is loaded long after its expiry is in use.
    """
    ends = residency.expires_at
    if ends is None or now - ends <= _UNLOADED_WITHIN:
        return residency
    return msgspec.structs.replace(residency, expires_at=None, swaps=True)


def _residency(entry: Mapping[str, Any], ahead: timedelta) -> Residency:
    """Return the residency of *entry*. Its expiry is converted to our clock: the server's clock is *ahead* of it."""
    expires_at = moment(entry.get("expires_at"))
    with suppress(OverflowError):
        expires_at = expires_at - ahead if expires_at else None
    return Residency(
        resident=True,
        expires_at=expires_at,
        context_tokens=tokens(entry.get("context_length")),
        size_bytes=count(entry.get("size")),
        vram_bytes=count(entry.get("size_vram")),
    )


def _options(request: Generation) -> dict[str, Any]:
    return {"temperature": request.temperature, "num_predict": request.max_tokens}


def _chat(request: Generation) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "user", "content": request.prompt}
    if request.image is not None:
        message["images"] = [base64.b64encode(request.image).decode()]
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [message],
        "stream": True,
        "options": _options(request),
    }
    if request.think is not None:
        body["think"] = request.think
    if request.schema is not None:
        body["format"] = request.schema
    if request.tools:
        body["tools"] = [tool_object(tool) for tool in request.tools]
    return body


def _raw(request: Generation) -> dict[str, Any]:
    return {
        "model": request.model,
        "prompt": request.prompt,
        "raw": True,
        "stream": True,
        "options": _options(request),
    }


def _delta(at: float, item: Mapping[str, Any]) -> Delta | None:
    message = mapping(item.get("message"))
    said = message.get("content") or item.get("response")
    thought = message.get("thinking") or item.get("thinking")
    spoken = said if isinstance(said, str) else ""
    thinking = thought if isinstance(thought, str) else ""
    return Delta(at=at, text=spoken, thinking=thinking) if spoken or thinking else None


def _tool_calls(item: Mapping[str, Any]) -> list[ToolCall]:
    calls = sequence(mapping(item.get("message")).get("tool_calls"))
    functions = [mapping(mapping(call).get("function")) for call in calls]
    return [
        ToolCall(name=name, arguments=_arguments(function.get("arguments")))
        for function in functions
        if (name := text(function.get("name"), 256))
    ]


def _arguments(value: object) -> Mapping[str, Any] | None:
    """Return the arguments of a tool call. Some servers with Ollama's API write the object as text."""
    return arguments(value) if isinstance(value, str) else mapping(value)


def _finished(at: float, item: Mapping[str, Any], called: list[ToolCall]) -> Finished:
    return Finished(
        at=at,
        reason=text(item.get("done_reason"), 64),
        prompt_tokens=tokens(item.get("prompt_eval_count")),
        output_tokens=tokens(item.get("eval_count")),
        load_ms=milliseconds(item.get("load_duration")),
        server_output_tps=rate(item.get("eval_count"), item.get("eval_duration")),
        server_prompt_tps=rate(item.get("prompt_eval_count"), item.get("prompt_eval_duration")),
        tool_calls=tuple(called),
    )


class Ollama:
    """Ollama as a provider."""

    name = "ollama"
    api = "ollama"
    home: str | None = None

    @asynccontextmanager
    async def open(self, access: Access, *, clock: Clock) -> AsyncIterator[Endpoint]:
        """Open the server at the URL of *access*. Its host name is resolved to see whether the machine is your own."""
        async with Http(msgspec.structs.replace(access, url=_root(access.url)), clock=clock) as http:
            yield OllamaEndpoint(http, own=await stands_on_own_machine(access), clock=clock)

    def base_url(self, url: str) -> str | None:
        """Return the base URL for OpenAI clients (since Ollama 0.1.24)."""
        return f"{_root(url)}/v1"


def _root(url: str) -> str:
    """Return *url* without the path of Ollama's or OpenAI's API, which operators sometimes paste."""
    return _API_PATH.sub("", url.rstrip("/"))


def _ahead(headers: Mapping[str, str], now: datetime) -> timedelta:
    """Return how far the server's clock is ahead of *now*, by the date of its reply; 0 up to 5 seconds."""
    at = http_date(headers.get("Date"))
    ahead = timedelta() if at is None else at - now
    return ahead if abs(ahead) > MAX_CLOCK_DIFFERENCE else timedelta()


PROVIDER = Ollama()
