"""The recorder's checks of a configuration."""

from collections.abc import Iterator

from vedette.errors import ConfigurationError
from vedette.settings import Settings
from vedette_recorder.store import Store


def problems(settings: Settings) -> Iterator[ConfigurationError]:
    """Yield why the database cannot be used, as far as is known without connecting: its URL, its driver."""
    try:
        address = settings.database.address
        if address is not None:
            Store(address)
    except ConfigurationError as error:
        yield error
