"""Indexer and gateway in one process, each with the settings of its own manifest: the engine in a folder lets one process open it.

`one_pod` makes of the two Deployments the one that runs `main`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.rehearsal.manifests import Resource, of_kind

ROOT = Path(__file__).resolve().parents[2]  # not from conftest.py, which would bring the test tools into the pod
# By its file's place, which is no mount and is not rewritten: nothing but the product is installed.
CODE = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.rehearsal.together import main; sys.exit(main())"
INDEXER, GATEWAY = "spanstream-indexer", "spanstream-gateway"


def one_pod(resources: Sequence[Resource], store: Path) -> list[Resource]:
    """The gateway's Deployment with one pod, which runs the indexer too, on an engine in `store`. Everything else as it was."""
    kept = [one for one in resources if one["metadata"]["name"] not in (INDEXER, GATEWAY) or one["kind"] == "Service"]
    deployments, maps = of_kind(resources, "Deployment"), of_kind(resources, "ConfigMap")
    made: Any = copy.deepcopy(deployments[GATEWAY])
    made["spec"] |= {"replicas": 1, "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}}
    spec, other = made["spec"]["template"]["spec"], deployments[INDEXER]["spec"]["template"]["spec"]
    container, others = spec["containers"][0], other["containers"][0]
    container["command"] = ["python", "-c", CODE]
    container["envFrom"] = [*others["envFrom"], *container["envFrom"]]
    container["env"] = _merged(others.get("env", []), container.get("env", []))
    container["volumeMounts"] = _merged(others["volumeMounts"], container["volumeMounts"])
    spec["volumes"] = _merged(other["volumes"], spec["volumes"])
    edge = {name: maps[name]["data"] | {"STORE_URL": f"edge:{store}"} for name in (INDEXER, GATEWAY)}
    return [
        *kept,
        made,
        *({"kind": "ConfigMap", "metadata": {"name": name}, "data": data} for name, data in edge.items()),
    ]


def _merged(one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    return list({each["name"]: each for each in (*one, *other)}.values())


def main() -> int:
    """As the two services' own __main__, with one store."""
    from spanstream.gateway import service as gateway
    from spanstream.gateway.settings import GatewaySettings
    from spanstream.indexer import service as indexer
    from spanstream.indexer.settings import IndexerSettings
    from spanstream.runtime import admin, logs
    from spanstream.runtime.service import run
    from spanstream.runtime.settings import AdminSettings
    from spanstream.store.opening import open_store

    of_gateway, of_indexer = GatewaySettings.read(), IndexerSettings.read()
    logs.configure(of_gateway.log_level)
    store = open_store(of_gateway.store_url)
    services = [indexer.build(of_indexer, store=store), gateway.build(of_gateway, store=store)]
    try:
        return run([*services, admin.build(AdminSettings.read(), services, [of_gateway, of_indexer])])
    finally:
        store.close()
