"""Metrics of the gateway."""

from typing import Final

from prometheus_client import Counter, Histogram

UNKNOWN: Final = "-"  # the caller of a request without a right key: no key has this name

REQUESTS = Counter(
    "vedette_gateway_requests_total", "Requests, by caller and how they ended.", ["caller", "outcome"]
)
CALLS = Counter(
    "vedette_gateway_calls_total",
    "Calls of models, by endpoint and how they ended.",
    ["vedette_endpoint", "outcome"],
)
TOKENS = Counter("vedette_gateway_tokens_total", "Tokens of prompts and answers, by caller.", ["caller"])
USD = Counter("vedette_gateway_usd_total", "US dollars that calls cost, by caller.", ["caller"])
DECISION_SECONDS = Histogram(
    "vedette_gateway_decision_seconds",
    "How long it took to choose the models of a request.",
    buckets=(0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 2),
)
