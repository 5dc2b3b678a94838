"""What the commands make of the environment."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from spanstream.standalone import commands
from spanstream.standalone import up as starting
from spanstream.standalone.composition import Plan


def app() -> typer.Typer:
    made = typer.Typer(add_completion=False)
    made.command("up")(commands.up)
    made.command("config")(commands.config)
    return made


def test_the_admin_port_of_the_environment_is_the_one_that_is_used_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was shown as effective, and `up` took 9464."""
    plans: list[Plan] = []

    def up(plan: Plan, *_: object, **__: Any) -> int:
        plans.append(plan)
        return 0

    monkeypatch.setattr(starting, "up", up)
    environment = {"ADMIN_PORT": "9555", "ADMIN_HOST": "0.0.0.0", "ENCODER_URL": "hash:16"}
    assert CliRunner().invoke(app(), ["up"], env=environment).exit_code == 0
    shown = CliRunner().invoke(app(), ["config", "--json"], env=environment)
    assert shown.exit_code == 0
    admin = json.loads(shown.output)["admin"]
    assert (plans[0].host, plans[0].admin_port) == (admin["ADMIN_HOST"], admin["ADMIN_PORT"]) == ("127.0.0.1", 9555)
