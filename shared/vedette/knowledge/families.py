"""Families of models by the spelling of their names: sizes, kinds of tuning, knowledge cut-offs. Data of 2026-11-25.

Sizes are the publishers' figures (model cards and the parameter counts next to them), in billions. They were written
from memory, so uncertain ones are left out. A missing size is unknown, not guessed. Name the model card when you add a
size.
"""

import re

from msgspec import Struct


class Cutoff(Struct, frozen=True):
    """The knowledge cut-off (`YYYY-MM`) of one size or of all, and its source."""

    month: str
    source: str
    size: str | None = None


class Family(Struct, frozen=True, kw_only=True):
    """One family.

    `sizes` are total parameters by label, or (total, active) for a mixture of experts, in billions. `tag` and
    `repository` are the tuning of a name that does not state it: in Ollama's library (`smollm2:135m`), and on Hugging
    Face (`HuggingFaceTB/SmolLM2-135M`). "" means that there is only one tuning, None that it is unknown.
    """

    name: str
    pattern: str
    source: str
    sizes: dict[str, float | tuple[float, float]] = {}
    words: dict[str, str] = {}  # words for a size
    tag: str | None = None
    repository: str | None = None
    versioned: bool = False  # a name without a version has meant different weights
    cutoffs: tuple[Cutoff, ...] = ()

    def total(self, size: str | None) -> float | None:
        """Return the parameters of *size* (billions), or None if unknown."""
        found = self.sizes.get(size or "")
        return found[0] if isinstance(found, tuple) else found

    def active(self, size: str | None) -> float | None:
        """Return the active parameters of *size* (billions) for a mixture of experts, else None."""
        found = self.sizes.get(size or "")
        return found[1] if isinstance(found, tuple) else None

    def cutoff(self, size: str | None) -> Cutoff | None:
        """Return the knowledge cut-off of *size*, or None."""
        return next((c for c in self.cutoffs if c.size in (None, size)), None)


def _llama(version: str, **sizes: float) -> Family:
    card = f"model cards meta-llama/Llama-{version}"
    return Family(
        name=f"llama{version}",
        pattern=rf"llama-?{re.escape(version)}",
        source=card,
        sizes={label.removeprefix("_"): total for label, total in sizes.items()},
        tag="instruct",
        repository="base",
        cutoffs=(Cutoff("2023-12", card),),
    )


FAMILIES = (
    _llama("3.1", _8b=8.03, _70b=70.6, _405b=406),
    _llama("3.2", _1b=1.24, _3b=3.21),
    Family(
        name="llama3.3",
        pattern=r"llama-?3\.3",
        source="model card meta-llama/Llama-3.3-70B-Instruct",
        sizes={"70b": 70.6},
        tag="instruct",
        cutoffs=(Cutoff("2023-12", "model card meta-llama/Llama-3.3-70B-Instruct"),),
    ),
    Family(
        name="llama3",
        pattern=r"llama-?3",
        source="model card meta-llama/Meta-Llama-3-8B",
        sizes={"8b": 8.03, "70b": 70.6},
        tag="instruct",
        repository="base",
        cutoffs=(
            Cutoff("2023-03", "model card meta-llama/Meta-Llama-3-8B", size="8b"),
            Cutoff("2023-12", "model card meta-llama/Meta-Llama-3-8B", size="70b"),
        ),
    ),
    Family(
        name="llama4",
        pattern=r"llama-?4",
        source="model card meta-llama/Llama-4-Scout-17B-16E",
        sizes={"16x17b": (109, 17), "128x17b": (400, 17)},
        words={"scout": "16x17b", "maverick": "128x17b"},
        tag="instruct",
        repository="base",
        cutoffs=(Cutoff("2024-08", "model card meta-llama/Llama-4-Scout-17B-16E"),),
    ),
    Family(
        name="llama2",
        pattern=r"llama-?2",
        source="model card meta-llama/Llama-2-7b",
        sizes={"7b": 6.74, "13b": 13.0, "70b": 69.0},
        tag="chat",
        repository="base",
        cutoffs=(Cutoff("2022-09", "model card meta-llama/Llama-2-7b"),),
    ),
    Family(
        name="codellama",
        pattern=r"code-?llama",
        source="model card codellama/CodeLlama-7b-hf",
        sizes={"7b": 6.74, "13b": 13.0, "34b": 33.7, "70b": 69.0},
        tag="instruct",
        repository="base",
    ),
    Family(
        name="tinyllama",
        pattern=r"tiny-?llama",
        source="model card TinyLlama/TinyLlama-1.1B-Chat-v1.0",
        sizes={"1.1b": 1.10},
        tag="chat",
    ),
    Family(
        name="smollm2",
        pattern=r"smollm-?2",
        source="model card HuggingFaceTB/SmolLM2-135M",
        sizes={"135m": 0.1345, "360m": 0.362, "1.7b": 1.71},
        tag="instruct",
        repository="base",
    ),
    Family(
        name="smollm3",
        pattern=r"smollm-?3",
        source="model card HuggingFaceTB/SmolLM3-3B",
        sizes={"3b": 3.08},
        repository="",
    ),
    Family(
        name="qwen2.5",
        pattern=r"qwen-?2\.5",
        source="model cards Qwen/Qwen2.5",
        sizes={
            "0.5b": 0.494,
            "1.5b": 1.54,
            "3b": 3.09,
            "7b": 7.62,
            "14b": 14.8,
            "32b": 32.8,
            "72b": 72.7,
        },
        tag="instruct",
        repository="base",
    ),
    Family(
        name="qwen2.5-vl",
        pattern=r"qwen-?2\.5-?vl",
        source="model cards Qwen/Qwen2.5-VL",
        tag="instruct",
    ),
    Family(
        name="qwen2",
        pattern=r"qwen-?2",
        source="model cards Qwen/Qwen2",
        sizes={"0.5b": 0.494, "1.5b": 1.54, "7b": 7.62, "72b": 72.7},
        tag="instruct",
        repository="base",
    ),
    Family(
        # Ollama moved qwen3:4b and qwen3:30b to the weights of July 2025, so an unmarked tag can mean either.
        name="qwen3",
        pattern=r"qwen-?3",
        source="model cards Qwen/Qwen3",
        sizes={
            "0.6b": 0.596,
            "1.7b": 1.72,
            "4b": 4.02,
            "8b": 8.19,
            "14b": 14.8,
            "32b": 32.8,
            "30b-a3b": (30.5, 3.3),
            "235b-a22b": (235, 22),
            "480b-a35b": (480, 35),
        },
        repository="",
    ),
    Family(name="qwen3-vl", pattern=r"qwen-?3-?vl", source="model cards Qwen/Qwen3-VL"),
    Family(name="qwen3-next", pattern=r"qwen-?3-next", source="model cards Qwen/Qwen3-Next"),
    Family(
        name="qwen3-embedding",
        pattern=r"qwen-?3-embedding",
        source="Qwen/Qwen3-Embedding",
        tag="",
        repository="",
    ),
    Family(name="qwq", pattern=r"qwq", source="model card Qwen/QwQ-32B", sizes={"32b": 32.8}),
    Family(
        name="gemma2",
        pattern=r"gemma-?2",
        source="model cards google/gemma-2",
        sizes={"2b": 2.61, "9b": 9.24, "27b": 27.2},
        tag="instruct",
        repository="base",
    ),
    Family(
        name="gemma3",
        pattern=r"gemma-?3",
        source="model cards google/gemma-3",
        sizes={"270m": 0.268, "1b": 1.0, "4b": 4.3, "12b": 12.2, "27b": 27.4},
        tag="instruct",
        repository="base",
        cutoffs=(Cutoff("2024-08", "model card google/gemma-3-27b-pt"),),
    ),
    Family(
        name="gemma3n",
        pattern=r"gemma-?3n",
        source="model cards google/gemma-3n",
        tag="instruct",
        repository="base",
        cutoffs=(Cutoff("2024-06", "model card google/gemma-3n-E4B"),),
    ),
    Family(name="gemma", pattern=r"gemma", source="model cards google/gemma", repository="base"),
    Family(name="codegemma", pattern=r"codegemma", source="model card google/codegemma-7b"),
    Family(
        name="mistral",
        pattern=r"mistral(?=-7b|-v\d)",
        source="model cards mistralai/Mistral-7B",
        sizes={"7b": 7.25},
        tag="instruct",
        repository="base",
        versioned=True,
    ),
    Family(
        name="mistral-nemo",
        pattern=r"mistral-nemo",
        source="model card mistralai/Mistral-Nemo-Instruct-2407",
        sizes={"12b": 12.2},
        tag="instruct",
        repository="base",
    ),
    Family(
        name="mistral-small",
        pattern=r"mistral-small",
        source="model cards mistralai/Mistral-Small",
        sizes={"22b": 22.2, "24b": 23.6},
        tag="instruct",
        versioned=True,
    ),
    Family(
        name="mixtral",
        pattern=r"mixtral",
        source="model cards mistralai/Mixtral",
        sizes={"8x7b": (46.7, 12.9), "8x22b": (141, 39)},
        tag="instruct",
        repository="base",
        versioned=True,
    ),
    Family(
        name="phi3",
        pattern=r"phi-?3",
        source="model cards microsoft/Phi-3",
        sizes={"3.8b": 3.82, "14b": 14.0},
        words={"mini": "3.8b", "medium": "14b"},
        tag="instruct",
        versioned=True,
        cutoffs=(Cutoff("2023-10", "model card microsoft/Phi-3-mini-4k-instruct"),),
    ),
    Family(
        name="phi3.5",
        pattern=r"phi-?3\.5",
        source="model card microsoft/Phi-3.5-mini-instruct",
        sizes={"3.8b": 3.82},
        words={"mini": "3.8b"},
        tag="instruct",
        cutoffs=(Cutoff("2023-10", "model card microsoft/Phi-3.5-mini-instruct"),),
    ),
    Family(
        name="phi4",
        pattern=r"phi-?4",
        source="model card microsoft/phi-4",
        sizes={"14b": 14.7},
        tag="",
        repository="",
        cutoffs=(Cutoff("2024-06", "model card microsoft/phi-4"),),
    ),
    Family(
        name="phi4-mini",
        pattern=r"phi-?4-mini",
        source="model card microsoft/Phi-4-mini-instruct",
        sizes={"3.8b": 3.84},
        tag="instruct",
        cutoffs=(Cutoff("2024-06", "model card microsoft/Phi-4-mini-instruct"),),
    ),
    Family(
        name="gpt-oss",
        pattern=r"gpt-oss",
        source="model card openai/gpt-oss-120b",
        sizes={"20b": (20.9, 3.6), "120b": (117, 5.1)},
        tag="",
        repository="",
        cutoffs=(Cutoff("2024-06", "model card openai/gpt-oss-120b"),),
    ),
    Family(
        # deepseek-r1:8b was a distillation of Llama first, and of Qwen3 later.
        name="deepseek-r1",
        pattern=r"deepseek-r1",
        source="model cards deepseek-ai/DeepSeek-R1",
        sizes={"671b": (671, 37)},
        tag="",
        repository="",
        versioned=True,
    ),
    Family(
        name="deepseek-v3",
        pattern=r"deepseek-v3",
        source="model card deepseek-ai/DeepSeek-V3",
        sizes={"671b": (671, 37)},
        versioned=True,
    ),
    Family(name="starcoder2", pattern=r"starcoder-?2", source="bigcode/starcoder2-7b", repository="", tag=""),
    Family(
        name="stories",
        pattern=r"stories(?=-?\d+[mk])",
        source="README of karpathy/llama2.c",
        sizes={"15m": 0.0152, "42m": 0.0417, "110m": 0.1095},
        tag="",
        repository="",
    ),
    Family(
        name="all-minilm",
        pattern=r"all-minilm",
        source="model cards sentence-transformers/all-MiniLM",
        sizes={"22m": 0.0226, "33m": 0.0333},
        words={"l6": "22m", "l12": "33m"},
        tag="",
        repository="",
    ),
    Family(
        name="nomic-embed-text",
        pattern=r"nomic-embed-text",
        source="model card nomic-ai/nomic-embed-text-v1.5",
        sizes={"137m": 0.137},
        tag="",
        repository="",
        versioned=True,
    ),
    Family(
        name="mxbai-embed-large",
        pattern=r"mxbai-embed-large",
        source="model card mixedbread-ai/mxbai-embed-large-v1",
        sizes={"335m": 0.334},
        tag="",
        repository="",
    ),
    Family(
        name="bge-m3",
        pattern=r"bge-m3",
        source="model card BAAI/bge-m3",
        sizes={"567m": 0.567},
        tag="",
        repository="",
    ),
)
