"""Posts to a URL that is not a model server: obeys `[outbound]`, limits time and size, follows no redirects."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from msgspec import Struct

from vedette import __version__
from vedette.clock import Clock
from vedette.errors import ConfigurationError, ProviderError
from vedette.providers._http import CONNECT_TIMEOUT_S, translated
from vedette.providers._lenient import text
from vedette.providers._refusals import wait_s
from vedette.providers._transport import Transport
from vedette.providers.addresses import origin
from vedette.types import Outcome

_HEADERS: Final = {"User-Agent": f"vedette/{__version__}", "Accept-Encoding": "identity"}
_MAX_REPLY_BYTES: Final = 4096
_MAX_REPLY_CHARACTERS: Final = 500


class Reply(Struct, frozen=True, kw_only=True):
    """The reply: status, the first 500 characters of its body as one line, and the wait that it asks for (s)."""

    status: int
    body: str = ""
    retry_after_s: float | None = None


class Poster:
    """Posts to *url*, without retries. Error texts name scheme, host and port only, because a path may be a secret."""

    def __init__(
        self, url: str, *, allowed: Sequence[str], ca_file: str | None, where: str, clock: Clock
    ) -> None:
        """Raise ConfigurationError for the setting *where* if the certificates in *ca_file* cannot be read."""
        self._url = url
        self._shown = origin(url)
        self._clock = clock
        trusted = trust(ca_file, where)
        self._transport = Transport(tuple(allowed), tls=trusted if urlsplit(url).scheme == "https" else None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def post(self, body: bytes, headers: Mapping[str, str], *, deadline_s: float) -> Reply:
        """POST *body*; return the reply with any status. Raises ProviderError if none is complete in *deadline_s*."""
        try:
            # httpx's timeouts restart with every byte.
            async with asyncio.timeout(deadline_s):
                with translated(self._shown):
                    return await self._post(body, headers)
        except TimeoutError as error:
            late = f"{self._shown}: no complete reply within {deadline_s:g} s"
            raise ProviderError(Outcome.TIMEOUT, late) from error

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        response = await self._transport.send(
            "POST", self._url, {**_HEADERS, **headers}, body, connect_s=CONNECT_TIMEOUT_S
        )
        async with aclosing(response):
            raw = bytearray()
            async for chunk in response.aiter_raw():
                raw += chunk
                if len(raw) >= _MAX_REPLY_BYTES:
                    break
            words = bytes(raw[:_MAX_REPLY_BYTES]).decode(errors="replace")
            return Reply(
                status=response.status_code,
                body=text(" ".join(words.split()), _MAX_REPLY_CHARACTERS) or "",
                retry_after_s=wait_s(response.headers, b"", self._clock.now()),
            )


def trust(ca_file: str | None, where: str) -> ssl.SSLContext:
    """Return the TLS context that trusts the certificates in *ca_file*; None: those of the system.

    Raises ConfigurationError for the setting *where* if the file cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(where=f"{where}.ca_file", problem=f"{ca_file}: {error}") from error
