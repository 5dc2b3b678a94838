"""Every profile and toggle renders; what cannot work is refused with a line that names it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from spanstream.events.segmenter import Spans
from tests.conftest import ROOT
from tests.contract.charts.conftest import Render, merged, settings
from tests.contract.charts.pods import ALONE, BACK, CASES, IDS, MOVED, MOVING, RAY, pods
from tools import chart_schema
from tools.helm import PROFILES, Chart, Refused

CHARTS = ROOT / "charts"


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_pass_the_linter(chart: Chart, profile: str) -> None:
    assert "0 chart(s) failed" in chart.lint(profile)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_every_profile_and_toggle_renders_what_names_itself_once(render: Render, case: tuple[str, ...]) -> None:
    found = [(one["kind"], one["metadata"]["name"]) for one in render(*case)]
    assert len(found) == len(set(found)) > 20
    for one in render(*case):
        assert one["metadata"]["labels"]["app.kubernetes.io/instance"] == "spanstream"
        assert "namespace" not in one["metadata"]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("gatway.replicas=2", "gatway"),
        ("gateway.replcas=2", "replcas"),
        ("gateway.settings.GATEWAY_SEARCHES_AT_ONE=2", "GATEWAY_SEARCHES_AT_ONE"),
        ("gateway.settings.GATEWAY_SEARCHES_AT_ONCE=0", "GATEWAY_SEARCHES_AT_ONCE"),
        ("gateway.settings.STORE_URL=http://elsewhere:6333", "STORE_URL"),
        ("encoder.settings.ENCODER_TARGET_TOKENS=9", "ENCODER_TARGET_TOKENS"),
        ("gateway.resources.limits=null", "limits"),
        ("gateway.ports.http=9000", "gateway/ports"),
        ("encoder.workload=StatefulSet", "workload"),
        ("global.kafka.bootstrapServers=kafka", "bootstrapServers"),
        ("global.store.url=qdrant:6333", "store"),
        (
            "global.store.caSecret.name=company",
            "global.store.caSecret.name needs a global.store.url that begins with https",
        ),
        ("global.auth.keysSecret.name=", "keysSecret"),
        ("ingress.enabled=true,ingress.tlsSecret=tls", "ingress.enabled needs ingress.host"),
        ("ingress.enabled=true,ingress.host=search.example.com", "ingress.enabled needs ingress.tlsSecret"),
        ("strimzi.topics=true", "strimzi.topics needs strimzi.cluster"),
        ("strimzi.topics=true,strimzi.cluster=events", "topics.job must be false with strimzi.topics"),
        ("strimzi.users=true", "strimzi.users needs strimzi.cluster"),
        ("strimzi.users=true,strimzi.cluster=events", "topics.job must be false with strimzi.users"),
        ("global.kafka.username=me", "global.kafka.username needs global.kafka.caSecret.name"),
        ("global.kafka.username=me,global.kafka.caSecret.name=ca", "needs global.kafka.passwordSecret.name"),
        ("otherEncoder.settings.ENCODER_MODEL=minilm,global.migration.to=otherEncoder", "(minilm) are the same model"),
        ("global.index.compression=zip", "compression"),
        ("indexer.replicas=7", "indexer: 7 replicas with 1 consumers each exceed global.kafka.partitions (6)"),
        ("embedder.replicas=4", "embedder: 4 replicas with 2 consumers each exceed global.kafka.partitions (6)"),
        ("global.kafka.partitions=12", "global.kafka.partitions (12) exceeds the 6 that the topics job creates"),
        ("gateway.autoscaling.minReplicas=9", "gateway.autoscaling.minReplicas (9)"),
        ("gateway.autoscaling.kind=lag", "gateway.autoscaling.kind"),
        ("indexer.autoscaling.kind=lag", "global.prometheus.url"),
        ("indexer.workload=RayService", "indexer.workload"),
        ("global.auth.jwksSecret.name=provider", "ingestorApi.settings.AUTH_JWT_ISSUER"),
        ("gateway.settings.AUTH_JWT_AUDIENCE=search", "gateway.settings.AUTH_JWT_AUDIENCE"),
        ("gateway.settings.AUTH_JWKS_FILE=/tmp/keys", "AUTH_JWKS_FILE"),
        ("ingress.host=https://search.example.com", "/ingress/host"),
        ("global.image.registry=registry.example/team/", "/global/image/registry"),
        ("global.blobs.url=file:/data/blobs", "global.blobs.url (file:/data/blobs) must be in /srv/blobs"),
        ("global.blobs.url=file:/srv/blobs2", "global.blobs.url (file:/srv/blobs2)"),
        ("strimzi.replicas=1", "strimzi.minInsyncReplicas (2) must not exceed strimzi.replicas (1)"),
        ("gateway.adminPort=8080", "gateway.adminPort (8080) is the port http already"),
        ("gateway.resources.limits.memry=1Gi", "memry"),
        ("gateway.resources.limits.memory=512m", "/resources/limits/memory"),
        ("gateway.resources.requests.cpu=1Gi", "/resources/requests/cpu"),
        ("gateway.tmpSize=256", "/tmpSize"),
        ("gateway.tolerations[0].ky=gpu", "ky"),
        ("gateway.affinity.nodeAffinty.x=1", "nodeAffinty"),
        ("gateway.autoscaling.cooldownSeconds=7200", "cooldownSeconds"),
        (f"global.image.digests.gatway=sha256:{'0' * 64}", "gatway"),
        ("global.kafka.peers[0].podSelector.app=kafka", "'app'"),
        ("global.network.dns[0].nmespaceSelector.x=1", "nmespaceSelector"),
        ("global.kafka.passwordSecret.name=kafka", "global.kafka.username"),
        ("global.blobs.url=s3://bucket/blobs", "global.blobs.egress"),
        ("ingress=null", "missing property 'ingress'"),  # as a line with nothing below it is
        ("global.network.policies=null", "missing property 'policies'"),
        ("gateway.autoscaling=null", "missing property 'autoscaling'"),
        ("global.migration.to=encoder2", "/global/migration/to"),
        ("global.index.encoder=other-encoder", "/global/index/encoder"),
        ("global.migration.to=otherEncoder", "otherEncoder.settings.ENCODER_MODEL must name its model"),
        ("global.migration.to=encoder", "otherEncoder.settings.ENCODER_MODEL"),
        ("global.index.encoder=otherEncoder", "otherEncoder.settings.ENCODER_MODEL"),
        ("global.migration=null", "missing property 'migration'"),
        ("migration.to=otherEncoder", "'to'"),
        ("migration.overlap=2", "/migration/overlap"),
        ("migration.rate=-1", "/migration/rate"),
        ("migration.settings.MIGRATION_RATE=3", "MIGRATION_RATE"),
        ("migration.settings.STORE_URL=http://elsewhere:6333", "STORE_URL"),
        ("otherEncoder.settings.ENCODER_TARGET_TOKENS=9", "ENCODER_TARGET_TOKENS"),
        ("otherEncoder.ports.serve=9000", "otherEncoder/ports"),
        # What the cluster would refuse, or the process.
        ("gateway.resources.requests.memory=8Gi", "gateway.resources.requests.memory (8Gi) must not exceed gateway.resources.limits.memory (1Gi)"),
        ("migration.resources.requests.memory=8000Mi", "migration.resources.requests.memory (8000Mi)"),
        ("topics.resources.requests.memory=1Gi", "topics.resources.requests.memory (1Gi)"),
        ("encoder.ray.head.resources.requests.memory=8Gi", "encoder.ray.head.resources.requests.memory (8Gi)"),
        ("gateway.resources.limits.cpu=1,gateway.resources.requests.cpu=1500m", "gateway.resources.requests.cpu (1500m)"),
        (r"gateway.resources.requests.nvidia\.com/gpu=1", "gateway.resources.requests.nvidia.com/gpu needs the same in gateway.resources.limits"),
        (r"encoder.resources.requests.nvidia\.com/gpu=1,encoder.resources.limits.nvidia\.com/gpu=2", "encoder.resources.requests.nvidia.com/gpu needs the same"),
        ("global.index.spans=foo", "/global/index/spans"),
        ("global.kafka.bootstrapServers=kafka:99999", "global.kafka.bootstrapServers (kafka:99999) has the port 99999"),
        ("global.store.url=http://qdrant:65536", "global.store.url (http://qdrant:65536) has the port 65536"),
        ("gateway.settings.TRACES_URL=http://collector:99999/v1", "gateway.settings.TRACES_URL (http://collector:99999/v1)"),
        ("migration.settings.TRACES_URL=http://collector:0", "migration.settings.TRACES_URL (http://collector:0)"),
        ("global.blobs.egress=[{}]", "/global/blobs/egress/0"),
        ("global.blobs.egress[0].ports[0].prt=443", "prt"),
        ("global.blobs.egress[0].ports[0].port=99999999", "/global/blobs/egress/0/ports/0/port"),
        ("gateway.volumes.tmp.claim=mine,gateway.volumes.tmp.mountPath=/mine", "gateway.volumes.tmp must have another name"),
        ("gateway.volumes.mine.claim=mine,gateway.volumes.mine.mountPath=/tmp/", "gateway.volumes.mine.mountPath (/tmp/) must be another folder"),
        ("ingestorWorker.volumes.store.claim=mine,ingestorWorker.volumes.store.mountPath=/mine", "ingestorWorker.volumes.store must have another name"),
        ("ingestorWorker.volumes.mine.claim=mine,ingestorWorker.volumes.mine.mountPath=/srv/blobs", "it is ingestorWorker.volumes.blobs's"),
        ("gateway.volumes.Mine_x.claim=mine,gateway.volumes.Mine_x.mountPath=/mine", "Mine_x"),
        ("gateway.secrets.TOKEN=my-secret", "gateway.secrets.TOKEN must be"),
        ("ingestorWorker.secrets.TOKEN= {name: mine}", "ingestorWorker.secrets.TOKEN must be"),
        ('gateway.secrets.TOKEN="{name: mine, key: 1}"', "gateway.secrets.TOKEN must be"),
        ("gateway.secrets.1 X= {name: mine}", "1 X"),
        ("ingress.host=a..b", "/ingress/host"),
        (f"ingress.host={'a' * 64}.example.com", "/ingress/host"),
        ("ingress.tlsSecret=Not A Name", "/ingress/tlsSecret"),
        ("global.image.tag=v 1", "/global/image/tag"),
        ('global.image.pullSecrets=[""]', "/global/image/pullSecrets/0"),
        ("global.pods.labels.bad key!=x", "bad key!"),
        (f"gateway.podLabels.team={'x' * 80}", "/podLabels/team"),
        ("gateway.disruption.maxUnavailable=0", "/disruption/maxUnavailable"),
        ("global.monitoring.interval=0s", "/global/monitoring/interval"),
        # A key with nothing below it.
        ("ingestorWorker.volumes=null", "ingestorWorker.volumes.blobs must say where global.blobs.url (file:/srv/blobs) is mounted"),
        ("encoder.ports=null", "'/encoder': missing property 'ports'"),
        ("gateway.ports=null", "'/gateway': missing property 'ports'"),
        ("ingestorApi.ports=null", "'/ingestorApi': missing property 'ports'"),
        ("migration.rate=0.05", "migration.rate (0.05) must be 0"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_name(chart: Chart, wrong: str, named: str) -> None:
    with pytest.raises(Refused) as refused:
        chart.render("small", wrong)
    assert named in str(refused.value)


@pytest.mark.parametrize("form", ["sentences", "sentences+clauses:5", "sentences+phrases+windows32:255", "sentences+windows8:32", "sentences+clauses+phrases+windows8:32", "foo", "sentences:5", "sentences+windows33:1", "sentences+windows0:1", "sentences+clauses", "sentences+phrases:256", "sentences+phrases+clauses:3"])  # fmt: skip
def test_spans_may_be_what_the_processes_take(form: str) -> None:
    schema = json.loads((CHARTS / "spanstream/values.schema.json").read_text())
    spans = schema["properties"]["global"]["properties"]["index"]["properties"]["spans"]
    try:
        Spans.parse(form)
    except ValueError:
        assert not Draft202012Validator(spans).is_valid(form)
    else:
        assert Draft202012Validator(spans).is_valid(form)


def test_the_three_upgrades_render_as_they_are_printed(render: Render) -> None:
    """docs/deployment.md; each is given with all of the values before it."""
    text = (ROOT / "docs/deployment.md").read_text()
    (printed,) = re.findall(r"^```yaml\n# A: .*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    upgrades = [yaml.safe_load(part) for part in re.split(r"^# [BC]: .*\n", printed, flags=re.MULTILINE)]
    before: dict[str, Any] = {}
    found = []
    for upgrade in upgrades:
        before = merged(before, upgrade)
        found.append({pod.component: pod for pod in pods(render("small", *settings(before)))})
    assert [("encoder" in each, "other-encoder" in each, "migration" in each) for each in found] == [
        (True, True, True),
        (True, True, True),
        (False, True, False),
    ]
    folder, _, _ = before["otherEncoder"]["settings"]["ENCODER_MODEL"].rpartition("/")
    mounts = [mount["mountPath"] for mount in found[0]["other-encoder"].container["volumeMounts"]]
    assert any(folder.startswith(f"{path}/") for path in mounts)


def test_a_model_at_the_same_path_of_another_volume_is_another_one(chart: Chart) -> None:
    both = [f"{name}.settings.ENCODER_MODEL=/models/mine" for name in ("encoder", "otherEncoder")]
    volumes = [
        f"{name}.volumes.models.{key}"
        for name in ("encoder", "otherEncoder")
        for key in ("mountPath=/models", "claim=one")
    ]
    sets = (*both, *volumes, "global.migration.to=otherEncoder")
    with pytest.raises(Refused, match=r"\(/models/mine\) are the same model"):
        chart.render("small", *sets)
    assert chart.render("small", *sets, "otherEncoder.volumes.models.claim=two")


def test_the_ingestor_needs_no_volume_where_blobs_are_in_a_bucket(render: Render) -> None:
    bucket = ("global.blobs.url=s3://bucket/blobs", "global.blobs.egress[0].ports[0].port=443")
    without = ("ingestorWorker.volumes=null", "ingestorApi.volumes=null")
    assert render("small", *MOVING, *bucket, *without) == render("small", *MOVING, *bucket)


def test_users_may_be_made_where_topics_are_made_by_hand(render: Render) -> None:
    kinds = {one["kind"] for one in render("production", "strimzi.topics=false")}
    assert "KafkaUser" in kinds
    assert "KafkaTopic" not in kinds


def test_users_that_nobody_logs_in_as_are_refused(chart: Chart) -> None:
    without = ("global.kafka.username=", "global.kafka.passwordSecret.name=")
    with pytest.raises(Refused, match=r"strimzi\.users needs global\.kafka\.username"):
        chart.render("production", *without)


@pytest.mark.parametrize("url", ["file:/srv/blobs", "file:///srv/blobs", "file:/srv/blobs/texts"])
def test_blobs_may_be_anywhere_on_their_volume(chart: Chart, url: str) -> None:
    assert chart.render("small", f"global.blobs.url={url}")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (
            "encoder.ray.cpusPerReplica=3",
            "encoder.ray.cpusPerReplica (3) must not exceed encoder.resources.requests.cpu (2)",
        ),
        ("encoder.resources.requests.cpu=500m", "encoder.ray.cpusPerReplica (2) must not exceed"),
        ("encoder.ray.gpusPerReplica=1", "encoder.ray.gpusPerReplica (1) must not exceed"),
        (r"encoder.resources.limits.nvidia\.com/gpu=1", "encoder.ray.gpusPerReplica must be above 0"),
        ("encoder.settings.ENCODER_DEVICE=cuda", "encoder.settings.ENCODER_DEVICE (cuda)"),
        ("encoder.shmSize=", "encoder.shmSize"),
        ("encoder.ray.replicas=2", "encoder.ray.maxReplicas (1)"),
    ],
)
def test_a_ray_cluster_that_could_not_work_is_refused_by_name(chart: Chart, wrong: str, named: str) -> None:
    with pytest.raises(Refused) as refused:
        chart.render("small", "encoder.workload=RayService", wrong)
    assert named in str(refused.value)


@pytest.mark.parametrize("name", ["encoder", "otherEncoder"])
def test_of_two_encoders_the_one_that_could_not_work_is_named(chart: Chart, name: str) -> None:
    with pytest.raises(Refused) as refused:
        chart.render("small", *MOVING, *RAY, f"{name}.ray.cpusPerReplica=3")
    assert f"{name}.ray.cpusPerReplica (3) must not exceed {name}.resources.requests.cpu (2)" in str(refused.value)


def test_an_encoder_that_is_away_is_not_looked_at(chart: Chart) -> None:
    assert chart.render("small", "otherEncoder.workload=RayService", "otherEncoder.ray.cpusPerReplica=3")


LONGEST = "a" * 52


def test_the_second_encoders_longer_name_leaves_less_for_the_releases(chart: Chart) -> None:
    with pytest.raises(Refused, match="33 characters at most with otherEncoder"):
        chart.render("gpu", *MOVING, release="a" * 34)
    assert chart.render("gpu", *MOVING, release="a" * 33)


@pytest.mark.parametrize("profile", ["production", "small"])
def test_the_longest_names_are_names_of_one_thing_each(chart: Chart, profile: str) -> None:
    """Helm takes 53 characters, Kubernetes 63: two components, or two releases, must not meet in what is cut off."""
    found = [
        (one["kind"], one["metadata"]["name"])
        for release in (f"{LONGEST}a", f"{LONGEST}b")
        for one in chart.render(profile, *MOVING, release=release)
        if one["kind"] != "KafkaTopic"
    ]
    assert len(found) == len(set(found))
    assert max(len(name) for _, name in found) <= 63
    assert not [name for _, name in found if name.endswith("-") or "--" in name]


def test_a_release_whose_name_reads_as_something_else_keeps_it(chart: Chart) -> None:
    for one in chart.render("small", release="true"):
        assert one["metadata"]["labels"]["app.kubernetes.io/instance"] == "true"


@pytest.mark.parametrize(
    ("profile", "release", "named"),
    [
        ("small", "1st", "begin with a letter"),
        ("small", "team.search", "have no dots"),
        ("gpu", "a" * 40, "39 characters at most"),
    ],
)
def test_a_name_that_kubernetes_or_kuberay_would_refuse_is_refused(
    chart: Chart, profile: str, release: str, named: str
) -> None:
    with pytest.raises(Refused, match=named):
        chart.render(profile, release=release)


SERVICES = ("ingestorApi", "ingestorWorker", "embedder", "encoder", "otherEncoder", "indexer", "gateway")
# Maps whose keys are the administrator's own.
FREE = ("labels", "annotations", "podLabels", "podAnnotations", "nodeSelector", "matchLabels", "wiring", "secrets")


def test_a_misspelt_key_is_refused_at_every_depth() -> None:
    """By the schemas alone, with the values of all profiles."""

    def places(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        if isinstance(values, dict):
            yield path
        for name, value in values.items() if isinstance(values, dict) else enumerate(values):
            if isinstance(value, dict | list):
                yield from places(value, (*path, name))

    umbrella, service = (
        Draft202012Validator(json.loads((CHARTS / name / "values.schema.json").read_text()))
        for name in ("spanstream", "service")
    )
    defaults = yaml.safe_load((CHARTS / "service/values.yaml").read_text())
    whole = yaml.safe_load((CHARTS / "spanstream/values.yaml").read_text())
    for file in PROFILES["gpu"]:
        whole = merged(whole, yaml.safe_load((CHARTS / "spanstream" / file).read_text()))
    whole |= {name: merged(defaults, whole[name]) for name in SERVICES}
    accepted = []
    for path in places(whole):
        place = reduce(getitem, path, whole)
        place["mispelt"] = "x"
        own = [service.is_valid(whole[name]) for name in SERVICES if path[:1] == (name,)]
        if umbrella.is_valid(whole) and all(own) and path[-1] not in FREE:
            accepted.append(path)
        del place["mispelt"]
    assert umbrella.is_valid(whole)
    assert accepted == []


def test_what_templates_rest_on_cannot_be_taken_away() -> None:
    """A key with nothing below it is null, which takes the default away: the schema must miss it, by its name."""

    def loose(schema: dict[str, Any], values: dict[str, Any], path: str) -> list[str]:
        found = []
        for name, value in values.items():
            here = schema["properties"].get(name, {})
            if name not in schema.get("required", []) and (value or value == 0):
                found.append(f"{path}.{name}")
            if isinstance(value, dict) and "properties" in here:
                found += loose(here, value, f"{path}.{name}")
        return found

    umbrella, service = (
        json.loads((CHARTS / name / "values.schema.json").read_text()) for name in ("spanstream", "service")
    )
    values = yaml.safe_load((CHARTS / "spanstream/values.yaml").read_text())
    assert set(umbrella["required"]) == set(values)
    own = {name: value for name, value in values.items() if name not in SERVICES}
    assert loose(umbrella, own, "values") == []
    assert loose(umbrella["properties"]["encoder"]["properties"]["ray"], values["encoder"]["ray"], "ray") == []
    assert loose(service, yaml.safe_load((CHARTS / "service/values.yaml").read_text()), "service") == []


def test_what_is_empty_may_be_left_empty(chart: Chart) -> None:
    """A key with nothing below it, where nothing is the default: a values file with its lines commented out."""
    names = [
        f"global.pods.{name}" for name in ("labels", "annotations", "nodeSelector", "tolerations", "priorityClassName")
    ]
    names += [
        "global.image.digests",
        "global.image.pullSecrets",
        "global.image.tag",
        "global.kafka.peers",
        "global.store.peers",
    ]
    names += [
        f"gateway.{name}"
        for name in ("podLabels", "podAnnotations", "nodeSelector", "tolerations", "affinity", "settings")
    ]
    assert chart.render("small", *(f"{name}=null" for name in names)) == chart.render("small")


@pytest.mark.parametrize(
    ("case", "said", "not_said"),
    [
        (
            ("dev",),
            ["helm -n search test spanstream --timeout 210s", "port-forward svc/spanstream-gateway 8080:8080", "encoder may"],
            ["https://", "curl"],
        ),
        (("small", "smoke.tokenSecret.name="), ["port-forward svc/spanstream-gateway 8080:8080 &", "http://127.0.0.1:8080/v1/search"], ["helm -n", "WARNING"]),
        (("production",), ["https://search.example.com/v1/search", "https://ingest.search.example.com"], ["port-forward", "WARNING"]),
        (("production", "smoke.tokenSecret.name="), ["get ingress spanstream"], ["port-forward", "helm -n"]),
        (("gpu",), ["Ray's head runs once"], ["encoder may"]),
        (("small", "gateway.autoscaling.minReplicas=1"), ["gateway may have one replica"], ["encoder may"]),
        (("small", "global.network.policies=false"), ["network policies are off"], ["nobody makes the topics"]),
    ],
)  # fmt: skip
def test_the_notes_tell_what_to_do_next_with_these_values(
    chart: Chart, case: tuple[str, ...], said: list[str], not_said: list[str]
) -> None:
    notes = chart.notes(*case, "global.image.registry=registry.example/team")
    commands = [line for line in notes.splitlines() if line.startswith("  ")]
    assert len(commands) == 3
    assert commands[0].startswith("  kubectl -n search wait --for=condition=available")
    assert all(text in notes for text in said), notes
    assert not [text for text in not_said if text in notes], notes


@pytest.mark.parametrize(
    ("sets", "said", "not_said"),
    [
        (
            MOVING,
            ["from encoder to otherEncoder", "exec job/{job} -- spanstream migrate status", "logs -f job/{job}", "global.index.encoder=otherEncoder"],
            ["waits until", "first install"],
        ),
        ((*MOVING, "migration.begin=false"), ["waits until it is told to begin", "exec job/{job} -- spanstream migrate apply"], []),
        (BACK, ["from otherEncoder to encoder", "migrate rollback", "migrate cancel", "global.index.encoder=encoder"], []),
        (MOVED, ["All services ask otherEncoder", "job/{job} --timeout", "global.migration.to empty", "no `helm rollback`"], ["migrate rollback"]),
        (ALONE, ["otherEncoder may have one replica"], ["migrat", "encoder may have"]),
    ],
)  # fmt: skip
def test_the_notes_tell_how_a_migration_goes_on(
    chart: Chart, sets: tuple[str, ...], said: list[str], not_said: list[str]
) -> None:
    resources = chart.render("dev", *sets)
    job = next((each for each in pods(resources) if each.component == "migration"), None)
    notes = chart.notes("dev", *sets, upgrade=True)
    for text in said:
        assert text.format(job=job.name if job else "") in notes, notes
    assert not [text for text in not_said if text in notes.replace("otherEncoder may", "")], notes


def test_the_notes_say_that_nobody_makes_the_topics(chart: Chart) -> None:
    notes = chart.notes("small", "topics.job=false", "global.kafka.partitions=24")
    assert "nobody makes the topics" in notes
    assert "spanstream topics create --partitions 24 --log-url kafka://kafka:9092" in notes
    assert "nobody makes the topics" not in chart.notes("production")


@pytest.mark.parametrize(
    ("profile", "wrong", "said"),
    [
        ("small", "gateway.replicas=5", "gateway.replicas (5) counts for nothing: gateway.autoscaling"),
        ("gpu", "encoder.replicas=5", "encoder.replicas (5) counts for nothing: encoder.ray"),
        ("small", "encoder.ray.maxReplicas=4", "encoder.ray counts for nothing"),
        ("small", "global.blobs.accessMode=ReadWriteOnce", "2 of ingestorApi, and global.blobs.accessMode"),
    ],
)
def test_the_notes_name_what_counts_for_nothing_and_volumes_that_others_cannot_mount(
    chart: Chart, profile: str, wrong: str, said: str
) -> None:
    assert said in chart.notes(profile, wrong)
    before = chart.notes(profile)
    assert "counts for nothing" not in before
    assert "accessMode" not in before


@pytest.mark.parametrize("sets", [MOVING, MOVED, ()])
def test_the_notes_of_a_first_install_say_that_there_is_nothing_to_move(chart: Chart, sets: tuple[str, ...]) -> None:
    assert ("a first install has nothing to move" in chart.notes("dev", *sets)) == bool(sets)


@pytest.mark.parametrize(
    ("profile", "registry", "warns"),
    [
        ("small", "spanstream", True),
        ("small", "team/spanstream", True),
        ("small", "registry.example/team", False),
        ("small", "localhost:5000", False),
        ("small", "registry:5000/team", False),
        ("dev", "spanstream", False),  # nothing is pulled
    ],
)
def test_the_notes_warn_of_images_from_anywhere(chart: Chart, profile: str, registry: str, warns: bool) -> None:
    assert ("Docker Hub" in chart.notes(profile, f"global.image.registry={registry}")) == warns


def test_the_three_addresses_have_no_default() -> None:
    values = yaml.safe_load((CHARTS / "spanstream/values.yaml").read_text())
    assert not values["global"]["kafka"]["bootstrapServers"]
    assert not values["global"]["store"]["url"]
    assert not values["global"]["auth"]["keysSecret"]["name"]


def test_large_numbers_arrive_as_the_integers_they_are(render: Render) -> None:
    (worker,) = [
        one
        for one in render("dev")
        if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "spanstream-ingestor-worker"
    ]
    assert worker["data"]["INGESTOR_PARSE_MEMORY_BYTES"] == "268435456"


def test_a_changed_setting_restarts_the_pods_that_have_it_and_no_others(render: Render) -> None:
    def sums(resources: list[dict[str, Any]]) -> dict[str, str]:
        return {
            one["metadata"]["name"]: one["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
            for one in resources
            if one["kind"] == "Deployment"
        }

    before = sums(render("small"))
    after = sums(render("small", "gateway.settings.GATEWAY_MAX_STANDING_QUERIES=50"))
    assert {name for name in before if before[name] != after[name]} == {"spanstream-gateway"}


def test_a_digest_goes_before_a_tag(render: Render) -> None:
    digest = "sha256:" + "0" * 64
    images = {
        pod.component: pod.container["image"]
        for pod in pods(render("small", f"global.image.digests.gateway={digest}", "global.image.tag=v7"))
    }
    assert images["gateway"] == f"spanstream/gateway@{digest}"
    assert images["indexer"] == "spanstream/indexer:v7"


def test_the_settings_in_the_schema_are_the_services_own() -> None:
    written = (CHARTS / "spanstream/values.schema.json").read_text()
    assert json.loads(written) == chart_schema.schema(), "run `make charts-schema`"


def test_every_value_is_described() -> None:
    def undescribed(schema: dict[str, Any], path: str) -> list[str]:
        found = []
        for name, value in schema.get("properties", {}).items():
            here = f"{path}.{name}"
            if not ("description" in value or "$ref" in value or "/" in path):
                found.append(here)
            found += undescribed(value, here)
        return found

    for chart in ("service", "spanstream"):
        assert not undescribed(json.loads((CHARTS / chart / "values.schema.json").read_text()), chart)


def test_the_registry_of_topics_is_the_events_own() -> None:
    def topics(path: Path) -> Any:
        return yaml.safe_load(path.read_text())

    assert topics(CHARTS / "spanstream/files/topics.yaml") == topics(ROOT / "proto/topics.yaml")
