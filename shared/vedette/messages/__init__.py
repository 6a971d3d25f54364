"""What services send over NATS: events, queries, subjects; and the catalogue, which is built from events. Pure."""
