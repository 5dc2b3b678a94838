"""From an address to a log: `kafka://host:port[,host:port]` or `memory:[name]`."""

from __future__ import annotations

from functools import cache

from spanstream.eventlog.access import OPEN, Access
from spanstream.eventlog.log import Log
from spanstream.eventlog.memory import MemoryLog


def open_log(url: str, access: Access = OPEN) -> Log:
    """The log behind an address; nothing is connected before its first use. Raises ValueError on another address.

    `memory:` and `memory:<name>` are one log per name for the whole process, so that services given the same address
    reach each other, as they do with Kafka.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "memory":
        return _memory(rest)
    servers = rest.removeprefix("//").rstrip("/").split(",")
    if scheme == "kafka" and all(_is_server(server) for server in servers):
        from spanstream.eventlog.kafka.log import KafkaLog  # only now: a memory log needs no Kafka client

        return KafkaLog(servers, access)
    raise ValueError(f"LOG_URL must be kafka://host:port[,host:port] or memory:, not {url!r}")


def _is_server(server: str) -> bool:
    host, _, port = server.rpartition(":")
    return bool(host) and port.isdigit()


@cache
def _memory(name: str) -> MemoryLog:
    return MemoryLog()
