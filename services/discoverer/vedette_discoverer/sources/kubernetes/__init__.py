"""Endpoints of a Kubernetes cluster: the kinds that are read, their conversion, and the watches."""
