"""NATS and JetStream: connections, streams, consumers, publishing, following, jobs, permissions."""
