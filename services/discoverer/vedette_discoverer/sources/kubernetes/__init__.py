"""Endpoints of a Kubernetes cluster: which kinds are read, what an object makes of an endpoint, and the watches."""
