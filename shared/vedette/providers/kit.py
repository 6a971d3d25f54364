"""Tools for providers: HTTP with limits, lenient readers, streams as lines.

Providers in other packages import from here. The modules behind this one may change.
"""

from vedette.providers._http import Http
from vedette.providers._lenient import (
    count,
    decoded,
    embedded,
    is_name,
    known,
    listings,
    mapping,
    milliseconds,
    moment,
    number,
    rate,
    sequence,
    text,
    tokens,
    tool_object,
)
from vedette.providers._metrics import samples
from vedette.providers._stream import Calls, Events, arguments, lines, server_sent

__all__ = [
    "Calls",
    "Events",
    "Http",
    "arguments",
    "count",
    "decoded",
    "embedded",
    "is_name",
    "known",
    "lines",
    "listings",
    "mapping",
    "milliseconds",
    "moment",
    "number",
    "rate",
    "samples",
    "sequence",
    "server_sent",
    "text",
    "tokens",
    "tool_object",
]
