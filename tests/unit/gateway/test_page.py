"""The page's files, as they are served and as they are packed."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from spanstream.gateway import page
from spanstream.runtime.http import application
from tests.conftest import ROOT

FOLDER = ROOT / "services/gateway/src/spanstream/gateway/page"
FILES = sorted(path.name for path in FOLDER.iterdir())


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = application("test")
    app.include_router(page.router())
    return TestClient(app)


def test_page_runs_its_own_files_and_nothing_else(client: TestClient) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = dict(each.split(" ", 1) for each in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", answer.text)
    assert "/" not in client.get("/openapi.json").json()["paths"]


@pytest.mark.parametrize("name", FILES)
def test_every_file_names_only_files_of_the_page(client: TestClient, name: str) -> None:
    answer = client.get("/" if name == page.INDEX else f"/page/{name}")
    assert (answer.status_code, answer.content) == (200, (FOLDER / name).read_bytes())
    assert answer.headers["content-security-policy"] == page.POLICY
    named = re.findall(r'(?:src|href)="(/page/[^"]+)"|from "\./([^"]+)"', answer.text)
    assert all(client.get(path or f"/page/{file}").status_code == 200 for path, file in named)
    elsewhere = set(re.findall(r"https?://[^\s\"')]+", answer.text)) - {"http://www.w3.org/2000/svg"}
    assert not elsewhere


def test_known_file_is_not_sent_again(client: TestClient) -> None:
    first = client.get("/page/style.css")
    for known in (first.headers["etag"], f'"other", W/{first.headers["etag"]}'):
        again = client.get("/page/style.css", headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
        assert again.headers["content-security-policy"] == page.POLICY
    assert client.get("/page/style.css", headers={"if-none-match": '"other"'}).status_code == 200
    assert first.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["missing.js", "index.html", "..%2Fpage.py", "%2e%2e/page.py", ""])
def test_nothing_else_is_served(client: TestClient, name: str) -> None:
    answer = client.get(f"/page/{name}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_head_is_answered(client: TestClient) -> None:
    assert client.head("/").headers["etag"] == client.get("/").headers["etag"]


def test_files_are_in_the_wheel(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT / "services/gateway", check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert {f"spanstream/gateway/page/{name}" for name in FILES} <= packed
