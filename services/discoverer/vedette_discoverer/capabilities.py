"""A model's capabilities, from its declaration, its kind and its name. Pure."""

import re
from collections.abc import Iterator

from msgspec import Struct

from vedette.messages.kinds import ANY_CHAT, TASKS
from vedette.providers import Described
from vedette.types import Capability, Claim, Evidence, Kind
from vedette_discoverer.names import parse

# Names of models that cannot write text, by their kind. Model cards and the services' own lists, 2026-11-30.
_OTHER_KINDS = tuple(
    (what, re.compile(rf"(?:^|[-_/.:])(?:{words})(?:[-_:.\d@]|$)"))
    for what, words in (
        ("a router, which names no model", r"(?:auto|router)(?!.*\d+b(?:[-_:.]|$))|arch-router"),
        (
            "a speech recognition model",
            r"(?:distil-)?whisper(?!er)\w*|parakeet|canary-(?:\d+b|qwen|flash)|wav2vec\d?|moonshine|stt|\w*asr|transcribe"
            r"|transcription|sensevoice\w*|paraformer|scribe|chirp|omniasr|forcedaligner|gigaam|saarika|universal-\d"
            r"|nova-[23]-(?:general|medical)|deepgram|assemblyai|speechmatics",
        ),
        (
            "a model of sounds",
            r"pyannote|speaker-diarization|\w*vad|hubert|wavlm|clap-htsat|ast-finetuned|\w*demucs|spleeter|deepfilternet\d?"
            r"|audio2face|smart-turn|studiovoice|audio-codec",
        ),
        (
            "a speech model",
            r"\w*tts\w?|kokoro|bark(?:-small)?$|orpheus|playai|chatterbox|piper|parler|dia2?-\db|dia-1\.6b|csm-1b|zonos|speecht5"
            r"|speech|realtime|native-audio|gpt-(?:4o-)?(?:mini-)?audio|gemini(?:-[\w.]+)*-live|gemini-live|elevenlabs|eleven|cosyvoice\w*|vibevoice|voxcpm\d?|openaudio"
            r"|higgs-audio|seamless|sambert|(?:nova|nova-2)-sonic|sonic-\d|aura-\d|(?:deepgram|cartesia|elevenlabs|rime)/[^/]+|metavoice|supertonic|maya1|soprano|maskgct"
            r"|moshi\w*|personaplex|openvoice|rvc|seed-vc|octave-\d|blizzard|murf|llasa|(?:gpt-)?sovits|bulbul|mai-voice"
            r"|grok-voice|voice-(?:design|enrollment|clone)|livetranslate",
        ),
        (
            "a music model",
            r"music-?(?:gen|lm|fx|ldm)\w*|(?<![-_.])music(?:$|-[\dv]|-cover)|(?:minimax|ace)-music|audiogen|audioldm\d?|lyria|stable-audio|suno|udio|riffusion|diffrhythm|yue-s\d|ace-?step|tangoflux|mmaudio"
            r"|heartmula|songgeneration|text_to_sound",
        ),
        (
            "an image model",
            r"dall-e|(?:leonardo|sourceful|black-forest-labs)/[^/]+|gpt-image|imagen|imagegeneration|flux|stable-diffusion|stable-cascade|stabilityai|sdxl|sd_xl|sd3|sd-turbo|sd-?v?1"
            r"|sd-?2|v1-5-pruned|playground-v\d|kandinsky|nano-banana|hidream|recraft\w*|ideogram|midjourney|mj-v\d|reve|seedream"
            r"|seededit|kolors|cogview|hunyuan-?dit|hunyuanimage|t2i|photon|pixart\w*|aura-?flow|dreamshaper|juggernaut|animagine"
            r"|realvis\w*|realistic-vision|epicrealism|absolutereality|deliberate-v\d|\w*openjourney|proteus-v\d|anythingv\d|anylora"
            r"|pony-?diffusion\w*|illustrious-xl|noobai-xl|lucid-origin|omnigen\d?|emu3-gen|bagel-7b-mot|bria|sana|lumina-next"
            r"|lumina-image|chroma1|instaflow|janus|step-?1x|ernie-vilg|irag|yandexart|grok-imagine|\w*esrgan|\w*upscaler?|gfpgan|codeformer"
            r"|swinir|controlnet|ip-adapter|instantid|idm-vton|nova-canvas|rmbg|rembg|birefnet|u2net|isnet|lama-inpainting|\w*vae"
            r"|taesd|t5xxl|clip_[lg]",
        ),
        (
            "a model of shapes",
            r"hunyuan3d|hunyuanworld|seed3d|trellis|triposr|tripo3d|shap-e|stable-(?:fast|point-aware)-3d|meshy|rodin",
        ),
        (
            "a model that looks at pictures alone",
            r"sam\d?-?hiera|sam-?[23]|segment-anything|yolo\w*|depth-?anything|depthpro|zoedepth|dpt-large|dinov\d|grounding-?dino"
            r"|(?:rf-)?detr|resnet|convnext\w*|vit-(?:base|large|huge)|owl(?:vit|v2)|florence-2|blip2?|mask2former|segformer|insightface"
            r"|streampetr|arcface|exaone-path|object-detection|page-elements|graphic-elements|table-structure|table-transformer",
        ),
        ("a model that moves robots", r"openvla|gr00t|pi0|smolvla\w*|molmoact"),
        (
            "a video model",
            r"sora|veo|wan-?ai|wan-?[23]|t2v|i2v|s2v|ti2v|hunyuanvideo|cogvideo\w*|mochi|ltx-\d|ltxv?|kling|runway\w*|gen\da?_\w+"
            r"|hailuo|seedance|svd|nova-reel|luma|ray-\d|pika|pixverse|vidu\w*|animatediff|skyreels|magi-1|framepack|omnihuman"
            r"|latentsync|sadtalker|wav2lip|infinitetalk|cosmos-(?:transfer|predict)\d*|genie-\d",
        ),
        (
            "a moderation model",
            r"moderation|guard|guardian|safeguard|(?:llama|wild|nemo|poly|virtue|duo|dyna|x|aegis|qwen\d?)guard|shieldgemma"
            r"|content-safety|(?:nsfw|toxic\w*)(?=.*(?:detect|classif|image|bert|filter|comment|moderat))|prompt-injection|privacy-filter|pii\w*",
        ),
        ("a model that judges", r"minicheck|reward|prm|armorm|orm|rm"),
        (
            "a model that reads documents",
            r"\w*ocr\d?|ocrflux|ocdrnet|aqa|deep-research|computer-use|document-(?:ai|intelligence)|prebuilt-layout|nemo\w+-parse"
            r"|\w*docling|deplot|mineru\d?|nougat|donut-base|layoutlmv?\d?|chandra$|surya$|marker-pdf|bytedance/dolphin",
        ),
        (
            "an encoder, which writes no text",
            r"clip|siglip\d?|medsiglip|splade|contriever|(?:distil|al|fin|modern)?bert|(?:xlm-|distil)?roberta|m?deberta|dpr"
            r"|electra-(?:small|base|large)|bart-large-mnli|gliner\w*|nuner\w*|fasttext|en_core_web",
        ),
        (
            "a model that translates or sums up",
            r"bart-large-cnn|pegasus|t5-(?:small|base|large)|nllb|m2m100|madlad\d*|opus-mt|(?:qwen|hunyuan)-mt|mbart|indictrans\d?|translategemma|riva-translate|\w+-nmt",
        ),
        (
            "a model of numbers",
            r"chronos-(?:bolt|t5|2(?!.*\db))|timesfm|timegpt|moirai|(?:granite-)?timeseries|lag-llama|timer-base|toto-open|tabpfn|geospatial",
        ),
        (
            "a model of molecules or weather",
            r"esm2|esmfold\d?|alphafold\d?|evo2|molmim|boltz-?2|diffdock|openfold\d?|proteinmpnn|rfdiffusion|genmol|fourcastnet"
            r"|corrdiff|graphcast",
        ),
        ("a part of a model", r"(?<![-_.:])mmproj|eagle3|speculator|dflash|medusa-head"),
    )
)
# Words in names of image and video models, and of models that answer questions about images and video.
_PICTURES = tuple(
    (what, re.compile(rf"(?:^|[-_/.:]){word}(?:[-_:.\d@]|$)"))
    for what, word in (("an image model", "image"), ("a video model", "video"))
)
_SEES = re.compile(r"(?:^|[-_/.:\d])(?:vl|vision|llava|vqa|qa|captioner)(?:[-_:.\d]|$)")


# Names of models that chat, in addition to those in `families`. Model cards and the services' own lists, 2026-11-29.
_CHATS = re.compile(
    r"(?:^|[-_/.:@ ])(?:"
    # What a publisher calls a model that was tuned to chat.
    r"instruct|chat|it|thinking|reasoner|coder"
    # Services of one publisher.
    r"|(?:chat)?gpt|o[134]|claude|gemini|grok|sonar|command(?:-?[ar])?|c4ai|aya|nova-(?:2-)?(?:micro|lite|pro|premier)"
    r"|titan-text|jamba|palmyra|reka|mercury|inflection|moonshot|kimi|doubao|ernie|hunyuan|step-\d|seed-(?:oss|\d)"
    r"|spark-x?\d|abab|minimax|pangu|yi|solar|exaone|hyperclova|hcx|sarvam|gigachat|yandexgpt"
    # Open weights.
    r"|(?:meta-?|code-?|tiny-?)?llama|(?:ministral|mistral|mixtral|devstral|magistral|codestral|pixtral|mathstral)"
    r"|qwen|qwq|qvq|gemma|codegemma|medgemma|phi|deepseek|r1|chatglm|glm|granite|olmo|olmoe|molmo|falcon|nemotron"
    r"|minicpm|voxtral|rwkv|internlm|internvl|baichuan|smollm|smolvlm|stablelm|starcoder|bloom|bloomz|dbrx|snowflake-arctic"
    r"|apertus|eurollm|salamandra|teuken|lfm|cogito|longcat|mimo|ling|ring|dots|arcee|trinity|llava|moondream|idefics"
    r"|hermes|nous-hermes|openhermes|dolphin|wizardlm|vicuna|alpaca|tulu|zephyr|openchat|starling|orca|neural-chat|mythomax"
    r"|step3|intern-s1|telechat\d?|skywork|sensechat|hyperclovax|a\.x|trillion|tinydolphin|megadolphin|bakllava|videollama\d?"
    r"|functiongemma|intellect|afm|opencoder|deepcoder|deepscaler|athene|openthinker|sky-t1|s1\.1|rnj|aion|nuextract|sqlcoder"
    r"|wizard-?(?:math|coder)|stable-?(?:beluga|code)|smallthinker|firefunction|codegeex\d?|meditron|medllama\d?|llemma|xwinlm"
    r"|nexusraven|mistrallite|cydonia|rocinante|unslopnemo|euryale|lunaris|magnum|celeste|noromaid|remm|sorcererlm|goliath"
    r"|ui-tars|autoglm|tongyi-deepresearch|chimera|mini-omni\d?|step-audio|compound"
    r"|reflection|notu[sx]|duckdb-nsql|reader-?lm|codeup|codebooga|everythinglm|codex"
    # OpenRouter's list and Hugging Face, summer 2026.
    r"|hy\d|laguna|nanbeige\d?|nex-n\d|north-mini|fugu|cobuddy"
    r")(?=[-_/.:@ \d]|v\d|$)"
)

# Names of models that were trained to continue text, and words for what was tuned after that. Model cards, 2026-11-30.
_COMPLETES = re.compile(
    r"\d.*[-_]base(?:$|[-_.:](?:q\d|i?q\d|i1|gguf|gptq|awq|mlx|exl\d|bnb|unsloth|hf|fp\d|bf16|int\d|\d-?bit|\d{4}(?:$|[-_.:])))"
    r"|gemma.*\db-pt(?!-br)(?:$|[-_.:])|:[\w.]+-text(?:$|-)|code(?:llama|gemma):[\w.]+-code(?:$|-)|llama-2-\d+b-hf$"
    r"|(?:^|[_/])(?:gpt-?2|gpt-neo(?:x)?|gpt-j|pythia|opt-[\d.]+[mb]|mpt-\d+b$|davinci-002|babbage-002|gpt-3\.5-turbo-instruct)"
    r"(?=[-_/:.]|$)|bloom-\d+b\d$|starcoder2?(?=[-_:.\d])(?!.*instruct)"
)
_TUNED = re.compile(
    r"(?:^|[-_.:])(?:it|(?<!turbo-)instruct\w*|chat(?!glm)\w*|thinking|sft|dpo|ppo|orpo|rlhf|oasst|alpaca|vicuna|dolly|dialog\w*"
    r"|conversational|assistant|helpful|tuned|finetuned?|rp|roleplay)(?=[-_.:\d]|$)"
)


def other_kind(name: str) -> str | None:
    """Return the kind of a model called *name*, if its name says that it writes no text."""
    lowered = name.lower()
    if lowered.endswith("*"):
        return "a pattern for names"
    kinds = _OTHER_KINDS if _SEES.search(lowered) else _OTHER_KINDS + _PICTURES
    return next((what for what, pattern in kinds if pattern.search(lowered)), None)


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
        r"(^|[-_/.\d])(vl|vision|(bak)?llava|moondream|minicpm-[vo]|pixtral|\w*internvl|\w+vlm|qvq|molmo|idefics|glm-\d(\.\d)?v)"
        r"([-_:.\d]|$)",
        (C.VISION,),
        "model cards of Qwen-VL, Llama-Vision, LLaVA, Moondream, MiniCPM-V, Pixtral, InternVL, SmolVLM, QVQ, GLM-V",
    ),
    NameRule(
        r"(rerank|cross-encoder|ms-marco|mmarco|monot5|monoqwen|flashrank|zerank|llama-?rank|rank[-_]?(zephyr|vicuna|t5)"
        r"|semantic-ranker)",
        (C.RERANK,),
        "model cards of BGE-reranker, Qwen3-Reranker, jina-reranker, zerank, Llama-Rank, monoT5, RankZephyr",
        kind="rerank",
    ),
    NameRule(
        r"(embed(?!ded)|minilm|mpnet|paraphrase-|sentence-t5|labse|distiluse|colbert|colqwen|colpali|colsmol|jina-clip|nvclip"
        r"|[lv]lm2vec|(^|[-_/])((bge|e5|gme|gte|voyage|instructor|stella|jasper|potion|m2v)[-_]|m3e[-_]|text2vec|gtr-t5|gecko"
        r"|uae-(large|code)|m2-bert-\d+m-\d+k|slate-\d+m|gritlm|codesage|rubert-tiny|repllama|promptriever))",
        (C.EMBEDDING,),
        "model cards of nomic-embed, mxbai-embed, all-MiniLM, all-mpnet, BGE, E5, GME, GTE, Voyage, LaBSE, ColBERT, "
        "M3E, LLM2Vec, jina-clip, NV-CLIP, M2-BERT, slate, GritLM, CodeSage",
        kind="embedding",
    ),
    NameRule(
        r"(^|[-_/.])(?<!no-)(?<!non-)(?<!no_)(r1|qvq|qwq|think|thinking|reasoner|reasoning|magistral|o[134])([-_:.]|$)",
        (C.THINKING, C.REASONING),
        "model cards of DeepSeek-R1, QwQ, QVQ, Qwen3-Thinking, Phi-4-reasoning, Magistral",
    ),
    # Those that think unless they are asked not to.
    NameRule(
        r"^(?!.*[-_/.: ]non?[-_]?think)(.*[-_/.: ])?"
        r"((?<!non-)reasoning|gpt-oss|gpt-5(-(mini|nano|pro|codex))?(?=$|[:@]|-\d)"
        r"|gemini-(2\.5|3(\.\d)?)-pro|grok-4(?!.*non-reasoning)|minimax-m[12]|seed-oss|glm-4\.[5-9]|smollm3|exaone-deep"
        r"|qwen3(?!.*(coder|instruct|base|embed|rerank|guard|max|omni|asr|tts|image|vl-plus|vl-flash))(?!(?!.*thinking).*2507))"
        r"(?![a-z])",
        (C.THINKING, C.REASONING),
        "model cards of gpt-oss, Qwen3, GLM-4.5, SmolLM3, Seed-OSS, MiniMax-M1, EXAONE Deep, Phi-4-reasoning; model "
        "lists of OpenAI, Google, xAI (2026-11-30)",
    ),
)

# The only interface of each kind of model; chat models can complete text as well.
_INTERFACES: dict[Kind, Capability] = {
    "chat": C.CHAT,
    "completion": C.COMPLETION,
    "embedding": C.EMBEDDING,
    "rerank": C.RERANK,
}


def infer(described: Described, name: str) -> tuple[Kind, dict[str, Claim]]:
    """Return a model's kind and its claims: stronger evidence wins, and contradictions are recorded."""
    kind, what = _kind(described, name)
    claims: dict[str, Claim] = {str(capability): claim for capability, claim in described.claims.items()}
    for capability, claim in [*_by_name(_rules(name), kind), *_by_kind(kind, what)]:
        known = claims.get(capability)
        claims[capability] = claim if known is None else known.beside(claim)
    return kind, claims


def _kind(described: Described, name: str) -> tuple[Kind, str | None]:
    """Return the kind of a model, and what it is; None where that is unknown.

    Evidence, strongest first: a declared kind other than completion; names of other kinds (the model's own, then that
    of its origin); what the server declares of completion and chat; a base model's name; the usual kind of this server;
    a chat model's name.
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
    if described.kind == "completion":  # also any model without a chat template, so names come first
        return described.kind, "a completion model"
    chats = described.claims.get(C.CHAT)
    if chats is not None:
        return ("chat", "a chat model") if chats.value else ("unknown", f"no chat model ({chats.source})")
    if _completes_by_name([written.lower() for written in names]):
        return "completion", "a base model by its name"
    if described.usual_kind != "unknown":
        return described.usual_kind, f"a {described.usual_kind} model, as this server runs"
    if any(_chats_by_name(written) for written in names):
        return "chat", "a chat model by its name"
    return "unknown", None


def _file_or_repository(origin: str) -> str:
    """Return the file name of a path, or the whole name of a repository."""
    return origin.rstrip("/").rpartition("/")[2] if origin.startswith(("/", ".", "~")) else origin


def _completes_by_name(names: list[str]) -> bool:
    tuned = any(_TUNED.search(name.rpartition("/")[2]) for name in names)
    return not tuned and any(_COMPLETES.search(name) for name in names)


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
    """Return whether a model of *kind* can have *capability*. A name cannot give it the interface of another kind."""
    if capability in _INTERFACES.values():
        return _INTERFACES.get(kind) is capability
    return kind in ("chat", "completion")


def _by_kind(kind: Kind, what: str | None) -> Iterator[tuple[Capability, Claim]]:
    if what is None:
        return
    for other, interface in _INTERFACES.items():
        # A chat model can also complete text; a completion model cannot chat.
        value = other == kind or (other == "completion" and kind == "chat")
        yield interface, _inferred(value=value, source=f"it is {what}")
    for task in TASKS:
        if kind == "chat":
            yield task, _inferred(value=True, source=ANY_CHAT)
        elif kind in ("embedding", "rerank", "unknown"):
            yield task, _inferred(value=False, source=f"it is {what}")


def _inferred(*, value: bool, source: str) -> Claim:
    return Claim(value=value, evidence=Evidence.INFERRED, source=source)
