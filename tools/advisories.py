"""Known vulnerabilities of the pinned packages: `python -m tools.advisories`. Asks advisories, so it needs a network.

pip-audit is run in an environment of its own and not among our packages; a finding ends it with 1, no network with 3.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
AUDIT = "pip-audit==2.10.1"
ABSENT = 3
# What uv and pip-audit say where nobody answers.
_UNREACHABLE = (
    "dns error",
    "Failed to fetch",
    "ConnectionError",
    "Could not connect",
    "client error",
    "NewConnectionError",
)


def main() -> int:
    """Run it; its exit code, or ABSENT."""
    command = [sys.executable, "-m", "uv", "tool", "run", "--quiet", AUDIT, "--requirement", str(CONSTRAINTS)]
    command += ["--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and any(words in done.stderr for words in _UNREACHABLE):
        print("No answer: advisories are asked over the network. Nothing was checked.", file=sys.stderr)
        return ABSENT
    print(done.stdout + done.stderr, end="")
    return done.returncode


if __name__ == "__main__":
    raise SystemExit(main())
