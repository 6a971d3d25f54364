"""`[console]`: the page and the HTTP API."""

from typing import Annotated, Final

from msgspec import Meta

from vedette.settings.section import Secret, Section

CONSOLE_PORT: Final = 7717


class Console(Section, frozen=True, kw_only=True):
    """The page and the HTTP API. On loopback every user may read; elsewhere a token or a trusted proxy is needed.

    The default of `port` is 7717, or a free one if that is taken. `operator_token` allows actions. A proxy at one of
    `trusted_proxies` that has logged a user in names the user in `trusted_header`. `hosts` are further names, in
    addition to `host`, under which browsers reach the page.
    """

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] | None = None
    token: Secret | None = None
    operator_token: Secret | None = None
    trusted_header: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    trusted_proxies: tuple[Annotated[str, Meta(min_length=1, max_length=100)], ...] = ()
    hosts: tuple[Annotated[str, Meta(min_length=1, max_length=253)], ...] = ()
