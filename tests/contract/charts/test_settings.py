"""Settings and arrows: each process gets its own settings and all it requires, and may reach exactly what those name."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from spanstream.eventlog.provisioned import used_by
from spanstream.ingestor.service import WORKERS
from tests.conftest import ROOT
from tests.contract.charts.conftest import Render
from tests.contract.charts.pods import CASES, ENCODERS, IDS, MOVING, TOGGLES, Running, environment, pods
from tests.fixtures.services import check

each_case = pytest.mark.parametrize("case", CASES, ids=IDS)
# A setting that holds an address, and what the process reaches there.
REACHED = {
    "LOG_URL": "kafka",
    "STORE_URL": "store",
    "INGEST_URL": "ingestor-api",
    "INGESTOR_GATEWAY_URL": "gateway",
    "GATEWAY_URL": "gateway",  # of the smoke test
}
TO_ENCODERS = ("ENCODER_URL", "NEXT_ENCODER_URL")
# SPANSTREAM_DATA: where `spanstream` in the same pod finds the process that it asks.
NOT_OURS = {"RAY_USAGE_STATS_ENABLED", "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", "SPANSTREAM_DATA"}


@each_case
def test_each_process_is_given_its_settings_and_nothing_else(render: Render, case: tuple[str, ...]) -> None:
    for pod in pods(render(*case)):
        if pod.module:
            given = environment(pod, render(*case))
            check(pod.module, {name: value for name, value in given.items() if name not in NOT_OURS})


@each_case
def test_addresses_lead_to_services_of_the_release(render: Render, case: tuple[str, ...]) -> None:
    resources = render(*case)
    ports = {
        one["metadata"]["name"]: {p["port"] for p in one["spec"]["ports"]}
        for one in resources
        if one["kind"] == "Service"
    }
    for one in resources:
        if one["kind"] == "RayService":
            service = one["spec"]["serveService"]
            ports[service["metadata"]["name"]] = {p["port"] for p in service["spec"]["ports"]}
    for pod in pods(resources):
        for name, value in environment(pod, resources).items():
            if name in TO_ENCODERS or REACHED.get(name) in ("ingestor-api", "gateway"):
                host, _, port = value.removeprefix("http://").partition(":")
                assert int(port) in ports[host], (pod.name, name)


@each_case
def test_network_policies_allow_exactly_what_settings_name(render: Render, case: tuple[str, ...]) -> None:
    resources = render(*case)
    policies = [one for one in resources if one["kind"] == "NetworkPolicy"]
    if not policies:
        assert case[1:] == ("global.network.policies=false",)
        return
    for pod in pods(resources):
        own = [one["spec"] for one in policies if one["metadata"]["name"] == f"spanstream-{pod.component}"]
        assert len(own) == 1, pod.name
        given = environment(pod, resources)
        wanted = {REACHED[name] for name in given if name in REACHED}
        if (
            "ENCODER_URL" in given
        ):  # both, while there are two: pods of before an upgrade ask the one, those of after it the other
            wanted |= {other.component for other in pods(resources) if other.component in ENCODERS}
        assert set(_reached(own[0]["egress"], pod, given, resources)) == wanted, pod.name
    (denied,) = [one["spec"] for one in policies if one["metadata"]["name"] == "spanstream-default-deny"]
    assert denied["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in denied
    assert "egress" not in denied


def _reached(
    rules: list[dict[str, Any]], pod: Running, given: dict[str, str], resources: list[dict[str, Any]]
) -> list[str]:
    """What the rules let a pod reach, each by its name here; a component only if its policy lets the pod in."""
    found = []
    for rule in rules:
        ports = [port["port"] for port in rule["ports"]]
        peers = [peer.get("podSelector", {}).get("matchLabels", {}) for peer in rule.get("to", [])]
        components = [labels.get("app.kubernetes.io/component") for labels in peers]
        if components and components[0]:
            assert _admits(components[0], pod, ports, resources), (pod.name, components)
            found.append(components[0])
        elif 53 in ports or 5353 in ports:
            assert rule["to"]
        elif ports == [443] and "TRACES_URL" in given:
            continue
        elif ports == [int(given.get("STORE_URL", ":0").rpartition(":")[2])]:
            found.append("store")
        elif "LOG_URL" in given and ports == [int(given["LOG_URL"].rpartition(":")[2])]:
            found.append("kafka")
        else:
            assert given["BLOB_URL"].startswith("s3:"), (pod.name, rule)
    return found


def _admits(component: str, caller: Running, ports: list[Any], resources: list[dict[str, Any]]) -> bool:
    policy = next(
        one["spec"]
        for one in resources
        if one["kind"] == "NetworkPolicy" and one["metadata"]["name"] == f"spanstream-{component}"
    )
    target = next(pod for pod in pods(resources) if pod.component == component)
    assert set(ports) <= {port["name"] for port in target.container["ports"]}
    for rule in policy["ingress"]:
        if ports == [port["port"] for port in rule["ports"]]:
            peers = [peer.get("podSelector", {}).get("matchLabels", {}) for peer in rule["from"]]
            return any(labels and labels.items() <= caller.labels.items() for labels in peers)
    return False


@each_case
def test_no_rule_lets_everybody_in(render: Render, case: tuple[str, ...]) -> None:
    """A rule without peers does, also where the values name nobody."""
    for one in render(*case):
        if one["kind"] == "NetworkPolicy":
            for rule in one["spec"].get("ingress", []):
                assert rule["from"], one["metadata"]["name"]
                assert all(rule["from"])


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://collector:4318/v1/traces", 4318),
        ("https://collector.example.com/v1/traces", 443),
        ("http://collector.example.com", 80),
    ],
)
@pytest.mark.parametrize("name", ["gateway", "migration"])
def test_a_pod_reaches_the_port_that_its_traces_go_to(render: Render, name: str, url: str, port: int) -> None:
    peer = "global.network.traces[0].namespaceSelector.matchLabels.name=tracing"
    (policy,) = [
        one
        for one in render("small", *MOVING, f"{name}.settings.TRACES_URL={url}", peer)
        if one["kind"] == "NetworkPolicy" and one["metadata"]["name"] == f"spanstream-{name}"
    ]
    to = [{"namespaceSelector": {"matchLabels": {"name": "tracing"}}}]
    assert {"ports": [{"port": port, "protocol": "TCP"}], "to": to} in policy["spec"]["egress"]


def test_brokers_are_reached_at_every_port_that_is_listed(render: Render) -> None:
    """As docs/deployment.md says of those that advertise other ports than the bootstrap's."""
    servers = r"global.kafka.bootstrapServers=bootstrap.kafka:9092\,broker-0.kafka:9094\,broker-1.kafka:9094"
    (policy,) = [
        one
        for one in render("small", servers)
        if one["kind"] == "NetworkPolicy" and one["metadata"]["name"] == "spanstream-indexer"
    ]
    ports = [{port["port"] for port in rule["ports"]} for rule in policy["spec"]["egress"]]
    assert {9092, 9094} in ports


@each_case
def test_a_login_to_kafka_comes_with_the_certificates_that_it_needs(render: Render, case: tuple[str, ...]) -> None:
    for pod in pods(render(*case)):
        given = environment(pod, render(*case))
        assert ("LOG_USERNAME" in given) == ("LOG_PASSWORD" in given), pod.name
        if "LOG_CA_FILE" in given:
            folders = [mount["mountPath"] for mount in pod.container["volumeMounts"]]
            assert given["LOG_CA_FILE"].rpartition("/")[0] in folders
            assert "LOG_URL" in given


@each_case
def test_files_that_settings_name_are_mounted(render: Render, case: tuple[str, ...]) -> None:
    for pod in pods(render(*case)):
        folders = {mount["mountPath"]: mount["name"] for mount in pod.container.get("volumeMounts", [])}
        volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
        for name, value in environment(pod, render(*case)).items():
            if name in ("AUTH_KEYS_FILE", "AUTH_JWKS_FILE", "LOG_CA_FILE", "STORE_CA_FILE"):
                folder, _, file = value.rpartition("/")
                assert file in [item["path"] for item in volumes[folders[folder]]["secret"]["items"]], (pod.name, name)
    if "global.auth.jwksSecret.name=provider" in case:
        given = {pod.component: environment(pod, render(*case)) for pod in pods(render(*case))}
        assert [name for name in given if "AUTH_JWKS_FILE" in given[name]] == ["gateway", "ingestor-api"]


def test_who_speaks_to_the_store_knows_who_signs_its_certificate(render: Render) -> None:
    resources = render("small", *TOGGLES["moving with a store of the company's"])
    given = {pod.component: environment(pod, resources) for pod in pods(resources)}
    told = {name for name in given if "STORE_CA_FILE" in given[name]}
    assert told == {name for name in given if "STORE_URL" in given[name]} == {"gateway", "indexer", "migration"}


def test_each_kafka_user_may_do_what_the_registry_says_of_its_service(render: Render) -> None:
    resources = render("production")
    may: dict[str, dict[str, set[str]]] = {}
    for one in resources:
        if one["kind"] == "KafkaUser":
            name = one["metadata"]["name"].removeprefix("spanstream-")
            for acl in one["spec"]["authorization"]["acls"]:
                for operation in acl["operations"]:
                    kind = f"{operation} {acl['resource']['type']}"
                    may.setdefault(name, {}).setdefault(kind, set()).add(acl["resource"]["name"])
    services = {"ingestor": ["ingestor-api", "ingestor-worker"], "embedder": ["embedder"], "indexer": ["indexer"]}
    assert set(may) == {name for names in services.values() for name in names}
    topics = yaml.safe_load((ROOT / "proto/topics.yaml").read_text())["topics"]
    for service, names in services.items():
        writes = set().union(*(may[name]["Write topic"] for name in names))
        assert writes == {topic["name"] for topic in topics if service in topic["producers"]}
        assert may[names[-1]]["Read topic"] == {topic["name"] for topic in topics if service in topic["consumers"]}
        assert may[names[-1]]["Read group"] == {service}
    # Each pod logs in as the user of its name.
    for pod in pods(resources):
        given = environment(pod, resources)
        if "LOG_URL" in given:
            assert given["LOG_USERNAME"] == pod.name
            assert pod.component in may


def test_what_moves_the_index_may_read_the_log_in_groups_of_its_own_and_write_nothing(render: Render) -> None:
    (user,) = [
        one
        for one in render("production", *MOVING)
        if one["kind"] == "KafkaUser" and one["metadata"]["name"] == "spanstream-migration"
    ]
    may = {
        (acl["resource"]["type"], acl["resource"]["name"], acl["resource"]["patternType"]): set(acl["operations"])
        for acl in user["spec"]["authorization"]["acls"]
    }
    assert may == {
        ("topic", "documents.v1", "literal"): {"Read", "Describe", "DescribeConfigs"},
        ("topic", "failures.v1", "literal"): {"Read", "Describe"},
        **{("topic", name, "literal"): {"Describe"} for name in ("passages.v1", "embeddings.v1")},
        ("group", "migrate-", "prefix"): {"Read", "Describe", "Delete"},
        **{("group", name, "literal"): {"Read", "Describe"} for name in ("ingestor", "embedder", "indexer")},
    }


def test_each_kafka_user_sees_the_topics_that_its_service_waits_for(render: Render) -> None:
    """What a user may not describe is not there for it: such a service is never ready."""
    waits = {
        "ingestor-api": used_by("ingestor"),
        "ingestor-worker": WORKERS,
        "embedder": used_by("embedder"),
        "indexer": used_by("indexer"),
    }
    users = [one for one in render("production") if one["kind"] == "KafkaUser"]
    assert len(users) == len(waits)
    for one in users:
        acls = one["spec"]["authorization"]["acls"]
        seen = {acl["resource"]["name"] for acl in acls if "Describe" in acl["operations"]}
        assert {topic.name for topic in waits[one["metadata"]["name"].removeprefix("spanstream-")]} <= seen


def test_the_topics_job_logs_in_as_a_user_of_its_own_where_each_has_one(render: Render) -> None:
    by_hand = ("strimzi.topics=false", "strimzi.users=false", "topics.job=true", "global.kafka.partitions=6")
    fewer = [
        f"{name}.autoscaling.maxReplicas={most}"
        for name, most in (("ingestorWorker", 6), ("indexer", 6), ("embedder", 3))
    ]
    (job,) = [pod for pod in pods(render("production", *by_hand, *fewer)) if pod.component == "topics"]
    given = {one["name"]: one.get("value") or one["valueFrom"]["secretKeyRef"]["name"] for one in job.container["env"]}
    assert given["LOG_USERNAME"] == given["LOG_PASSWORD"] == "spanstream-topics"


def test_ray_is_told_of_an_application_that_exists(render: Render) -> None:
    services = [one for one in render("gpu", *MOVING) if one["kind"] == "RayService"]
    models = {}
    for service in services:
        config = yaml.safe_load(service["spec"]["serveConfigV2"])
        (application,) = config["applications"]
        module, _, name = application["import_path"].partition(":")
        source = ROOT / "services/embedder/src" / f"{module.replace('.', '/')}.py"
        assert f"def {name}(" in source.read_text()
        assert config["http_options"]["port"] == service["spec"]["serveService"]["spec"]["ports"][0]["port"]
        models[service["metadata"]["name"]] = application["args"]["model"]
    assert models == {"spanstream-encoder": "minilm", "spanstream-other-encoder": "other"}
