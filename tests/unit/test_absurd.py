"""Answers that anybody would call absurd are not given. Each case is two models, of which one must come first."""

from typing import Any

import msgspec
import pytest

from casebook import Case, ask
from vedette.messages.queries import TopReply

PRESENT = {"status": "available", "minutes_ago": 6}
SURE = {
    "chat",
    "code_generation",
    "code_understanding",
    "reasoning",
    "documentation",
    "summarisation",
    "extraction",
}
KINDS = (
    "instructions",
    "multilingual",
    "choice",
    "arithmetic",
    "extraction",
    "code_generation",
    "code_understanding",
    "needle",
    "tools",
    "json_schema",
    "json_words",
    "tool_restraint",
)


def local(
    name: str, billions: float, tps: float, ttft_ms: float, right: float | None = None, **more: Any
) -> Any:
    """Return a model on a machine of one's own, of which a share *right* of the answers was right."""
    return _model(f"own/{name}", tps, ttft_ms, right, parameters_b=billions, quantization="Q4_K_M", **more)


def hosted(
    name: str, usd: tuple[float, float], tps: float | None = None, right: float | None = None, **more: Any
) -> Any:
    """Return a model of a service, which was not evaluated unless a share is given."""
    return _model(
        f"cloud/{name}", tps, 700 if tps else None, right, usd_per_mtok=usd, locality="remote", **more
    )


def _model(
    name: str,
    tps: float | None,
    ttft_ms: float | None,
    right: float | None,
    *,
    locality: str = "local",
    context: int = 32_768,
    failed: int = 0,
    **more: Any,
) -> Any:
    made: dict[str, Any] = {
        "name": name,
        "family": "",
        "locality": locality,
        "context": {"native": context, "served": context},
        "yes": {"declared": sorted(SURE), "verified": ["tools"]},
        "probes": PRESENT | {"failed_by_day": [failed] * 7},
    } | more
    if tps is not None:
        made["speed"] = {"days_ago": 1, "runs": 18, "output_tps": tps, "ttft_ms": ttft_ms}
    if right is not None:
        made["quality"] = {"days_ago": 3, "right": {kind: f"{round(20 * right)}/20" for kind in KINDS}}
    return made


def answering(name: str, billions: float, right: dict[str, str]) -> Any:
    """Return a quick model with the answers *right*, as `17/20`, by suite."""
    return local(name, billions, 180, 40) | {"quality": {"days_ago": 3, "right": right}}


def old(model: Any) -> Any:
    """Return *model* as it was evaluated half a year ago."""
    return model | {"quality": model["quality"] | {"days_ago": 200}}


SMALL = local("smollm2:135m", 0.135, 250, 40, right=0.0)
TINY = local("tinyllama:1.1b", 1.1, 120, 80, right=0.15)
FRONTIER = hosted("gpt-5", (1.25, 10.0))
FRONTIER_TIMED = hosted("claude-sonnet-4-5", (3.0, 15.0), tps=60)
GOOD = local("qwen2.5:14b", 14.8, 30, 300, right=0.85)
FAIR = local("llama3.1:8b", 8.0, 45, 220, right=0.65)
OLD_LARGE = local("llama2:70b", 70.0, 12, 900)
NEW_SMALL = local("qwen3:4b", 4.0, 60, 150)

# use cases, who must come first, who must come behind
CASES: list[tuple[tuple[str, ...], Any, Any]] = [
    # A measured model with no right answer, and a hosted one that was not evaluated.
    (("chat", "code_generation", "reasoning", "documentation", "agent", "extraction"), FRONTIER, SMALL),
    (("code_understanding", "summarisation", "fast"), FRONTIER_TIMED, SMALL),
    (("chat", "code_generation", "reasoning", "agent"), FRONTIER_TIMED, TINY),
    # Size alone: three years older and seventeen times as large.
    (("reasoning", "code_generation", "chat"), NEW_SMALL, OLD_LARGE),
    (("reasoning", "chat"), local("gemma3:12b", 12, 30, 300), local("falcon:180b", 180, 9, 2000)),
    (("reasoning",), local("phi4:14b", 14, 25, 300), local("llama2:13b", 13, 28, 300)),
    # An answer that takes too long.
    (
        ("code_generation", "chat", "reasoning"),
        FAIR,
        local("qwen2.5:32b", 32, 0.05, 600_000, right=0.95),
    ),
    (("chat", "fast"), FAIR, local("llama3.3:70b", 70, 0.4, 45_000, right=0.95)),
    (("fast",), FAIR, local("qwen2.5:32b", 32, 4, 9000, right=0.9)),
    (("agent",), GOOD, local("llama3.1:405b", 405, 0.2, 120_000, right=0.95)),
    # An answer that costs too much.
    (("chat", "code_generation", "summarisation"), GOOD, hosted("o1-pro", (1750, 1750), tps=40, right=0.95)),
    (("summarisation", "extraction", "fast"), FAIR, hosted("gpt-4.5-preview", (75, 150), tps=20, right=0.7)),
    # Declared context is no merit.
    (
        ("summarisation", "documentation", "chat"),
        local("qwen2.5:32b", 32, 25, 400, right=0.88, context=16_384),
        local("qwen2.5:0.5b", 0.5, 180, 40, right=0.25, context=131_072),
    ),
    (
        ("chat",),
        local("llama3.1:8b", 8, 45, 220, right=0.7, context=8192),
        local("x:8b", 8, 45, 220, right=0.6, context=1_000_000),
    ),
    # Speed beyond what anybody reads does not make up for wrong answers.
    (("chat", "documentation", "reasoning"), FAIR, local("llama3.2:1b", 1.2, 300, 30, right=0.25)),
    (("chat", "documentation"), GOOD, local("gemma3:1b", 1.0, 250, 30, right=0.35)),
    (("code_generation", "agent"), GOOD, local("qwen2.5-coder:1.5b", 1.5, 160, 60, right=0.4)),
    (
        ("reasoning",),
        local("qwen3:32b", 32, 14, 800, right=0.9),
        local("qwen3:0.6b", 0.6, 250, 40, right=0.3),
    ),
    # One that fails a third of its calls.
    (("agent", "chat", "extraction"), FAIR, local("qwen2.5:7b", 7.6, 50, 200, right=0.72, failed=16)),
    (("agent", "code_generation"), GOOD, hosted("grok-4", (3, 15), tps=70, right=0.92, failed=24)),
    # The same model, measured worse, slower, dearer or less often up.
    (("chat", "agent", "fast"), local("a:8b", 8, 45, 220, right=0.7), local("b:8b", 8, 45, 220, right=0.5)),
    (("chat", "agent", "fast"), local("a:8b", 8, 45, 220, right=0.7), local("b:8b", 8, 9, 220, right=0.7)),
    (("chat", "fast"), local("a:8b", 8, 45, 220, right=0.7), local("b:8b", 8, 45, 4000, right=0.7)),
    (("chat", "agent"), hosted("m-1", (1, 4), tps=60, right=0.8), hosted("m-2", (10, 40), tps=60, right=0.8)),
    (
        ("chat", "agent"),
        local("a:8b", 8, 45, 220, right=0.7),
        local("b:8b", 8, 45, 220, right=0.7, failed=12),
    ),
    # Quantised to two bits, and not.
    (
        ("chat", "reasoning"),
        local("llama3.1:8b-instruct-q8_0", 8, 30, 250) | {"quantization": "Q8_0"},
        local("llama3.1:8b-instruct-q2_K", 8, 38, 240) | {"quantization": "Q2_K"},
    ),
    # Nothing at all is known of one.
    (("chat", "reasoning", "code_generation"), GOOD, local("whatever", 0, 30, 300) | {"parameters_b": None}),
    # A free model of one's own as good as a hosted one.
    (("chat", "summarisation"), GOOD, hosted("gpt-4o", (2.5, 10), tps=60, right=0.85)),
    # A context that a typical call does not fit into: the server cuts it, or refuses it.
    (
        ("summarisation", "code_understanding", "agent", "documentation"),
        local("a:8b", 8, 45, 220, right=0.7),
        local("b:8b", 8, 45, 220, right=0.9, context=2048),
    ),
    (("extraction",), FAIR, local("b:14b", 14, 45, 220, right=0.9, context=512)),
    # Two right answers of two in each suite are not as good as eighteen of twenty.
    (
        ("chat", "agent"),
        local("qwen2.5:14b", 14.8, 30, 300, right=0.9),
        answering("gemma3:1b", 1.0, dict.fromkeys(KINDS, "2/2")),
    ),
    # Nor are answers to other questions than those of the use case.
    (("agent",), FAIR, answering("qwen2.5:0.5b", 0.5, {"multilingual": "20/20", "arithmetic": "20/20"})),
    # Answers that are old, of weights that are the same, and fresh ones that are wrong.
    (("chat",), old(local("a:14b", 14, 45, 220, right=0.8)), local("b:1b", 1, 200, 40, right=0.3)),
    # Weights that were not tuned to chat, and larger.
    (("chat", "agent"), local("llama3.1:8b", 8, 45, 220), local("llama3.1:70b-text-q4_K_M", 70, 30, 300)),
    # A name that promises more than the file of weights holds.
    (("chat", "reasoning"), local("qwen2.5:7b", 7.6, 45, 220), local("gpt-5", 0.5, 45, 220)),
    (
        ("reasoning",),
        local("qwen2.5:7b", 7.6, 45, 220),
        local("claude-opus-4-distill-qwen:1.5b", 1.5, 45, 220),
    ),
    (
        ("chat",),
        local("qwen2.5:7b", 7.6, 45, 220),
        local("tiny-random-llama-3.3-70b-instruct", 0.001, 45, 220),
    ),
    # Quantised to one bit.
    (
        ("chat",),
        local("qwen2.5:14b-instruct-q4_K_M", 14.8, 45, 220),
        local("qwen2.5:32b-instruct-iq1_S", 32, 45, 220) | {"quantization": "IQ1_S"},
    ),
    # The model that a vendor replaced three years ago, at the same price.
    (("chat", "reasoning"), hosted("gpt-4.1", (2, 8), tps=70), hosted("gpt-4-0613", (2, 8), tps=70)),
    # Free and hardly ever right, and dear and good.
    (
        ("code_generation", "reasoning"),
        hosted("claude-opus-4-1", (15, 75), tps=40, right=0.95),
        local("smollm2:360m", 0.36, 200, 60, right=0.1),
    ),
    # A little better and free, and a minute slower.
    (
        ("chat", "fast"),
        hosted("gpt-4.1-mini", (0.4, 1.6), tps=90, right=0.85),
        local("qwen2.5:32b", 32, 2.5, 4000, right=0.88),
    ),
    # Thoughts of twenty seconds before an answer of five, where an answer is wanted at once.
    (
        ("fast",),
        local("qwen2.5:7b", 7.6, 20, 150, right=0.7),
        local("qwq:32b", 32, 20, 150, right=0.8)
        | {"yes": {"declared": sorted(SURE | {"thinking"}), "verified": ["tools"]}},
    ),
    # Twenty seconds before the first word.
    (("chat", "fast"), local("a:8b", 8, 45, 220, right=0.75), local("b:8b", 8, 45, 20_000, right=0.85)),
]


def asked(request: dict[str, Any], models: Any) -> TopReply:
    """Return the reply to *request* over *models*."""
    case = msgspec.convert(
        {
            "question": "which?",
            "why": "it is obvious",
            "request": request,
            "expected": {},
            "endpoint": {
                "own": {"provider": "ollama", "url": "http://127.0.0.1:11434"},
                "cloud": {"provider": "openai-compatible", "url": "https://cloud.example/v1"},
            },
            "model": models,
        },
        Case,
    )
    return ask(case, "recommend.top", TopReply)


@pytest.mark.parametrize(
    ("use_case", "first", "second"),
    [
        pytest.param(use_case, first, second, id=f"{use_case}: {first['name']} before {second['name']}")
        for use_cases, first, second in CASES
        for use_case in use_cases
    ],
)
def test_the_answer_is_not_absurd(use_case: str, first: Any, second: Any) -> None:
    """In either order of coming."""
    for models in ((first, second), (second, first)):
        told = asked({"use_case": use_case}, models)
        assert str(told.recommendations[0].model) == first["name"]
