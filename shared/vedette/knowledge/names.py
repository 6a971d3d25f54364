"""Parses model names, and gives the same weights the same identity under every spelling. Pure.

Supported are Ollama's names (`llama3.1:8b-instruct-q4_K_M`), repositories (`Qwen/Qwen2.5-7B-Instruct-AWQ`), files
(`SmolLM2-135M-Instruct.Q4_1.gguf`), paths to either, and plain aliases. An unknown word may be the name of a fine-tune,
so a name with one gets no identity.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from vedette.knowledge.families import FAMILIES, Cutoff, Family
from vedette.types import Kind

# Words in names and their meaning (model cards and Ollama's library, 2026-11-25).
_TUNINGS = {
    "instruct": "instruct",
    "it": "instruct",
    "inst": "instruct",
    "chat": "chat",
    "base": "base",
    "pt": "base",
    "text": "base",
    "thinking": "thinking",
}
_KINDS = {
    "coder": "coder",
    "code": "coder",
    "vision": "vision",
    "vl": "vision",
    "math": "math",
    "reasoning": "reasoning",
    "embed": "embedding",
    "embedding": "embedding",
    "rerank": "reranker",
    "reranker": "reranker",
    "guard": "guard",
    "python": "python",
    "qat": "qat",
    "distill": "distill",
    "qwen": "qwen",
    "llama": "llama",
    "abliterated": "abliterated",
}
_NOISE = {"latest", "cloud", "gguf", "ggml", "hf", "mlx", "meta", "quantized"}
_VERSION = re.compile(r"v?\d+\.\d+(?:\.\d+)*|v\d+|\d{4}|\d+k|1m|distill")  # v0.3, 2407, 128k: other weights
# Publishers of original models, and of unchanged or quantised copies. Models of other publishers may be fine-tuned.
_PUBLISHERS = frozenset(
    """
    baai bartowski bigcode codellama deepseek-ai ggml-org google huggingfacetb hugging-quants ibm-granite
    lmstudio-community maziyarpanahi meta-llama microsoft mistralai mixedbread-ai mlx-community neuralmagic
    nomic-ai nvidia openai quantfactory qwen redhatai sentence-transformers thebloke tinyllama unsloth
    """.split()  # noqa: SIM905 - a list of thirty quoted lines says no more
)
# `ai` is the namespace of Docker's Model Runner.
_HOSTS = frozenset(
    {"hf.co", "huggingface.co", "registry.ollama.ai", "ollama.com", "library", "docker.io", "ai"}
)

# GGUF's file types (llama.cpp, ggml_ftype names and its `quantize` tool, 2026-11), then words of other methods.
_QUANTIZATIONS = (
    r"(?:ud[-_])?(?:i?q[1-8]|tq[12])(?:[-_](?:[01]|k|xxs|xs|nl|s|m|l|xl))+",
    r"b?f16|fp16|f32|fp32",
    r"fp8(?:-dynamic|-block)?|mxfp4|nvfp4|nf4",
    r"gptq(?:-(?:int|w)?[2-8](?:bit)?)?|awq(?:-(?:int|w)?4(?:bit)?)?|bnb-[48]bit|exl[23]|hqq",
    r"w\d+a\d+|int[48]|[1-8]-?bit|1\.58-?bit|\d\.\d+bpw",
    r"q[2-8]f(?:16|32)(?:_\d)?",  # MLC
)
_QUANTIZATION = re.compile(rf"(?<![a-z0-9])(?:{'|'.join(_QUANTIZATIONS)})(?![a-z0-9])")
_SPELLED = {"fp16": "f16", "fp32": "f32", "q3_k": "q3_k_m", "q4_k": "q4_k_m", "q5_k": "q5_k_m"}
_SIZE_WORDS = (
    (" - small", "_s"),
    (" - medium", "_m"),
    (" - large", "_l"),
)  # llama.cpp's llama_model_ftype_name
_RECIPE = re.compile(r"ud_|.*_xl\Z|q[456]_k_l\Z")  # mixtures without a GGUF file type
_DRIVE = re.compile(r"[a-z]:[/\\]")
_SHARD = re.compile(r"-\d{5}-of-\d{5}\Z")
_CACHED = re.compile(r"models--(?P<owner>[^/]+?)--(?P<name>[^/]+)")  # a path in Hugging Face's cache
_SIZE = re.compile(
    r"(?<![a-z0-9.])(?P<size>(?:\d+x)?e?(?P<number>\d+(?:\.\d+)?)(?P<unit>[bmk])"
    r"(?:-a(?P<active>\d+(?:\.\d+)?)b)?)(?![a-z0-9])"
)
_ACTIVE_FIRST = re.compile(r"(?<=moe-)(\d+)b-(\d+)b(?![a-z0-9])")  # OLMoE-1B-7B has 7b, of which 1b is active
_EXPERTS = re.compile(r"(?<![a-z0-9.])(\d+)b-(\d+)e(?![a-z0-9])")  # 17B-16E is written 16x17b elsewhere
_UNIT = {"b": 1e9, "m": 1e6, "k": 1e3}
_PATTERNS = [
    (family, re.compile(rf"(?<![a-z0-9]){family.pattern}(?![a-z]|(?<=\d)\d|\.\d)")) for family in FAMILIES
]
# Allowed error of a label: Gemma-2 2B has 2.6 billion parameters, Qwen2.5 14B has 14.8.
_LABEL_WITHIN = (0.7, 1.4)
_SAME_COUNT = 0.02

Form = Literal["tag", "repository", "alias"]


class Written(NamedTuple):
    """A name in normal spelling: lower case, `-` between words, without owner and quantisation."""

    form: Form
    owner: str | None
    quantization: str | None
    text: str


class Parsed(Struct, frozen=True, kw_only=True):
    """The parts of a name. `unknown` holds the words that are not known."""

    form: Form
    owner: str | None = None  # of weights that the owner may have made
    family: Family | None = None
    size: str | None = None  # the label: "8b", "8x7b", "30b-a3b"
    parameters: int | None = None
    active_parameters: int | None = None
    variant: tuple[str, ...] = ()
    quantization: str | None = None
    unknown: tuple[str, ...] = ()

    @property
    def tuned(self) -> bool:
        """Whether the name states the tuning."""
        return bool(set(self.variant) & set(_TUNINGS.values()))


class Identity(Struct, frozen=True, kw_only=True):
    """What a name adds to the server's report: fields of ModelInfo, and the source of each."""

    canonical: str | None = None
    facts: dict[str, Any] = {}
    sources: dict[str, str] = {}


def write(name: str) -> Written:
    """Return *name* in normal spelling, with its form, owner and quantisation separated."""
    form, owner, rest = _located(name.lower())
    quantization, rest = _without_quantization(rest)
    plain = _EXPERTS.sub(r"\2x\1b", _plain(rest))
    return Written(form, owner, quantization, _ACTIVE_FIRST.sub(_total_first, plain))


def _total_first(found: re.Match[str]) -> str:
    """Return the sizes, total first. In a mixture of experts, less than half of the parameters is active."""
    active, total = int(found[1]), int(found[2])
    return f"{total}b-a{active}b" if 2 * active < total else found[0]


def parse(name: str) -> Parsed:
    """Return the parts of *name*. Uncertain parts are None."""
    form, owner, quantization, rest = write(name)
    family, rest = _without_family(rest)
    size, rest = _without_size(rest, family)
    words = [word for word in rest.split("-") if word and word not in _NOISE]
    if size is None and family is not None:
        named = [word for word in words if word in family.words]
        size = family.words[named[0]] if named else None
    if family is not None:
        words = [word for word in words if word not in family.words]
    known = [_known(word) for word in words]
    return Parsed(
        form=form,
        owner=owner,
        family=family,
        size=size,
        parameters=_nominal(size),
        active_parameters=_nominal(size.partition("-a")[2]) if size and "-a" in size else None,
        variant=tuple(sorted({word for word in known if word is not None})),
        quantization=quantization,
        unknown=tuple(word for word, meant in zip(words, known, strict=True) if meant is None),
    )


def quantization(stated: str | None) -> str | None:
    """Return a server's word for a quantisation in normal spelling (`Q4_K - Medium` is `q4_k_m`), or None."""
    spelled = (stated or "").lower().removeprefix("(guessed) ").removeprefix("all ").removeprefix("mostly ")
    for ending, short in _SIZE_WORDS:
        spelled = spelled.replace(ending, short)
    spelled = re.sub(r" - [\d.]+ bpw.*", "", spelled).strip()
    return _one_spelling(spelled) if _QUANTIZATION.fullmatch(spelled) else None


def identify(
    name: str, *, origin: str | None, kind: Kind, parameters: int | None, told: str | None
) -> Identity:
    """Return what the name adds to the server's report: *kind*, *parameters*, and *told*, its quantisation.

    *origin* is the file or repository that the server reports. It names the model better than an alias.
    """
    by_name, by_origin = parse(name), parse(origin) if origin else None
    parsed = by_origin if by_origin is not None and by_origin.family is not None else by_name
    written = parsed.quantization or by_name.quantization
    size = _size(parsed, parameters)
    cutoff = _cutoff(parsed, size)
    facts, sources = _facts(parsed, size, written, cutoff)
    return Identity(
        canonical=_canonical(parsed, size, _settled(quantization(told), written, told), kind),
        facts=facts,
        sources=sources,
    )


def _located(name: str) -> tuple[Form, str | None, str]:
    """Return the form of *name*, its owner, and the rest."""
    cached = _CACHED.search(name)
    path = name.startswith(("/", "./", "~")) or name.endswith(".gguf") or _DRIVE.match(name) is not None
    parts = [part for part in re.split(r"[/\\]", name) if part]
    if cached:
        parts, path = [cached["owner"], cached["name"]], False
    last = _SHARD.sub("", parts[-1].removesuffix(".gguf")) if parts else ""
    owners = [] if path else [part for part in parts[:-1] if part not in _HOSTS]
    if owners and owners[-1] in _PUBLISHERS:
        return "repository", None, last
    owner = "/".join(owners) or None
    return "tag" if ":" in last and owner is None else "alias", owner, last


def _without_quantization(rest: str) -> tuple[str | None, str]:
    found = {_one_spelling(match[0]) for match in _QUANTIZATION.finditer(rest)}
    # Two different quantisations contradict each other: they stay as unknown words.
    return (found.pop(), _QUANTIZATION.sub("-", rest)) if len(found) == 1 else (None, rest)


def _one_spelling(written: str) -> str:
    if re.match(r"(?:ud[-_])?(?:i?q|tq)\d", written):
        plain = written.replace("-", "_")
        return _SPELLED.get(plain, plain)
    if written.startswith("awq"):
        return "awq"  # awq always has four bits
    if match := re.match(r"gptq-\D*(\d)", written):
        return f"gptq-int{match[1]}"
    return _SPELLED.get(written, re.sub(r"(\d)-bit", r"\1bit", written))


def _plain(rest: str) -> str:
    """Return *rest* with one separator. Dots stay within numbers, and `3_1` becomes 3.1."""
    joined = re.sub(r"(?<=\d)_(?=\d(?![\d.]*[bmx]))|(?<=\d-\d)_(?=\db)", ".", rest)  # stablelm-2-1_6b
    return re.sub(r"[^a-z0-9.]+|(?<!\d)\.|\.(?!\d)", "-", joined).strip("-")


def _without_family(rest: str) -> tuple[Family | None, str]:
    matches = [(match, family) for family, pattern in _PATTERNS if (match := pattern.search(rest))]
    if not matches:
        return None, rest
    match, family = min(matches, key=lambda found: (found[0].start(), -found[0].end()))
    return family, f"{rest[: match.start()]}-{rest[match.end() :]}"


def _without_size(rest: str, family: Family | None) -> tuple[str | None, str]:
    matches = [m for m in _SIZE.finditer(rest) if m["unit"] != "k" and m["size"] != "1m"]
    if not matches:
        return None, rest
    match = min(matches, key=lambda m: m["unit"] != "b")
    size = match["size"]
    if family is not None and size not in family.sizes:
        # 30b means 30b-a3b if the family has no other 30b.
        longer = [label for label in family.sizes if label.startswith(f"{size}-")]
        size = longer[0] if len(longer) == 1 else size
    return size, f"{rest[: match.start()]}-{rest[match.end() :]}"


def _nominal(size: str | None) -> int | None:
    """Return the parameters of a size label, or None. Labels such as `8x7b` and `e4b` do not state the total."""
    match = re.match(r"(\d+(?:\.\d+)?)([bmk])", size or "")
    return round(float(match[1]) * _UNIT[match[2]]) if match else None


def _known(word: str) -> str | None:
    if word in _TUNINGS or word in _KINDS:
        return _TUNINGS.get(word) or _KINDS[word]
    if re.fullmatch(r"v\d+", word):
        return f"{word}.0"
    return word if _VERSION.fullmatch(word) else None


def _size(parsed: Parsed, parameters: int | None) -> str | None:
    """Return the size label. The server's count takes priority over the name."""
    family, size = parsed.family, parsed.size
    labels = family.sizes if family is not None else {}
    if parameters is None:
        return size or (next(iter(labels)) if len(labels) == 1 else None)
    nominal = _billions(family, size) or (_nominal(size) or 0) / 1e9
    low, high = _LABEL_WITHIN
    if nominal and not low <= parameters / (nominal * 1e9) <= high:
        size = None
    counted = list(_counted(family, parameters))
    return counted[0] if len(counted) == 1 else size


def _counted(family: Family | None, parameters: int) -> Iterator[str]:
    for label in family.sizes if family is not None else ():
        total = _billions(family, label)
        if total and abs(parameters / (total * 1e9) - 1) <= _SAME_COUNT:
            yield label


def _billions(family: Family | None, size: str | None) -> float | None:
    return family.total(size) if family is not None else None


def _settled(stated: str | None, written: str | None, raw: str | None) -> str | None:
    """Return the quantisation: the reported one, or that of the name if it is a finer one without a GGUF file type."""
    if stated is None:
        return written if not raw else None  # None if the server reported an unknown quantisation
    finer = written is not None and _RECIPE.match(written) and _bits(written) == _bits(stated)
    return written if finer else stated


def _bits(quantization: str) -> str:
    match = re.search(r"q(\d)", quantization)
    return match[1] if match else quantization


def _canonical(parsed: Parsed, size: str | None, quantization: str | None, kind: Kind) -> str | None:
    family = parsed.family
    if family is None or size is None or quantization is None or parsed.unknown:
        return None
    if family.versioned and not any(_VERSION.fullmatch(word) for word in parsed.variant):
        return None
    tuning = "" if parsed.tuned else _unmarked(family, parsed.form, kind)
    if tuning is None:
        return None
    variant = sorted({*parsed.variant, tuning} - {""}, key=lambda word: (word not in _TUNINGS.values(), word))
    owner = f"{parsed.owner}/" if parsed.owner else ""
    return f"{owner}{'-'.join((family.name, size, *variant))}:{quantization}"


def _unmarked(family: Family, form: Form, kind: Kind) -> str | None:
    """Return the tuning of a name that does not state it, or None if it is uncertain."""
    if family.tag == "" and family.repository == "":
        return ""
    if form == "tag" and kind == "chat":  # the server's kind: the same tag can be other weights
        return family.tag
    return family.repository if form == "repository" else None


def _cutoff(parsed: Parsed, size: str | None) -> Cutoff | None:
    if parsed.family is None or parsed.unknown or parsed.owner:
        return None  # a fine-tune may have learned later facts
    return parsed.family.cutoff(size)


def _facts(
    parsed: Parsed, size: str | None, written: str | None, cutoff: Cutoff | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the fields of ModelInfo that the name gives, and the source of each."""
    family = parsed.family
    published = None if parsed.unknown else family  # Qwen2.5-Omni-7B has more than Qwen2.5-7B
    total = _billions(published, size)
    active = published.active(size) if published is not None else None
    by_label = parsed if size == parsed.size else None
    read = {
        "family": family.name if family is not None else None,
        "parameters": round(total * 1e9) if total else by_label and by_label.parameters,
        "active_parameters": round(active * 1e9) if active else by_label and by_label.active_parameters,
        "quantization": written.upper() if written else None,
        "knowledge_cutoff": cutoff.month if cutoff else None,
    }
    table = f"name; {family.source}" if family is not None else "name"
    sources = {
        "parameters": table if total else "name",
        "active_parameters": table if active else "name",
        "knowledge_cutoff": f"name; {cutoff.source}" if cutoff else "name",
    }
    facts = {field: fact for field, fact in read.items() if fact}
    return facts, {field: sources.get(field, "name") for field in facts}
