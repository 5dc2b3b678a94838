"""What every pod keeps to: Pod Security "restricted", no token, nothing written but /tmp, limits, probes that tell the truth."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import pytest

from spanstream.runtime.service import STOP_SECONDS
from tests.conftest import ROOT
from tests.contract.charts.conftest import Render
from tests.contract.charts.pods import CASES, ENCODERS, IDS, MOVING, RAY, TOGGLES, Running, environment, pods
from tests.contract.test_compose import ENTRYPOINT

each_case = pytest.mark.parametrize("case", CASES, ids=IDS)


@each_case
def test_pods_are_restricted(render: Render, case: tuple[str, ...]) -> None:
    for pod in pods(render(*case)):
        own = pod.spec["securityContext"]
        assert own["runAsNonRoot"] is True, pod.name
        fixed = None if "global.pods.fixedUser=false" in case else 10001
        assert (own.get("runAsUser"), own.get("runAsGroup"), own.get("fsGroup")) == (fixed, fixed, fixed)
        assert own["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(pod.spec)
        assert all(
            set(volume) <= {"name", "emptyDir", "secret", "configMap", "persistentVolumeClaim"}
            for volume in pod.spec["volumes"]
        )
        inner = pod.container["securityContext"]
        assert inner["allowPrivilegeEscalation"] is False
        assert inner["readOnlyRootFilesystem"] is True
        assert inner["capabilities"] == {"drop": ["ALL"]}
        assert all("hostPort" not in port for port in pod.container.get("ports", []))
    for one in render(*case):
        if one["kind"] == "RayService" and "autoscalerOptions" in one["spec"]["rayClusterConfig"]:
            options = one["spec"]["rayClusterConfig"]["autoscalerOptions"]
            assert options["securityContext"]["readOnlyRootFilesystem"] is True
            assert options["resources"]["limits"]["memory"]
            assert {"name": "tmp", "mountPath": "/tmp"} in options["volumeMounts"]


@each_case
def test_pods_have_no_token_and_no_variables_of_other_services(render: Render, case: tuple[str, ...]) -> None:
    for pod in pods(render(*case)):
        autoscaling = (
            pod.kind == "RayService"
            and pod.name.endswith("-head")
            and _ray(render(*case), pod.component)["enableInTreeAutoscaling"]
        )
        assert pod.spec.get("automountServiceAccountToken") is (None if autoscaling else False), pod.name
        assert pod.spec["enableServiceLinks"] is False
    accounts = [one for one in render(*case) if one["kind"] == "ServiceAccount"]
    assert all(one["automountServiceAccountToken"] is False for one in accounts)
    assert not any(one["kind"].endswith(("Role", "RoleBinding")) for one in render(*case))


def _ray(resources: list[dict[str, Any]], component: str = "encoder") -> dict[str, Any]:
    (service,) = [
        one for one in resources if one["kind"] == "RayService" and one["metadata"]["name"] == f"spanstream-{component}"
    ]
    return dict(service["spec"]["rayClusterConfig"])


@each_case
def test_memory_is_limited_and_cores_are_asked_for(render: Render, case: tuple[str, ...]) -> None:
    for pod in pods(render(*case)):
        resources = pod.container["resources"]
        assert resources["limits"]["memory"], pod.name
        assert {"cpu", "memory"} <= set(resources["requests"]), pod.name
        assert all("sizeLimit" in volume["emptyDir"] for volume in pod.spec["volumes"] if "emptyDir" in volume)


@each_case
def test_rays_object_store_is_within_dev_shm(render: Render, case: tuple[str, ...]) -> None:
    """Else it is a file below /tmp, and the pod is evicted for its size."""
    for one in render(*case):
        if one["kind"] == "RayService":
            cluster = one["spec"]["rayClusterConfig"]
            for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
                volumes = {volume["name"]: volume for volume in group["template"]["spec"]["volumes"]}
                size = volumes["shm"]["emptyDir"]["sizeLimit"]
                bytes_ = int(size[:-2]) << {"Mi": 20, "Gi": 30}[size[-2:]]
                assert (
                    75 << 20 <= int(group["rayStartParams"]["object-store-memory"]) < bytes_
                )  # the least that Ray takes


@pytest.mark.parametrize("profile", ["small", "gpu"])
def test_every_pod_goes_where_all_are_told_to_go(render: Render, profile: str) -> None:
    """Those of hooks too: else an upgrade hangs on a cluster whose nodes are tainted, or of another architecture."""
    for pod in pods(render(profile, *MOVING, *TOGGLES["placed"])):
        assert pod.spec["nodeSelector"] == {"kubernetes.io/arch": "arm64"}, pod.name
        assert {"key": "dedicated", "operator": "Exists"} in pod.spec["tolerations"], pod.name
        assert pod.spec["priorityClassName"] == "search", pod.name
        assert pod.labels["team"] == "search", pod.name


def test_a_service_goes_where_it_is_told_to_and_bears_what_all_bear(render: Render) -> None:
    own = ("encoder.nodeSelector.disk=fast", "encoder.nodeSelector.kubernetes\\.io/arch=amd64")
    for pod in pods(render("gpu", *TOGGLES["placed"], *own, "encoder.priorityClassName=models")):
        if pod.name == "spanstream-encoder-worker":
            assert pod.spec["nodeSelector"] == {"disk": "fast", "kubernetes.io/arch": "amd64"}
            assert [each["key"] for each in pod.spec["tolerations"]] == ["dedicated", "nvidia.com/gpu"]
            assert pod.spec["priorityClassName"] == "models"
        else:
            assert pod.spec["nodeSelector"] == {"kubernetes.io/arch": "arm64"}, pod.name


def test_a_label_for_all_pods_takes_none_away_that_selectors_rest_on(render: Render) -> None:
    wrong = [f"global.pods.labels.app\\.kubernetes\\.io/{name}=other" for name in ("name", "instance", "component")]
    right = {pod.name: pod.labels for pod in pods(render("small"))}
    assert {pod.name: pod.labels for pod in pods(render("small", *wrong))} == right


def test_cores_can_be_limited_everywhere(render: Render) -> None:
    """As a quota on limits of cores asks."""
    aliases = ("ingestorApi", "ingestorWorker", "embedder", "encoder", "encoder.ray.head", "indexer", "gateway")
    aliases += ("otherEncoder", "otherEncoder.ray.head", "migration")
    sets = [f"{name}.resources.limits.cpu=8" for name in (*aliases, "topics", "smoke")]
    for profile in ("small", "gpu"):
        resources = render(profile, *MOVING, *sets, "encoder.ray.autoscalerResources.limits.cpu=2")
        assert all(pod.container["resources"]["limits"]["cpu"] for pod in pods(resources))
        if profile == "gpu":
            assert _ray(resources)["autoscalerOptions"]["resources"]["limits"]["cpu"]


@pytest.mark.parametrize("profile", ["small", "gpu"])
def test_a_service_takes_variables_from_secrets_of_the_administrators(render: Render, profile: str) -> None:
    """The encoder on Ray too: a collector's credentials, say."""
    reference = r" {name: collector\, key: headers}"  # --set takes what begins with a brace for a list
    names = ("encoder", "gateway", "migration")
    sets = [f"{name}.secrets.OTEL_EXPORTER_OTLP_HEADERS={reference}" for name in names]
    found = [pod for pod in pods(render(profile, *MOVING, *sets)) if pod.component in names]
    assert {pod.component for pod in found} == set(names)
    for pod in found:
        (given,) = [each for each in pod.container["env"] if each["name"] == "OTEL_EXPORTER_OTLP_HEADERS"]
        assert given["valueFrom"]["secretKeyRef"] == {"name": "collector", "key": "headers"}


def test_a_pod_of_ray_waits_only_where_it_may(render: Render) -> None:
    """Kubernetes refuses a sleep of 0 s."""
    for pod in pods(render("gpu", "encoder.preStopSeconds=0")):
        assert pod.component != "encoder" or "lifecycle" not in pod.container


@pytest.mark.parametrize("profile", ["small", "gpu"])
def test_every_pod_may_pull_its_image(render: Render, profile: str) -> None:
    for pod in pods(render(profile, *MOVING, "global.image.pullSecrets={pull}")):
        assert pod.spec["imagePullSecrets"] == [{"name": "pull"}], pod.name


@pytest.mark.parametrize("profile", ["production", "gpu"])
def test_every_service_takes_labels_and_annotations_for_its_pods(render: Render, profile: str) -> None:
    aliases = ("encoder", "gateway", "ingestorApi", "ingestorWorker", "embedder", "indexer")
    sets = [f"{alias}.{kind}.team=search" for alias in aliases for kind in ("podLabels", "podAnnotations")]
    for one in render(profile, *sets):
        templates = []
        if one["kind"] == "Deployment":
            templates = [one["spec"]["template"]]
        elif one["kind"] == "RayService":
            cluster = one["spec"]["rayClusterConfig"]
            templates = [group["template"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
        for template in templates:
            assert template["metadata"]["labels"]["team"] == template["metadata"]["annotations"]["team"] == "search"


@each_case
def test_the_models_threads_are_the_cores_that_it_asks_for(render: Render, case: tuple[str, ...]) -> None:
    for pod in pods(render(*case)):
        if pod.component in ENCODERS and not pod.name.endswith("-head"):
            given = environment(pod, render(*case))
            cores = math.ceil(float(given.get("ENCODER_CPUS", pod.container["resources"]["requests"]["cpu"])))
            assert int(given["ENCODER_THREADS"]) == cores, pod.name


@each_case
def test_probes_ask_the_admin_port_and_only_readiness_depends_on_neighbours(
    render: Render, case: tuple[str, ...]
) -> None:
    for pod in pods(render(*case)):
        if pod.kind == "Deployment" or pod.component == "migration":
            container = pod.container
            (port,) = [port["containerPort"] for port in container["ports"] if port["name"] == "admin"]
            assert environment(pod, render(*case))["ADMIN_PORT"] == str(port)
            paths = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
            assert {probe["port"] for probe in paths.values()} == {"admin"}
            assert paths["startup"]["path"] == paths["liveness"]["path"] == "/livez"
            assert paths["readiness"]["path"] == "/readyz"
        elif pod.kind == "RayService":
            assert all(f"{kind}Probe" in pod.container for kind in ("startup", "liveness", "readiness"))


@each_case
def test_the_grace_period_holds_what_happens_in_it(render: Render, case: tuple[str, ...]) -> None:
    for pod in pods(render(*case)):
        if pod.kind not in ("Deployment", "RayService") and pod.component != "migration":
            continue
        waits = pod.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        drains = float(environment(pod, render(*case)).get("ENCODER_DRAIN_SECONDS", STOP_SECONDS))
        assert pod.spec["terminationGracePeriodSeconds"] >= waits + drains + 5, pod.name
        # What is sent requests waits until it is sent none any more.
        assert (waits > 0) == (
            {port["name"] for port in pod.container["ports"]} > {"admin"} or pod.kind == "RayService"
        )


@each_case
def test_what_runs_more_than_once_survives_a_drain(render: Render, case: tuple[str, ...]) -> None:
    resources = render(*case)
    budgets = {one["metadata"]["name"] for one in resources if one["kind"] == "PodDisruptionBudget"}
    for one in resources:
        name = one["metadata"]["name"]
        if one["kind"] == "Deployment":
            assert (_most(name, one, resources) > 1) == (name in budgets), name
        elif one["kind"] == "RayService":
            (group,) = one["spec"]["rayClusterConfig"]["workerGroupSpecs"]
            assert (group["replicas"] > 1) == (name in budgets)
            # A RayCluster has no scale, without which a budget of maxUnavailable lets nobody go, ever.
            assert all(
                budget["spec"]["minAvailable"] == group["replicas"] - 1
                for budget in resources
                if budget["kind"] == "PodDisruptionBudget" and budget["metadata"]["name"] == name
            )


def _most(name: str, deployment: dict[str, Any], resources: list[dict[str, Any]]) -> int:
    for one in resources:
        if one["kind"] == "HorizontalPodAutoscaler" and one["metadata"]["name"] == name:
            assert "replicas" not in deployment["spec"]  # an upgrade would undo the scaling
            return int(one["spec"]["maxReplicas"])
        if one["kind"] == "ScaledObject" and one["metadata"]["name"] == name:
            assert "replicas" not in deployment["spec"]
            return int(one["spec"]["maxReplicaCount"])
    return int(deployment["spec"]["replicas"])


@each_case
def test_consumers_never_exceed_the_partitions(render: Render, case: tuple[str, ...]) -> None:
    resources = render(*case)
    topics = [one["spec"]["partitions"] for one in resources if one["kind"] == "KafkaTopic"] or [6]
    for pod in pods(resources):
        if pod.kind == "Deployment" and pod.component in ("ingestor-worker", "embedder", "indexer"):
            (deployment,) = [
                one for one in resources if one["kind"] == "Deployment" and one["metadata"]["name"] == pod.name
            ]
            members = int(environment(pod, resources).get("EMBEDDER_LOOPS", "1"))
            assert _most(pod.name, deployment, resources) * members <= min(topics)


@each_case
def test_what_is_mounted_is_there_and_what_is_selected_exists(render: Render, case: tuple[str, ...]) -> None:
    resources = render(*case)
    running = list(pods(resources))
    for pod in running:
        volumes = {volume["name"] for volume in pod.spec["volumes"]}
        assert {mount["name"] for mount in pod.container["volumeMounts"]} == volumes, pod.name
        ports = [port["name"] for port in pod.container.get("ports", [])]
        assert len(ports) == len(set(ports))
    for kind, selector in _selectors(resources):
        matched = [pod for pod in running if selector.items() <= pod.labels.items()]
        assert matched, (kind, selector)


def _selectors(resources: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, str]]]:
    for one in resources:
        spec = one.get("spec", {})
        if one["kind"] == "Service":
            yield "Service", spec["selector"]
        elif one["kind"] in ("PodDisruptionBudget", "PodMonitor"):
            yield one["kind"], spec["selector"]["matchLabels"]
        elif one["kind"] == "NetworkPolicy" and "smoke" not in one["metadata"]["name"]:
            yield one["kind"], spec["podSelector"]["matchLabels"]


@each_case
def test_a_hook_before_the_install_needs_nothing_that_comes_with_it(render: Render, case: tuple[str, ...]) -> None:
    """Its network policy comes before it: a namespace that denies by default would hold it up for ever."""
    resources = render(*case)
    before = {(one["kind"], one["metadata"]["name"]): _weight(one) for one in resources if _weight(one) is not None}
    for pod in pods(resources):
        weight = before.get((pod.kind, pod.name))
        if weight is None:
            continue
        assert "envFrom" not in pod.container
        assert "serviceAccountName" not in pod.spec
        assert {kind for volume in pod.spec["volumes"] for kind in volume} <= {"name", "emptyDir", "secret"}
        if any(one["kind"] == "NetworkPolicy" for one in resources):
            own = before[("NetworkPolicy", pod.name)]
            assert own is not None
            assert own < weight


def _weight(one: dict[str, Any]) -> int | None:
    """Of a hook before the install; None: it is none."""
    found = one["metadata"].get("annotations") or {}
    return int(found["helm.sh/hook-weight"]) if "pre-install" in found.get("helm.sh/hook", "") else None


def test_nothing_secret_is_in_a_variable_or_a_config_map(render: Render) -> None:
    for case in CASES:
        for one in render(*case):
            assert one["kind"] != "Secret"
            if one["kind"] == "ConfigMap":
                assert not [name for name in one["data"] if re.search(r"KEY$|TOKEN|PASSWORD", name)]
        for pod in pods(render(*case)):
            for variable in pod.container.get("env", []):
                if re.search(r"API_KEY|TOKEN|PASSWORD", variable["name"]):
                    assert "secretKeyRef" in variable["valueFrom"]


def test_modules_are_those_of_their_images(render: Render) -> None:
    stages = dict(re.findall(ENTRYPOINT, (ROOT / "docker/Dockerfile").read_text()))

    def image(pod: Running) -> str:
        return re.findall(r"/(\w+)[:@][^/]*$", pod.container["image"])[0]

    found = {pod.component: pod for pod in pods(render("production", *MOVING)) if pod.component != "smoke"}
    assert {"encoder", "other-encoder", "migration"} <= set(found)
    for pod in found.values():
        assert stages[image(pod)] == pod.module


# --- Another release of the encoder ---

HALVES = {
    "ConfigMap",
    "Deployment",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Service",
    "ServiceAccount",
    "ServiceMonitor",
}


def of(component: str, resources: list[dict[str, Any]]) -> dict[str, str]:
    """Names by kind of what bears a component's label."""
    return {
        one["kind"]: one["metadata"]["name"]
        for one in resources
        if one["metadata"]["labels"]["app.kubernetes.io/component"] == component
    }


@pytest.mark.parametrize(
    ("toggle", "deployed", "asked", "next_one", "moves"),
    [
        ("monitored", {"encoder"}, "encoder", None, False),
        ("moving", {"encoder", "other-encoder"}, "encoder", "other-encoder", True),
        ("moved", {"encoder", "other-encoder"}, "other-encoder", None, True),
        ("alone", {"other-encoder"}, "other-encoder", None, False),
        ("moving back", {"encoder", "other-encoder"}, "other-encoder", "encoder", True),
        ("moved back", {"encoder", "other-encoder"}, "encoder", None, True),
    ],
)
def test_what_is_deployed_while_documents_move(
    render: Render, toggle: str, deployed: set[str], asked: str, next_one: str | None, moves: bool
) -> None:
    """Of an encoder that is away there is nothing; the gateway is told of the next one while it is another one."""
    resources = render("small", *TOGGLES["monitored"], *TOGGLES[toggle])
    for name in ENCODERS:
        assert set(of(name, resources)) == (HALVES if name in deployed else set())
    given = {pod.component: environment(pod, resources) for pod in pods(resources)}
    assert ("migration" in given) == moves
    assert set(of("migration", resources)) == (
        {"Job", "NetworkPolicy", "PodMonitor", "ServiceAccount"} if moves else set()
    )
    for name in ("embedder", "indexer", "gateway"):
        assert given[name]["ENCODER_URL"] == f"http://spanstream-{asked}:8082"
    url = next_one and f"http://spanstream-{next_one}:8082"
    assert given["gateway"].get("NEXT_ENCODER_URL") == url
    if moves:  # it is always told, and knows by that where it is
        assert given["migration"]["ENCODER_URL"] == given["gateway"]["ENCODER_URL"]
        assert given["migration"]["NEXT_ENCODER_URL"] == (url or given["gateway"]["ENCODER_URL"])


@pytest.mark.parametrize(
    ("name", "component", "toggle"), [("encoder", "encoder", "alone"), ("otherEncoder", "other-encoder", "monitored")]
)
def test_an_encoder_that_is_away_leaves_nothing_of_its_scaling_or_of_ray(
    render: Render, name: str, component: str, toggle: str
) -> None:
    for sets in ((f"{name}.autoscaling.kind=cpu",), RAY):
        assert of(component, render("small", *TOGGLES["monitored"], *TOGGLES[toggle], *sets)) == {}


def test_a_job_with_other_values_is_another_job_and_one_with_the_same_is_the_same(render: Render) -> None:
    """Its template cannot change."""

    def job(*sets: str) -> str:
        return of("migration", render("small", *MOVING, *sets))["Job"]

    same, changed = (
        job(),
        [
            job("migration.rate=5"),
            job("migration.begin=false"),
            job("migration.settings.LOG_LEVEL=debug"),
            job("migration.resources.limits.memory=3Gi"),
            job("ingestorWorker.settings.INGESTOR_MAX_PASSAGES=5"),
            job("global.index.encoder=otherEncoder"),
            job("global.image.tag=v2"),
            job("global.index.compression=binary"),
            # What the next encoder's release follows from: else a job that has ended would be the one of another release too.
            job("otherEncoder.settings.ENCODER_MODEL=another"),
            job("otherEncoder.volumes.models.mountPath=/models", "otherEncoder.volumes.models.claim=models"),
            job(f"global.image.digests.encoder=sha256:{'0' * 64}"),
        ],
    )
    assert job("ingestorWorker.replicas=1", "gateway.settings.GATEWAY_SEARCHES_WAITING=9") == same
    assert job("otherEncoder.replicas=2", "encoder.settings.ENCODER_THREADS=1") == same
    assert len({same, *changed}) == len(changed) + 1
    assert all(re.fullmatch(r"spanstream-migration-[0-9a-f]{8}", name) for name in (same, *changed))


def test_the_job_goes_on_until_the_migration_has_ended(render: Render) -> None:
    (job,) = [
        one for one in render("small", *MOVING) if one["kind"] == "Job" and "migration" in one["metadata"]["name"]
    ]
    assert "annotations" not in job["metadata"]  # no hook
    assert job["spec"]["backoffLimit"] >= 100
    assert "activeDeadlineSeconds" not in job["spec"]
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"


def test_the_job_cuts_texts_and_finds_files_as_the_ingestor_does(render: Render) -> None:
    limits = {"INGESTOR_MAX_PASSAGES": "500", "INGESTOR_MAX_TEXT_CHARACTERS": "4194304"}
    sets = [f"ingestorWorker.settings.{name}={value}" for name, value in limits.items()]
    resources = render("production", *MOVING, *sets, "ingestorWorker.settings.LOG_LEVEL=debug", "migration.rate=3")
    own, worker = (
        next(pod for pod in pods(resources) if pod.component == name) for name in ("migration", "ingestor-worker")
    )
    given, theirs = environment(own, resources), environment(worker, resources)
    assert given.items() >= limits.items()
    assert "LOG_LEVEL" not in given  # it has `migration.settings`
    for name in ("LOG_URL", "LOG_CA_FILE", "BLOB_URL", "SPANS"):
        assert given[name] == theirs[name]
    assert given["LOG_USERNAME"] == "spanstream-migration"
    assert given["MIGRATION_RATE"] == "3"
    assert given["SPANSTREAM_DATA"].startswith("/tmp/")
    references = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in own.container["env"] if "valueFrom" in one}
    assert references["LOG_PASSWORD"] == {"name": "spanstream-migration", "key": "password"}
    assert references["STORE_API_KEY"] == {"name": "qdrant", "key": "api-key"}
    claims = [
        [one["persistentVolumeClaim"] for one in pod.spec["volumes"] if "persistentVolumeClaim" in one]
        for pod in (own, worker)
    ]
    assert claims[0] == claims[1] != []


def test_the_job_opens_buckets_as_the_parse_worker_and_thins_spans_as_the_embedder(render: Render) -> None:
    reference = r" {name: bucket\, key: secret}"
    sets = (
        f"ingestorWorker.secrets.AWS_SECRET_ACCESS_KEY={reference}",
        "embedder.settings.EMBEDDER_SPAN_SIMILARITY=0.95",
    )
    for case in (("small", *MOVING), ("production", *MOVING)):
        (own,) = [pod for pod in pods(render(*case, *sets)) if pod.component == "migration"]
        references = {
            one["name"]: one["valueFrom"]["secretKeyRef"] for one in own.container["env"] if "valueFrom" in one
        }
        assert references["AWS_SECRET_ACCESS_KEY"] == {"name": "bucket", "key": "secret"}
        assert references.get("LOG_PASSWORD", {}).get("name") == {"production": "spanstream-migration"}.get(case[0])
        assert environment(own, render(*case, *sets))["EMBEDDER_SPAN_SIMILARITY"] == "0.95"
        assert "EMBEDDER_SPAN_SIMILARITY" not in environment(
            next(pod for pod in pods(render(*case)) if pod.component == "migration"), render(*case)
        )
        assert own.spec["serviceAccountName"] == of("migration", render(*case, *sets))["ServiceAccount"]
