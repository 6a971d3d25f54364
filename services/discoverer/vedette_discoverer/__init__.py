"""The discoverer: finds the models of every endpoint and publishes found, changed and lost models."""
