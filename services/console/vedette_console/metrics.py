"""The metrics of the console."""

from prometheus_client import Counter, Gauge

WEBHOOK_DELIVERIES = Counter(
    "vedette_webhook_deliveries_total",
    "Attempts to send an event to a webhook: delivered, failed, or given up as a dead letter.",
    ["webhook", "outcome"],
)
WEBHOOK_PENDING = Gauge("vedette_webhook_pending", "Events that wait to be sent to a webhook.", ["webhook"])
WEBHOOK_FAILING = Gauge(
    "vedette_webhook_failing", "1 while the last attempt to send to a webhook failed, else 0.", ["webhook"]
)
