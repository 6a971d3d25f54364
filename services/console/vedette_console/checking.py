"""The console's checks of a configuration."""

from collections.abc import Iterator

from vedette.errors import ConfigurationError
from vedette.providers.posting import trust
from vedette.settings import Settings
from vedette_console.webhooks.sending import target


def problems(settings: Settings) -> Iterator[ConfigurationError]:
    """Yield problems of webhooks that can be found without a connection: addresses, secrets, certificates."""
    for webhook in settings.webhooks:
        try:
            target(webhook, settings.outbound)
            trust(webhook.ca_file, f"webhooks.{webhook.name}")
        except ConfigurationError as error:
            yield error
