"""Sending one signed message to a receiver."""

from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from vedette.clock import Clock
from vedette.errors import ConfigurationError, ProviderError
from vedette.messages.codec import encode
from vedette.providers.posting import Poster, Reply
from vedette.settings import Outbound, Secret, Webhook
from vedette.settings.webhooks import wrong_with
from vedette_console.webhooks import signing
from vedette_console.webhooks.retrying import Attempt, failed, judged

DEADLINE_S: Final = 15.0
MAX_BODY_BYTES: Final = 256 * 1024


class Payload(Struct, frozen=True, kw_only=True):
    """The body of a message, as Standard Webhooks recommends it."""

    type: str
    timestamp: datetime
    data: Any


class Target(Struct, frozen=True, kw_only=True):
    """A webhook with its URL and secrets read. It contains secrets, so it never leaves the process."""

    webhook: Webhook
    url: str
    keys: tuple[bytes, ...]
    allowed: tuple[str, ...]


def target(webhook: Webhook, outbound: Outbound) -> Target:
    """Return *webhook* with its secrets read. Raises ConfigurationError, which names the wrong key."""
    where = f"webhooks.{webhook.name}"
    url = webhook.url.read(f"{where}.url") if isinstance(webhook.url, Secret) else webhook.url
    if problem := wrong_with(url):
        raise ConfigurationError(where=f"{where}.url", problem=problem)
    keys = tuple(
        signing.key(secret.read(place), place)
        for number, secret in enumerate(webhook.secrets)
        if (place := f"{where}.secret{'' if isinstance(webhook.secret, Secret) else f'[{number}]'}")
    )
    return Target(webhook=webhook, url=url, keys=keys, allowed=outbound.allow)


class Sender:
    """Sends to one target."""

    def __init__(self, target: Target, clock: Clock) -> None:
        """Raise ConfigurationError when the certificates of its `ca_file` cannot be read."""
        webhook = target.webhook
        self.target = target
        self._clock = clock
        self._poster = Poster(
            target.url,
            allowed=target.allowed,
            ca_file=webhook.ca_file,
            where=f"webhooks.{webhook.name}",
            clock=clock,
        )

    async def aclose(self) -> None:
        """Close its connections."""
        await self._poster.close()

    async def post(self, message_id: str, payload: Payload) -> Reply:
        """Sign and post *payload*; return the reply. Raises ProviderError."""
        body = encode(payload)
        headers = signing.headers(message_id, self._clock.now(), body, self.target.keys)
        return await self._poster.post(body, headers, deadline_s=DEADLINE_S)

    async def send(self, message_id: str, payload: Payload) -> Attempt:
        """Sign and post *payload*; return the result. It raises nothing for a failed request."""
        try:
            return judged(await self.post(message_id, payload))
        except ProviderError as error:
            return failed(error)
