"""How brokers are known and logged in to."""

from __future__ import annotations

from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.net.sasl import get_sasl_mechanism

from spanstream.eventlog.access import OPEN, Access
from spanstream.eventlog.kafka.client import brokers

CA = Path("/etc/ca.crt")


def test_a_login_is_whole_and_goes_over_tls_alone() -> None:
    with pytest.raises(ValueError, match="LOG_PASSWORD"):
        Access(CA, "indexer")
    with pytest.raises(ValueError, match="LOG_CA_FILE"):
        Access(None, "indexer", "hush")
    assert "hush" not in repr(Access(CA, "indexer", "hush"))


def test_without_anything_brokers_are_spoken_to_as_they_are() -> None:
    assert brokers(["a:1", "b:2"], OPEN) == {"bootstrap_servers": ["a:1", "b:2"]}


def test_certificates_mean_tls_and_a_user_a_login() -> None:
    assert brokers(["a:1"], Access(CA))["security_protocol"] == "SSL"
    options = brokers(["a:1"], Access(CA, "indexer", "hush"))
    assert options["security_protocol"] == "SASL_SSL"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("indexer", "hush")
    assert get_sasl_mechanism(options["sasl_mechanism"])


@pytest.mark.parametrize("client", [KafkaAdminClient, KafkaConsumer, KafkaProducer])
def test_every_client_has_these_options(client: type) -> None:
    assert set(brokers(["a:1"], Access(CA, "indexer", "hush"))) <= set(client.DEFAULT_CONFIG)  # type: ignore[attr-defined]
