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
from tests.contract.charts.pods import CASES, IDS, MOVING, TOGGLES, pods
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


def all_problems(resources: list[dict[str, Any]]) -> list[str]:
    """Of what KubeRay makes of them too."""
    found = [problem for resource in resources for problem in problems(resource)]
    for resource in resources:
        if resource["kind"] == "RayService":
            cluster = resource["spec"]["rayClusterConfig"]
            for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
                pod = {"apiVersion": "v1", "kind": "Pod", **group["template"]}
                pod["metadata"] = pod["metadata"] | {"name": "ray"}
                found += problems(pod)
            service = {"apiVersion": "v1", "kind": "Service", **resource["spec"]["serveService"]}
            found += problems(service)
    return found


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_resources_are_valid(render: Render, case: tuple[str, ...]) -> None:
    assert all_problems(render(*case)) == []


# Texts that YAML would read as something else where they are not quoted.
NUMBER, SWITCH, PAIR = '"12345"', '"on"', '"CN=a: b"'
READ_OTHERWISE = (
    *(
        f"global.{name}={text}"
        for secret in ("auth.keysSecret", "auth.jwksSecret", "kafka.caSecret", "kafka.passwordSecret", "store.apiKeySecret", "store.caSecret")
        for name, text in ((f"{secret}.name", NUMBER), (f"{secret}.key", SWITCH))
    ),
    f"smoke.tokenSecret.name={NUMBER}",
    f"smoke.tokenSecret.key={SWITCH}",
    "global.store.url=https://qdrant:6333",
    f"global.pods.priorityClassName={NUMBER}",
    f"global.pods.labels.team={NUMBER}",
    f"global.image.pullSecrets=[{NUMBER}]",
    f"global.image.tag={NUMBER}",
    f"global.blobs.storageClass={SWITCH}",
    f"gateway.priorityClassName={SWITCH}",
    f"gateway.volumes.on.claim={NUMBER}",
    "gateway.volumes.on.mountPath=/models",
    f"encoder.volumes.on.claim={NUMBER}",
    "encoder.volumes.on.mountPath=/models",
    f"ingestorWorker.volumes.yes.claim={NUMBER}",
    "ingestorWorker.volumes.yes.mountPath=/models",
    """gateway.secrets.TOKEN="{name: '12345', key: 'on'}\"""",
    'monitoring.runbooks="https://x/a: b\'s"',
    "ingress.enabled=true",
    f"ingress.className={SWITCH}",
    f"ingress.host={NUMBER}",
    f"ingress.tlsSecret={NUMBER}",
    *(f"{name}.settings.AUTH_JWT_{key}" for name in ("ingestorApi", "gateway") for key in ("ISSUER=https://id", "AUDIENCE=x")),
)  # fmt: skip


@pytest.mark.parametrize("username", [NUMBER, SWITCH, PAIR])
@pytest.mark.parametrize("profile", ["small", "production", "gpu"])
def test_texts_that_read_as_something_else_stay_texts(render: Render, profile: str, username: str) -> None:
    over = (*READ_OTHERWISE, *TOGGLES["monitored"], *MOVING, f"global.kafka.username={username}")
    by_strimzi = (f"strimzi.cluster={SWITCH}",) if profile != "small" else ()
    resources = render(profile, *over, *by_strimzi)
    assert all_problems(resources) == []
    for pod in pods(resources):
        given = [one for one in pod.container.get("env", []) if one["name"] == "LOG_USERNAME"]
        assert all(one["value"] == json.loads(username) for one in given)
    (rules,) = [one for one in resources if one["kind"] == "PrometheusRule"]
    links = [rule["annotations"]["runbook_url"] for group in rules["spec"]["groups"] for rule in group["rules"]]
    assert {link.partition("#")[0] for link in links} == {"https://x/a: b's"}


@pytest.mark.parametrize("release", ["true", "on", "yes", "no", "null", "e1"])
def test_a_release_may_have_any_name_that_is_a_name(render: Render, release: str) -> None:
    assert all_problems(render("production", release=release)) == []


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
