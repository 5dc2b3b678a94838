"""Moves a live index to another release of the encoder: docs/migration.md, docs/decisions/0028."""
