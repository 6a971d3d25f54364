"""The use case that a request itself shows."""

import json
from collections import Counter
from typing import Any

import pytest

from labelled import heldout
from vedette.settings import CallerKey
from vedette.usecases import known
from vedette_gateway import examples
from vedette_gateway.automatic import Guess, guess
from vedette_gateway.examples import Example
from vedette_gateway.finding import allowed
from vedette_gateway.keys import Caller
from vedette_gateway.said import said
from vedette_gateway.wanted import Wanted, read

USE_CASES = tuple(known({}))
TEXTS = (
    "chat",
    "code_generation",
    "code_understanding",
    "reasoning",
    "documentation",
    "summarisation",
    "extraction",
)
TOOL = {"type": "function", "function": {"name": "bash"}}


def auto(
    *turns: str, system: str | None = None, headers: dict[str, str] | None = None, **fields: Any
) -> Wanted:
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    messages += [
        {"role": "assistant" if at % 2 else "user", "content": text} for at, text in enumerate(turns)
    ]
    body = {"model": "vedette/auto", "messages": messages, **fields}
    return read("chat/completions", json.dumps(body).encode(), (headers or {}).items())


def use_case(wanted: Wanted) -> str:
    return guess(wanted, USE_CASES).use_case


def right(prompts: list[Example]) -> float:
    guesses = [(one.use_case, use_case(read(one.api, one.body, ()))) for one in prompts]
    return sum(true == found for true, found in guesses) / len(guesses)


def test_there_are_forty_prompts_of_each_use_case_that_words_show() -> None:
    """In two halves of one size; no prompt is in both."""
    own, others = examples.read(), heldout()
    counts = [Counter(one.use_case for one in half) for half in (own, others)]
    assert all(counts[0][name] == counts[1][name] >= 20 for name in TEXTS)
    assert not {one.body for one in own} & {one.body for one in others}


def test_the_use_case_of_most_prompts_is_found() -> None:
    assert right(examples.read()) > 0.95
    assert right(heldout()) > 0.85


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (auto("What time is it in Oslo?", tools=[TOOL]), "agent"),
        (auto("Summarise this", tools=[TOOL], tool_choice="none"), "summarisation"),
        (auto("Give it a title", max_tokens=8), "fast"),
        (auto("What is the capital of Peru?", response_format={"type": "json_schema"}), "extraction"),
        (
            auto("Jens Holm, Bergen", system="Fill the form", response_format={"type": "json_object"}),
            "extraction",
        ),
        (auto("hi"), "chat"),
        (auto(), "chat"),
        (read("embeddings", b'{"model": "auto", "input": "x"}', ()), "embedding"),
        (read("completions", b'{"model": "auto", "prompt": "Prove that 7 is prime"}', ()), "reasoning"),
        (read("responses", b'{"model": "auto", "input": "Write a function in Go"}', ()), "code_generation"),
    ],
)
def test_the_form_of_a_request_decides_first(wanted: Wanted, expected: str) -> None:
    assert use_case(wanted) == expected


def test_what_is_pasted_is_no_question() -> None:
    """A text that speaks of functions and proofs is summarised where that is what is asked."""
    text = "The function of the proof was to write code and to explain how many tests there are. " * 30
    assert use_case(auto(f"Summarise this:\n\n{text}")) == "summarisation"
    assert use_case(auto(f"{text}\n\nSummarise this.")) == "summarisation"


def test_a_short_question_goes_on_with_the_one_before() -> None:
    assert use_case(auto("Write fizzbuzz in Python", "print(1)", "and with while?")) == "code_generation"


def test_a_guess_says_why() -> None:
    found = guess(auto("Prove that 17 is prime."), USE_CASES)
    assert found.by == "a wish for a result"
    assert 0.5 < found.confidence <= 1


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\x00" * 5000,
        "\n" * 300_000,
        "`" * 300_000,
        "x^" * 300_000,
        "a" * 300_000,
        "\\u" * 100_000,
        "😀" * 100_000,
        "总结" * 100_000,
        '\\"' * 100_000,
        "write " * 60_000,
        [{"type": "text", "text": "Summarise"}, {"type": "nonsense"}],
        [{"type": "text", "text": 7}],
        {"type": "text"},
        None,
        7,
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_any_content_gives_a_guess(content: object, ascii_only: bool) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": content}]}
    wanted = read("chat/completions", json.dumps(body, ensure_ascii=ascii_only).encode(), ())
    assert use_case(wanted) in USE_CASES


@pytest.mark.parametrize(
    "text", ["\\ \\n end" * 3000, "é" * 9000, "😀" * 9000, '"\\' * 9000, "no_space" * 2000]
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_both_ends_of_a_long_text_are_read(text: str, ascii_only: bool) -> None:
    """However it is escaped."""
    whole = f"Question: why? {text} Because of this."
    fields = {"messages": [{"role": "user", "content": whole}]}
    raw = read(
        "chat/completions", json.dumps({"model": "auto", **fields}, ensure_ascii=ascii_only).encode(), ()
    )
    found = said("chat/completions", raw.fields)
    read_of_it = f"{found.asked} {found.edges}"
    assert "Question: why?" in read_of_it
    assert "Because of this." in read_of_it


@pytest.mark.parametrize("messages", [7, "x", [7], [[]], [{"role": 7}], {"role": "user"}, [{}], [None]])
def test_messages_that_are_none_are_chat(messages: object) -> None:
    body = json.dumps({"model": "auto", "messages": messages}).encode()
    assert guess(read("chat/completions", body, ()), USE_CASES).use_case == "chat"


def test_a_caller_gets_the_best_guess_that_its_key_allows() -> None:
    caller = Caller("team", CallerKey(sha256="0" * 64, use_cases=("chat", "summarisation")))
    wanted = auto("Write a function that sorts a list.")
    assert guess(wanted, allowed(wanted, caller, USE_CASES)).use_case == "chat"
    only = Caller("team", CallerKey(sha256="0" * 64, use_cases=("agent",)))
    assert guess(wanted, allowed(wanted, only, USE_CASES)) == Guess(
        "agent", 0.0, "no sign of another use case"
    )


def test_a_caller_names_what_may_be_chosen() -> None:
    wanted = auto(
        "Write a function that sorts.", headers={"x-vedette-use-cases": "reasoning, code-understanding"}
    )
    assert allowed(wanted, Caller("me"), USE_CASES) == ["reasoning", "code_understanding"]
