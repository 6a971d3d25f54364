"""Where the rules are unsure, an embedding model of the fleet is asked what a request is most like."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.replay import Exchange, Handler, Replay, Write, flood, hang, replaying, reply
from vedette import log
from vedette.settings import EndpointSettings, Settings
from vedette.types import ModelRef
from vedette.usecases import known
from vedette_gateway.automatic import Guess, guess
from vedette_gateway.centroids import Centroids, combined
from vedette_gateway.upstreams import Upstreams
from vedette_gateway.voting import SURE, Embedder, Voting, labelled
from vedette_gateway.wanted import Wanted, read

USE_CASES = tuple(known({}))
PATH = ("POST", "/v1/embeddings")
UNSURE = Guess("chat", 0.5, "no sign", {"chat": 0.5, "reasoning": 0.4, "extraction": 0.1})


def auto(text: str, **fields: Any) -> Wanted:
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], **fields}
    return read("chat/completions", json.dumps(body).encode(), ())


class Fleet:
    """A scripted embedding model, which has a direction for each use case, and what asks it."""

    def __init__(self, server: Replay, voting: Voting) -> None:
        self.server = server
        self.voting = voting
        self.model: Embedder | None = Embedder(ModelRef("a", "minilm"), "one", f"{server.url}/v1")
        self.seconds = 0.0

    async def embedder(self) -> Embedder | None:
        return self.model

    async def improved(self, wanted: Wanted, found: Guess = UNSURE) -> Guess:
        return await self.voting.improved(wanted, found, USE_CASES, self.embedder)


def embeds(directions: dict[str, str]) -> Handler:
    """Return a server that gives a text the direction of its use case; *directions* names those of other texts."""
    names = list(dict.fromkeys(use_case for use_case, _ in labelled()))
    of = {text: use_case for use_case, text in labelled()} | directions

    async def handle(exchange: Exchange, write: Write) -> None:
        vectors = [[float(name == of[text]) for name in names] for text in exchange.body["input"]]
        await reply(200, {"data": [{"embedding": one} for one in vectors]})(exchange, write)

    return handle


@asynccontextmanager
async def fleet(handler: Handler, *, deadline_s: float = 60.0) -> AsyncIterator[Fleet]:
    async with replaying() as server:
        server.routes[PATH] = handler
        upstreams = Upstreams()
        upstreams.reload(
            Settings(endpoints={"a": EndpointSettings(provider="openai-compatible", url=server.url)})
        )
        voting = Voting(
            upstreams, monotonic=lambda: made.seconds, log=log.logger("gateway"), deadline_s=deadline_s
        )
        made = Fleet(server, voting)
        try:
            yield made
        finally:
            await voting.close()
            await upstreams.close()


async def test_an_unsure_guess_is_improved_by_prompts_like_it() -> None:
    """The first request finds no centroids and stays as it is; they are computed once, and kept."""
    async with fleet(embeds({"who owns what": "reasoning"})) as made:
        wanted = auto("who owns what")
        assert await made.improved(wanted) == UNSURE
        await made.voting.ready()
        computed = len(made.server.requests)
        for _ in range(2):
            found = await made.improved(wanted)
            assert (found.use_case, found.by) == ("reasoning", "prompts like it")
            assert found.confidence > UNSURE.confidence
        assert len(made.server.requests) == computed + 2


async def test_another_digest_has_centroids_of_its_own() -> None:
    async with fleet(embeds({"who owns what": "reasoning"})) as made:
        wanted = auto("who owns what")
        await made.improved(wanted)
        await made.voting.ready()
        computed = len(made.server.requests)
        made.model = Embedder(ModelRef("a", "minilm"), "two", f"{made.server.url}/v1")
        assert await made.improved(wanted) == UNSURE
        await made.voting.ready()
        assert len(made.server.requests) == 2 * computed
        assert (await made.improved(wanted)).use_case == "reasoning"


async def test_what_is_sure_or_bound_or_has_no_model_is_not_sent() -> None:
    async with fleet(embeds({"hi": "reasoning"})) as made:
        sure = Guess("chat", SURE, "no sign", {"chat": SURE})
        assert await made.improved(auto("hi"), sure) == sure
        by_form = Guess("agent", 0.5, "tools")
        assert await made.improved(auto("hi"), by_form) == by_form
        assert await made.improved(auto("hi", vedette={"endpoints": ["b"]})) == UNSURE
        made.model = None
        assert await made.improved(auto("hi")) == UNSURE
        assert made.server.requests == []


@pytest.mark.parametrize(
    "handler",
    [
        reply(500, {"error": "no"}),
        reply(200, "no json"),
        reply(200, {"data": []}),
        reply(200, {"data": [{"embedding": ["x"]}] * 8}),
        reply(200, {"data": [{"embedding": []}] * 8}),
        reply(200, {"data": [{"embedding": [0.0, 0.0]}] * 8}),
        flood,
    ],
)
async def test_a_server_that_gives_no_vectors_is_left_alone_for_a_while(handler: Handler) -> None:
    async with fleet(handler) as made:
        assert await made.improved(auto("hi")) == UNSURE
        await made.voting.ready()
        asked = len(made.server.requests)
        assert await made.improved(auto("hi")) == UNSURE
        assert len(made.server.requests) == asked
        made.seconds += 60
        await made.improved(auto("hi"))
        await made.voting.ready()
        assert len(made.server.requests) > asked


async def test_a_server_that_hangs_costs_the_deadline_once() -> None:
    async with fleet(embeds({}), deadline_s=60.0) as made:
        await made.improved(auto("hi"))
        await made.voting.ready()
        slow = Voting(
            made.voting.upstreams, monotonic=lambda: made.seconds, log=log.logger("gateway"), deadline_s=0.05
        )
        slow.centroids = made.voting.centroids
        made.server.routes[PATH] = hang
        asked = len(made.server.requests)
        for _ in range(3):
            assert await slow.improved(auto("hi"), UNSURE, USE_CASES, made.embedder) == UNSURE
        assert len(made.server.requests) <= asked + 1


async def test_a_model_that_takes_longer_than_the_deadline_is_not_asked() -> None:
    """By its own calls, one text each, after the centroids."""
    async with fleet(embeds({"hi": "reasoning"})) as made:
        quick = made.server.routes[PATH]

        async def slow(exchange: Exchange, write: Write) -> None:
            made.seconds += 100.0
            await quick(exchange, write)

        made.server.routes[PATH] = slow
        await made.improved(auto("hi"))
        await made.voting.ready()
        computed = len(made.server.requests)
        made.seconds += 100.0
        assert await made.improved(auto("hi")) == UNSURE
        assert len(made.server.requests) == computed
        made.seconds += 600.0
        assert (await made.improved(auto("hi"))).use_case == "reasoning"


SHARES = st.dictionaries(st.sampled_from(USE_CASES), st.floats(0.01, 1), min_size=1)


@given(SHARES, st.dictionaries(st.sampled_from(USE_CASES), st.floats(-1, 1)))
def test_a_combination_is_a_use_case_that_is_known(
    shares: dict[str, float], cosines: dict[str, float]
) -> None:
    best = max(shares, key=lambda name: shares[name])
    found = combined(Guess(best, shares[best], "x", shares), cosines, USE_CASES)
    assert found.use_case in shares
    assert 0 < found.confidence <= 1


def test_equal_cosines_change_nothing() -> None:
    found = combined(UNSURE, dict.fromkeys(USE_CASES, 0.3), USE_CASES)
    assert found.use_case == UNSURE.use_case
    assert found.shares == pytest.approx(
        UNSURE.shares | dict.fromkeys(set(USE_CASES) - set(UNSURE.shares), 0.0)
    )


def test_centroids_are_directions() -> None:
    made = Centroids.of([("chat", [2.0, 0.0]), ("chat", [1.0, 0.0]), ("fast", [0.0, 5.0])])
    assert made.cosines([3.0, 3.0]) == pytest.approx({"chat": 0.5**0.5, "fast": 0.5**0.5})
    with pytest.raises(ValueError, match="length"):
        made.cosines([1.0])


def test_prompts_that_show_their_use_case_by_form_have_no_centroid() -> None:
    names = {use_case for use_case, _ in labelled()}
    assert "chat" in names
    assert not names & {"agent", "vision", "embedding", "fast"}
    assert guess(auto("hi"), USE_CASES).shares
