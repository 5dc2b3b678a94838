"""`docker compose up`, read as what it is: YAML that names images, files, ports and settings."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from spanstream.standalone.jars import COORDINATES
from tests.conftest import ROOT
from tests.fixtures.services import check
from tools.image_requirements import IMAGES, pinned

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text()
# (image, the module that it runs)
ENTRYPOINT = r'AS image-(\w+)\n(?:(?!FROM ).*\n)*?ENTRYPOINT \["python", "-m", "([\w.]+)"\]'


def module(service: dict[str, Any]) -> str:
    """What it runs: its own entrypoint, or its image's."""
    if "entrypoint" in service:
        return str(service["entrypoint"][-1])
    image = service["build"]["args"]["SERVICE"]
    (found,) = re.findall(
        rf'AS image-{image}\n(?:(?!FROM ).*\n)*?ENTRYPOINT \["python", "-m", "([\w.]+)"\]', DOCKERFILE
    )
    return str(found)


@pytest.mark.parametrize("name", OURS)
def test_each_service_is_given_its_settings_and_nothing_else(name: str) -> None:
    check(module(OURS[name]), OURS[name]["environment"])


def test_every_image_is_used_and_every_reference_pinned() -> None:
    # What moves an index runs beside two encoders, for as long as that takes: the chart's matter.
    assert {service["build"]["args"]["SERVICE"] for service in OURS.values()} == set(IMAGES) - {"migrator"}
    for service in SERVICES.values():
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"]), service["image"]


def test_kafka_and_qdrant_are_those_that_the_code_is_tested_with() -> None:
    assert SERVICES["kafka"]["image"].rpartition(":")[2] == COORDINATES.split("+")[0].rpartition(":")[2]
    (client,) = [one for one in pinned((ROOT / "constraints.txt").read_text()) if one.name == "qdrant-client"]
    version = re.findall(r"==(\d+\.\d+)", client.lines)[0]
    assert SERVICES["qdrant"]["image"].startswith(f"qdrant/qdrant:v{version}.")


def test_only_loopback_is_listened_on() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in ports)
    assert not any(service.get("network_mode") == "host" for service in SERVICES.values())


@pytest.mark.parametrize("name", OURS)
def test_our_containers_may_do_nothing_they_need_not(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "healthcheck" in service


def test_neighbours_addresses_and_files_exist() -> None:
    text = (ROOT / "docker/compose.yaml").read_text()
    for host, port in re.findall(r"(?:http|kafka)://([a-z-]+):(\d+)", text):
        assert host in SERVICES, host
        if host in OURS:
            assert re.search(rf"^EXPOSE {port}$", DOCKERFILE, re.MULTILINE), (host, port)
    targets = yaml.safe_load((ROOT / "docker/prometheus/prometheus.yml").read_text())["scrape_configs"][0]
    scraped = {target.partition(":")[0] for group in targets["static_configs"] for target in group["targets"]}
    assert scraped == set(OURS) - {"topics"}
    volumes = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    for source in {volume.partition(":")[0] for volume in volumes}:
        assert source in COMPOSE["volumes"] or (ROOT / "docker" / source).exists(), source


def test_dependencies_are_services_and_keys_come_from_a_file_outside_the_repository() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= set(SERVICES)
    assert COMPOSE["secrets"] == {"keys": {"file": "./secrets/keys.json"}}
    assert "/docker/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
