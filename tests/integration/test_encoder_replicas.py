"""The encoder on a real local Ray Serve: two replicas, one killed under load; and how it starts and stops."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from spanstream.encoder.encoder import Encoded, Text
from spanstream.encoder.errors import EncoderError
from spanstream.encoder.http import HttpEncoder
from spanstream.representations.local import open_local
from tests.fixtures.product import free_port

SECONDS = 300.0  # for anything that takes Ray a while; 20 s where nothing else runs
MODULE = "spanstream.embedder.deployment"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer with random weights, in a folder named `tiny`."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    letters = [chr(ord("a") + i) for i in range(26)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def texts(number: int) -> list[Text]:
    """A few texts, other ones for each number."""
    spelled = "".join(chr(ord("a") + int(digit)) for digit in str(number))
    made = [f"{spelled} {'some more words ' * (i % 4)}" for i in range(8)]
    return [Text(text, np.array([[0, len(spelled)]], np.int32)) for text in made]


@dataclass
class Cluster:
    """The process that holds Ray, and where it answers."""

    process: subprocess.Popen[bytes]
    url: str
    admin: str

    def replicas(self) -> set[int]:
        """The process ids of the replicas."""
        listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
        rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
        parents = {int(pid): int(parent) for pid, parent, *_ in rows}
        found = {int(pid) for pid, _, *name in rows if name and name[0].startswith("ray::ServeReplica")}
        return {pid for pid in found if self.process.pid in ancestors(pid, parents)}


def ancestors(pid: int, parents: Mapping[int, int]) -> set[int]:
    found: set[int] = set()
    while pid := parents.get(pid, 0):
        found.add(pid)
    return found


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} took more than {SECONDS:.0f} s"
        threading.Event().wait(0.2)


def start(model: Path, port: int, admin_port: int, log: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "ENCODER_MODEL": str(model),
        "ENCODER_DTYPE": "float32",
        "ENCODER_REPLICAS": "2",
        "ENCODER_CPUS": "0.5",
        "ENCODER_PORT": str(port),
        "ENCODER_HEALTH_SECONDS": "1",
        "ADMIN_PORT": str(admin_port),
    }
    with log.open("wb") as output:
        return subprocess.Popen([sys.executable, "-m", MODULE], env=environment, stdout=output, stderr=output)


@pytest.fixture(scope="module")
def cluster(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    port, admin_port = free_port(), free_port()
    log = tmp_path_factory.mktemp("logs") / "log"
    process = start(model, port, admin_port, log)
    made = Cluster(process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin_port}")

    def ready() -> bool:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            return httpx.get(f"{made.admin}/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    try:
        wait(ready, "the start")
        yield made
        replicas = made.replicas()
        assert replicas
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0, log.read_text()[-3000:]
        wait(lambda: not any(Path(f"/proc/{pid}").exists() for pid in replicas), "the end of the replicas")
    finally:
        process.kill()  # Ray's processes end with it


def test_a_replica_killed_under_load_loses_no_request_and_is_replaced(cluster: Cluster, model: Path) -> None:
    local = open_local(str(model), dtype="float32", threads=1)
    expected = {number: local.encode(texts(number)) for number in range(40)}
    local.close()
    before = cluster.replicas()
    assert len(before) == 2
    answers: list[tuple[int, list[Encoded]]] = []
    failures: list[EncoderError] = []
    killed = threading.Event()

    def ask(first: int, query: bool) -> None:
        client = HttpEncoder(f"{cluster.url}/tiny", in_flight=2)
        number, after = first, 0
        try:
            while after < 20:  # so many more once a replica has been killed
                after += killed.is_set()
                answers.append((number, client.encode(texts(number), query=query)))
                number = (number + 1) % 40
        except EncoderError as error:
            failures.append(error)
        finally:
            client.close()

    clients = [threading.Thread(target=ask, args=(10 * i, i == 0)) for i in range(4)]
    for client in clients:
        client.start()
    wait(lambda: len(answers) >= 20 or bool(failures), "the first answers")
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    killed.set()
    for client in clients:
        client.join(SECONDS)
    assert failures == []
    assert len(answers) >= 100
    for number, results in answers:
        for got, right in zip(results, expected[number], strict=True):
            np.testing.assert_allclose(got.whole, right.whole, atol=1e-5)
            np.testing.assert_allclose(got.ranges, right.ranges, atol=1e-5)
    wait(lambda: len(cluster.replicas() - {victim}) == 2, "the new replica")


@pytest.mark.parametrize(("path", "status"), [("/v1/info", 404), ("/large/v1/encode", 404), ("/tiny/v1/x", 404)])
def test_what_is_not_there_is_a_problem_whoever_says_so(cluster: Cluster, path: str, status: int) -> None:
    answer = httpx.get(cluster.url + path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_it_says_that_its_model_answers(cluster: Cluster) -> None:
    answer = httpx.get(f"{cluster.url}/tiny/v1/health", timeout=SECONDS)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_port_that_lingers_is_free(model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            server.accept()[0].close()  # first, so that this end lingers
            client.recv(1)
    code = f"import {MODULE} as d; d.Deployment(d.DeploymentSettings.read()).stop(0)"
    environment = os.environ | {"ENCODER_MODEL": str(model), "ENCODER_PORT": str(port)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_port_in_use_is_one_clear_line(model: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start(model, port, 0, tmp_path / "log")
        assert process.wait(SECONDS) == 2
    said = (tmp_path / "log").read_text().splitlines()
    assert said[-1].startswith(f"cannot listen on 127.0.0.1:{port} for encoder: Address already in use; ENCODER_PORT")


def test_a_wrong_key_of_a_release_file_is_one_clear_line(tmp_path: Path) -> None:
    release = tmp_path / "release.yaml"
    release.write_text("release: a\nmodel_name_or_path: minilm\nprecision: int3")
    process = start(release, free_port(), 0, tmp_path / "log")
    assert process.wait(SECONDS) == 2
    assert "precision must be one of" in (tmp_path / "log").read_text().splitlines()[-1]


def test_a_model_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    process = start(tmp_path / "nothing here" / "absent", free_port(), 0, tmp_path / "log")
    assert process.wait(SECONDS) == 2
    assert "Traceback" not in (tmp_path / "log").read_text()
