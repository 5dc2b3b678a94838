"""Failures in words that say what to do."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from spanstream.eventlog.errors import Fatal, LogUnavailable
from spanstream.representations.errors import ReleaseInvalid
from spanstream.runtime.http import HttpServer, PortInUse
from spanstream.runtime.settings import SettingsError
from spanstream.standalone.processes import ProcessDied
from spanstream.standalone.trouble import Trouble, explain
from spanstream.store.errors import StoreCorrupt


def test_port_in_use_gives_a_command_that_meets_no_other_port_and_no_other_folder(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(PortInUse) as caught:
            HttpServer("api", "127.0.0.1", taken)
    trouble = explain(caught.value, tmp_path)
    assert str(taken) in trouble.what
    assert f"spanstream up --data {tmp_path} --port 0 --admin-port 0." in trouble.advice


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),
        (SettingsError("GATEWAY_HTTP_PORT: too large"), "settings"),
        (StoreCorrupt("the index cannot be read; move it away"), "index"),
        (ReleaseInvalid("release.yaml: pooling.colour is not known here"), "Release.yaml: pooling.colour"),
        (LogUnavailable("Kafka does not answer at 127.0.0.1:9"), "Kafka does not answer"),
        (RuntimeError("surprise"), "surprise"),
        (ValueError("zip() argument 2 is shorter"), "unexpected"),
    ],
)
def test_failure_has_a_sentence_and_advice(error: Exception, word: str) -> None:
    trouble = explain(error)
    assert word in trouble.what
    assert trouble.advice or isinstance(error, StoreCorrupt | ReleaseInvalid)


def test_trouble_stays_what_it_is() -> None:
    trouble = Trouble("what", "advice")
    assert explain(trouble) is trouble


def test_what_ended_a_loop_is_explained_by_its_cause() -> None:
    error = Fatal("the index cannot be opened")
    error.__cause__ = StoreCorrupt("the index is damaged\nMove it away.")
    assert (explain(error).what, explain(error).advice) == ("The index is damaged", "Move it away.")


def test_a_process_that_died_is_told_with_its_last_words() -> None:
    trouble = explain(ProcessDied("The process of the gateway ended by itself (exit code 2).\nIts last words: no port"))
    assert trouble.what == "The process of the gateway ended by itself (exit code 2)."
    assert "no port" in trouble.advice
