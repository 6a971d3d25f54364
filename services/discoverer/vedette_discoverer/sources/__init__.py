"""Sources of endpoints: objects of a cluster, DNS records, files, and containers become endpoints.

Each source gives a `View` of what it sees. `turnover` compares it with what was published, `publishing` does the rest.
"""
