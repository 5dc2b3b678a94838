from __future__ import annotations

from kafka.errors import KafkaTimeoutError, UnknownTopicOrPartitionError

from spanstream.eventlog.kafka import _translated


def test_error_of_kafka_is_named_once() -> None:
    assert str(_translated(KafkaTimeoutError("too late"))) == "Kafka: KafkaTimeoutError: too late"
    assert str(_translated(UnknownTopicOrPartitionError())) == "Kafka: [Error 3] UnknownTopicOrPartitionError"
