"""The configuration: one TOML file, read into one struct. Each section has a module, named after its owner.

No file is needed. Durations are text (`"500ms"`, `"30s"`, `"30m"`, `"6h"`, `"7d"`) or seconds. The file never has
secrets, only references: `{ env = "NAME" }` or `{ file = "/path" }`.
"""

from vedette.settings.benchmarker import Benchmarking, Evaluating, Judge
from vedette.settings.bus import Nats
from vedette.settings.console import CONSOLE_PORT, Console
from vedette.settings.defined import Defined, Seen
from vedette.settings.discoverer import Discovering
from vedette.settings.discovery import Discovery
from vedette.settings.durations import interval_s, is_cron, seconds
from vedette.settings.endpoints import CREDENTIALS, Basic, Budget, EndpointSettings, Load, Outbound, Rates
from vedette.settings.gateway import GATEWAY_PORT, CallerKey, Gateway
from vedette.settings.prober import Probing
from vedette.settings.reading import (
    DEFAULT_FILE,
    Source,
    endpoint_of,
    examine,
    load,
    ollama_url,
    parse,
    read,
    settings_file,
)
from vedette.settings.recommender import CustomUseCase, Recommend, Vouched, Weight
from vedette.settings.recorder import Database
from vedette.settings.runtime import Http
from vedette.settings.section import Seconds, Secret, Section
from vedette.settings.ticker import Schedule
from vedette.settings.webhooks import WEBHOOK_EVENTS, Webhook
from vedette.settings.whole import Settings, wrong_with_name
from vedette.types import LeftOut, Origin

__all__ = [
    "CONSOLE_PORT",
    "CREDENTIALS",
    "DEFAULT_FILE",
    "GATEWAY_PORT",
    "WEBHOOK_EVENTS",
    "Basic",
    "Benchmarking",
    "Budget",
    "CallerKey",
    "Console",
    "CustomUseCase",
    "Database",
    "Defined",
    "Discovering",
    "Discovery",
    "EndpointSettings",
    "Evaluating",
    "Gateway",
    "Http",
    "Judge",
    "LeftOut",
    "Load",
    "Nats",
    "Origin",
    "Outbound",
    "Probing",
    "Rates",
    "Recommend",
    "Schedule",
    "Seconds",
    "Secret",
    "Section",
    "Seen",
    "Settings",
    "Source",
    "Vouched",
    "Webhook",
    "Weight",
    "endpoint_of",
    "examine",
    "interval_s",
    "is_cron",
    "load",
    "ollama_url",
    "parse",
    "read",
    "seconds",
    "settings_file",
    "wrong_with_name",
]
