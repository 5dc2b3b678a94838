"""The log on Apache Kafka, through kafka-python: nothing outside of this package knows that client."""
