"""Everything rendered is valid: by Kubernetes' own schemas, and by those of the operators' resources."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from tests.contract.charts.conftest import Render
from tests.contract.charts.pods import CASES, IDS
from tools.helm import KUBERNETES

CORE = Path(kubernetes_validate.__file__).parent / f"kubernetes-json-schema/v{KUBERNETES}-local-strict"
OTHERS = Path(__file__).parents[1] / "schemas"


@cache
def registry() -> Registry[Any]:
    definitions = json.loads((CORE / "_definitions.json").read_text())
    return Registry().with_resource("_definitions.json", Resource.from_contents(definitions, DRAFT4)).crawl()


@cache
def validator(api: str, kind: str) -> Draft202012Validator:
    own = OTHERS / f"{kind.lower()}.json"
    group, _, version = api.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.partition(".")[0], version) if part)
    path = own if own.exists() else CORE / f"{name}.json"
    return Draft202012Validator(json.loads(path.read_text()), registry=registry())


def problems(resource: dict[str, Any]) -> list[str]:
    """What is wrong with it. Most resources are the same in many cases."""
    return _problems(json.dumps(resource))


@cache
def _problems(text: str) -> list[str]:
    resource = json.loads(text)
    found = validator(resource["apiVersion"], resource["kind"]).iter_errors(resource)
    return [f"{resource['kind']} {resource['metadata']['name']} {one.json_path}: {one.message[:300]}" for one in found]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_resources_are_valid(render: Render, case: tuple[str, ...]) -> None:
    found = [problem for resource in render(*case) for problem in problems(resource)]
    for resource in render(*case):
        if resource["kind"] == "RayService":
            cluster = resource["spec"]["rayClusterConfig"]
            for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
                pod = {"apiVersion": "v1", "kind": "Pod", **group["template"]}
                pod["metadata"] = pod["metadata"] | {"name": "ray"}
                found += problems(pod)
            service = {"apiVersion": "v1", "kind": "Service", **resource["spec"]["serveService"]}
            found += problems(service)
    assert found == []


def test_the_schemas_refuse_what_they_do_not_know(render: Render) -> None:
    (scaled,) = [
        one
        for one in render("production")
        if one["kind"] == "ScaledObject" and one["metadata"]["name"] == "spanstream-embedder"
    ]
    wrong = scaled | {"spec": scaled["spec"] | {"minReplicas": 1}}
    assert any("minReplicas" in problem for problem in problems(wrong))
    (deployment,) = [
        one for one in render("small") if one["kind"] == "Deployment" and "gateway" in one["metadata"]["name"]
    ]
    wrong = deployment | {"spec": deployment["spec"] | {"replica": 1}}
    assert any("replica" in problem for problem in problems(wrong))
