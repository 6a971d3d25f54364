"""Sources of endpoints: objects of a cluster, DNS records, files, and containers become endpoints.

Each source gives a `View` of its endpoints. `turnover` compares it with the published endpoints, and `publishing`
publishes the difference.
"""
