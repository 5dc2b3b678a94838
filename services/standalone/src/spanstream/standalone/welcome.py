"""What a person sees between the start and Ctrl-C."""

from __future__ import annotations

import shlex
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from spanstream.client import Client, SpanstreamError, config, output
from spanstream.encoder.errors import EncoderError
from spanstream.runtime.service import Service
from spanstream.standalone import calling, samples

TICK_SECONDS = 0.05
TELL_SECONDS = 30.0  # between two lines of what a start waits for


class Welcome:
    """Waits until everything is ready, brings the first corpus in, says where things are. Its `run` is a thread's target."""

    def __init__(
        self,
        console: Console,
        services: Sequence[Service],
        folder: Path,
        admin_url: str,
        release: Callable[[], str],
        *,
        with_gateway: bool,
        with_samples: bool,
        as_json: bool,
        began: float,
    ) -> None:
        """`with_gateway`: there is one to ask. `began`: `time.monotonic()` at the start of the process."""
        self._console = console
        self._services = services
        self._folder = folder
        self._admin_url = admin_url
        self._release = release
        self._gateway = with_gateway
        self._samples = with_samples
        self._as_json = as_json
        self._began = began

    def run(self, stop: threading.Event) -> None:
        """1 wait, 2 ingest what is missing, 3 show answers, 4 tell the addresses. Raises what makes a start useless."""
        if not self._await(stop):  # 1
            return
        saved = config.read(self._folder)
        with Client(saved["url"], ingest_url=saved.get("ingest_url"), api_key=saved["api_key"]) as client:
            try:
                if self._samples and (documents := samples.missing(client)):
                    if not self._as_json:
                        self._console.print(
                            f"You can use {saved['url']} already; Ctrl-C stops. First, something to search:"
                        )
                    samples.ingest(client, documents, self._console, stop)  # 2
                    samples.show(client, self._console)  # 3
                there = sum(source.documents for source in client.sources()) if self._gateway else None
            except samples.Stopped:
                return
            except SpanstreamError as error:
                if stop.is_set():
                    return
                self._console.print(f"The first documents did not get in: {error}", style="red", markup=False)
                there = None
        release = self._known_release()
        if self._as_json:  # 4
            found = {name: saved[name] for name in ("url", "ingest_url", "log_url") if name in saved}
            known = {"data": str(self._folder), "documents": there, "release": release}
            output.write_json(found | {"admin_url": self._admin_url} | known)
            sys.stdout.flush()
        else:
            self._console.print(addresses(saved["url"], self._admin_url, self._folder, there, release), soft_wrap=True)

    def _known_release(self) -> str | None:
        try:
            return self._release()
        except (EncoderError, ValueError):  # it has gone since it was ready, or none is used here
            return None

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._console.print("\nStopping …", style="dim")

    def _await(self, stop: threading.Event) -> bool:
        tell_at = self._began + TELL_SECONDS
        with self._console.status("Starting Kafka, the index and the model …"):
            while waits := [reason for service in self._services for reason in service.unready()]:
                if stop.wait(TICK_SECONDS):
                    return False
                if time.monotonic() >= tell_at:
                    tell_at = time.monotonic() + TELL_SECONDS
                    self._console.print(
                        f"Not ready yet: {'; '.join(dict.fromkeys(waits))}", style="yellow", markup=False
                    )
        self._console.print(f"Ready after {time.monotonic() - self._began:.1f} s.", style="bold green")
        return True


def addresses(url: str, admin_url: str, folder: Path, documents: int | None, release: str | None) -> Text:
    """Where everything is and what to do next, a line each."""
    command = calling.command()
    if folder != config.data_folder().absolute():
        command = f"SPANSTREAM_DATA={shlex.quote(str(folder))} {command}"
    rows = {
        "Documents": f"{documents} can be searched" if documents is not None else None,
        "Model": f"{release}, which has an index of its own" if release is not None else None,
        "Search page": f"{url}/ (asks for the API key)",
        "Search API": f"{url}/v1/search",
        "  documentation": f"{url}/docs",
        "Metrics": f"{admin_url}/metrics",
        "API key": f"in {folder / config.FILE}, where the spanstream command finds it",
        "Log": str(folder / "logs" / "spanstream.log"),
        "Search": f'{command} search "how do I copy a file"',
        "Your documents": f"{command} ingest FOLDER",
        "Stop": "Ctrl-C",
    }
    text = Text()
    for name, value in rows.items():
        if value is not None:
            text.append(f"  {name:17}", style="dim")
            text.append(f"{value}\n")
    return text
