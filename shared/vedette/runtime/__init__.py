"""Runs services: start and stop, processes, the private nats-server, health and metrics."""
