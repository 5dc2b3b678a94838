"""Errors of training. Nothing is lost by any of them: the last checkpoint stays as it was."""

from __future__ import annotations

from spanstream.representations.errors import RepresentationError


class RecipeInvalid(RepresentationError):
    """A recipe with an unknown key or objective, or a wrong value: correct what the message names."""


class CorpusUnsuitable(RepresentationError):
    """Too few different texts to learn from: give more."""


class TrainingFailed(RepresentationError):
    """It cannot go on: the loss is no number, memory or the disk is full. The message says what to change."""


class CheckpointInvalid(RepresentationError):
    """A checkpoint of another recipe or corpus, or damaged: train into another folder."""


class DeviceUnavailable(RepresentationError):
    """No such device on this machine: name another one, or none."""


class WorkersUnavailable(RepresentationError):
    """Several workers were asked for, and they cannot be started: the message says what is missing."""
