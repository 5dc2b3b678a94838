"""The chart, a broker of their own, and the Secrets that an administrator makes before the first `helm install`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanstream.runtime.identity import DEFAULT_TENANT
from spanstream.runtime.key_file import create_key
from spanstream.standalone.broker import BrokerError, LocalBroker
from tests.conftest import absent
from tests.contract.charts.pods import MOVING
from tests.fixtures.product import free_port
from tests.rehearsal import addresses
from tests.rehearsal.guarded import GuardedBroker
from tests.rehearsal.manifests import of_kind
from tests.rehearsal.qdrant import serving
from tools.helm import Chart, find

Secrets = dict[str, dict[str, str]]
STORE_KEY = "key of the index"


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Chart:
    """Needs Helm, and addresses below 127.0.0.0/8."""
    helm = find()
    if helm is None:
        absent("helm (tools/install_helm.sh builds it)")
    if not addresses.usable():
        pytest.skip("this system has one loopback address alone, and each pod needs its own")
    assert helm is not None
    return Chart(helm, tmp_path_factory.mktemp("charts") / "charts")


@pytest.fixture(scope="module")
def broker(long: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of an empty Kafka of the module's own, for the long form: the topics are made here."""
    if not long:
        pytest.skip("`make rehearse` alone: every service, and a model several times")
    made = LocalBroker(tmp_path_factory.mktemp("kafka"))
    died: list[BaseException] = []
    try:
        made.start(died.append)
    except BrokerError as error:
        absent(f"a local Kafka ({error})")
    yield made.url.removeprefix("kafka://")
    made.stop(time.monotonic() + 10)
    assert not died


@pytest.fixture(scope="module")
def guarded(long: bool, chart: Chart, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedBroker]:
    """A Kafka that asks for a login, with the topics and the users of the production profile, what moves documents among them, for the long form."""
    if not long:
        pytest.skip("`make rehearse` alone: a second broker")
    resources = chart.render("production", *MOVING)
    made = GuardedBroker(tmp_path_factory.mktemp("guarded"))
    died: list[BaseException] = []
    try:
        made.start(died.append)
    except BrokerError as error:
        absent(f"a local Kafka ({error})")
    try:
        made.apply(of_kind(resources, "KafkaTopic").values(), of_kind(resources, "KafkaUser").values())
        yield made
    finally:
        made.stop(time.monotonic() + 10)
    assert not died


@pytest.fixture
def qdrant(tmp_path: Path) -> Iterator[str]:
    """host:port of what stands for an empty Qdrant server, which asks for STORE_KEY."""
    address = f"127.0.0.1:{free_port()}"
    with serving(address, tmp_path / "qdrant", STORE_KEY):
        yield address


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    """By name. `token` is a key of the tenant whose documents are sent."""
    file = tmp_path / "keys.json"
    token = create_key(file, "rehearsal", DEFAULT_TENANT)
    return {"spanstream-keys": {"keys.json": file.read_text(), "token": token}, "qdrant": {"api-key": STORE_KEY}}
