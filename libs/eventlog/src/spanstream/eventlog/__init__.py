"""The log port, its Kafka and memory adapters, and the consumer loop."""
