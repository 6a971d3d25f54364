"""Runs services: their lifecycle, processes, the private nats-server, logs and metrics."""
