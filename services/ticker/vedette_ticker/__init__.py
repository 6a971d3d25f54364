"""The ticker: says when a job is due, once, however many replicas run."""
