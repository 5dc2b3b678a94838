"""What we build from: pinned with hashes, of licences that we may ship, listed for each image; and no secret among our files."""

from __future__ import annotations

import re
import secrets
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tools import licences, sbom
from tools.image_requirements import IMAGES, members, pinned, third_party
from tools.secret_scan import ALLOW, findings, scan, tracked


def test_every_package_is_pinned_with_hashes() -> None:
    for entry in pinned((ROOT / "constraints.txt").read_text()):
        assert re.match(r"[a-z0-9.-]+==[^\s*]+", entry.lines), entry.name
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry.lines), entry.name


def test_no_file_of_requirements_names_an_index() -> None:
    for path in tracked():
        if path.suffix in (".txt", ".in", ".toml") or path.name in ("Dockerfile", "Makefile"):
            assert not re.search(r"--(?:extra-)?index-url|--find-links|\[\[tool\.uv\.index", path.read_text()), path


def test_licences_of_what_we_ship_are_allowed_or_excepted_with_a_reason() -> None:
    assert licences.problems() == []
    assert all(names and reason for names, reason in licences.EXCEPTIONS.values())


def test_no_exception_outlives_its_package() -> None:
    shipped = {entry.name for image in IMAGES for entry in third_party(image)}
    for names, _ in licences.EXCEPTIONS.values():
        assert all(any(name.startswith(prefix) for name in shipped) for prefix in names)
    assert set(licences.NAMED) <= shipped


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-2.0-only OR MIT", True),
        ("MIT AND GPL-2.0-only", False),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("GPL-2.0-only AND (Apache-2.0 OR MIT)", False),
        ("", False),
    ],
)
def test_an_expression_is_allowed_where_a_choice_is(expression: str, expected: bool) -> None:
    assert licences.allowed(expression) is expected


def test_an_exception_holds_for_its_packages_alone() -> None:
    assert licences.excepted("crc32c", "LGPL-2.1-or-later")
    assert not licences.excepted("another", "LGPL-2.1-or-later")


@pytest.mark.parametrize("image", IMAGES)
def test_the_bill_of_materials_lists_what_the_image_holds(image: str) -> None:
    """The fields that CycloneDX 1.6 requires, each package once, and references that lead somewhere."""
    bill = sbom.bill(image)
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", bill["serialNumber"])
    references = [component["bom-ref"] for component in bill["components"]]
    assert len(references) == len(set(references))
    for component in bill["components"]:
        assert component["type"] == "library"
        assert component["name"]
        assert component["version"]
    packages = {each["purl"]: each for each in bill["components"] if "purl" in each}
    expected = {f"pkg:pypi/{entry.name}@{re.split(r'[=; ]+', entry.lines)[1]}" for entry in third_party(image)}
    assert set(packages) == expected
    ours = set(members(IMAGES[image])[0])
    assert set(references) == expected | ours
    known = {*references, image}
    for dependency in bill["dependencies"]:
        assert {dependency["ref"], *dependency["dependsOn"]} <= known
    assert {each["ref"] for each in bill["dependencies"]} == known


def test_components_have_a_licence_where_they_are_installed_and_hashes_always() -> None:
    for image in IMAGES:
        for component in sbom.bill(image)["components"]:
            if "purl" not in component:
                continue
            assert component["properties"], component["name"]
            try:
                distribution(component["name"])
            except PackageNotFoundError:
                continue
            assert component["licenses"][0]["expression"], component["name"]


def test_equal_inputs_give_equal_bills(tmp_path: Path) -> None:
    assert sbom.text("gateway") == sbom.text("gateway")
    assert sbom.main(str(tmp_path / "bills")) == 0
    assert {path.name for path in (tmp_path / "bills").iterdir()} == {f"{image}.cdx.json" for image in IMAGES}


# Made here, so that none stands in this file.
PLANTED = {
    "private key": lambda: "-----BEGIN " + "RSA PRIVATE KEY-----\\n" + secrets.token_urlsafe(40),
    "key of this product": lambda: "sps" + f"_ops_{secrets.token_urlsafe(32)}",
    "access key of a cloud": lambda: "AK" + "IA" + "ABCDEFGH23456789",
    "token of a forge or registry": lambda: "gh" + f"p_{secrets.token_hex(18)}",
    "signed token": lambda: ".".join("ey" + f"J{secrets.token_hex(12)}" for _ in range(3)),
    "password in an address": lambda: "kafka://user:" + secrets.token_hex(8) + "@broker:9092",
    "random text given to a secret's name": lambda: f'api_{"key"} = "{secrets.token_hex(20)}"',
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_secret_is_found_by_file_and_line_and_not_shown(kind: str, tmp_path: Path) -> None:
    secret = PLANTED[kind]()
    path = tmp_path / "settings.py"
    path.write_text(f"first = 1\nvalue: {secret}\n")
    (found,) = set(scan([path], tmp_path))
    assert found == f"settings.py:2: {kind}"
    path.write_text(f"first = 1\nvalue: {secret}  # {ALLOW}\n")
    assert list(scan([path], tmp_path)) == []


@pytest.mark.parametrize(
    "line",
    [
        'password = "correct horse battery staple"',
        "LOG_PASSWORD: '{{ include \"spanstream.logPassword\" . }}'",
        'token_seconds = "encode_token_seconds"',
        "secret = os.environ['A_SECRET']",
        "http://user:@host/ and http://host:8080/path@here",
        "sps_<key id>_<secret>",
    ],
)
def test_words_and_names_are_no_secrets(line: str) -> None:
    assert list(findings(line)) == []


def test_no_file_of_ours_holds_a_secret() -> None:
    assert list(scan(tracked())) == []


def test_a_secret_that_is_not_committed_yet_is_looked_at_too(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("ignored\n")
    for name in ("new", "ignored"):
        (tmp_path / name).write_text(PLANTED["key of this product"]() + "\n")
    assert list(scan(tracked(tmp_path), tmp_path)) == ["new:1: key of this product"]
