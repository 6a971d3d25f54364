"""Webhooks: events are chosen, queued for each webhook, signed, and sent until the receiver has taken them."""
