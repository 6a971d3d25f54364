"""Sources of endpoints: what appears in a cluster, in DNS, in files or on a Docker engine becomes an endpoint.

Each source gives a `View` of what it sees. `turnover` compares it with what was published, `publishing` does the rest.
"""
