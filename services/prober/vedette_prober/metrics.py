"""The metrics of the prober."""

from prometheus_client import Counter

LOADS = Counter("vedette_load_readings_total", "Readings of the load of endpoints, by outcome.", ["outcome"])
