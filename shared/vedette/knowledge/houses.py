"""Finds the house (vendor) of a model by the words of its name: models of one house learn from the same texts. Pure.

A fine-tuned or distilled model also belongs to the house of the original weights. A server's family is often the
architecture: Ollama reports `llama` for SmolLM2 and for Mistral 7B.
"""

from typing import Final

from vedette.knowledge.recognition import spell

# Words of model names by house (vendors' pages and model cards, 2026-11-30).
_WORDS: Final = {
    "ai21": "jamba jurassic",
    "alibaba": "qwen qwq qvq tongyi",
    "allenai": "olmo molmo",
    "amazon": "nova titan",
    "anthropic": "claude",
    "baidu": "ernie",
    "bytedance": "doubao seed",
    "cohere": "command c4ai aya",
    "deepseek": "deepseek",
    "google": "gemini gemma codegemma shieldgemma medgemma translategemma recurrentgemma gemmasutra palm bard flan",
    "huggingface": "smollm smolvlm",
    "ibm": "granite",
    "lg": "exaone",
    "liquid": "lfm",
    "meta": "llama codellama",
    "microsoft": "phi",
    "minimax": "minimax abab",
    "mistral": "mistral mixtral ministral magistral codestral devstral pixtral mathstral voxtral",
    "moonshot": "kimi moonshot",
    "nvidia": "nemotron",
    "openbmb": "minicpm",
    "openai": "gpt chatgpt codex davinci babbage o1 o3 o4 o5 o6 o7 o8 o9",
    "reka": "reka",
    "shanghai": "internlm",
    "stability": "stablelm",
    "tencent": "hunyuan",
    "tii": "falcon",
    "tinyllama": "tinyllama",
    "xai": "grok",
    "zhipu": "glm chatglm",
    "01": "yi",
}
_HOUSES: Final = {word: house for house, words in _WORDS.items() for word in words.split()}


def houses(name: str) -> frozenset[str]:
    """Return the houses in *name*; empty if it has no known one."""
    return frozenset(_HOUSES[word] for word in spell(name).words if word in _HOUSES)
