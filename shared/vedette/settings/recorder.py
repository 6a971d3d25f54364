"""`[database]`: the recorder's."""

from typing import Annotated

from msgspec import Meta

from vedette.settings.section import Secret, Section


class Database(Section, frozen=True, kw_only=True):
    """Where the history is stored: at `url` (a text or a secret), else in SQLite in the state directory."""

    url: str | Secret | None = None
    retention_days: Annotated[int, Meta(ge=1, le=3650)] = 30

    @property
    def address(self) -> str | None:
        """The URL, also if it is a secret. Raises ConfigurationError."""
        return self.url.read("database.url") if isinstance(self.url, Secret) else self.url
