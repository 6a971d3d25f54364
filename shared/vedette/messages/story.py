"""The values that the examples of messages share, so that the documents show one story. Pure.

A laptop with Ollama and a server `gpu`, where `qwen2.5:7b` is the winner for chat.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from vedette.messages import ids
from vedette.types import Capability, Claim, Evidence, Figure, ModelInfo, ModelRef, Score

AT: Final = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)
EARLIER: Final = AT - timedelta(hours=1)
DAY: Final = f"{AT:%Y-%m-%d}"
QWEN: Final = ModelRef("gpu", "qwen2.5:7b")
LLAMA: Final = ModelRef("local", "llama3.2:3b")
DIGEST: Final = "sha256:845dbda0ea48"
FORMER_DIGEST: Final = "sha256:2bada8a74506"
JOB: Final = ids.derive(AT, "example", "job")
CHAT: Final = {Capability.CHAT.value: Claim(value=True, evidence=Evidence.VERIFIED, source="call")}
SCORE: Final = Score(successes=46, trials=50, suite="instructions@1")
INFO: Final = ModelInfo(
    model=QWEN,
    provider="ollama",
    url="http://gpu-box:11434",
    api="ollama",
    kind="chat",
    digest=DIGEST,
    family="qwen2.5",
    parameters=7_615_616_512,
    quantization="Q4_K_M",
    license="apache-2.0",
    native_context_tokens=32_768,
    capabilities=CHAT,
)


def fact(kind: str) -> dict[str, Any]:
    """Return the fields that every example of an event has."""
    return {"id": ids.derive(AT, "example", kind), "at": AT}


def of_model(kind: str) -> dict[str, Any]:
    """Return the fields that every example of an event about the winner has."""
    return {**fact(kind), "model": QWEN}


def figure(median: float) -> Figure:
    """Return a figure of six equal runs."""
    return Figure(n=6, median=median, p95=median, min=median, max=median, spread=0.0)
