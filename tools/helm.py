"""Helm, as the checks of the charts and the page of what they deploy use it: no cluster is needed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
KUBERNETES = "1.33.0"  # the version that is rendered for
RELEASE, NAMESPACE = "spanstream", "search"

# Each profile's values files.
PROFILES = {
    "dev": ["values-dev.yaml"],
    "small": ["values-small.yaml"],
    "production": ["values-production.yaml"],
    "gpu": ["values-production.yaml", "values-gpu.yaml"],
}


class Refused(Exception):
    """Helm did not render; the message is what it said."""


def find() -> str | None:
    """Helm's path: the machine's, or the one that tools/install_helm.sh made."""
    return shutil.which("helm") or shutil.which("helm", path=str(Path(sys.executable).parent))


def _flag(one: str) -> str:
    """--set knows no empty list and no fraction, and takes digits for a number: such values are JSON."""
    return "--set-json" if one.partition("=")[2].startswith(('"', "[", "0.")) else "--set"


class Chart:
    """A copy of the umbrella chart with the generic chart inside it."""

    def __init__(self, helm: str, folder: Path) -> None:
        """Copies the charts below `folder`."""
        self._helm = helm
        shutil.copytree(ROOT / "charts", folder, ignore=shutil.ignore_patterns("*.tgz"))
        self.path = folder / "spanstream"
        self._run("dependency", "build", str(self.path))

    def render(self, profile: str, *sets: str, release: str = RELEASE) -> list[dict[str, Any]]:
        """The resources of a profile, each of `sets` as of --set. Raises Refused."""
        text = self._run("template", release, str(self.path), "--namespace", NAMESPACE, *self._values(profile, sets))
        return [document for document in yaml.load_all(text, yaml.CSafeLoader) if document]

    def notes(self, profile: str, *sets: str, upgrade: bool = False) -> str:
        """What an installation (or an upgrade) ends by printing; `helm template` leaves it out, so it is asked for as a ConfigMap. Raises Refused."""
        templates = self.path / "templates"
        own = [templates / "_notes.tpl", templates / "notes.yaml"]
        own[0].write_text(f'{{{{ define "notes" -}}}}{(templates / "NOTES.txt").read_text()}{{{{- end }}}}')
        own[1].write_text('kind: ConfigMap\ndata: {notes: {{ include "notes" . | quote }}}\n')
        try:
            only = ["--show-only", "templates/notes.yaml", *(["--is-upgrade"] if upgrade else [])]
            text = self._run(
                "template", RELEASE, str(self.path), "--namespace", NAMESPACE, *only, *self._values(profile, sets)
            )
        finally:
            for path in own:
                path.unlink()
        return str(yaml.safe_load(text)["data"]["notes"])

    def lint(self, profile: str) -> str:
        """What `helm lint --strict` says. Raises Refused."""
        return self._run("lint", "--strict", str(self.path), *self._values(profile, ()))

    def _values(self, profile: str, sets: Sequence[str]) -> list[str]:
        files = [part for name in PROFILES[profile] for part in ("--values", str(self.path / name))]
        return ["--kube-version", KUBERNETES, *files, *(part for one in sets for part in (_flag(one), one))]

    def _run(self, *arguments: str) -> str:
        done = subprocess.run([self._helm, *arguments], capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            raise Refused(done.stderr + done.stdout)
        return done.stdout
