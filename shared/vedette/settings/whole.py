"""The whole configuration: the section of each owner."""

import re
from collections.abc import Iterator
from typing import ClassVar

from vedette.settings.benchmarker import Benchmarking, Evaluating
from vedette.settings.bus import Nats
from vedette.settings.console import Console
from vedette.settings.defined import Defined
from vedette.settings.discovery import Discovery
from vedette.settings.endpoints import EndpointSettings, Outbound
from vedette.settings.gateway import Gateway
from vedette.settings.prober import Probing
from vedette.settings.recommender import Recommend, Vouched
from vedette.settings.recorder import Database
from vedette.settings.runtime import Http
from vedette.settings.section import Problem, Section
from vedette.settings.ticker import Schedule
from vedette.settings.webhooks import Webhook

_ENDPOINT_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")


def wrong_with_name(endpoint: str) -> str | None:
    """Return why *endpoint* cannot be the name of an endpoint, or None."""
    if _ENDPOINT_NAME.match(endpoint):
        return None
    return "an endpoint's name is lower-case letters, digits and hyphens, at most 63"


class Settings(Section, frozen=True, kw_only=True):
    """The whole configuration. Everything has a default.

    `endpoints` are the endpoints in force. `defined` says which of them do not come from the file alone; it is never in
    a file.
    """

    NOT_IN_FILE: ClassVar = ("defined",)

    endpoints: dict[str, EndpointSettings] = {}
    schedule: Schedule = Schedule()
    nats: Nats = Nats()
    database: Database = Database()
    http: Http = Http()
    console: Console = Console()
    gateway: Gateway = Gateway()
    outbound: Outbound = Outbound()
    probing: Probing = Probing()
    benchmarking: Benchmarking = Benchmarking()
    evaluating: Evaluating = Evaluating()
    recommend: Recommend = Recommend()
    quality: tuple[Vouched, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    discovery: Discovery = Discovery()
    defined: Defined = Defined()

    @classmethod
    def sections(cls) -> tuple[str, ...]:
        """Return the names of all sections that a file may have."""
        return tuple(name for name in cls.__struct_fields__ if name not in cls.NOT_IN_FILE)

    def check(self) -> Iterator[Problem]:
        """Yield invalid names of endpoints, and problems that prevent deliveries to webhooks."""
        for name in self.endpoints:
            if problem := wrong_with_name(name):
                yield f"endpoints.{name}", problem
        names = [webhook.name for webhook in self.webhooks]
        for place, name in enumerate(names):
            if name in names[:place]:
                yield f"webhooks[{place}].name", f"{name!r} is the name of an earlier webhook"
        if names and not self.console.enabled:
            yield "webhooks", "the console sends them; set enabled = true under [console], or remove them"
