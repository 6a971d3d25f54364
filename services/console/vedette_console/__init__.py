"""The console: pages for people and an HTTP API, by the same queries that agents ask."""
