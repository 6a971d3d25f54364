"""`[nats]`: the broker."""

from typing import Annotated

from msgspec import Meta

from vedette.settings.section import Secret, Section


class Nats(Section, frozen=True, kw_only=True):
    """The NATS server. Without a `url`, a private server is started on loopback, on `port` or on its last port.

    `url` is one URL or several for a cluster: a list in the file, one text separated by commas elsewhere.
    """

    url: str | None = None
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    credentials: str | None = None  # a .creds file
    user: str | Secret | None = None
    password: Secret | None = None
    ca_file: str | None = None
    replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    expected_models: Annotated[int, Meta(ge=1)] = 1000  # decides the size of the stream MODELS
    provision: bool = True  # False: only "vedette provision" creates streams

    @property
    def login(self) -> tuple[str, str] | None:
        """The user name and password, or None without a user. Raises ConfigurationError."""
        if self.user is None:
            return None
        user = self.user.read("nats.user") if isinstance(self.user, Secret) else self.user
        return user, self.password.read("nats.password") if self.password else ""
