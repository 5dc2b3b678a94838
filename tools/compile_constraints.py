"""Writes constraints.txt: every third-party distribution the workspace needs, pinned and hashed, for all platforms.

Each names those that need it (`# via`), from which `image_requirements` finds what one image needs.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def third_party() -> list[str]:
    """What the members, their extras and dev-requirements.in ask for, without the members themselves."""
    wanted = [line for line in (ROOT / "dev-requirements.in").read_text().splitlines() if line and line[0] != "#"]
    for path in [*ROOT.glob("libs/*/pyproject.toml"), *ROOT.glob("services/*/pyproject.toml")]:
        project = tomllib.loads(path.read_text())["project"]
        wanted += project["dependencies"]
        wanted += chain.from_iterable(project.get("optional-dependencies", {}).values())
    return sorted({name for name in wanted if not name.startswith("spanstream-")}, key=str.lower)


def main() -> int:
    """Resolve and write; versions already in the file stay unless `--upgrade` is given."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "-", "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-header", "--annotation-style", "line"]
    command += ["--no-emit-index-url", "--no-emit-find-links"]
    command += ["--output-file", str(ROOT / "constraints.txt"), "--quiet", *sys.argv[1:]]
    return subprocess.run(command, input="\n".join(third_party()), text=True, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
