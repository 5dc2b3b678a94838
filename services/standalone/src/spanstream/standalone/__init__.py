"""Every service in one process, with a local Kafka broker."""
