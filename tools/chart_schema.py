"""Writes the settings of every service, with their types and bounds, into the chart's values.schema.json; --check: is it stale?

A wrong setting in a values file is then refused before anything is installed, with the setting's name.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

from spanstream.embedder.settings import DeploymentSettings, EmbedderSettings, EncoderSettings
from spanstream.gateway.settings import GatewaySettings
from spanstream.indexer.settings import IndexerSettings
from spanstream.ingestor.settings import IngestorSettings
from spanstream.runtime.settings import Settings, variables
from spanstream.standalone.migration.settings import MigrationSettings

CHART = Path(__file__).resolve().parents[1] / "charts/spanstream"
SCHEMA = CHART / "values.schema.json"

# The definitions, and which of the chart's services says what is not for a values file.
SETTINGS: dict[str, tuple[str, type[Settings]]] = {
    "ingestorApi": ("ingestorApi", IngestorSettings),
    "ingestorWorker": ("ingestorWorker", IngestorSettings),
    "embedder": ("embedder", EmbedderSettings),
    "encoder": ("encoder", EncoderSettings),
    "encoderOnRay": ("encoder", DeploymentSettings),
    "indexer": ("indexer", IndexerSettings),
    "gateway": ("gateway", GatewaySettings),
}
MIGRATION = CHART / "templates/_migration.tpl"
# What differs from pod to pod, so that the chart's templates alone can say it.
_OF_THE_POD = {"LOG_MEMBER"}
_KEPT = (
    "type",
    "enum",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "pattern",
    "minLength",
    "description",
)


def definition(kind: type[Settings], decided: set[str]) -> dict[str, Any]:
    """JSON Schema of the settings that a values file may have: not those that the chart decides, and no secrets."""
    described = kind.model_json_schema(by_alias=False)
    properties: dict[str, Any] = {}
    for variable, (name, field) in variables(kind).items():
        if variable in decided or SecretStr in getattr(field.annotation, "__args__", (field.annotation,)):
            continue
        properties[variable] = _plain(described["properties"][name], described.get("$defs", {}))
    return {"type": "object", "additionalProperties": False, "properties": dict(sorted(properties.items()))}


def _plain(field: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """Without references, and without null: what is unset is left out."""
    (kind,) = [one for one in field.get("anyOf", [field]) if one.get("type") != "null"]
    if "$ref" in kind:
        kind = defs[kind["$ref"].rpartition("/")[2]]
    merged = kind | {"description": field.get("description", kind.get("description", ""))}
    return {key: merged[key] for key in _KEPT if merged.get(key) or merged.get(key) == 0}


def schema() -> dict[str, Any]:
    """The chart's schema with today's settings."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    current: dict[str, Any] = json.loads(SCHEMA.read_text())
    for name, (service, kind) in SETTINGS.items():
        decided = {*values[service]["wiring"], *values[service].get("secrets", {}), *_OF_THE_POD}
        current["$defs"][f"{name}Settings"] = definition(kind, decided)
    decided = {*re.findall(r"^([A-Z_]+): ", MIGRATION.read_text(), re.MULTILINE), *_OF_THE_POD}
    current["$defs"]["migrationSettings"] = definition(MigrationSettings, decided)
    return current


def main() -> int:
    """Write, or compare."""
    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    if "--check" in sys.argv[1:]:
        return int(SCHEMA.read_text() != text)
    SCHEMA.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
