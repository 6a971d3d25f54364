"""`[http]`: health and metrics of every process."""

from typing import Annotated

from msgspec import Meta

from vedette.settings.section import Section


class Http(Section, frozen=True, kw_only=True):
    """Where /livez, /readyz and /metrics are served. Port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
