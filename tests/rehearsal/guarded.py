"""A real Kafka with a second door: TLS, a login with SCRAM-SHA-512, and nothing allowed that no ACL allows.

Through the first door, on loopback, we are what Strimzi's operators are: they make its topics, users and ACLs of the
chart's KafkaTopics and KafkaUsers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from spanstream.standalone.broker import LocalBroker
from spanstream.standalone.ports import HOST
from tests.fixtures.certificates import certificate
from tests.fixtures.product import free_port
from tests.rehearsal.manifests import Resource

REPLICAS = "min.insync.replicas"

_PROPERTIES = """
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.guarded.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.guarded.ssl.keystore.type=PEM
listener.name.guarded.ssl.keystore.location={keystore}
broker.session.timeout.ms=60000
"""


class GuardedBroker(LocalBroker):
    """`guarded`: host:port of the door that asks. `certificate`: who signs the broker's, as PEM."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._keystore = folder / "broker.pem"
        port = free_port()
        self.guarded = f"{HOST}:{port}"
        self.certificate, key = certificate()
        self._pem = key + self.certificate

    def _configure(self, java: list[str]) -> None:
        super()._configure(java)
        self._keystore.write_text(self._pem)
        text = self._properties.read_text()
        text = re.sub(r"^((?:advertised\.)?listeners=.*)$", rf"\1,GUARDED://{self.guarded}", text, flags=re.MULTILINE)
        text = re.sub(r"^(listener\.security\.protocol\.map=.*)$", r"\1,GUARDED:SASL_SSL", text, flags=re.MULTILINE)
        self._properties.write_text(text + _PROPERTIES.format(keystore=self._keystore))

    def password(self, user: str) -> str:
        """That `apply` gives a user."""
        return f"secret of {user}"

    def apply(self, topics: Iterable[Resource], users: Collection[Resource]) -> None:
        """What Strimzi makes of KafkaTopics and KafkaUsers."""
        admin = KafkaAdminClient(bootstrap_servers=[self.url.removeprefix("kafka://")])
        try:
            wanted = {
                one["metadata"]["name"]: {
                    "num_partitions": one["spec"]["partitions"],
                    "replication_factor": 1,  # it is one broker
                    "configs": {name: str(value) for name, value in one["spec"]["config"].items() if name != REPLICAS},
                }
                for one in topics
            }
            if wanted:  # users may come with a later upgrade
                admin.create_topics(wanted, wait_for_metadata=True)
            upserts = [
                UserScramCredentialUpsertion(name, ScramMechanism.SCRAM_SHA_512, self.password(name))
                for name in (user["metadata"]["name"] for user in users)
            ]
            admin.alter_user_scram_credentials(upserts)
            admin.create_acls([acl for user in users for acl in acls(user)])
        finally:
            admin.close()


_PATTERNS = {"literal": ACLResourcePatternType.LITERAL, "prefix": ACLResourcePatternType.PREFIXED}
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")


def acls(user: Resource) -> Iterator[Any]:
    """Of a KafkaUser."""
    for one in user["spec"]["authorization"]["acls"]:
        kind = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP}[one["resource"]["type"]]
        for operation in one["operations"]:
            yield ACL(
                principal=f"User:{user['metadata']['name']}",
                host="*",
                operation=ACLOperation[_WORDS.sub("_", operation).upper()],  # DescribeConfigs: DESCRIBE_CONFIGS
                permission_type=ACLPermissionType.ALLOW,
                resource_pattern=ResourcePattern(
                    kind, one["resource"]["name"], _PATTERNS[one["resource"]["patternType"]]
                ),
            )
