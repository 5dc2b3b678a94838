"""Start everything, serve until asked to stop, say in words what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from spanstream.client import config
from spanstream.runtime import logs, tracing
from spanstream.runtime.service import ThreadService, run
from spanstream.runtime.settings import Settings, SettingsError
from spanstream.standalone import log_file
from spanstream.standalone.composition import Composition, Plan
from spanstream.standalone.folder import DataFolder
from spanstream.standalone.trouble import Trouble, explain
from spanstream.standalone.welcome import Welcome

Build = Callable[[Plan, DataFolder, Callable[[str], None]], Composition]


def up(
    plan: Plan,
    folder: DataFolder,
    build: Build,
    *,
    with_samples: bool,
    logs_to_stderr: bool,
    as_json: bool,
    began: float,
) -> int:
    """1 own the folder, 2 make key and services, 3 run them; the exit code. Failures are shown, never raised."""
    console, errors = Console(highlight=False, stderr=as_json), Console(stderr=True, highlight=False)
    failures: list[BaseException] = []
    try:
        settings = Settings.read()  # before the logs, whose level it says
        folder.open()  # 1
    except (SettingsError, Trouble) as error:
        errors.print(_panel(explain(error), None))
        return 1
    try:
        if logs_to_stderr:
            logs.configure(settings.log_level)
        else:
            log_file.configure(settings.log_level, folder.log)
        tracing.configure("standalone", tracing.exporting(settings.traces_url), settings.traces_share)
        key = folder.key()  # 2
        try:
            composition = build(plan, folder, lambda message: console.print(message, style="dim", markup=False))
        except ValueError as error:  # of an address that is none, or what else only the one who opens it can judge
            raise SettingsError(str(error)) from error
        saved = {"url": composition.url, "api_key": key, "log_url": composition.log_url}
        if composition.ingest_url != composition.url:
            saved["ingest_url"] = composition.ingest_url
        config.save(folder.path, saved)
        welcome = Welcome(
            console,
            composition.services,
            folder.path,
            composition.admin_url,
            composition.release,
            with_gateway="gateway" in plan.targets,
            with_samples=with_samples and {"ingestor", "gateway"} <= plan.targets,
            as_json=as_json,
            began=began,
        )
        greeting = ThreadService("welcome", [welcome.run], closed=welcome.stopping)
        code = run([*composition.services, greeting], failed=failures.append)  # 3
    except Exception as error:  # noqa: BLE001 shown below
        logs.get_logger().error("start_failed", error=type(error).__name__, exc_info=error)
        failures.append(error)
        code = 1
    finally:
        folder.close()
    if failures:
        errors.print(_panel(explain(failures[0], folder.path), None if logs_to_stderr else folder.log))
    elif code == 0:
        console.print("Stopped.", style="dim")
    return code


def _panel(trouble: Trouble, log: Path | None) -> Panel:
    text = Text(trouble.what, style="bold")
    if trouble.advice:
        text.append(f"\n\n{trouble.advice}", style="not bold")
    if log is not None:
        text.append(f"\n\nLog: {log}", style="not bold dim")
    return Panel(text, title="Spanstream cannot run", title_align="left", border_style="red")
