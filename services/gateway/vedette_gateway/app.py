"""Wiring of the gateway."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vedette.errors import ConfigurationError
from vedette.messages.channels import QUERIES
from vedette.messages.codec import encode
from vedette.messages.events import AnswerChanged, Event
from vedette.providers.observing import Api
from vedette.runtime import web
from vedette.runtime.service import Service, open_service
from vedette.settings import GATEWAY_PORT, Settings
from vedette.usecases import names
from vedette_gateway import api
from vedette_gateway.calling import Calls
from vedette_gateway.finding import Finding
from vedette_gateway.keys import open_to_strangers
from vedette_gateway.reporting import Reporting
from vedette_gateway.sharing import Sharing
from vedette_gateway.upstreams import Aside, Upstreams
from vedette_gateway.usage import Usage
from vedette_gateway.voting import Voting

_CLOSING_S = 30
_QUERIES = tuple(query for query in QUERIES if query.service == "gateway")


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[Service]:
    """Run the gateway while the context is open."""
    if problem := open_to_strangers(settings.gateway):
        raise ConfigurationError(where="gateway.host", problem=problem)
    async with open_service("gateway", settings) as service:
        clock = service.clock
        upstreams, aside = Upstreams(), Aside(monotonic=clock.monotonic)
        upstreams.reload(settings)
        usage = Usage(now=clock.now, replica=secrets.token_hex(6))
        sharing = Sharing(service.bus, usage)
        use_cases = names(settings)
        entrance = api.Entrance(settings.gateway, usage, now=clock.monotonic)
        calls = Calls(upstreams, aside, settings.gateway, clock)

        async def take_on(changed: Settings) -> None:
            nonlocal use_cases, calls
            if problem := open_to_strangers(changed.gateway):
                raise ConfigurationError(where="gateway.host", problem=problem)
            upstreams.reload(changed)
            use_cases = names(changed)
            entrance.reload(changed.gateway)
            calls = Calls(upstreams, aside, changed.gateway, clock)

        voting = Voting(upstreams, monotonic=clock.monotonic, log=service.log)
        finding = Finding(
            service.bus.connection,
            lambda: use_cases,
            monotonic=clock.monotonic,
            voting=voting,
            base_url=upstreams.base_url,
        )
        reporting = Reporting(service.bus.connection, service.log)

        def on_winner(event: Event, _: int) -> None:
            if isinstance(event, AnswerChanged):
                finding.winner_changed(event.use_case)

        await service.bus.followings.follow("ANSWERS", "answer.*", on_winner)
        await sharing.follow()

        def posted(name: Api) -> api.Posted:
            return api.Posted(
                name,
                entrance=entrance,
                finding=finding,
                calls=lambda: calls,
                reporting=reporting,
                usage=usage,
                log=service.log,
            )

        listed = api.Listed(entrance=entrance, finding=finding, use_cases=lambda: use_cases)
        app = api.application(posted, listed, entrance, log=service.log)
        service.on_reload(take_on)
        service.note(upstreams.note)
        service.before_closing(reporting.flush)
        service.before_closing(sharing.flush)
        await service.answer(_QUERIES, lambda _, payload: encode(entrance.usage(payload)))
        await service.start()
        service.bus.spawn(reporting.run())
        service.bus.spawn(sharing.run())
        service.bus.spawn(finding.keep_ready())
        gateway = settings.gateway
        async with web.listening(
            app,
            gateway.host,
            GATEWAY_PORT if gateway.port is None else gateway.port,
            section="gateway",
            closing_s=_CLOSING_S if gateway.closing_s is None else gateway.closing_s,
        ) as url:
            service.log.info("gateway.listening", url=url)
            yield service
        await voting.close()
        await upstreams.close()
