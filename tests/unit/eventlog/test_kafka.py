from __future__ import annotations

from kafka.errors import KafkaTimeoutError, UnknownTopicOrPartitionError

from spanstream.eventlog.kafka.client import translated


def test_error_of_kafka_is_named_once() -> None:
    assert str(translated(KafkaTimeoutError("too late"))) == "Kafka: KafkaTimeoutError: too late"
    assert str(translated(UnknownTopicOrPartitionError())) == "Kafka: [Error 3] UnknownTopicOrPartitionError"
