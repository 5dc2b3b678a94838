"""All that a process is told otherwise than its manifest says: names are addresses below 127.0.0.0/8, mounts are folders.

1 A URL's host (with its port, where the neighbour is not ours) is the address of the Service or neighbour of that name.
2 `0.0.0.0` is the pod's own address: its ports are those of the manifest, as on a cluster, where each pod has an address.
3 A path at or below a mount, bare or after `file:`, lies in that mount's folder.
4 `python` is this interpreter. What an image sets (HOME, the working folder) is the pod's /tmp.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

ANY = "0.0.0.0"
_HOSTS = re.compile(r"(?<=://)[^/@\s]+")


def value(text: str, own: str, hosts: Mapping[str, str], folders: Mapping[str, Path]) -> str:
    """Of a variable or an argument. `own`: the pod's address, `hosts`: by name or name:port, `folders`: by mount path."""
    if text == ANY:
        return own
    scheme, path = ("file:", text.removeprefix("file:")) if text.startswith("file:") else ("", text)
    for mount in sorted(folders, key=len, reverse=True):
        if path == mount or path.startswith(f"{mount}/"):
            return f"{scheme}{folders[mount]}{path.removeprefix(mount)}"
    return _HOSTS.sub(lambda found: ",".join(_host(one, hosts) for one in found[0].split(",")), text)


def command(
    words: Sequence[str], python: str, own: str, hosts: Mapping[str, str], folders: Mapping[str, Path]
) -> list[str]:
    """A container's command and arguments."""
    return [python if word == "python" else value(word, own, hosts, folders) for word in words]


def _host(host: str, hosts: Mapping[str, str]) -> str:
    if host in hosts:
        return hosts[host]
    name, colon, port = host.partition(":")
    return f"{hosts[name]}{colon}{port}" if name in hosts else host
