"""The metrics of the discoverer."""

from prometheus_client import Gauge

APPEARED = Gauge(
    "vedette_discovery_endpoints",
    "Endpoints that a source of endpoints shows, by their state.",
    ["source", "state"],
)
PROBLEMS = Gauge(
    "vedette_discovery_problems",
    "Objects that ask to be an endpoint and are none, and places that cannot be seen.",
    ["source"],
)
