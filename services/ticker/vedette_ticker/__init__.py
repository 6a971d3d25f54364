"""The ticker: publishes when a job is due, once for any number of replicas."""
