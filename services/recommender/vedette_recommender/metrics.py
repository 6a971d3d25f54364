"""The metrics of the recommender."""

from prometheus_client import REGISTRY, Gauge

from vedette_recommender.model_series import ModelSeries

MODELS = Gauge("vedette_models", "Present models, by status.", ["status"])
ENDPOINT_OK = Gauge(
    "vedette_endpoint_ok", "1 if the last contact with an endpoint succeeded.", ["vedette_endpoint"]
)
SEQUENCE = Gauge(
    "vedette_catalogue_sequence", "The stream sequence that the catalogue reflects; -1 until it is warm."
)
SEQUENCE.set(-1)
MODEL_SERIES = ModelSeries()
REGISTRY.register(MODEL_SERIES)
