"""What a person does with the command against a running product."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import httpx

from tests.fixtures.product import COMMAND, Product, command, environment, free_port


def test_folder_of_mixed_formats_is_found_to_the_span(product: Product, notes: Path) -> None:
    done = product.run("ingest", str(notes))
    assert done.returncode == 0, done.stderr.decode()
    assert "notes: 5 searchable\n" in done.stdout.decode()
    assert "skipped 1 files of other types: 1 .raw" in done.stderr.decode()

    found = product.json("search", "where is the spare key hidden", "--source", "notes", "-n", "1")
    (hit,) = found["hits"]
    assert (hit["source"], hit["id"]) == ("notes", "house.md")
    passage = hit["passages"][0]
    span = passage["spans"][0]
    assert span["text"] == "The caretaker hides the spare key beneath the blue flowerpot."
    assert passage["text"][span["start"] - passage["start"] : span["end"] - passage["start"]] == span["text"]

    shown = product.run("search", "which motor needs no ignition", "--source", "notes").stdout.decode()
    assert "sub/engine.txt" in shown
    assert "«" in shown
    ids = {hit["id"] for hit in product.json("search", "how do bees tell the way", "-n", "2")["hits"]}
    assert "page.html" in ids
    apart = product.json("search", "where is the spare key hidden", "--not", "the spare key", "-n", "1")["hits"]
    assert [hit["id"] for hit in apart] != [hit["id"] for hit in found["hits"]]
    (hit,) = found["hits"]
    alike = product.json("search", "--like", f"{hit['source']}/{hit['id']}")["hits"]
    assert alike
    assert hit["id"] not in {other["id"] for other in alike}
    filtered = product.json("search", "sea", "--filter", '{"field": "metadata.year", "gte": 2000}')
    assert {hit["id"] for hit in filtered["hits"]} == {"bread"}


def test_same_folder_again_is_unchanged_and_an_edit_is_not(product: Product, notes: Path) -> None:
    assert product.run("ingest", str(notes), "--source", "twice").returncode == 0
    again = product.json("ingest", str(notes), "--source", "twice")["counts"]
    assert again == {"accepted": 5, "unchanged": 5, "searchable": 5, "failed": 0}
    (notes / "house.md").write_text("The spare key is now in the letter box of the neighbour.")
    edited = product.json("ingest", str(notes), "--source", "twice")["counts"]
    assert edited == {"accepted": 5, "unchanged": 4, "searchable": 5, "failed": 0}
    (hit,) = product.json("search", "where is the spare key", "--source", "twice", "-n", "1")["hits"]
    assert hit["passages"][0]["spans"][0]["text"] == "The spare key is now in the letter box of the neighbour."


def test_lines_from_a_pipe_are_ingested_and_the_bad_one_is_reported(product: Product) -> None:
    lines = (
        b'{"_id": "1", "text": "Glass is made of sand."}\n{"_id": \n{"_id": "2", "text": "Paper is made of wood."}\n'
    )
    report = product.json("ingest", "-", "--source", "pipe", input=lines, code=1)
    assert report["counts"] == {"accepted": 2, "unchanged": 0, "searchable": 2, "failed": 1}
    assert report["failures"][0]["stage"] == "accept"


def test_document_that_cannot_be_parsed_fails_with_stage_and_reason(product: Product, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "a.pdf").write_bytes(b"%PDF-1.7\nthis is no PDF")
    (folder / "b.txt").write_text("Sound is slower than light.")
    report = product.json("ingest", str(folder), code=1)
    assert report["counts"] == {"accepted": 2, "unchanged": 0, "searchable": 1, "failed": 1}
    (failure,) = report["failures"]
    assert (failure["source"], failure["id"]) == ("broken", "a.pdf")
    assert failure["stage"]
    assert failure["reason"]
    state = product.json("status", "a.pdf", "--source", "broken", code=1)
    assert (state["state"], state["reason"]) == ("failed", failure["reason"])


def test_status_and_delete(product: Product) -> None:
    line = b'{"_id": "gone", "text": "The ferry to the island leaves from pier seven."}\n'
    assert product.run("ingest", "-", "--source", "ferry", input=line).returncode == 0
    assert product.json("status", "gone", "--source", "ferry")["state"] == "searchable"
    assert {"name": "ferry", "documents": 1} in product.json("sources")["sources"]
    assert product.run("delete", "gone", "--source", "ferry").returncode == 0
    assert product.json("status", "gone", "--source", "ferry", "--wait")["state"] == "deleted"
    found = product.json("search", "ferry to the island")
    assert all(hit["id"] != "gone" for hit in found["hits"])


def test_no_wait_returns_after_acceptance(product: Product) -> None:
    counts = product.json("ingest", "-", "--source", "fast", "--no-wait", input=b'{"_id": "1", "text": "Soon."}\n')[
        "counts"
    ]
    assert counts == {"accepted": 1, "unchanged": 0, "searchable": 0, "failed": 0}
    assert product.json("status", "1", "--source", "fast", "--wait")["state"] == "searchable"


def test_exit_codes(product: Product, tmp_path: Path) -> None:
    assert product.run("search").returncode == 2
    assert product.run("search", "--not", "x").returncode == 2
    assert product.run("search", "--like", "nowhere").returncode == 2
    assert product.run("search", "--like", "no/where").returncode == 4
    assert product.run("search", "x", "--filter", "{").returncode == 2
    assert product.run("ingest", str(tmp_path / "missing")).returncode == 2
    assert product.run("search", "x", "--url", f"http://127.0.0.1:{free_port()}").returncode == 3
    assert product.run("status", "nobody", "--source", "nowhere").returncode == 4
    assert product.run("search", "x", "--mode", "psychic").returncode == 4
    foreign = environment(product.folder) | {"SPANSTREAM_API_KEY": "sps_local_wrong"}
    done = subprocess.run([*COMMAND, "search", "x"], env=foreign, capture_output=True, check=False)
    assert done.returncode == 4
    assert done.stdout == b""
    assert b"SPANSTREAM_API_KEY" in done.stderr


def test_every_command_explains_itself(product: Product) -> None:
    for name in ("", "up", "ingest", "search", "status", "delete", "sources", "topics", "config"):
        done = product.run(*name.split(), "--help")
        assert done.returncode == 0, name
        assert b"Usage:" in done.stdout


def test_reader_that_goes_away_is_no_crash(product: Product) -> None:
    with subprocess.Popen(
        [*COMMAND, "search", "anything", "--json"],
        env=environment(product.folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_interrupted_ingest_ends_quietly_and_keeps_what_was_accepted(product: Product) -> None:
    with subprocess.Popen(
        [*COMMAND, "ingest", "-", "--source", "interrupted"],
        env=environment(product.folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        for number in range(600):  # more than one batch
            process.stdin.write(b'{"_id": "%d", "text": "Line %d."}\n' % (number, number))
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while product.state("interrupted", "0") != "searchable":
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        assert process.wait(90) == 130
        assert b"Traceback" not in process.stderr.read()


def test_topics_and_settings_are_shown(product: Product) -> None:
    topics = {topic["name"]: topic for topic in product.json("topics", "list")}
    assert set(topics) == {"documents.v1", "passages.v1", "embeddings.v1", "failures.v1", "matches.v1"}
    assert product.json("topics", "create") == [{"name": name, "created": False} for name in topics]
    shown = product.json("config")
    assert shown["gateway"]["STORE_URL"] == f"edge:{product.folder / 'index'}"


def test_api_documents_itself_and_counts_what_happens(product: Product) -> None:
    base, admin = f"http://127.0.0.1:{product.port}", f"http://127.0.0.1:{product.admin}"
    paths = httpx.get(f"{base}/openapi.json").json()["paths"]
    assert {"/v1/search", "/v1/sources/{source}/documents:batch"} <= paths.keys()
    assert httpx.get(f"{base}/docs").status_code == 200
    metrics = httpx.get(f"{admin}/metrics").text
    for name in ("ingestor_documents_accepted_total", "indexer_freshness_seconds", "consumer_lag_seconds"):
        assert name in metrics
    assert httpx.get(f"{admin}/livez").status_code == 200
    key = json.loads((product.folder / "client.json").read_text())["api_key"]
    assert key not in httpx.get(f"{admin}/config").text


def test_secret_is_never_shown(product: Product) -> None:
    key = json.loads((product.folder / "client.json").read_text())["api_key"]
    assert key not in product.terminal
    assert key not in (product.folder / "logs" / "spanstream.log").read_text()


def test_second_instance_on_the_folder_is_told_so(product: Product) -> None:
    done = command(product.folder, "up", "--port", "0", "--admin-port", "0")
    assert done.returncode == 1
    assert f"process {product.process.pid}" in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_port_in_use_names_the_way_out(product: Product, tmp_path: Path) -> None:
    for taken, other, option in (("--port", "--admin-port", product.port), ("--admin-port", "--port", product.admin)):
        done = command(tmp_path / "other", "up", taken, str(option), other, "0")
        assert done.returncode == 1
        message = " ".join(done.stderr.decode().replace("│", " ").split())
        assert str(option) in message
        assert f"up --data {tmp_path / 'other'} --port 0 --admin-port 0" in message
        assert "Traceback" not in message
    assert os.path.exists(product.folder / "client.json")
