"""The `spanstream` command, which is also `python -m spanstream.client`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run it. Ctrl-C ends it without a traceback while its modules are still being read, too."""
    try:
        from spanstream.client import cli

        cli.main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
