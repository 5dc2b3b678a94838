#!/usr/bin/env bash
# Helm into the virtual environment, built by Go, for the checks of charts/. Does nothing where one is found.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v helm >/dev/null && [ ! -x .venv/bin/helm ]; then
  command -v go >/dev/null || { echo "There is neither helm nor go: install one of them." >&2; exit 1; }
  echo "Helm is built, once: some minutes, and about 1 GB of Go's caches."
  GOBIN="$PWD/.venv/bin" go install helm.sh/helm/v3/cmd/helm@v3.20.2
fi
