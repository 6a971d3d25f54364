"""Several streams at once: what each and all together get."""

from random import Random

import msgspec
import pytest

from vedette.errors import ProviderError
from vedette.providers import Generation
from vedette.testing import Answer, FakeClock, FakeEndpoint
from vedette.types import ModelInfo, ModelRef, Outcome
from vedette_benchmarker.load import Run
from vedette_benchmarker.sweep import Stream, at_once, load

INFO = ModelInfo(model=ModelRef("box", "m"), provider="fake", url="http://x", api="fake", kind="chat")
RUN = Run(prompt="short", prompt_tokens=100, output_tokens=16, deadline_s=10)


def stream(first_at: float, last_at: float, tokens: int = 11) -> Stream:
    return Stream(
        tokens=tokens,
        first_at=first_at,
        last_at=last_at,
        ttft_ms=first_at * 1000,
        output_tps=(tokens - 1) / (last_at - first_at),
    )


def test_throughput_is_all_tokens_over_the_time_of_all() -> None:
    """Two streams side by side give twice what one of them does."""
    found = load(3, [stream(1, 3), stream(1, 3)])
    assert found is not None
    assert found.throughput_tps == pytest.approx(10)
    assert found.output_tps.median == pytest.approx(5)
    assert found.ttft_ms.median == pytest.approx(1000)
    assert found.failures == 1


def test_streams_one_after_the_other_give_no_more_than_one() -> None:
    """A server that queues has the throughput of one stream, and the second waits."""
    found = load(2, [stream(1, 3), stream(3, 5)])
    assert found is not None
    assert found.throughput_tps == pytest.approx(5)
    assert found.ttft_ms.max == pytest.approx(3000)


def test_nobody_answered_is_no_figure() -> None:
    assert load(2, []) is None


async def test_every_stream_has_a_prompt_of_its_own() -> None:
    """And one that fails is counted, not averaged."""
    asked: list[str] = []

    def answer(request: Generation) -> Answer:
        asked.append(request.prompt)
        broken = ProviderError(Outcome.BUSY, "full") if len(asked) == 4 else None
        return msgspec.structs.replace(Answer.of(16), failure=broken)

    endpoint = FakeEndpoint(FakeClock(), answer=answer)
    found = await at_once(4, endpoint, INFO, RUN, rng=Random(1), clock=endpoint.clock)
    assert len(set(asked)) == 4
    assert found is not None
    assert (found.streams, found.failures, found.ttft_ms.n) == (4, 1, 3)
