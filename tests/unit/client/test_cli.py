"""What the command says and asks for; a server of a few lines on this machine answers."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from spanstream.client import cli, config
from spanstream.client.errors import NotFound, Unusable


class Server(ThreadingHTTPServer):
    """Answers a method and a path with (status, JSON); remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.asked: list[str] = []
        server = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                server.asked.append(f"{self.command} {self.path}")
                status, body = server.answers[self.command, self.path.partition("?")[0]]
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_DELETE = do_GET  # noqa: N815 named by the base class

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Answer)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    for name in ("SPANSTREAM_INGEST_URL", "SPANSTREAM_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SPANSTREAM_DATA", str(tmp_path / "none"))
    with Server() as server:
        monkeypatch.setenv("SPANSTREAM_URL", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments), env={"COLUMNS": "200", "TERM": "dumb"})


DOCUMENT = "/v1/sources/kb/documents/a"
STATUS = {"source": "kb", "id": "a", "state": "searchable", "version": 3, "failure": None}


def test_empty_question_is_a_usage_error(server: Server) -> None:
    done = run("search", "  ")
    assert done.exit_code == cli.USAGE
    assert "say what to look for" in done.output
    assert not server.asked


def test_empty_exclusion_is_told_of_as_that(server: Server) -> None:
    done = run("search", "cats", "--not", " ")
    assert done.exit_code == cli.USAGE
    assert "Invalid value for --not: say what is not to be found" in done.output
    assert not server.asked


def test_refused_name_of_a_source_is_told_without_the_way_it_was_sent(server: Server) -> None:
    wrong = [{"field": "path.source", "detail": "source must be lower case"}, {"field": "body.a", "detail": "is long"}]
    server.answers["GET", DOCUMENT] = 422, {"detail": "the request does not fit the schema", "errors": wrong}
    said = "the request does not fit the schema; source must be lower case; body.a: is long"
    assert str(run("status", "a", "--source", "kb").exception) == said


def test_unknown_source_is_named_with_those_that_there_are(server: Server) -> None:
    server.answers["POST", "/v1/search"] = 422, {"detail": "the request does not fit the index"}
    server.answers["GET", "/v1/sources"] = 200, {"sources": [{"source": "wiki", "documents": 2}]}
    done = run("search", "bees", "--source", "wiki", "--source", "wikki")
    assert done.exit_code == cli.USAGE
    assert "no documents in wikki; there are: wiki" in done.output


@pytest.mark.parametrize(
    ("options", "field", "shown"),
    [
        ([], "body.filter.all.1.field", "filter.all.1.field"),
        (["--source", "wiki"], "body.filter.all.1.all.1.field", "filter.all.1.field"),
        (["--source", "wiki"], "body.filter.all.1.field", "filter.field"),
        (["--source", "wiki"], "body.filter.all.0.in.0", "source.in.0"),
        (["--source", "wiki"], "body.filter.all.10", "filter.all.10"),
        ([], "body.limit", "limit"),
    ],
)
def test_refused_filter_is_told_under_the_path_that_was_typed(
    server: Server, options: list[str], field: str, shown: str
) -> None:
    wrong = {"field": field, "detail": "must be source, id or metadata.NAME"}
    server.answers["POST", "/v1/search"] = 422, {"detail": "the request does not fit the schema", "errors": [wrong]}
    server.answers["GET", "/v1/sources"] = 200, {"sources": [{"source": "wiki", "documents": 2}]}
    done = run("search", "bees", "--filter", '{"all": []}', *options)
    expected = f"the request does not fit the schema; {shown}: must be source, id or metadata.NAME"
    assert str(done.exception) == expected


@pytest.mark.parametrize("filter", ["{", "[1]", "null", "lang=en"])
def test_filter_that_is_no_json_object_is_a_usage_error(server: Server, filter: str) -> None:
    done = run("search", "bees", "--filter", filter)
    assert done.exit_code == cli.USAGE
    assert cli.FILTER in done.output
    assert not server.asked


@pytest.mark.parametrize(
    ("option", "value"),
    [("--boost", "{"), ("--boost", "[]"), ("--recent", "accepted_at"), ("--recent", "x=nan"), ("--recent", "x=-1")],
)
def test_option_that_cannot_be_read_is_a_usage_error(server: Server, option: str, value: str) -> None:
    done = run("search", "bees", option, value)
    assert done.exit_code == cli.USAGE
    assert option in done.output
    assert not server.asked


def test_facets_are_shown_by_field(server: Server) -> None:
    facets = [{"field": "metadata.n", "values": [{"value": True, "count": 2}, {"value": "a\x1b", "count": 1}]}]
    server.answers["POST", "/v1/search"] = 200, {"hits": [], "took_ms": 1, "facets": facets}
    done = run("search", "bees", "--facet", "metadata.n", "--recent", "metadata.date=30", "--diversity", "0.5")
    assert "metadata.n: true (2), a\ufffd (1)" in done.output


def test_help_of_search_shows_a_filter_that_is_json() -> None:
    shown = " ".join(run("search", "--help").output.replace("│", " ").split())
    assert json.loads(shown.partition("'")[2].partition("'")[0]) == {"field": "metadata.lang", "in": ["en"]}


def test_refused_caller_is_told_where_the_key_came_from_or_would_come_from(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server.answers["GET", "/v1/sources"] = 401, {"detail": "send a valid API key"}
    assert "send a valid API key; no usable client.json in " in str(run("sources").exception)
    monkeypatch.setenv("SPANSTREAM_API_KEY", "sps_old_key")
    assert "the key in SPANSTREAM_API_KEY is not the server's" in str(run("sources").exception)
    monkeypatch.delenv("SPANSTREAM_API_KEY")
    config.save(tmp_path, {"url": f"http://127.0.0.1:{server.server_port}", "api_key": "old"})
    monkeypatch.setenv("SPANSTREAM_DATA", str(tmp_path))
    assert f"the key in {tmp_path / config.FILE} is not the server's" in str(run("sources").exception)


def test_damaged_saved_file_is_a_usage_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SPANSTREAM_URL", raising=False)
    monkeypatch.setenv("SPANSTREAM_DATA", str(tmp_path))
    (tmp_path / "client.json").write_text("{")
    error = run("sources").exception
    assert isinstance(error, Unusable)
    assert cli._exit_code(error) == cli.USAGE


def test_version_is_printed() -> None:
    done = run("--version")
    assert (done.exit_code, done.stdout) == (0, f"spanstream {version('spanstream-client')}\n")


@pytest.mark.parametrize("command", ["ingest", "search", "explain-miss", "show", "status", "delete", "sources"])
def test_help_names_where_address_and_key_come_from(command: str) -> None:
    shown = run(command, "--help").output
    assert "SPANSTREAM_URL" in shown
    assert "SPANSTREAM_API_KEY" in shown


def test_status_asks_for_the_version_given(server: Server) -> None:
    server.answers["GET", DOCUMENT] = 200, STATUS
    assert run("status", "a", "--source", "kb", "--version", "3").exit_code == 0
    assert server.asked == [f"GET {DOCUMENT}?version=3"]


@pytest.mark.parametrize(
    ("named", "id"),
    [
        (["docs/a/b.md"], "a%2Fb.md"),
        (["a/b.md", "--source", "docs"], "a%2Fb.md"),
        (["docs/a/b.md", "--source", "docs"], "docs%2Fa%2Fb.md"),  # beside a source it is an id, whatever it looks like
    ],
)
def test_document_is_named_as_search_shows_it_or_by_its_id_and_source(
    server: Server, named: list[str], id: str
) -> None:
    path = f"/v1/sources/docs/documents/{id}"
    server.answers["GET", path] = server.answers["GET", f"{path}/content"] = 404, {"detail": "no such document"}
    server.answers["DELETE", path] = 202, {"source": "docs", "id": "a", "version": 4}
    for command in (["status"], ["show"], ["delete", "--no-wait"]):
        run(*command, *named)
    assert [each.partition("?")[0] for each in server.asked] == [f"GET {path}", f"GET {path}/content", f"DELETE {path}"]


@pytest.mark.parametrize("command", ["show", "status", "delete"])
def test_an_id_alone_is_a_usage_error(server: Server, command: str) -> None:
    done = run(command, "bees.html")
    assert done.exit_code == cli.USAGE
    assert "name a document as SOURCE/ID, not bees.html" in done.output
    assert not server.asked


def test_status_of_an_unknown_document_says_what_to_check(server: Server) -> None:
    server.answers["GET", DOCUMENT] = 404, {"detail": "no such document"}
    said = "the index knows no such document: is the id right (`spanstream search` shows them as source/id)?"
    now, waited = (run("status", "a", "--source", "kb", *options).exception for options in ((), ("--wait",)))
    assert str(now) == f"{said} If you have just sent it, try --wait."
    assert str(waited) == said
    assert isinstance(now, NotFound)
    assert cli._exit_code(now) == cli.REFUSED


def deleting(server: Server, known: tuple[int, Any]) -> Result:
    server.answers["GET", DOCUMENT] = known
    server.answers["DELETE", DOCUMENT] = 202, {"source": "kb", "id": "a", "version": 4}
    gone = STATUS | {"state": "deleted", "version": 4}
    server.answers["POST", "/v1/sources/kb/documents:status"] = 200, {"documents": [gone]}
    return run("delete", "a", "--source", "kb")


def test_known_document_is_deleted(server: Server) -> None:
    done = deleting(server, (200, STATUS))
    assert done.exit_code == 0
    assert done.stdout == "deleted  kb/a\n"


@pytest.mark.parametrize("known", [(404, {"detail": "no such document"}), (200, STATUS | {"state": "deleted"})])
def test_deletion_of_an_unknown_document_is_accepted_with_a_warning(server: Server, known: tuple[int, Any]) -> None:
    done = deleting(server, known)
    assert done.exit_code == 0
    assert done.stdout == "accepted  kb/a\n"
    assert "knew no such document" in done.stderr


def test_ctrl_c_says_how_much_was_accepted(server: Server, tmp_path: Path) -> None:
    class Interrupting(dict[tuple[str, str], Any]):
        def __getitem__(self, asked: tuple[str, str]) -> tuple[int, Any]:
            signal.raise_signal(signal.SIGINT)
            return 503, {"detail": "not now"}

    server.answers = Interrupting()
    (tmp_path / "a.md").write_text("words")
    done = run("ingest", str(tmp_path / "a.md"))
    assert done.exit_code == cli.INTERRUPTED
    assert "0 documents were accepted for certain" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        (["a.md"], "everything was accepted, 1 in all, and becomes searchable all the same.\n"),
        (
            ["a.md", "b.md"],
            "1 documents were accepted for certain, and become searchable all the same; ingest the same",
        ),
    ],
)
def test_ctrl_c_names_a_rest_only_where_there_is_one(
    server: Server, tmp_path: Path, paths: list[str], told: str
) -> None:
    class Interrupting(dict[tuple[str, str], Any]):
        def __getitem__(self, asked: tuple[str, str]) -> tuple[int, Any]:
            if asked[1].endswith(":batch"):
                return 200, {"line": 1, "source": "kb", "id": "a.md", "version": 1, "status": "accepted"}
            signal.raise_signal(signal.SIGINT)
            return 503, {"detail": "not now"}

    server.answers = Interrupting()
    for name in paths:
        (tmp_path / name).write_text("words")
    done = run("ingest", "--source", "kb", *(str(tmp_path / name) for name in paths))
    assert done.exit_code == cli.INTERRUPTED
    assert told in done.stderr


def test_folder_without_documents_says_what_is_looked_for(server: Server, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run("ingest", str(tmp_path / "empty"))
    assert "nothing to ingest in" in done.stderr
    assert ".docx .htm .html .jsonl .markdown .md .ndjson .pdf" in done.stderr
    assert not server.asked


def test_a_pipe_is_a_usage_error_and_a_link_to_a_file_is_none(server: Server, tmp_path: Path) -> None:
    """It waited for ever for somebody to write."""
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "a.txt").write_text("words")
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.txt")
    told = run("ingest", str(tmp_path / "pipe.txt"))
    assert told.exit_code == 2
    assert "neither a file nor a folder" in " ".join(told.output.replace("│", "").split())
    assert not server.asked
    row = {"line": 1, "source": "s", "id": "link.txt", "version": 1, "status": "accepted"}
    server.answers["POST", "/v1/sources/s/documents:batch"] = 200, row
    assert run("ingest", str(tmp_path / "link.txt"), "--source", "s", "--no-wait").exit_code == 0


def test_folder_that_cannot_be_read_is_a_usage_error(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refused)
    told = run("ingest", str(tmp_path))
    assert told.exit_code == 2
    assert "cannot be read: Permission denied" in " ".join(told.output.replace("│", "").split())
