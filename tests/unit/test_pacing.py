"""Speed from packets: what may be called a rate, and what only looks like one."""

import pytest

from vedette.providers import Delta, Finished
from vedette_benchmarker.answered import thoughts_apart
from vedette_benchmarker.load import answer_figures
from vedette_benchmarker.pacing import pace


def pieces(*sent: tuple[float, str]) -> list[Delta]:
    """Return a piece of text at each time (s)."""
    return [Delta(at=at, text=text) for at, text in sent]


def test_a_token_a_piece_is_n_minus_one_over_the_time() -> None:
    """The first packet's token took no time that was seen."""
    found = pace(0.0, pieces(*((1 + 0.02 * n, "w ") for n in range(64))), 64)
    assert found.output_tps == pytest.approx(50, rel=1e-3)
    assert found.gap_ms(0.5) == pytest.approx(20)


def test_several_tokens_a_piece() -> None:
    """Speculative decoding: 16 pieces of four tokens, one each 40 ms."""
    found = pace(0.0, pieces(*((0.2 + 0.04 * n, "a b c d ") for n in range(16))), 64)
    assert found.output_tps == pytest.approx(100, rel=1e-3)


def test_a_big_first_piece_is_not_in_the_rate() -> None:
    """Its tokens were made before the clock ran."""
    found = pace(0.0, pieces((0.3, "w " * 32), *((0.3 + 0.02 * n, "w ") for n in range(1, 33))), 64)
    assert found.output_tps == pytest.approx(50, rel=1e-3)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param([(1.0, "w ")] * 40, id="one packet"),
        pytest.param([(1.0, "w ")] * 38 + [(1.003, "w ")] * 2, id="two packets"),
        pytest.param([(1 + 0.0005 * (n // 5), "w ") for n in range(40)], id="poured out at the end"),
        pytest.param([(1 + 0.00001 * n, "w ") for n in range(400)], id="faster than any model"),
    ],
)
def test_a_collected_stream_has_no_rate(sent: list[tuple[float, str]]) -> None:
    """It would be the rate of a proxy, thousands of tokens a second."""
    found = pace(0.0, pieces(*sent), len(sent))
    assert found.output_tps is None
    assert found.problem


def test_steady_bursts_have_the_rate_of_the_model() -> None:
    """20 bursts of 20 tokens, one each 0.4 s: 50 tokens/s."""
    sent = [(0.4 * (burst + 1), "w ") for burst in range(20) for _ in range(20)]
    assert pace(0.0, pieces(*sent), 400).output_tps == pytest.approx(50, rel=1e-3)


def end(at: float, **told: object) -> Finished:
    """Return the end of an answer."""
    return Finished(at=at, **told)  # type: ignore[arg-type]


def test_thoughts_that_nobody_sees_are_not_in_the_rate() -> None:
    """500 tokens of thought before the first of 50 words, which come in half a second."""
    words = pieces(*((5 + 0.01 * n, "word ") for n in range(50)))
    figures = answer_figures(0.0, [*words, end(5.5, output_tokens=550, reasoning_tokens=500)])
    assert figures["output_tps"] == pytest.approx(100, rel=1e-3)
    assert figures["output_tokens"] == 550


def test_more_tokens_than_the_text_can_hold_give_no_rate() -> None:
    """A server that does not say how many of them were thoughts."""
    words = pieces(*((5 + 0.01 * n, "w ") for n in range(50)))
    figures = answer_figures(0.0, [*words, end(5.5, output_tokens=900)])
    assert figures.get("output_tps") is None
    assert "900 tokens" in figures["detail"]


def test_usage_that_the_pieces_contradict_is_not_believed() -> None:
    """Three tokens cannot come in forty pieces."""
    words = pieces(*((1 + 0.01 * n, "w ") for n in range(40)))
    figures = answer_figures(0.0, [*words, end(1.5, output_tokens=3)])
    assert (figures["output_tokens"], figures["estimated"]) == (40, True)
    assert "usage says 3 tokens" in figures["detail"]


def test_an_answer_that_is_not_streamed_has_neither_ttft_nor_rate() -> None:
    """All that can be timed is its end."""
    figures = answer_figures(0.0, [Delta(at=2.0, text="w " * 40), end(2.0, output_tokens=40, streamed=False)])
    assert figures["e2e_ms"] == 2000
    assert figures.get("ttft_ms") is None
    assert figures.get("output_tps") is None
    assert "did not stream" in figures["detail"]


@pytest.mark.parametrize(
    ("sent", "thinking", "text"),
    [
        (["<think>\n", "hm ", "so", "</think>", "\n\nHello"], "\nhm so", "Hello"),
        (["<thi", "nk>hm</th", "ink>Hel", "lo"], "hm", "Hello"),
        (["hm so", "</think>Hello"], "hm so", "Hello"),
        (["[THINK]hm[/THINK]Hello"], "hm", "Hello"),
        (
            ["<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hello"],
            "hm",
            "Hello",
        ),
        (["<seed:think>hm</seed:think>Hello"], "hm", "Hello"),
        (["<reasoning>", "hm</reasoning>Hello"], "hm", "Hello"),
        (["<|channel>thought\nhm<channel|>Hello"], "\nhm", "Hello"),
        (["analysis", "hm", "assistant", "finalHello"], "hm", "Hello"),
        (["analysis of the sea"], "", "analysis of the sea"),
        (["Hello", "<|end|>"], "", "Hello<|end|>"),
        (["<think>hm, cut off"], "hm, cut off", ""),
        (
            ["A tag like <think> or </think> opens thoughts."],
            "",
            "A tag like <think> or </think> opens thoughts.",
        ),
        (["Hello"], "", "Hello"),
    ],
)
def test_thoughts_in_the_text_are_told_from_the_answer(sent: list[str], thinking: str, text: str) -> None:
    """Whatever pieces the marks come in; a mark that is quoted later is text."""
    deltas = thoughts_apart([Delta(at=float(n), text=piece) for n, piece in enumerate(sent)])
    assert "".join(delta.thinking for delta in deltas) == thinking
    assert "".join(delta.text for delta in deltas) == text


def test_the_first_word_of_the_answer_comes_after_the_thoughts() -> None:
    """TTFT is that of the first thought, TTFO that of the first word."""
    sent = [(1.0, "<think>"), (1.5, "hm"), (2.0, "</think>"), (2.5, "\n"), (3.0, "Hello")]
    figures = answer_figures(0.0, [*pieces(*sent), end(3.0)])
    assert figures["ttft_ms"] == 1500
    assert figures["ttfo_ms"] == 3000
