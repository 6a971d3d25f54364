"""Questions to the recommender: one, asked again and again, and a mix of which no two are alike.

The mix, from a seed: a use case by weight; of the questions, 70 % need a context (4k to 32k), 50 % a speed (2 to
20 tokens/s), 50 % a time to first token (400 to 4,000 ms; the others one that all models have), 40 % weigh signals
anew, 30 % exclude up to five models, 25 % name the locality and 25 % four families; one to ten models are asked for.
The limit on the time to first token makes each question of a process another, by a ten-thousandth of a millisecond,
so that many of them have the same answer. Of the unlike ones, no two may be answered alike: each excludes one model
more, which does not exist.
"""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from benchmarks import population

SAME = b'{"use_case":"chat","constraints":{"min_context_tokens":4096}}'
USE_CASES = (
    "chat",
    "code_generation",
    "agent",
    "summarisation",
    "reasoning",
    "fast",
    "extraction",
    "embedding",
)
_USE_CASE_WEIGHTS = (30, 20, 15, 10, 10, 8, 5, 2)
_FAMILIES = ("llama", "qwen3", "qwen2.5-coder", "gemma3", "mistral", "phi", "deepseek-r1", "smollm2")
_SIGNALS = ("quality", "speed", "ttft", "reliability", "context", "price")
_LOOSE_TTFT_MS = 1e6
_TEMPLATES = 2000
_HERE = "@"  # where the number goes that makes a question another


def different(*, seed: int, models: int, limit: int | None = None) -> Iterator[bytes]:
    """Yield questions of the mix over so many *models* for ever, each another; *limit* in place of its own."""
    rng = Random(seed)
    templates = []
    for _ in range(_TEMPLATES):
        asked, ttft_ms = _constrained(rng, models, limit)
        asked["constraints"]["max_ttft_ms"] = _HERE
        templates.append(_template(asked, base=ttft_ms))
    return _filled(templates, rng)


def unlike(*, seed: int, models: int) -> Iterator[bytes]:
    """Yield questions of the same mix for ever, each of which has to be worked out."""
    rng = Random(seed)
    templates = []
    for _ in range(_TEMPLATES):
        asked, ttft_ms = _constrained(rng, models, None)
        constraints = asked["constraints"]
        constraints["max_ttft_ms"] = ttft_ms
        constraints["exclude"] = [*constraints.get("exclude", ()), _HERE]
        templates.append(_template(asked, base=0.0))
    return _filled(templates, rng, form=b'%s"nobody-%.9f"%s')


def unconstrained(*, seed: int, limit: int) -> Iterator[bytes]:
    """Yield questions that no model is refused by for ever, each with other weights."""
    rng = Random(seed)
    templates = []
    for _ in range(_TEMPLATES):
        use_case = rng.choices(USE_CASES[:1] + USE_CASES[5:6], (70, 30))[0]
        weights: dict[str, Any] = {signal: rng.randint(0, 100) for signal in _SIGNALS[1:]}
        asked = {"use_case": use_case, "limit": limit, "weights": weights | {"quality": _HERE}}
        templates.append(_template(asked, base=rng.randint(1, 100)))
    return _filled(templates, rng)


def _constrained(rng: Random, models: int, limit: int | None) -> tuple[dict[str, Any], float]:
    constraints: dict[str, Any] = {}
    ttft_ms = float(rng.randint(400, 4000)) if rng.random() < 0.5 else _LOOSE_TTFT_MS
    if rng.random() < 0.7:
        constraints["min_context_tokens"] = rng.choice((4096, 8192, 8192, 16_384, 32_768))
    if rng.random() < 0.5:
        constraints["min_output_tps"] = round(rng.uniform(2, 20), 1)
    if rng.random() < 0.3:
        numbers = [rng.randrange(models) for _ in range(rng.randint(1, 5))]
        constraints["exclude"] = [str(population.reference(number)) for number in numbers]
    if rng.random() < 0.25:
        constraints["locality"] = rng.choice(("local", "local", "remote"))
    if rng.random() < 0.25:
        constraints["families"] = rng.sample(_FAMILIES, 4)
    weights = {signal: rng.randint(1, 10) for signal in rng.sample(_SIGNALS, 2)} if rng.random() < 0.4 else {}
    use_case = rng.choices(USE_CASES, _USE_CASE_WEIGHTS)[0]
    asked: dict[str, Any] = {"use_case": use_case, "limit": limit or rng.randint(1, 10)}
    return asked | {"constraints": constraints} | ({"weights": weights} if weights else {}), ttft_ms


def _template(asked: dict[str, Any], *, base: float) -> tuple[bytes, float, bytes]:
    before, _, after = json.dumps(asked, separators=(",", ":")).partition(f'"{_HERE}"')
    return before.encode(), base, after.encode()


def _filled(
    templates: list[tuple[bytes, float, bytes]], rng: Random, form: bytes = b"%s%.9f%s"
) -> Iterator[bytes]:
    number = rng.random() * 1e-4
    while True:
        for before, base, after in templates:
            number += 1e-4
            yield form % (before, base + number, after)
