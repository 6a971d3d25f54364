"""Capability checks: a small call for each capability, and how its answer is judged.

The calls are made once, when a model is found or its weights change, at temperature 0. A wrong answer refutes only the
capability that the call tests. A call that the endpoint could not serve shows nothing.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from random import Random

import msgspec
from msgspec import Struct

from vedette.errors import ProviderError
from vedette.messages.events import Attempt
from vedette.providers import Endpoint, Generation, Tool
from vedette.providers.redaction import NO_SECRETS, Secrets
from vedette.types import Capability, Claim, Evidence, ModelInfo, Outcome
from vedette_benchmarker.answered import Answered, whole

ANSWER_TOKENS = 64
THINKING_TOKENS = 512  # for reasoning, in addition to the answer
DEADLINE_S = 120.0
_REFUSALS = frozenset({Outcome.BAD_REQUEST, Outcome.UNSUPPORTED})
_MAX_SHOWN = 500
_CITIES = ("Lisbon", "Oslo", "Nairobi", "Quito", "Hanoi", "Riga", "Lima", "Cairo")
_NAMES = ("Ada", "Bruno", "Chen", "Dalia", "Emil", "Farah", "Goran", "Hana")
_COLOURS = {"red": (220, 20, 20), "green": (20, 160, 20), "blue": (20, 40, 220)}


class Call(Struct, frozen=True, kw_only=True):
    """A call that checks *capability*. `judge` returns None if the answer shows nothing."""

    capability: Capability
    generation: Generation
    judge: Callable[[Answered], bool | None]


class _Person(Struct, forbid_unknown_fields=True):
    name: str
    age: int


_PERSON_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def calls(info: ModelInfo, rng: Random) -> list[Call]:
    """Return the calls for the model *info*. Each item is random, so models cannot have learnt the answers."""
    if info.asked_as not in ("chat", "completion"):
        return []
    made = [_speaks(info, rng)]
    if info.asked_as == "chat":
        made += [_calls_tool(info, rng), _keeps_schema(info, rng)]
        if _says(info, Capability.VISION) is not False and "image" in info.input_modalities:
            made.append(_sees(info, rng))
    return made


def _says(info: ModelInfo, capability: Capability) -> bool | None:
    claim = info.capabilities.get(capability)
    return claim.value if claim else None


def _generation(info: ModelInfo, prompt: str, rng: Random) -> Generation:
    thinks = _says(info, Capability.THINKING)
    return Generation(
        model=info.model.name,
        # The nonce avoids the server's prompt cache.
        prompt=f"[{rng.getrandbits(32):08x}] {prompt}",
        max_tokens=THINKING_TOKENS if thinks else ANSWER_TOKENS,
        chat=info.asked_as == "chat",
        deadline_s=DEADLINE_S,
    )


def _speaks(info: ModelInfo, rng: Random) -> Call:
    capability = Capability.CHAT if info.asked_as == "chat" else Capability.COMPLETION
    return Call(
        capability=capability,
        generation=_generation(info, "Say hello, and one sentence about the sea.", rng),
        judge=lambda answered: bool(answered.text.strip() or answered.thinking.strip()),
    )


def _calls_tool(info: ModelInfo, rng: Random) -> Call:
    city = rng.choice(_CITIES)
    tool = Tool(
        name="get_weather",
        description="Get the present weather of a city.",
        parameters={
            "type": "object",
            "properties": {"city": {"type": "string", "description": "Name of the city"}},
            "required": ["city"],
        },
    )
    asked = _generation(info, f"What is the weather in {city} now? Use the tool get_weather.", rng)

    def judge(answered: Answered) -> bool:
        return any(
            call.name == tool.name and city.lower() in str((call.arguments or {}).get("city", "")).lower()
            for call in answered.finished.tool_calls
        )

    return Call(
        capability=Capability.TOOLS, generation=msgspec.structs.replace(asked, tools=(tool,)), judge=judge
    )


def _keeps_schema(info: ModelInfo, rng: Random) -> Call:
    name, age = rng.choice(_NAMES), rng.randint(20, 80)
    asked = _generation(info, f"{name} is {age} years old. Give the person's name and age as JSON.", rng)

    def judge(answered: Answered) -> bool | None:
        try:
            msgspec.json.decode(answered.text, type=_Person)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # An answer that was cut off shows nothing about the schema.
            return (
                None if answered.finished.reason == "length" and answered.text.lstrip()[:1] == "{" else False
            )
        return True  # the evaluation decides whether name and age are right

    return Call(
        capability=Capability.JSON_SCHEMA,
        generation=msgspec.structs.replace(asked, schema=_PERSON_SCHEMA),
        judge=judge,
    )


def _sees(info: ModelInfo, rng: Random) -> Call:
    colour = rng.choice(sorted(_COLOURS))
    asked = _generation(info, "Which colour fills this picture? Answer with one word.", rng)

    def judge(answered: Answered) -> bool:
        named = set(re.findall(r"[a-z]+", answered.text.lower())) & _COLOURS.keys()
        return named == {colour}

    return Call(
        capability=Capability.VISION,
        generation=msgspec.structs.replace(asked, image=png(_COLOURS[colour])),
        judge=judge,
    )


def png(colour: tuple[int, int, int], side: int = 64) -> bytes:
    """Return a PNG of one *colour*, *side* pixels square [PNG, W3C 2003, §5 and §11]."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = (b"\x00" + bytes(colour) * side) * side
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


class Proof(Struct, frozen=True, kw_only=True):
    """The results of the calls so far, their usage, and the failure that ended them."""

    attempts: tuple[Attempt, ...] = ()
    requests: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    dimensions: int | None = None  # dimension of the vectors of an embedding model
    failure: ProviderError | None = None


async def prove(endpoint: Endpoint, call: Call, before: Proof, secrets: Secrets = NO_SECRETS) -> Proof:
    """Make *call*; return *before* with its result. A failure of the endpoint raises nothing."""
    try:
        answered = whole([item async for item in endpoint.generate(call.generation)], secrets)
    except ProviderError as error:
        return _failed(before, call.capability, call.generation.prompt, error)
    return msgspec.structs.replace(
        before,
        attempts=(*before.attempts, *_attempts(call, answered)),
        requests=before.requests + 1,
        prompt_tokens=before.prompt_tokens + (answered.finished.prompt_tokens or 0),
        output_tokens=before.output_tokens + (answered.output_tokens or 0),
    )


async def prove_embedding(endpoint: Endpoint, info: ModelInfo) -> Proof:
    """Make the model embed a text; check the vector and return its dimension."""
    asked = "The quick brown fox jumps over the lazy dog."
    try:
        embedded = await endpoint.embed(info.model.name, [asked], deadline_s=DEADLINE_S)
    except ProviderError as error:
        return _failed(Proof(), Capability.EMBEDDING, asked, error)
    shown = f"{embedded.dimensions} dimensions"
    return Proof(
        attempts=(Attempt(capability=Capability.EMBEDDING, asked=asked, answered=shown, proved=True),),
        requests=1,
        prompt_tokens=embedded.prompt_tokens or 0,
        dimensions=embedded.dimensions,
    )


async def prove_rerank(endpoint: Endpoint, info: ModelInfo) -> Proof:
    """Make the model rank two texts, one of which clearly answers the question."""
    asked = "What is the capital of France?"
    documents = ["Bread is baked in an oven.", "Paris is the capital of France."]
    try:
        reranked = await endpoint.rerank(info.model.name, asked, documents, deadline_s=DEADLINE_S)
    except ProviderError as error:
        return _failed(Proof(), Capability.RERANK, asked, error)
    proved = reranked.scores[1] > reranked.scores[0]
    shown = ", ".join(f"{score:.3g}" for score in reranked.scores)
    return Proof(
        attempts=(Attempt(capability=Capability.RERANK, asked=asked, answered=shown, proved=proved),),
        requests=1,
        prompt_tokens=reranked.prompt_tokens or 0,
    )


# Words for each capability in refusals. A parameter with such a word in its name does not count.
_NAMED_AS: dict[Capability, str] = {
    Capability.CHAT: r"\bchat(?:completion)?s?\b|\bcompletions?\b|\bgenerat|\btemplate\b",
    Capability.COMPLETION: r"\bcompletions?\b|\bgenerat",
    Capability.TOOLS: r"(?<!parallel )\btool(?:s|[ _-]?(?:use|calls?|calling))?(?![\w.\[])(?![ -]choice)"
    r"|\bfunction(?!s?[.\[]\w)",
    Capability.JSON_SCHEMA: r"schema|response[_ ]?format|\bjson|structured|grammar|output_(?:config|format)"
    r"|responseMimeType",
    Capability.VISION: r"\bimages?(?:_url)?\b"
    r"(?!/| (?:size|format|type|mime|media|file|data|dimension|resolution|width|height|too))"
    r"|vision|visual|multi-?modal|pictures?|inline_?data",
    Capability.EMBEDDING: r"embed|pooling",
    Capability.RERANK: r"rerank|\bscor|\brank",
}
# How refusals say that something is missing: after its name, before it, or right before it.
_IS_ABSENT = (
    r"(?:not|n't|no longer|never) (?:\w+ )?(?:supported|enabled|available|allowed|compatible|implemented|possible)"
    r"|\bunsupported|unavailable|only supported|requires? --|disabled"
)
_LACKS = (
    r"(?:not|n't|cannot|unable to) (?:\w+ )?(?:support|take|accept|handle|have|do|see|generate)\b"
    r"|(?:not|n't|cannot) be used (?:for|with|as)|not an? |no endpoints found that support|at most 0 "
    r"|(?:not|only) supported in |operation does not work"
    r"|not accessible (?:via|through|by|over) |requests are not allowed on "
)
_UNKNOWN = (
    r"\b(?:unrecogni[sz]ed|unknown|unexpected|unsupported) (?:\w+ ){0,2}"
    r"(?:argument|parameter|field|variant|feature|type)s?(?: (?:supplied|provided))?\W{1,4}"
)
_EXTRA = r"extra (?:input|field|parameter)s?\b(?: are)? not (?:permitted|allowed)"
# Sentences that are sufficient alone.
_PLAINLY: dict[Capability, str] = {
    Capability.CHAT: r"template not found|is an embedding model|not support generat|not a (?:text|language) model"
    r"|chatcompletion operation does not work",
    Capability.COMPLETION: r"is an embedding model|not support generat",
    Capability.TOOLS: r"tool choice requires --",
    # Lists of allowed values that do not contain the capability.
    Capability.JSON_SCHEMA: r"response_?format\b.{0,40}"
    r"(?:must|should) be (?:one of )?\W{0,3}(?:json_object|text)\b(?!.*schema)"
    r"|\binvalid value: \W?json_schema\W+supported values are: (?!.*schema)",
    Capability.VISION: r"content\b.{0,40}\b(?:must|should) be a (?:valid )?string|text[- ]only"
    r"|\bcontent\b.{0,40}\btype\b.{0,20}(?:must|should) be (?:one of )?\W{0,3}text\b(?!.*image)"
    r"|\binvalid value: \W?(?:image_url|input_image)\W+supported values are: (?!.*image)",
}
_ABOUT: dict[Capability, re.Pattern[str]] = {
    capability: re.compile(
        rf"(?:{name}).{{0,80}}?(?:{_IS_ABSENT})|(?:{_LACKS}).{{0,80}}?(?:{name})|{_UNKNOWN}(?:{name})"
        rf"|(?<![.\w])(?:{name})\w*: {_EXTRA}|{_EXTRA}\W{{1,4}}(?:{name})\w*(?![.\w])"
        rf"|{_PLAINLY.get(capability, '(?!)')}",
        re.IGNORECASE,
    )
    for capability, name in _NAMED_AS.items()
}
# Sentences about something else: a form of the request, a part of it, or what the caller may use.
_ABOUT_ELSE = re.compile(
    r"\bstream|invalid schema|keyword|propert"
    r"|\b(?:your|this|current|free) (?:\w+ ){0,2}(?:plan|tier|subscription|region|account|organi[sz]ation|key)\b",
    re.IGNORECASE,
)
_SENTENCES = re.compile(r"[.;!?]\s+(?!supported values)|https?://\S+", re.IGNORECASE)


def _is_refused(capability: Capability, error: ProviderError) -> bool:
    """Return whether *error* says that the model lacks *capability*.

    The name of the capability in the error is not enough: the error may say that a tool call failed, or that an image
    was too small.
    """
    about = _ABOUT.get(capability)
    if error.outcome not in _REFUSALS or about is None:
        return False
    sentences = _SENTENCES.split(error.detail.replace("\u2019", "'"))
    return any(about.search(one) and not _ABOUT_ELSE.search(one) for one in sentences)


def _failed(before: Proof, capability: Capability, asked: str, error: ProviderError) -> Proof:
    """Return *before* with a call that failed.

    The failure refutes the capability if the server says that the capability is missing. Any other refusal shows
    nothing. Any other failure ends the checks.
    """
    refused = _is_refused(capability, error)
    attempt = Attempt(
        capability=capability,
        asked=asked,
        proved=False if refused else None,
        detail=error.detail[:_MAX_SHOWN],
    )
    return msgspec.structs.replace(
        before,
        attempts=(*before.attempts, attempt),
        requests=before.requests + 1,
        failure=None if error.outcome in _REFUSALS else error,
    )


def _attempts(call: Call, answered: Answered) -> Iterator[Attempt]:
    """Yield the result of an answer for its capability, and for reasoning if the answer shows it."""
    yield Attempt(
        capability=call.capability,
        asked=call.generation.prompt,
        answered=_shown(answered),
        proved=_judged(call, answered),
    )
    if answered.thinking:
        yield Attempt(
            capability=Capability.THINKING,
            asked=call.generation.prompt,
            answered=answered.thinking[:_MAX_SHOWN],
            proved=True,
        )


def _judged(call: Call, answered: Answered) -> bool | None:
    """Return the result of the answer to *call*.

    None if the service refused it, or the limit left no text: both show nothing.
    """
    proved = call.judge(answered)
    return None if proved is False and (answered.is_refused or answered.is_all_thoughts) else proved


def _shown(answered: Answered) -> str:
    called = [
        f"{tool.name}({msgspec.json.encode(tool.arguments).decode()})"
        for tool in answered.finished.tool_calls
    ]
    return " ".join(filter(None, (answered.text.strip()[:_MAX_SHOWN], *called)))[: 2 * _MAX_SHOWN]


def claims(attempts: Sequence[Attempt]) -> dict[str, Claim]:
    """Return the claims from *attempts*; attempts that showed nothing give none."""
    return {
        str(attempt.capability): Claim(
            value=attempt.proved, evidence=Evidence.VERIFIED, source=_because(attempt)
        )
        for attempt in attempts
        if attempt.proved is not None
    }


def _because(attempt: Attempt) -> str:
    if attempt.proved:
        return "did it when asked"
    return f"refused: {attempt.detail}" if attempt.detail else "did not do it when asked"
