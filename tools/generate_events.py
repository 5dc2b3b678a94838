"""Writes libs/events' generated code from proto/, or with --check says what differs.

Everything is made in a temporary folder and swapped in at the end, so a failure leaves the committed code as it was.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import sys
import tempfile
from pathlib import Path

import grpc_tools
import yaml
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[1]
PROTO = ROOT / "proto"
TARGET = ROOT / "libs/events/src"

TOPICS_HEADER = '''"""The topics, generated from proto/topics.yaml by `make proto`; do not edit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of the registry. Times are milliseconds (-1: for ever), sizes bytes."""

    name: str
    message: str
    partitions: int
    retention_ms: int
    max_message_bytes: int
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    dead_letters: str | None

'''


def generate(out: Path) -> None:
    """Write every generated file below `out`."""
    sources = sorted(str(path) for path in PROTO.rglob("*.proto"))
    builtin = str(Path(grpc_tools.__file__).parent / "_proto")
    arguments = ["protoc", f"-I{PROTO}", f"-I{builtin}", f"--python_out={out}", f"--pyi_out={out}", *sources]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed; its message is above")
    topics = yaml.safe_load((PROTO / "topics.yaml").read_text())["topics"]
    lines = [TOPICS_HEADER]
    names = []
    for topic in topics:
        constant = topic["name"].split(".")[0].upper()
        names.append(constant)
        lines.append(
            f"\n{constant} = Topic(\n"
            f'    name="{topic["name"]}",\n'
            f'    message="{topic["message"]}",\n'
            f"    partitions={topic['partitions']},\n"
            f"    retention_ms={topic['retention_ms']},\n"
            f"    max_message_bytes={topic['max_message_bytes']},\n"
            f"    producers={_tuple(topic['producers'])},\n"
            f"    consumers={_tuple(topic['consumers'])},\n"
            f"    dead_letters={_string(topic.get('dead_letters'))},\n"
            ")\n"
        )
    lines.append(f"\nALL = ({', '.join(names)})\n")
    (out / "spanstream/events/topics.py").write_text("".join(lines))


def _string(value: str | None) -> str:
    return "None" if value is None else f'"{value}"'


def _tuple(values: list[str]) -> str:
    inner = ", ".join(_string(value) for value in values)
    return f"({inner},)" if len(values) == 1 else f"({inner})"


def main() -> int:
    """Generate, then swap in or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the committed code is stale")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        generate(out)
        made = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
        existing = {path.relative_to(TARGET) for path in (TARGET / "spanstream/events/v1").glob("*_pb2.py*")}
        stale = [
            path
            for path in {*made, *existing}
            if path not in made or not (TARGET / path).exists() or not filecmp.cmp(out / path, TARGET / path, False)
        ]
        if check:
            for path in sorted(stale):
                print(f"stale: {(TARGET / path).relative_to(ROOT)} (run `make proto`)", file=sys.stderr)
            return 1 if stale else 0
        for path in existing - set(made):
            (TARGET / path).unlink()
        for path in made:
            (TARGET / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(out / path, TARGET / path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
