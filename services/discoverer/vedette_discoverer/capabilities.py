"""What a model can be asked to do, from what is declared, from its kind, and from its name. Pure."""

import re
from collections.abc import Iterator

from msgspec import Struct

from vedette.messages.kinds import ANY_CHAT, TASKS
from vedette.providers import Described
from vedette.types import Capability, Claim, Evidence, Kind
from vedette_discoverer.names import parse

# Names of models that cannot be asked for text, by what they are. Model cards and the services' own lists, 2026-11-29.
_OTHER_KINDS = tuple(
    (what, re.compile(rf"(?:^|[-_/.:])(?:{words})(?:[-_:.\d]|$)"))
    for what, words in (
        ("a router, which names no model", r"auto|router|model-router"),
        (
            "a speech recognition model",
            r"(?:distil-)?whisper(?!er)\w*|parakeet|canary-(?:\d+b|qwen|flash)|wav2vec\d?|moonshine|stt|asr|transcribe"
            r"|transcription|sensevoice\w*|paraformer|scribe|chirp",
        ),
        (
            "a speech model",
            r"\w*tts|kokoro|bark(?:-small)?$|orpheus|playai|chatterbox|piper|parler|dia-1\.6b|csm-1b|zonos|speecht5|speech"
            r"|realtime|native-audio|elevenlabs|eleven|cosyvoice\w*|vibevoice|voxcpm|openaudio|higgs-audio|seamless"
            r"|sambert|nova-sonic",
        ),
        ("a music model", r"musicgen|audiogen|lyria|stable-audio|suno|riffusion|ace-step"),
        (
            "an image model",
            r"dall-e|gpt-image|imagen|flux|stable-diffusion|stable-cascade|stabilityai|sdxl|sd3|sd-turbo|sd-?1|sd-?2"
            r"|playground-v\d|kandinsky|image|nano-banana|hidream|recraft|ideogram|midjourney|seedream|kolors|cogview|t2i"
            r"|photon|pixart\w*|aura-?flow|dreamshaper|juggernaut|animagine|realvis\w*|\w*esrgan|controlnet"
            r"|nova-canvas|rmbg",
        ),
        ("a model of shapes", r"hunyuan3d|trellis|triposr|shap-e|stable-fast-3d"),
        (
            "a model that looks at pictures alone",
            r"sam\d?-?hiera|sam[23]|segment-anything|yolo\w*|depth-anything|dinov\d|grounding-dino",
        ),
        (
            "a video model",
            r"sora|veo|wan-?ai|wan2|t2v|i2v|ti2v|hunyuanvideo|cogvideo\w*|mochi|ltx-video|kling|runway|hailuo|seedance|svd"
            r"|video|nova-reel|luma|cosmos-(?:transfer|predict)\d*",
        ),
        (
            "a moderation model",
            r"moderation|(?:llama|prompt|wild|shield|nemo|qwen3?)[-_]?guard|guard|guardian|shieldgemma|safeguard",
        ),
        ("a reward model", r"reward|prm|rm"),
        ("a model that reads documents", r"\w*ocr|aqa|deep-research|computer-use|document-ai|nemo\w+-parse"),
        (
            "an encoder, which writes no text",
            r"(?:jina-|nv)?clip|siglip\d?|splade|contriever|(?:distil|al|modern)?bert|(?:xlm-|distil)?roberta|m?deberta|dpr"
            r"|bart-large-mnli|gliner\w*",
        ),
        ("a translation model", r"nllb|m2m100|madlad\d*|opus-mt"),
    )
)


# Names of models that chat, beside those in `families`. Model cards and the services' own lists, 2026-11-29.
_CHATS = re.compile(
    r"(?:^|[-_/.:@ ])(?:"
    # What a publisher calls a model that was tuned to chat.
    r"instruct|chat|it|thinking|reasoner|coder"
    # Services of one publisher.
    r"|(?:chat)?gpt|o[134]|claude|gemini|grok|sonar|command(?:-?[ar])?|c4ai|aya|nova-(?:micro|lite|pro|premier)"
    r"|titan-text|jamba|palmyra|reka|mercury|inflection|moonshot|kimi|doubao|ernie|hunyuan|step-\d|seed-(?:oss|\d)"
    r"|spark-x?\d|abab|minimax|pangu|yi|solar|exaone|hyperclova|hcx|sarvam|gigachat|yandexgpt"
    # Open weights.
    r"|(?:meta-?|code-?|tiny-?)?llama|(?:ministral|mistral|mixtral|devstral|magistral|codestral|pixtral|mathstral)"
    r"|qwen|qwq|qvq|gemma|codegemma|medgemma|phi|deepseek|r1|chatglm|glm|granite|olmo|olmoe|molmo|falcon|nemotron"
    r"|minicpm|voxtral|rwkv|internlm|internvl|baichuan|smollm|smolvlm|stablelm|starcoder|bloom|bloomz|dbrx|snowflake-arctic"
    r"|apertus|eurollm|salamandra|teuken|lfm|cogito|longcat|mimo|ling|ring|dots|arcee|trinity|llava|moondream|idefics"
    r"|hermes|nous-hermes|openhermes|dolphin|wizardlm|vicuna|alpaca|tulu|zephyr|openchat|starling|orca|neural-chat|mythomax"
    r")(?=[-_/.:@ \d]|v\d|$)"
)


def other_kind(name: str) -> str | None:
    """Return what a model called *name* is, if its name says that it cannot be asked for text."""
    lowered = name.lower()
    if lowered.endswith("*"):
        return "a pattern for names"
    return next((what for what, pattern in _OTHER_KINDS if pattern.search(lowered)), None)


class NameRule(Struct, frozen=True):
    """A pattern in a model's name, what it implies, and where that was read (2026-11-23 to 30)."""

    pattern: str
    claims: tuple[Capability, ...]
    source: str
    kind: Kind | None = None


C = Capability
NAME_RULES = (
    NameRule(
        r"(^|[-_/.])(coder|code|codellama|codegemma|codestral|starcoder\d?|devstral)([-_:.\d]|$)",
        (C.CODE_GENERATION, C.CODE_UNDERSTANDING),
        "model cards of Qwen-Coder, CodeLlama, CodeGemma, Codestral, StarCoder, Devstral",
    ),
    NameRule(
        r"(^|[-_/.\d])(vl|vision|llava|moondream|minicpm-v|pixtral)([-_:.\d]|$)",
        (C.VISION,),
        "model cards of Qwen-VL, Llama-Vision, LLaVA, Moondream, MiniCPM-V, Pixtral",
    ),
    NameRule(
        r"(rerank|cross-encoder|ms-marco)",
        (C.RERANK,),
        "model cards of BGE-reranker, Qwen3-Reranker, jina-reranker",
        kind="rerank",
    ),
    NameRule(
        r"(embed(?!ded)|minilm|mpnet|paraphrase-|sentence-t5|labse|distiluse|colbert|colqwen|colpali"
        r"|(^|[-_/])((bge|e5|gte|voyage|instructor|stella|potion)[-_]|m3e[-_]|text2vec|gtr-t5|gecko|uae-(large|code)))",
        (C.EMBEDDING,),
        "model cards of nomic-embed, mxbai-embed, all-MiniLM, all-mpnet, BGE, E5, GTE, Voyage, LaBSE, ColBERT, M3E",
        kind="embedding",
    ),
    NameRule(
        r"(^|[-_/.])(r1|qwq|think|thinking|reasoner|magistral|o[134])([-_:.]|$)",
        (C.THINKING, C.REASONING),
        "model cards of DeepSeek-R1, QwQ, Qwen3-Thinking, Magistral",
    ),
    # Those that think unless they are asked not to.
    NameRule(
        r"(^|[-_/.: ])((?<!non-)reasoning|gpt-oss|gpt-5(-(mini|nano|pro|codex))?(?=$|[:@]|-\d)"
        r"|gemini-(2\.5|3(\.\d)?)-pro|grok-4(?!.*non-reasoning)|minimax-m[12]|seed-oss|glm-4\.[5-9]|smollm3|exaone-deep"
        r"|qwen3(?!.*(coder|instruct|base|embed|rerank|guard|max|omni|asr|tts|image)))(?![a-z])",
        (C.THINKING, C.REASONING),
        "model cards of gpt-oss, Qwen3, GLM-4.5, SmolLM3, Seed-OSS, MiniMax-M1, EXAONE Deep, Phi-4-reasoning; model "
        "lists of OpenAI, Google, xAI (2026-11-30)",
    ),
)

# The interface that each kind of model has; it has none of the others'.
_INTERFACES: dict[Kind, Capability] = {
    "chat": C.CHAT,
    "completion": C.COMPLETION,
    "embedding": C.EMBEDDING,
    "rerank": C.RERANK,
}


def infer(described: Described, name: str) -> tuple[Kind, dict[str, Claim]]:
    """Return a model's kind and its claims: stronger evidence wins, and what contradicts it is recorded."""
    kind, what = _kind(described, name)
    claims: dict[str, Claim] = {str(capability): claim for capability, claim in described.claims.items()}
    for capability, claim in [*_by_name(_rules(name), kind), *_by_kind(kind, what)]:
        known = claims.get(capability)
        claims[capability] = claim if known is None else known.beside(claim)
    return kind, claims


def _kind(described: Described, name: str) -> tuple[Kind, str | None]:
    """Return the kind of a model, and what it is; None where that is unknown.

    Evidence, strongest first: what the server declares, names (its own, then that of what it was made from), what
    else that server runs.
    """
    if described.kind not in ("unknown", "completion"):
        return described.kind, f"a {described.kind} model"
    names = [name, *([_file_or_repository(described.origin)] if described.origin else [])]
    for written in names:
        named = next((rule.kind for rule in _rules(written) if rule.kind is not None), None)
        if named is not None:
            return named, f"a {named} model"
        if described.kind == "completion":
            continue
        if other := other_kind(written):
            return "unknown", other
    if described.kind == "completion":  # so are embedding models to a server that only sees no chat template
        return described.kind, "a completion model"
    chats = described.claims.get(C.CHAT)
    if chats is not None:
        return ("chat", "a chat model") if chats.value else ("unknown", f"no chat model ({chats.source})")
    if described.usual_kind != "unknown":
        return described.usual_kind, f"a {described.usual_kind} model, as this server runs"
    if any(_chats_by_name(written) for written in names):
        return "chat", "a chat model by its name"
    return "unknown", None


def _file_or_repository(origin: str) -> str:
    """Return the last part of a path, whose folders mean nothing; a repository whole."""
    return origin.rstrip("/").rpartition("/")[2] if origin.startswith(("/", ".", "~")) else origin


def _chats_by_name(name: str) -> bool:
    return _CHATS.search(name.lower()) is not None or parse(name).family is not None


def _rules(name: str) -> list[NameRule]:
    return [rule for rule in NAME_RULES if re.search(rule.pattern, name.lower())]


def _by_name(rules: list[NameRule], kind: Kind) -> Iterator[tuple[Capability, Claim]]:
    for rule in rules:
        for capability in rule.claims:
            if _fits(capability, kind):
                yield capability, _inferred(value=True, source=f"name; {rule.source}")


def _fits(capability: Capability, kind: Kind) -> bool:
    """Return whether a model of *kind* can have *capability* at all: a name alone makes no other interface."""
    if capability in _INTERFACES.values():
        return _INTERFACES.get(kind) is capability
    return kind in ("chat", "completion")


def _by_kind(kind: Kind, what: str | None) -> Iterator[tuple[Capability, Claim]]:
    if what is None:
        return
    for other, interface in _INTERFACES.items():
        # What chats can also complete; the other way round it cannot.
        value = other == kind or (other == "completion" and kind == "chat")
        yield interface, _inferred(value=value, source=f"it is {what}")
    for task in TASKS:
        if kind == "chat":
            yield task, _inferred(value=True, source=ANY_CHAT)
        elif kind in ("embedding", "rerank", "unknown"):
            yield task, _inferred(value=False, source=f"it is {what}")


def _inferred(*, value: bool, source: str) -> Claim:
    return Claim(value=value, evidence=Evidence.INFERRED, source=source)
