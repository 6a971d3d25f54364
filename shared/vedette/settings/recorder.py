"""`[database]`: the recorder's."""

from typing import Annotated

from msgspec import Meta

from vedette.settings.section import Secret, Section


class Database(Section, frozen=True, kw_only=True):
    """Where history is kept: SQLite under the state directory unless a URL is given, as text or as a secret."""

    url: str | Secret | None = None
    retention_days: Annotated[int, Meta(ge=1, le=3650)] = 30

    @property
    def address(self) -> str | None:
        """The URL, read where it is a secret. Raises ConfigurationError."""
        return self.url.read("database.url") if isinstance(self.url, Secret) else self.url
