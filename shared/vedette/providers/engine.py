"""Lists the containers of a Docker engine on this machine, by its unix socket. It sends no other request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import msgspec

from vedette.clock import Clock
from vedette.errors import ProviderError
from vedette.providers import Access
from vedette.providers._http import Http
from vedette.types import Outcome


class Engine:
    """One Docker engine."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def containers(self, label: str) -> list[Any]:
        """Return the running containers that have *label*, as the engine lists them. Raises ProviderError."""
        filters = msgspec.json.encode({"label": [label]}).decode()
        found = await self._http.get(f"containers/json?filters={quote(filters, safe='')}")
        if not isinstance(found, list):
            raise ProviderError(Outcome.GARBAGE, "the reply is not from a Docker engine")
        return found


@asynccontextmanager
async def open_engine(socket: str, *, clock: Clock) -> AsyncIterator[Engine]:
    """Open the engine at the unix socket *socket*. This sends no request yet."""
    access = Access(endpoint="discovery.docker", url=f"http+unix://{quote(socket, safe='')}")
    async with Http(access, clock=clock) as http:
        yield Engine(http)
