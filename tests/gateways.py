"""A gateway over scripted model servers: everything of it but the recommender, whose ranking a test gives."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx

from providers.replay import Replay, replaying
from vedette import log
from vedette.clock import SystemClock
from vedette.messages.queries import ModelView, Recommendation
from vedette.providers.observing import Api
from vedette.runtime import web
from vedette.settings import EndpointSettings, Gateway, Settings
from vedette.types import Capability, ModelRef
from vedette_gateway import api
from vedette_gateway.calling import Attempt, Begun, Calls, Candidate
from vedette_gateway.finding import Found
from vedette_gateway.keys import Caller
from vedette_gateway.upstreams import Aside, Upstreams
from vedette_gateway.usage import Usage
from vedette_gateway.wanted import Wanted

KEY = "canary-secret-of-the-endpoint"
MESSAGES = [{"role": "user", "content": "hi"}]


class Ranking:
    """Stands for the recommender: the endpoints in this order, a model `m` at each."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {}
        self.asked: list[Wanted] = []
        self.equal = False  # whether all are as good as the first
        self.unknown: tuple[Capability, ...] = ()  # what they may lack

    async def find(self, wanted: Wanted, caller: Caller, *, limit: int) -> Found:
        """Return every endpoint as a candidate."""
        self.asked.append(wanted)
        candidates = tuple(
            Candidate(
                model=ModelRef(name, "m"), base_url=f"{url}/v1", score=90.0 - place, equivalent=self.equal
            )
            for place, (name, url) in enumerate(self.urls.items())
        )
        return Found(
            candidates=candidates,
            use_case=wanted.target.name or "chat",
            considered=len(candidates),
            unknown=self.unknown,
        )

    async def ranking(self, use_case: str, limit: int) -> Sequence[Recommendation]:
        """Return no ranking."""
        return ()

    async def listed(self) -> list[ModelView]:
        """Return no model."""
        return []


class Reports:
    """Stands for the reports to the recommender: what was reported."""

    def __init__(self) -> None:
        self.failures: list[Attempt] = []
        self.calls: list[Begun] = []

    def failed(self, attempt: Attempt, use_case: str | None, caller: str) -> None:
        """Note a call that gave nothing."""
        self.failures.append(attempt)

    def ended(self, begun: Begun, use_case: str | None, caller: str) -> None:
        """Note a call that began."""
        self.calls.append(begun)


class Door:
    """A running gateway, the servers behind it, and a client."""

    def __init__(
        self, url: str, client: httpx.AsyncClient, ranking: Ranking, reports: Reports, usage: Usage
    ) -> None:
        self.url = url
        self.client = client
        self.ranking = ranking
        self.reports = reports
        self.usage = usage
        self.servers: list[Replay] = []

    async def chat(
        self, *, model: str = "vedette/chat", headers: dict[str, str] | None = None, **more: Any
    ) -> Any:
        """Return the response to a request."""
        body = {"model": model, "messages": MESSAGES, **more}
        return await self.client.post("/v1/chat/completions", json=body, headers=headers)


@asynccontextmanager
async def door(*, servers: int = 1, head_s: float = web.HEAD_S, **settings: Any) -> AsyncIterator[Door]:
    """Run a gateway over so many scripted *servers*, named a, b, …, with these *settings* of `[gateway]`."""
    async with AsyncExitStack() as stack:
        replays = [await stack.enter_async_context(replaying()) for _ in range(servers)]
        names = [chr(ord("a") + number) for number in range(servers)]
        gateway = Gateway(**settings)
        whole = Settings(
            endpoints={
                name: EndpointSettings(
                    provider="openai-compatible", url=replay.url, headers={"X-Api-Key": KEY}
                )
                for name, replay in zip(names, replays, strict=True)
            },
            gateway=gateway,
        )
        clock = SystemClock()
        # A model that failed is aside until it replies: on a slow machine two requests may be seconds apart.
        upstreams, aside = Upstreams(), Aside(monotonic=lambda: 0.0)
        upstreams.reload(whole)
        stack.push_async_callback(upstreams.close)
        ranking, reports, usage = Ranking(), Reports(), Usage(now=clock.now, replica="one")
        ranking.urls = {name: replay.url for name, replay in zip(names, replays, strict=True)}
        entrance = api.Entrance(gateway, usage, now=clock.monotonic)
        calls = Calls(upstreams, aside, gateway, clock)

        def posted(name: Api) -> api.Posted:
            return api.Posted(
                name,
                entrance=entrance,
                finding=ranking,  # type: ignore[arg-type]
                calls=lambda: calls,
                reporting=reports,  # type: ignore[arg-type]
                usage=usage,
                log=log.logger("gateway"),
            )

        listed = api.Listed(entrance=entrance, finding=ranking, use_cases=lambda: ("chat",))  # type: ignore[arg-type]
        app = api.application(posted, listed, entrance, log=log.logger("gateway"))
        url = await stack.enter_async_context(
            web.listening(app, "127.0.0.1", 0, section="gateway", closing_s=1, head_s=head_s)
        )
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=url, timeout=60.0, trust_env=False)
        )
        made = Door(url, client, ranking, reports, usage)
        made.servers = replays
        yield made


async def settled() -> None:
    """Let tasks of the gateway that are ready run."""
    for _ in range(5):
        await asyncio.sleep(0)
